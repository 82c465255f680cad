"""The operations of the management plane on the wire, in one table; an operation that is not in it is not built."""

from collections.abc import Mapping
from typing import Protocol

from hsmvault.wire.management.requests import ManagementHandler


class ManagementGroup(Protocol):
    """Handlers by the names of their operations (model/management.py)."""

    @property
    def table(self) -> Mapping[str, ManagementHandler]: ...


class ManagementHandlers:
    def __init__(self, *groups: ManagementGroup) -> None:
        self.table: Mapping[str, ManagementHandler] = {
            name: one for group in groups for name, one in group.table.items()
        }
        if len(self.table) != sum(len(group.table) for group in groups):
            raise ValueError("an operation has two handlers")
