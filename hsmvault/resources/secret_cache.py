"""Secrets in use: their rows with the values as they are sealed, kept until the row changes anywhere (object_cache.py).

A warm read opens the value with a data key that is in memory: no SQL and no HSM. No value is kept in the clear.
"""

from dataclasses import dataclass

from hsmvault.custody.protocols import Binding
from hsmvault.model.containers import Container
from hsmvault.model.operations import Kind
from hsmvault.model.secrets import SecretVersion
from hsmvault.resources.object_cache import ObjectCache, bytes_of_row
from hsmvault.store.database import Database
from hsmvault.store.secrets import SECRETS

_MOST_SECRETS = 65_536
_MOST_BYTES = 64 * 1024 * 1024  # in each worker: fifty thousand short secrets, 32,000 of 1 KB, 2,500 of the longest


@dataclass(frozen=True, slots=True)
class SecretInUse:
    """binding: the one that opens row.sealed."""

    row: SecretVersion
    binding: Binding


def binding_of(container_id: str, name: str, version: str) -> Binding:
    return Binding(container_id, "secret", name.lower(), version)


class SecretCache(ObjectCache[SecretVersion, SecretInUse]):
    def __init__(self, database: Database, *, most: int = _MOST_SECRETS, most_bytes: int = _MOST_BYTES) -> None:
        super().__init__(database, Kind.SECRETS, SECRETS, most=most, most_bytes=most_bytes)

    def _open(self, container: Container, row: SecretVersion) -> SecretInUse:
        return SecretInUse(row, binding_of(container.id, row.name, row.version))

    def _bytes_of(self, used: SecretInUse) -> int:
        return bytes_of_row(used.row) + len(used.row.sealed)
