"""Keys in use: their rows, handles and loaded public parts, kept until the row changes anywhere.

Warm signing, verifying and wrapping rest on this cache: no SQL, no search in the token. It follows the `changes` table
(store/changes.py): a change made by this worker drops the entry at once, one of its node's other workers before
the next request, another node's within a second.
"""

from collections import OrderedDict
from dataclasses import dataclass

from hsmvault.custody.custodians import Custodians
from hsmvault.custody.protocols import Binding, CustodyClass, HeldKey, KeyHandle
from hsmvault.custody.public import PublicKey
from hsmvault.model.containers import Container
from hsmvault.model.keys import KeyVersion
from hsmvault.model.operations import Kind
from hsmvault.resources import refusals
from hsmvault.resources.key_settings import is_secure
from hsmvault.store import keys as store
from hsmvault.store.database import Database

_MOST_KEYS = 16_384
_MOST_PAGES = 128  # of at most 26 rows, 2 kB each


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


class KeyCache:
    def __init__(self, database: Database, custodians: Custodians, *, most: int = _MOST_KEYS) -> None:
        self._database = database
        self._custodians = custodians
        self._most = most
        self._names: OrderedDict[tuple[str, str], dict[str, KeyInUse]] = OrderedDict()
        self._pages: dict[tuple[str, str, int], tuple[KeyVersion, ...]] = {}
        self._epoch = 0
        self.hits = 0
        self.misses = 0

    async def find(self, container: Container, name: str, version: str | None) -> KeyInUse:
        """version None: the latest. Raises NotFound; Unavailable when the database is out of reach."""
        folded = name.lower()
        versions = self._names.get((container.id, folded))
        if versions is not None:
            found = versions.get(version or "")
            if found is not None:
                self.hits += 1
                return found
        self.misses += 1
        epoch = self._epoch
        async with self._database.read() as tx:
            row = await store.version(tx, container.id, folded, version)
        if row is None:
            raise refusals.not_found(Kind.KEYS, name, version)
        custodian = self._custodians.holding(container, row.custody)
        held, binding = held_by(row), binding_of(container.id, row.name, row.version)
        key = KeyInUse(
            row,
            custodian.open(held, binding),
            PublicKey.load(row.public) if row.public else None,
            custodian.open(held, binding, secure=True) if is_secure(row) else None,
        )
        if epoch == self._epoch:  # else: something changed while we read, and this row may be the old one
            self._keep(container.id, folded, version or "", key)
        return key

    async def page(self, container: Container, after: str | None, limit: int) -> tuple[KeyVersion, ...]:
        """Latest versions by name, those behind `after`, also disabled ones: until any key of the container changes."""
        place = (container.id, (after or "").lower(), limit)
        rows = self._pages.get(place)
        if rows is None:
            epoch = self._epoch
            async with self._database.read() as tx:
                rows = tuple(await store.page(tx, container.id, after, limit))
            if epoch == self._epoch:
                if len(self._pages) >= _MOST_PAGES:
                    self._pages.clear()
                self._pages[place] = rows
        return rows

    def forget(self, container_id: str, name: str) -> None:
        """The key of this name has changed, or is gone. name: in lower case. What is loaded of it is dropped as well:
        the private part of a key that was deleted elsewhere leaves this worker too.
        """
        self._epoch += 1
        if self._pages:
            self._pages = {place: rows for place, rows in self._pages.items() if place[0] != container_id}
        _release(self._names.pop((container_id, name), {}))

    def forget_all(self) -> None:
        self._epoch += 1
        self._pages.clear()
        while self._names:
            _release(self._names.popitem()[1])

    def _keep(self, container_id: str, folded: str, version: str, key: KeyInUse) -> None:
        name = (container_id, folded)
        self._names.setdefault(name, {})[version] = key
        self._names.move_to_end(name)
        while len(self._names) > self._most:
            _release(self._names.popitem(last=False)[1])


def _release(versions: dict[str, KeyInUse]) -> None:
    for key in versions.values():
        key.handle.release()
        if key.secure is not None:
            key.secure.release()
