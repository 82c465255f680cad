"""The issuer's signing keys, as one worker sees them: which are published, and which one signs now.

Keys live in custody like any other hard key; a row names the certificate, the public key and the opaque reference.
A row's binding is container 'login', kind 'key', name 'signing', and the version that stands as the serial number in
its certificate.

Life of a key: published (its lead) → signs → published until every token that it signed has expired → removed.
rotation.py moves keys along; here they are only read, and re-read when told (forget) or after a minute.
"""

import logging
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hsmvault.clock import Clock
from hsmvault.custody.protocols import Binding, Custodian, CustodyClass, HeldKey, KeyHandle
from hsmvault.errors import Unavailable
from hsmvault.model import base64url
from hsmvault.model.login_keys import LoginKeyRow
from hsmvault.store import login_keys
from hsmvault.store.database import Database

_log = logging.getLogger(__name__)
_REREAD_SECONDS = 60.0
_REREAD_AFTER_FAILURE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """id: kid and x5t. public: SubjectPublicKeyInfo in DER. modulus, exponent: base64url, big-endian (RFC 7518, 6.3.1).

    signs_from: seconds since 1970 UTC. handle: None for a key of another class of custody, which is published and
    does not sign.
    """

    id: str
    certificate_der: bytes = field(repr=False)
    public: bytes = field(repr=False)
    modulus: str = field(repr=False)
    exponent: str
    signs_from: int
    handle: KeyHandle | None = field(repr=False)


def binding_of(version: str) -> Binding:
    """version: 32 hex digits."""
    return Binding("login", "key", "signing", version)


def binding_of_row(row: LoginKeyRow) -> Binding:
    return binding_of(f"{x509.load_der_x509_certificate(row.certificate_der).serial_number:032x}")


def held_of_row(row: LoginKeyRow) -> HeldKey:
    return HeldKey(CustodyClass(row.custody), row.spec, row.public, row.reference)


class SigningKeys:
    """The keys of the issuer, cached."""

    def __init__(self, *, database: Database, custodian: Custodian, clock: Clock) -> None:
        self._database = database
        self._custodian = custodian
        self._clock = clock
        self._keys: dict[str, PublishedKey] = {}
        self._good_until = float("-inf")
        self._epoch = 0

    def forget(self) -> None:
        """Read the rows again before the next use: for whoever follows the `changes` table (kind 'login-key')."""
        self._epoch += 1
        self._good_until = float("-inf")

    async def published(self) -> list[PublishedKey]:
        """Every key that a verifier should know, oldest first. While the database is out of reach: the last known
        ones; Unavailable when there are none yet.
        """
        now = self._clock.monotonic()
        if now >= self._good_until:
            epoch = self._epoch
            try:
                async with self._database.read() as tx:
                    rows = await login_keys.list_all(tx)
            except Unavailable:
                if not self._keys:
                    raise
                self._good_until = now + _REREAD_AFTER_FAILURE_SECONDS
            else:
                published = [self._keys.get(row.id) or self._publish(row) for row in rows]
                before, self._keys = self._keys, {key.id: key for key in published if key is not None}
                for gone in before.keys() - self._keys.keys():
                    if (handle := before[gone].handle) is not None:
                        handle.release()
                if epoch == self._epoch:  # else the rows were read before the news of a change, and are old
                    self._good_until = now + _REREAD_SECONDS
        return sorted(self._keys.values(), key=lambda key: (key.signs_from, key.id))

    async def current(self) -> tuple[PublishedKey, KeyHandle]:
        """The key that signs now: the youngest whose time has come; when the clock was set back before all of them,
        the oldest. Raises Unavailable when there is none.
        """
        now = self._clock.now()
        able = [(key, key.handle) for key in await self.published() if key.handle is not None]
        if not able:
            raise Unavailable("The service has no signing key yet.", detail="login: no signing key; run the rotation")
        return next((pair for pair in reversed(able) if pair[0].signs_from <= now), able[0])

    def _publish(self, row: LoginKeyRow) -> PublishedKey | None:
        """None for a damaged row: the other keys go on."""
        usable = row.custody == self._custodian.custody.value
        try:
            public = load_der_public_key(row.public)
            handle = self._custodian.open(held_of_row(row), binding_of_row(row)) if usable else None
        except (ValueError, Unavailable) as error:
            _log.error("login: signing key %s cannot be used: %s", row.id, type(error).__name__)
            return None
        if not isinstance(public, RSAPublicKey):
            _log.error("login: signing key %s cannot be used: it is no RSA key", row.id)
            return None
        numbers = public.public_numbers()
        return PublishedKey(
            id=row.id,
            certificate_der=row.certificate_der,
            public=row.public,
            modulus=_integer(numbers.n),
            exponent=_integer(numbers.e),
            signs_from=row.signs_from,
            handle=handle,
        )


def _integer(number: int) -> str:
    return base64url.encode(number.to_bytes((number.bit_length() + 7) // 8, "big"))
