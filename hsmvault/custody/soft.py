"""Soft custody: keys that are processed in software and lie sealed under the system key.

The reference of a HeldKey is the sealed PKCS#8 (custody/sealing.py), for a disclosable key behind a mark that is sealed
with it, bound to its row; its public part is compared with the private key when it is loaded, so that a row with
another public key does not work either. Loaded keys stay in a worker for a bounded time and in a bounded number.

Nothing that takes long runs on the event loop: RSA generation has a lane of its own, private-key operations share
one. P-256 signatures are the exception: 16 to 37 µs, as much as the way through a lane costs (18 µs and the wait).
"""

import hashlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import msgspec

from hsmvault.clock import Clock
from hsmvault.custody.backup import backup_container, open_carried
from hsmvault.custody.cache import BoundedCache, SingleFlight
from hsmvault.custody.protocols import (
    NOT_DISCLOSED,
    PLAIN,
    Attestation,
    Binding,
    CustodyClass,
    HeldKey,
    PrivateKeyMaterial,
    Terms,
)
from hsmvault.custody.public import check_digest, wrong_algorithm
from hsmvault.custody.sealing import DEFAULT_LIMITS, CacheLimits, Sealer, damaged
from hsmvault.custody.soft_key import SoftKey, check_generates
from hsmvault.errors import BadRequest, Unavailable
from hsmvault.lanes import Lane
from hsmvault.model.algorithms import (
    Curve,
    EncryptionAlgorithm,
    EncryptionMode,
    Family,
    Hash,
    KeySpec,
    SignatureAlgorithm,
)
from hsmvault.model.data_keys import DataKeyRow

Result = TypeVar("Result")


_PACKED_FORMAT = 2


class _Packed(msgspec.Struct, frozen=True, array_like=True):
    """sealed: SoftKey.stored() under the data key of the world's backups. data_key: the row that opens it, which the
    system key sealed.
    """

    format: int
    sealed: bytes
    data_key: DataKeyRow


class _PackedAtFirst(msgspec.Struct, frozen=True, array_like=True):
    """Format 1, still opened. sealed: the reference of the HeldKey, under the data key of its container."""

    sealed: bytes
    data_key: DataKeyRow


