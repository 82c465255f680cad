"""Keys that sign statements of the service: one for each purpose in each security world, made at its first use.

An RSA-2048 key in the world's own custody, because verifiers of released keys know RS256 alone. It signs one kind of
statement and nothing else, so that no statement can be taken for another. The fact about it, its row, stands in `meta`:
its public part, its certificate and the opaque reference. Two workers that make it at once agree by that row.

Its certificate is self-signed: who relies on statements pins it. It is good for ten years, and its last month is the
time in which a new key takes its place. A key under a world key that was rotated is replaced, too.
"""

import asyncio
import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from hsmvault.clock import Clock, Identifiers
from hsmvault.custody.custodians import WorldCustody
from hsmvault.custody.intents import Intents
from hsmvault.custody.protocols import Binding, Custodian, CustodyClass, HeldKey, KeyHandle
from hsmvault.custody.reference import decode_wrapped
from hsmvault.custody.self_signed import RS256, self_signed
from hsmvault.custody.steps import unusable
from hsmvault.errors import RequestError
from hsmvault.model import base64url
from hsmvault.model.algorithms import KeySpec
from hsmvault.store import meta, worlds
from hsmvault.store.database import Conflicted, Database, Transaction

_PREFIX = "statement-key:"
_KIND = "statement key"  # of the binding: no row of a vault's key opens one
_FORMAT = 1
_SPEC = KeySpec.rsa(2048)
_LIFE_SECONDS = 3650 * 86_400
_LAST_SECONDS = 30 * 86_400
_BACKDATED_SECONDS = 86_400  # for verifiers whose clock is behind
_REREAD_SECONDS = 3600.0


class _Row(msgspec.Struct, frozen=True):
    """As JSON in `meta`. version: of the binding, and the serial number of the certificate. expires: when that ends, in
    seconds since 1970 UTC."""

    format: int
    version: str
    custody: str
    public: bytes
    reference: bytes
    certificate_der: bytes
    expires: int

    def __repr__(self) -> str:
        return f"_Row({self.version})"


@dataclass(frozen=True, slots=True)
class StatementKey:
    """id: SHA-1 of the certificate in upper-case hex, as the service writes `kid`. public: SubjectPublicKeyInfo."""

    id: str
    certificate_der: bytes = field(repr=False)
    public: bytes = field(repr=False)
    handle: KeyHandle = field(repr=False)


