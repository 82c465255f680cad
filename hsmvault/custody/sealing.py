"""Envelope encryption at rest: what a stolen database holds of soft keys, secrets and certificate keys.

    system key (AES-256, in the HSM, cannot leave)
      └─ seals the data key of a container (32 random bytes), bound to format, data key id and container
           └─ seals a value with AES-256-GCM, bound to its row (Binding), format and data key id

A value that was changed, cut, or copied to another row, version or container does not open; the other rows go on
(threat model, 7). An older value of the *same* row does open again: sealing cannot see that it was replaced.

A sealed value, format 1:

    1 byte    format version, 1
    16 bytes  data key id
    12 bytes  IV, random
    n bytes   ciphertext, as long as the plaintext
    16 bytes  tag

Additional data of a value: Binding.encode(format byte, data key id). Of a sealed data key: the domain
`hsmvault data key`, the format byte, the data key id and the container id, each behind its length.

Random IVs under one key: SP 800-38D, 8.3 allows 2^32 values, per container here. Unwrapped data keys stay in memory
as cipher objects for a bounded time and in a bounded number; forget() drops them all at once.
"""

from dataclasses import dataclass, replace
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hsmvault.clock import Clock, Identifiers
from hsmvault.custody.cache import BoundedCache, SingleFlight
from hsmvault.custody.keyring import KeyRing
from hsmvault.custody.protocols import Binding, SystemKey
from hsmvault.errors import CiphertextRefused, Damaged, Unavailable
from hsmvault.model.data_keys import DataKeyRow, SystemKeyGone

FORMAT = b"\x01"
ID_BYTES = 16
IV_BYTES = 12
TAG_BYTES = 16
KEY_BYTES = 32
OVERHEAD_BYTES = len(FORMAT) + ID_BYTES + IV_BYTES + TAG_BYTES

_ID_ENDS = len(FORMAT) + ID_BYTES
_IV_ENDS = _ID_ENDS + IV_BYTES
_DATA_KEY_DOMAIN = b"hsmvault data key"


class DataKeyStore(Protocol):
    """Where data keys lie. The rows are sealed; the store never sees a key."""

    async def current(self, container_id: str) -> DataKeyRow | None:
        """The row that seals what is new in this container; None before the first."""
        ...

    async def get(self, data_key_id: str) -> DataKeyRow | None: ...

    async def add(self, row: DataKeyRow) -> DataKeyRow:
        """Store the first data key of a container. Returns the row that counts from now on: when two workers race,
        the first one wins, nothing is changed for the other, and both get the first one's row.

        Raises SystemKeyGone when the row was sealed by a system key that is about to be destroyed.
        """
        ...


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """number: unwrapped data keys in one worker's memory. seconds: how long one stays after it was unwrapped."""

    number: int = 1024
    seconds: float = 300.0


DEFAULT_LIMITS = CacheLimits()