class SoftCustodian:
    """A Custodian (protocols.py). One per worker; belongs to one event loop.

    work, generation: lanes, closed by whoever made them. fault: called with "before" or "after" and the name of a step
    (generate, prove, admit, open, seal, forget), for tests that break off there. world_id: of the world whose system
    keys the sealer has; packed keys are sealed under the data key of its backups.
    """

    custody = CustodyClass.SOFT

    def __init__(
        self,
        sealer: Sealer,
        clock: Clock,
        *,
        work: Lane[None],
        generation: Lane[None],
        limits: CacheLimits = DEFAULT_LIMITS,
        world_id: str = "",
        fault: Callable[[str], None] | None = None,
    ) -> None:
        self._sealer = sealer
        self._backups = backup_container(world_id)
        self._work = work
        self._generation = generation
        self._fault = fault or _no_fault
        self._loaded: BoundedCache[bytes, SoftKey] = BoundedCache(clock, limit=limits.number, seconds=limits.seconds)
        self._loads: SingleFlight[bytes, SoftKey] = SingleFlight()
        self._epoch = 0

    async def generate(self, spec: KeySpec, binding: Binding, terms: Terms = PLAIN) -> HeldKey:
        _require_soft(terms)
        check_generates(spec)
        lane = self._generation if spec.family is Family.RSA else self._work
        made = partial(SoftKey.generate, is_disclosable=terms.disclosable)
        key = await self._step("generate", lambda: lane.submit(lambda _: made(spec)))
        if not await self._step("prove", lambda: self._work.submit(lambda _: key.is_consistent())):
            raise Unavailable(
                "The key could not be created.", detail=f"a new soft key failed its pairwise test: {spec}"
            )
        return await self._hold(key, binding)

    async def admit(self, material: PrivateKeyMaterial, binding: Binding, terms: Terms = PLAIN) -> HeldKey:
        """Raises BadRequest too when the material is not a key of its spec and public part."""
        _require_soft(terms)
        key = await self._step("admit", lambda: self._work.submit(lambda _: _admitted(material, terms)))
        return await self._hold(key, binding)

    async def admit_wrapped(
        self,
        exchange: HeldKey,
        exchange_binding: Binding,
        family: Family,
        curve: Curve | None,
        wrapped: bytes,
        binding: Binding,
        terms: Terms = PLAIN,
    ) -> HeldKey:
        """Never: what was wrapped for the HSM is opened in the HSM alone."""
        raise BadRequest("A key that is wrapped for the HSM can only be imported as an HSM-backed key.")

    def open(self, held: HeldKey, binding: Binding, *, secure: bool = False) -> "SoftKeyHandle":
        if held.custody is not CustodyClass.SOFT:
            raise damaged(binding, f"it is a {held.custody.value} key")
        if secure:
            raise damaged(binding, "no soft key is made for secure wrapping")
        return SoftKeyHandle(self, held, binding)

    async def pack(self, held: HeldKey, binding: Binding) -> bytes:
        """MessagePack of the private key, sealed for backups, and the row of their data key, which a database that is
        restored elsewhere may lack. Nothing of the key's own container is needed to open it.
        """
        key = await self._step("open", self.open(held, binding).load)
        place = self._in_backup(binding)
        sealed = await self._step("seal", lambda: self._sealer.seal(key.stored(), place))
        return msgspec.msgpack.encode(_Packed(_PACKED_FORMAT, sealed, await self._sealer.row_of(sealed, place)))

    async def unpack(self, spec: KeySpec, public: bytes, packed: bytes, source: Binding, target: Binding) -> HeldKey:
        sealed, place, data_key = self._read_packed(packed, source)
        held = HeldKey(CustodyClass.SOFT, spec, public, sealed)

        async def load() -> SoftKey:
            stored = await open_carried(self._sealer, sealed, place, data_key)
            return await self._work.submit(lambda _: _opened(stored, held, source))

        return await self._hold(await self._step("open", load), target)

    async def export(self, held: HeldKey, binding: Binding, recipient: bytes, oaep: Hash) -> bytes:
        """Never: no soft key is made exportable."""
        raise BadRequest(_EXPORTABLE)

    async def disclose(self, held: HeldKey, binding: Binding) -> PrivateKeyMaterial:
        """See Custodian."""
        key = await self._step("open", self.open(held, binding).load)
        if not key.is_disclosable:
            raise BadRequest(NOT_DISCLOSED)
        return PrivateKeyMaterial(key.public.spec, key.public.spki, key.pkcs8())

    async def attest(self, held: HeldKey, binding: Binding) -> Attestation:
        """Never: no token can say anything about it."""
        raise BadRequest("Only HSM-backed keys can be attested.")

    async def destroy(self, held: HeldKey, binding: Binding) -> None:
        self._fault("before forget")
        self._forget(_identity(held, binding))
        self._fault("after forget")

    def forget(self) -> None:
        """Drop every loaded key; what is being loaded just now is not kept either."""
        self._epoch += 1
        self._loaded.clear()

    def sweep(self) -> None:
        """Drop loaded keys that are too old and were not used since; to be called every minute or so."""
        self._loaded.sweep()

    def _forget(self, identity: bytes) -> None:
        self._epoch += 1
        self._loaded.drop(identity)

    def _in_backup(self, source: Binding) -> Binding:
        """The place of a packed key: among the backups of the world, and bound to the row that it came from."""
        return Binding(self._backups, "packed key", hashlib.sha256(source.encode()).hexdigest(), source.version)

    def _read_packed(self, packed: bytes, source: Binding) -> tuple[bytes, Binding, DataKeyRow]:
        """What was sealed, what it is bound to, and the data key that came along. Raises Damaged."""
        try:
            given = msgspec.msgpack.decode(packed, type=_Packed)
        except msgspec.MsgspecError:
            try:
                old = msgspec.msgpack.decode(packed, type=_PackedAtFirst)
            except msgspec.MsgspecError as error:
                raise damaged(source, "the packed key cannot be read") from error
            return old.sealed, source, old.data_key
        if given.format != _PACKED_FORMAT:
            raise damaged(source, f"format {given.format} of the packed key is not known")
        return given.sealed, self._in_backup(source), given.data_key

    async def _hold(self, key: SoftKey, binding: Binding) -> HeldKey:
        sealed = await self._step("seal", lambda: self._sealer.seal(key.stored(), binding))
        return HeldKey(CustodyClass.SOFT, key.public.spec, key.public.spki, sealed)

    async def _step(self, name: str, action: Callable[[], Awaitable[Result]]) -> Result:
        self._fault(f"before {name}")
        result = await action()
        self._fault(f"after {name}")
        return result

    async def _load(self, identity: bytes, held: HeldKey, binding: Binding, epoch: int) -> SoftKey:
        """epoch: when the load was asked for; what was destroyed or forgotten since is not kept."""
        stored = await self._sealer.open(held.reference, binding)
        key = await self._work.submit(lambda _: _opened(stored, held, binding))
        if epoch == self._epoch:
            self._loaded.put(identity, key)
        return key


