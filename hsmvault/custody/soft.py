"""Soft custody: keys that are processed in software and lie sealed under the system key.

The reference of a HeldKey is the sealed PKCS#8 (custody/sealing.py), bound to its row; its public part is compared with
the private key when it is loaded, so that a row with another public key does not work either. Loaded keys stay in a
worker for a bounded time and in a bounded number.

Nothing that takes long runs on the event loop: RSA generation has a lane of its own, private-key operations share
one. P-256 signatures are the exception: 16 to 37 µs, as much as the way through a lane costs (18 µs and the wait).
"""

import hashlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from hsmvault.clock import Clock
from hsmvault.custody.cache import BoundedCache, SingleFlight
from hsmvault.custody.protocols import Binding, CustodyClass, HeldKey, PrivateKeyMaterial
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
    KeySpec,
    SignatureAlgorithm,
)
from hsmvault.model.data_keys import DataKeyRow

Result = TypeVar("Result")


class _Packed(msgspec.Struct, frozen=True, array_like=True):
    """sealed: as the reference of a HeldKey. data_key: the row that opens it, itself sealed by the system key."""

    sealed: bytes
    data_key: DataKeyRow


class SoftCustodian:
    """A Custodian (protocols.py). One per worker; belongs to one event loop.

    work, generation: lanes, closed by whoever made them. fault: called with "before" or "after" and the name of a step
    (generate, prove, admit, open, seal, forget), for tests that break off there.
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
        fault: Callable[[str], None] | None = None,
    ) -> None:
        self._sealer = sealer
        self._work = work
        self._generation = generation
        self._fault = fault or _no_fault
        self._loaded: BoundedCache[bytes, SoftKey] = BoundedCache(clock, limit=limits.number, seconds=limits.seconds)
        self._loads: SingleFlight[bytes, SoftKey] = SingleFlight()
        self._epoch = 0

    async def generate(self, spec: KeySpec, binding: Binding) -> HeldKey:
        check_generates(spec)
        lane = self._generation if spec.family is Family.RSA else self._work
        key = await self._step("generate", lambda: lane.submit(lambda _: SoftKey.generate(spec)))
        if not await self._step("prove", lambda: self._work.submit(lambda _: key.is_consistent())):
            raise Unavailable(
                "The key could not be created.", detail=f"a new soft key failed its pairwise test: {spec}"
            )
        return await self._hold(key, binding)

    async def admit(self, material: PrivateKeyMaterial, binding: Binding) -> HeldKey:
        """Raises BadRequest too when the material is not a key of its spec and public part."""
        key = await self._step("admit", lambda: self._work.submit(lambda _: _admitted(material)))
        return await self._hold(key, binding)

    def open(self, held: HeldKey, binding: Binding) -> "SoftKeyHandle":
        if held.custody is not CustodyClass.SOFT:
            raise damaged(binding, f"it is a {held.custody.value} key")
        return SoftKeyHandle(self, held, binding)

    async def pack(self, held: HeldKey, binding: Binding) -> bytes:
        """MessagePack of the sealed private key and the row of its data key, which may be gone when it is restored."""
        await self._step("open", self.open(held, binding).load)
        return msgspec.msgpack.encode(_Packed(held.reference, await self._sealer.row_of(held.reference, binding)))

    async def unpack(self, spec: KeySpec, public: bytes, packed: bytes, source: Binding, target: Binding) -> HeldKey:
        try:
            given = msgspec.msgpack.decode(packed, type=_Packed)
        except msgspec.MsgspecError as error:
            raise damaged(source, "the packed key cannot be read") from error
        await self._sealer.borrow(given.data_key)
        held = HeldKey(CustodyClass.SOFT, spec, public, given.sealed)
        key = await self._step("open", self.open(held, source).load)
        return await self._hold(key, target)

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

    async def _hold(self, key: SoftKey, binding: Binding) -> HeldKey:
        sealed = await self._step("seal", lambda: self._sealer.seal(key.pkcs8(), binding))
        return HeldKey(CustodyClass.SOFT, key.public.spec, key.public.spki, sealed)

    async def _step(self, name: str, action: Callable[[], Awaitable[Result]]) -> Result:
        self._fault(f"before {name}")
        result = await action()
        self._fault(f"after {name}")
        return result

    async def _load(self, identity: bytes, held: HeldKey, binding: Binding, epoch: int) -> SoftKey:
        """epoch: when the load was asked for; what was destroyed or forgotten since is not kept."""
        pkcs8 = await self._sealer.open(held.reference, binding)
        key = await self._work.submit(lambda _: _opened(pkcs8, held, binding))
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

    async def decrypt(self, algorithm: EncryptionAlgorithm, ciphertext: bytes) -> bytes:
        if not algorithm.fits(self._held.spec) or algorithm.mode not in _RSA_MODES:
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


def _admitted(material: PrivateKeyMaterial) -> SoftKey:
    try:
        key = SoftKey.load(material.encoded)
    except ValueError as error:
        raise BadRequest("The private key cannot be read.") from error
    if key.public.spec != material.spec or key.public.spki != material.public or not key.is_consistent():
        raise BadRequest("The private key does not fit the public key.")
    return key


def _opened(pkcs8: bytes, held: HeldKey, binding: Binding) -> SoftKey:
    try:
        key = SoftKey.load(pkcs8)
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
