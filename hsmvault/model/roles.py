"""Role definitions and assignments of Azure RBAC, and the rule that joins them."""

import re
from dataclasses import dataclass, field
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class RoleDefinition:
    """id: the GUID. A data action is allowed when some data_actions match and no not_data_actions does."""

    id: str
    name: str
    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()

    def allows_data(self, action: str) -> bool:
        return _matches(action, self.data_actions) and not _matches(action, self.not_data_actions)

    def allows(self, action: str) -> bool:
        return _matches(action, self.actions) and not _matches(action, self.not_actions)


@dataclass(frozen=True, slots=True)
class RoleAssignment:
    """scope: an ARM id ('/subscriptions/…', also of a single object). principal_id: object id in lower case."""

    id: str
    scope: str
    role_id: str
    principal_id: str
    created: int = field(default=0)


def covers(scope: str, resource: str) -> bool:
    """Whether an assignment at scope reaches a resource: a prefix by segments, without regard to case."""
    wanted = [part for part in scope.lower().split("/") if part]
    given = [part for part in resource.lower().split("/") if part]
    return given[: len(wanted)] == wanted


def _matches(action: str, patterns: tuple[str, ...]) -> bool:
    return any(_pattern(pattern).fullmatch(action) is not None for pattern in patterns)


@lru_cache(maxsize=4096)
def _pattern(text: str) -> re.Pattern[str]:
    """`*` stands for any characters, slashes too; case does not matter."""
    return re.compile(".*".join(re.escape(part) for part in text.split("*")), re.IGNORECASE | re.DOTALL)