class Sealer:
    """Seals and opens values. One per worker; belongs to one event loop."""

    def __init__(
        self,
        system_keys: KeyRing,
        store: DataKeyStore,
        clock: Clock,
        identifiers: Identifiers,
        limits: CacheLimits = DEFAULT_LIMITS,
    ) -> None:
        self._system_keys = system_keys
        self._store = store
        self._clock = clock
        self._identifiers = identifiers
        self._ciphers: BoundedCache[str, _DataKey] = BoundedCache(clock, limit=limits.number, seconds=limits.seconds)
        self._current: BoundedCache[str, _DataKey] = BoundedCache(clock, limit=limits.number, seconds=limits.seconds)
        self._loads: SingleFlight[str, _DataKey] = SingleFlight()
        self._makes: SingleFlight[str, _DataKey] = SingleFlight()
        self._epoch = 0

    @property
    def system_keys(self) -> KeyRing:
        """Of the world whose values are sealed here."""
        return self._system_keys

    async def seal(self, plaintext: bytes, binding: Binding) -> bytes:
        """Returns OVERHEAD_BYTES more than the plaintext has. Makes the container's data key when there is none.

        Raises Unavailable and Throttled, from the HSM and the store.
        """
        container_id = binding.container_id
        data_key = self._current.get(container_id)
        if data_key is None:
            epoch = self._epoch
            data_key = await self._makes.run(container_id, lambda: self._current_or_new(container_id, epoch))
        return data_key.seal(plaintext, binding, self._identifiers.random(IV_BYTES))

    async def open(self, sealed: bytes, binding: Binding) -> bytes:
        """The reverse. Raises Unavailable when the value is not what was sealed for this row: the caller learns no
        more, the detail says which row it is. Raises Unavailable and Throttled from the HSM and the store too.
        """
        data_key_id = _data_key_id(sealed, binding)
        data_key = self._ciphers.get(data_key_id)
        if data_key is None:
            epoch = self._epoch
            data_key = await self._loads.run(data_key_id, lambda: self._load(data_key_id, binding, epoch))
        return data_key.open(sealed, binding)

    def open_warm(self, sealed: bytes, binding: Binding) -> bytes | None:
        """As open(), at once, when the data key is in memory; None when it is not."""
        data_key = self._ciphers.get(_data_key_id(sealed, binding))
        return None if data_key is None else data_key.open(sealed, binding)

    async def row_of(self, sealed: bytes, binding: Binding) -> DataKeyRow:
        """The row of the data key that sealed a value: it travels with a backup, which must open after its
        container has been purged. Raises Unavailable when there is none.
        """
        data_key_id = _data_key_id(sealed, binding)
        row = await self._store.get(data_key_id)
        if row is None:
            raise damaged(binding, "its data key is not in the database")
        return row

    async def borrow(self, row: DataKeyRow) -> None:
        """Hold the data key of a row that came with a backup, for as long as any other, without storing it.

        Raises Unavailable when the row is not as it was sealed.
        """
        epoch = self._epoch
        self._keep(await self._unseal(row), epoch)

    def forget(self) -> None:
        """Drop every unwrapped data key; what is being unwrapped just now is not kept either."""
        self._epoch += 1
        self._ciphers.clear()
        self._current.clear()

    def sweep(self) -> None:
        """Drop data keys that are too old and were not asked for since; to be called every minute or so."""
        self._ciphers.sweep()
        self._current.sweep()

    async def _current_or_new(self, container_id: str, epoch: int) -> "_DataKey":
        """epoch: when it was asked for; what was to be forgotten since is not kept."""
        row = await self._store.current(container_id)
        if row is None:
            row = await self._added(container_id)
        if row.container_id != container_id:
            raise _damaged_data_key(row, f"it was given out for container {container_id!r}")
        data_key = await self._unseal_stored(row)
        self._keep(data_key, epoch)
        if epoch == self._epoch:
            self._current.put(container_id, data_key)
        return data_key

    async def _added(self, container_id: str) -> DataKeyRow:
        """A ring that was replaced a moment ago in another process costs a second attempt, and nobody a request."""
        try:
            return await self._store.add(await self._new_row(container_id))
        except SystemKeyGone:
            await self._system_keys.refresh()
            return await self._store.add(await self._new_row(container_id))

    async def _new_row(self, container_id: str) -> DataKeyRow:
        data_key_id = self._identifiers.version()
        system_key = self._system_keys.current
        sealed = await system_key.seal(self._identifiers.random(KEY_BYTES), _bound_to(data_key_id, container_id))
        return DataKeyRow(data_key_id, container_id, system_key.id, sealed, int(self._clock.now()))

    async def _load(self, data_key_id: str, binding: Binding, epoch: int) -> "_DataKey":
        row = await self._store.get(data_key_id)
        if row is None:
            raise damaged(binding, "its data key is not in the database")
        data_key = await self._unseal_stored(row)
        self._keep(data_key, epoch)
        return data_key

    async def _unseal_stored(self, row: DataKeyRow) -> "_DataKey":
        """As _unseal, for a row that was read a moment ago: a rotation may have sealed it anew since, and have
        destroyed the key that it was under.
        """
        try:
            return await self._unseal(row)
        except Unavailable:
            again = await self._store.get(row.id)
            if again is None or again.system_key_id == row.system_key_id:
                raise
            return await self._unseal(again)

    async def _unseal(self, row: DataKeyRow) -> "_DataKey":
        system_key = self._system_keys.get(row.system_key_id)
        if system_key is None:
            await self._system_keys.refresh()
            system_key = self._system_keys.get(row.system_key_id)
        if system_key is None:
            raise _damaged_data_key(row, "its system key is not configured here")
        try:
            key = await system_key.open(row.sealed, _bound_to(row.id, row.container_id))
        except (CiphertextRefused, ValueError) as error:  # ValueError: an id that is not hexadecimal
            raise _damaged_data_key(row, "it is not as it was sealed") from error
        if len(key) != KEY_BYTES:
            raise _damaged_data_key(row, "it has another length")
        return _DataKey(bytes.fromhex(row.id), row.container_id, AESGCM(key))

    def _keep(self, data_key: "_DataKey", epoch: int) -> None:
        if epoch == self._epoch:
            self._ciphers.put(data_key.id.hex(), data_key)


