"""Keys in use: their rows, handles and loaded public parts, kept until the row changes anywhere (object_cache.py).

Warm signing, verifying and wrapping rest on this cache: no SQL, no search in the token.
"""

from dataclasses import dataclass

from hsmvault.custody.custodians import Custodians
from hsmvault.custody.protocols import Binding, CustodyClass, HeldKey, KeyHandle
from hsmvault.custody.public import PublicKey
from hsmvault.model.containers import Container
from hsmvault.model.keys import KeyVersion
from hsmvault.model.operations import Kind
from hsmvault.resources.key_settings import is_secure
from hsmvault.resources.object_cache import ObjectCache
from hsmvault.store.database import Database
from hsmvault.store.keys import KEYS

_MOST_KEYS = 16_384


@dataclass(frozen=True, slots=True)
class KeyInUse:
    """handle: uses the private part wherever it lives. public: for verify and encrypt, in software; None for oct keys,
    which have no public part. secure: for secure wrapping; None unless the row's key_ops have it."""

    row: KeyVersion
    handle: KeyHandle
    public: PublicKey | None
    secure: KeyHandle | None = None


def binding_of(container_id: str, name: str, version: str) -> Binding:
    return Binding(container_id, "key", name.lower(), version)


def held_by(row: KeyVersion) -> HeldKey:
    return HeldKey(CustodyClass(row.custody), row.spec, row.public, row.reference)


class KeyCache(ObjectCache[KeyVersion, KeyInUse]):
    """What is loaded of a key is dropped with it: the private part of a key that was deleted elsewhere leaves this
    worker too."""

    def __init__(self, database: Database, custodians: Custodians, *, most: int = _MOST_KEYS) -> None:
        super().__init__(database, Kind.KEYS, KEYS, most=most)
        self._custodians = custodians

    def _open(self, container: Container, row: KeyVersion) -> KeyInUse:
        custodian = self._custodians.holding(container, row.custody)
        held, binding = held_by(row), binding_of(container.id, row.name, row.version)
        return KeyInUse(
            row,
            custodian.open(held, binding),
            PublicKey.load(row.public) if row.public else None,
            custodian.open(held, binding, secure=True) if is_secure(row) else None,
        )

    def _release(self, used: KeyInUse) -> None:
        used.handle.release()
        if used.secure is not None:
            used.secure.release()
