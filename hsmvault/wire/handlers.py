"""The operations on the wire, in one table: which handler serves which operation.

The handlers stand in files by what they do: key_lives, key_uses, secret_lives, certificate_pending and so on. An
operation that is not in the table is not built.
"""

from collections.abc import Mapping
from typing import Protocol

from hsmvault.wire.requests import Handler


class Group(Protocol):
    """Handlers by the names of their operations (model/operations.py)."""

    @property
    def table(self) -> Mapping[str, Handler]: ...


class Handlers:
    def __init__(self, *groups: Group) -> None:
        self.table: Mapping[str, Handler] = {name: one for group in groups for name, one in group.table.items()}
        if len(self.table) != sum(len(group.table) for group in groups):
            raise ValueError("an operation has two handlers")
