"""Role definitions and assignments of Azure RBAC, and the rules that join them.

A role is a list of permission blocks. A block gives a control action when some of its actions match and none of its
notActions does, and a data action by its dataActions and notDataActions; blocks and roles add up. Control actions act
on resources, data actions on what is inside them; neither is ever worth the other.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Permission:
    """Actions may have wildcards. condition: of the Azure ABAC language, "" for none (model/conditions.py)."""

    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()
    condition: str = ""

    def gives(self, action: str, *, data: bool) -> bool:
        """Whether this block has the action; its condition is not looked at."""
        if data:
            return _matches(action, self.data_actions) and not _matches(action, self.not_data_actions)
        return _matches(action, self.actions) and not _matches(action, self.not_actions)


@dataclass(frozen=True, slots=True)
class RoleDefinition:
    """id: the GUID, in lower case. assignable_scopes: ARM ids; '/' alone for built-in roles.

    tenant_id: "" for built-in roles, which every tenant has. created, updated: seconds since 1970 UTC; created_by,
    updated_by: object ids, "" when nobody knows.
    """

    id: str
    name: str
    permissions: tuple[Permission, ...] = ()
    description: str = ""
    assignable_scopes: tuple[str, ...] = ("/",)
    tenant_id: str = ""
    created: int = 0
    created_by: str = ""
    updated: int = 0
    updated_by: str = ""

    @property
    def is_built_in(self) -> bool:
        return not self.tenant_id

    def giving(self, action: str, *, data: bool) -> Iterator[Permission]:
        """The blocks that have the action, whatever their conditions are."""
        return (block for block in self.permissions if block.gives(action, data=data))

    def allows(self, action: str) -> bool:
        """Without a condition."""
        return any(not block.condition for block in self.giving(action, data=False))

    def allows_data(self, action: str) -> bool:
        """Without a condition."""
        return any(not block.condition for block in self.giving(action, data=True))


@dataclass(frozen=True, slots=True)
class RoleAssignment:
    """scope: an ARM id ('/subscriptions/…', also of a single object), or a stored one of a pool (local_roles.py).

    role_id: GUID of the definition. principal_id: object id in lower case. It counts in its tenant alone.
    principal_type: User, Group, ServicePrincipal or ForeignGroup, "" when nobody said. condition: of the Azure ABAC
    language, "" for none. delegated_identity: ARM id, kept and not used. created, updated: seconds since 1970 UTC.
    created_by, updated_by: object ids, "" when nobody knows.
    """

    id: str
    scope: str
    role_id: str
    principal_id: str
    created: int = 0
    tenant_id: str = ""
    principal_type: str = ""
    description: str = ""
    condition: str = ""
    condition_version: str = ""
    delegated_identity: str = ""
    created_by: str = ""
    updated: int = 0
    updated_by: str = ""


def folded(scope: str) -> str:
    """'/a/b' for '/A/b', 'a//b/' and the like, empty for '/': two scopes are the same when these are."""
    return "".join(["/" + segment for segment in scope.lower().split("/") if segment])


def covers(scope: str, resource: str) -> bool:
    """Whether an assignment at scope reaches a resource: a prefix by segments, without regard to case."""
    return (folded(resource) + "/").startswith(folded(scope) + "/")


def scopes_above(resource: str) -> tuple[str, ...]:
    """Every folded scope that covers a resource by its path, from '' to the resource itself."""
    segments = [segment for segment in resource.lower().split("/") if segment]
    found = [""]
    for segment in segments:
        found.append(f"{found[-1]}/{segment}")
    return tuple(found)


def is_within(block: Permission, own: Iterable[Permission]) -> bool:
    """Whether all that a block gives is among what these blocks give. False also where that is not certain: a wildcard
    is within another one when its text matches it, and what is taken from the wider one has to be taken from both.
    """
    unconditional = [one for one in own if not one.condition]
    control = [(one.actions, one.not_actions) for one in unconditional]
    data = [(one.data_actions, one.not_data_actions) for one in unconditional]
    return _all_within(block.actions, block.not_actions, control) and _all_within(
        block.data_actions, block.not_data_actions, data
    )


def _all_within(
    patterns: tuple[str, ...], without: tuple[str, ...], own: list[tuple[tuple[str, ...], tuple[str, ...]]]
) -> bool:
    def is_covered(pattern: str, given: tuple[str, ...], taken: tuple[str, ...]) -> bool:
        return _matches(pattern, given) and all(
            _matches(one, without) or ("*" not in pattern and not matches(pattern, one)) for one in taken
        )

    return all(any(is_covered(pattern, *one) for one in own) for pattern in patterns)


def matches(action: str, pattern: str) -> bool:
    """`*` stands for any characters, slashes too, and `/*/` for a single slash as well: `…/vaults/*/read` is the vault
    itself and what is in it. Case does not matter. In time linear in the action, whatever the pattern is: those of
    custom roles are strangers'.

    Source: Azure's built-in roles, some of which have no other action for what they are meant to show; with such a role
    the service was seen to let a client read a virtual machine itself (MicrosoftDocs/azure-docs, issue 91577).
    """
    first, *others = _pieces(pattern)
    action = action.lower()
    if not others:
        return action == first
    *middle, last = others
    if not action.startswith(first) or not action.endswith(last):
        return False
    before, at = first, len(first)
    for piece in middle:
        found = action.find(piece, at - _shared(before, piece))
        if found < 0:
            return False
        before, at = piece, found + len(piece)
    return at - _shared(before, last) <= len(action) - len(last)


def _shared(piece: str, next_piece: str) -> int:
    """How many characters two pieces with a star between them may have in common."""
    return int(piece.endswith("/") and next_piece.startswith("/"))


def _matches(action: str, patterns: tuple[str, ...]) -> bool:
    return any(matches(action, pattern) for pattern in patterns)


@lru_cache(maxsize=4096)
def _pieces(pattern: str) -> tuple[str, ...]:
    """What stands between the stars, in lower case; many stars in a row are one."""
    first, *others = pattern.lower().split("*")
    if not others:
        return (first,)
    *middle, last = others
    return (first, *(piece for piece in middle if piece), last)