class StatementKeys:
    """purpose: a word that no other purpose has. common_name, dns_names: of the certificate."""

    def __init__(
        self,
        purpose: str,
        world_id: str,
        world: WorldCustody,
        *,
        database: Database,
        clock: Clock,
        identifiers: Identifiers,
        intents: Intents,
        common_name: str,
        dns_names: Sequence[str] = (),
    ) -> None:
        self._purpose = purpose
        self._world_id = world_id
        self._name = f"{_PREFIX}{purpose}:{world_id}"
        self._world = world
        self._database = database
        self._clock = clock
        self._identifiers = identifiers
        self._intents = intents
        self._common_name = common_name
        self._dns_names = tuple(dns_names)
        self._lock = asyncio.Lock()
        self._key: StatementKey | None = None
        self._good_until = float("-inf")

    async def sign(self, payload: bytes) -> str:
        """payload: JSON in UTF-8. Returns a compact JWS (RFC 7515, 7.1). Raises Unavailable, Throttled."""
        key = await self.current()
        sha1 = hashlib.sha1(key.certificate_der, usedforsecurity=False).digest()
        header = {
            "alg": "RS256",
            "kid": key.id,
            "x5t": base64url.encode(sha1),
            "typ": "JWT",
            "x5t#S256": base64url.encode(hashlib.sha256(key.certificate_der).digest()),
            "x5c": [base64.b64encode(key.certificate_der).decode("ascii")],
        }
        signed = f"{base64url.encode(msgspec.json.encode(header))}.{base64url.encode(payload)}"
        signature = await key.handle.sign(RS256, hashlib.sha256(signed.encode("ascii")).digest())
        return f"{signed}.{base64url.encode(signature)}"

    async def current(self) -> StatementKey:
        """Made when there is none, when its time is nearly over, or when its world key was rotated. Raises Unavailable,
        Throttled.
        """
        if self._key is not None and self._clock.monotonic() < self._good_until:
            return self._key
        async with self._lock:
            row = await self._read()
            if row is None or self._clock.now() >= row.expires - _LAST_SECONDS or await self._is_under_older(row):
                row = await self._replace(row)
            self._key = self._opened(row)
            self._good_until = self._clock.monotonic() + _REREAD_SECONDS
            return self._key

    async def _read(self) -> _Row | None:
        async with self._database.read() as tx:
            return _decode(await meta.get(tx, self._name))

    async def _is_under_older(self, row: _Row) -> bool:
        """Under an older generation of the world key, which nothing should need for ten years. One that we do not know
        yet is a newer one."""
        if row.custody != CustodyClass.WRAPPED.value:
            return False
        async with self._database.read() as tx:
            older = [one.key_id for one in await worlds.older_world_keys(tx, self._world_id)]
        return bool(older) and decode_wrapped(row.reference).world_key_id in older

    async def _replace(self, old: _Row | None) -> _Row:
        """Make a key, unless somebody else does so meanwhile; the old one goes."""
        custodian = self._world.custodians[self._world.default]
        version = self._identifiers.version()
        binding = self._binding(version)
        held = await custodian.generate(_SPEC, binding)
        now = int(self._clock.now())
        row = _Row(
            _FORMAT,
            version,
            held.custody.value,
            held.public,
            held.reference,
            await self_signed(
                custodian.open(held, binding),
                held.public,
                host=self._common_name,
                serial=int(version, 16),
                not_before=now - _BACKDATED_SECONDS,
                not_after=now + _LIFE_SECONDS,
                dns_names=self._dns_names,
            ),
            now + _LIFE_SECONDS,
        )
        try:
            async with self._database.write() as tx:
                found = _decode(await meta.get(tx, self._name))
                is_ours = found == old
                if is_ours:
                    await meta.put(tx, self._name, msgspec.json.encode(row).decode())
                    await self._intents.keep(tx, held)
                    if old is not None:
                        await self._intents.give_up(tx, _held(old))
        except Conflicted:
            found, is_ours = await self._read(), False
        except RequestError:  # nothing was committed; of any other way out that is not certain
            await custodian.destroy(held, binding)
            raise
        if is_ours:
            if old is not None:
                await self._custodian(old).destroy(_held(old), self._binding(old.version))
            return row
        await custodian.destroy(held, binding)
        if found is None:
            raise unusable(f"{self._name} was removed at the moment in which it was made")
        return found

    def _opened(self, row: _Row) -> StatementKey:
        handle = self._custodian(row).open(_held(row), self._binding(row.version))
        sha1 = hashlib.sha1(row.certificate_der, usedforsecurity=False)
        return StatementKey(sha1.hexdigest().upper(), row.certificate_der, row.public, handle)

    def _custodian(self, row: _Row) -> Custodian:
        custodian = self._world.custodians.get(CustodyClass(row.custody))
        if custodian is None:
            raise unusable(f"{self._name} is in {row.custody} custody, which this world does not offer here")
        return custodian

    def _binding(self, version: str) -> Binding:
        return Binding("statements", _KIND, self._purpose, version)


async def references(tx: Transaction, custody: str) -> list[bytes]:
    """HeldKey.reference of every statement key in this class of custody. Raises Unavailable for a damaged row."""
    rows = [_decode(text) for text in await meta.starting_with(tx, _PREFIX)]
    return [row.reference for row in rows if row is not None and row.custody == custody]


def _held(row: _Row) -> HeldKey:
    return HeldKey(CustodyClass(row.custody), _SPEC, row.public, row.reference)


def _decode(text: str | None) -> _Row | None:
    if text is None:
        return None
    try:
        row = msgspec.json.decode(text, type=_Row)
        CustodyClass(row.custody)
    except (msgspec.MsgspecError, ValueError) as error:
        raise unusable("the row of a statement key cannot be read") from error
    if row.format != _FORMAT:
        raise unusable(f"format {row.format} of a statement key is not known")
    return row