class SoftKeyHandle:
    """A KeyHandle (protocols.py)."""

    def __init__(self, owner: SoftCustodian, held: HeldKey, binding: Binding) -> None:
        self._owner = owner
        self._held = held
        self._binding = binding
        self._identity = _identity(held, binding)
        self._is_quick = held.spec.curve is Curve.P256

    def __repr__(self) -> str:
        return f"SoftKeyHandle({self._held.spec.family.value} {self._held.spec.size_bits})"

    async def sign(self, algorithm: SignatureAlgorithm, digest: bytes) -> bytes:
        check_digest(algorithm, self._held.spec, digest)
        key = self._owner._loaded.get(self._identity) or await self.load()
        if self._is_quick:
            return key.sign(algorithm, digest)
        return await self._owner._work.submit(lambda _: key.sign(algorithm, digest))

    async def encrypt(self, algorithm: EncryptionAlgorithm, plaintext: bytes, iv: bytes, aad: bytes) -> bytes:
        """Never: symmetric keys are not processed in software."""
        raise wrong_algorithm(algorithm)

    async def decrypt(
        self, algorithm: EncryptionAlgorithm, ciphertext: bytes, iv: bytes = b"", aad: bytes = b""
    ) -> bytes:
        """See KeyHandle. RSA alone, which takes neither iv nor aad."""
        if not algorithm.fits(self._held.spec) or algorithm.mode not in _RSA_MODES or iv or aad:
            raise wrong_algorithm(algorithm)
        key = self._owner._loaded.get(self._identity) or await self.load()
        return await self._owner._work.submit(lambda _: key.decrypt(algorithm, ciphertext))

    def release(self) -> None:
        self._owner._forget(self._identity)

    async def load(self) -> SoftKey:
        """The loaded key; for the custodian's use. Raises Unavailable when the row is not what was sealed."""
        identity, held, binding = self._identity, self._held, self._binding
        key = self._owner._loaded.get(identity)
        if key is None:
            epoch = self._owner._epoch
            key = await self._owner._loads.run(identity, lambda: self._owner._load(identity, held, binding, epoch))
        return key


_RSA_MODES = (EncryptionMode.RSA1_5, EncryptionMode.OAEP)
_EXPORTABLE = "Exportable keys must be HSM-backed."


def _require_soft(terms: Terms) -> None:
    """Raises BadRequest when no soft key can have these terms."""
    if terms.exportable:
        raise BadRequest(_EXPORTABLE)
    if terms.exchange:
        raise BadRequest("Key exchange keys must be HSM-backed.")
    if terms.secure:
        raise BadRequest("Keys for secure wrapping must be HSM-backed.")


def _admitted(material: PrivateKeyMaterial, terms: Terms) -> SoftKey:
    try:
        key = SoftKey.load(material.encoded, is_disclosable=terms.disclosable)
    except ValueError as error:
        raise BadRequest("The private key cannot be read.") from error
    if key.public.spec != material.spec or key.public.spki != material.public or not key.is_consistent():
        raise BadRequest("The private key does not fit the public key.")
    return key


def _opened(stored: bytes, held: HeldKey, binding: Binding) -> SoftKey:
    try:
        key = SoftKey.from_stored(stored)
    except ValueError as error:
        raise damaged(binding, "what was sealed is not a private key") from error
    if key.public.spec != held.spec or key.public.spki != held.public:
        raise damaged(binding, "its public part or type is not the private key's")
    return key


def _identity(held: HeldKey, binding: Binding) -> bytes:
    """Names a loaded key: everything that loading it depends on, so that no other row can hit it in the cache."""
    spec = repr(held.spec).encode()
    return hashlib.sha256(binding.encode(spec, held.public, held.reference)).digest()


def _no_fault(step: str) -> None:
    del step