async def sealed_anew(row: DataKeyRow, old: SystemKey, new: SystemKey) -> DataKeyRow:
    """The same data key under another system key: everything that it sealed stays as it is.

    Raises Damaged when `old` did not seal the row, Unavailable and Throttled from the HSM.
    """
    bound_to = _bound_to(row.id, row.container_id)
    try:
        key = await old.open(row.sealed, bound_to)
    except CiphertextRefused as error:
        raise _damaged_data_key(row, "it is not as it was sealed") from error
    return replace(row, system_key_id=new.id, sealed=await new.seal(key, bound_to))


@dataclass(frozen=True, slots=True, repr=False)
class _DataKey:
    """An unwrapped data key. id: 16 bytes."""

    id: bytes
    container_id: str
    cipher: AESGCM

    def seal(self, plaintext: bytes, binding: Binding, iv: bytes) -> bytes:
        ciphertext = self.cipher.encrypt(iv, plaintext, binding.encode(FORMAT, self.id))
        return b"".join((FORMAT, self.id, iv, ciphertext))

    def open(self, sealed: bytes, binding: Binding) -> bytes:
        if self.container_id != binding.container_id:
            raise damaged(binding, "its data key belongs to another container")
        iv, ciphertext = sealed[_ID_ENDS:_IV_ENDS], sealed[_IV_ENDS:]
        try:
            return self.cipher.decrypt(iv, ciphertext, binding.encode(FORMAT, self.id))
        except InvalidTag as error:
            raise damaged(binding, "it is not as it was sealed for this row") from error


def damaged(binding: Binding, reason: str) -> Damaged:
    """One answer for everything that does not open. The row and the reason are for the operator's log."""
    row = f"container {binding.container_id!r} {binding.kind} {binding.name!r} version {binding.version!r}"
    return Damaged("The object is not available.", detail=f"the sealed value of {row} does not open: {reason}")


def _damaged_data_key(row: DataKeyRow, reason: str) -> Damaged:
    where = f"data key {row.id!r} of container {row.container_id!r}, system key {row.system_key_id!r}"
    return Damaged("The object is not available.", detail=f"{where} does not open: {reason}")


def _data_key_id(sealed: bytes, binding: Binding) -> str:
    if sealed[: len(FORMAT)] != FORMAT:
        raise damaged(binding, "its format version is not known")
    if len(sealed) < OVERHEAD_BYTES:
        raise damaged(binding, "it has been cut")
    return sealed[len(FORMAT) : _ID_ENDS].hex()


def _bound_to(data_key_id: str, container_id: str) -> bytes:
    parts = (_DATA_KEY_DOMAIN, FORMAT, bytes.fromhex(data_key_id), container_id.encode())
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
