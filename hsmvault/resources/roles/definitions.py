"""Role definitions: the built-in ones, which every tenant has, and a tenant's custom ones."""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from hsmvault.clock import Clock
from hsmvault.model import builtin_roles
from hsmvault.model.condition_parsing import UnreadableCondition, parse
from hsmvault.model.roles import Permission, RoleDefinition, folded
from hsmvault.model.scopes import ScopeKind, read_scope
from hsmvault.resources.roles import refusals
from hsmvault.resources.roles.places import check_there, scope_of, scopes_at_and_above
from hsmvault.store import role_definitions, roles
from hsmvault.store.database import Conflicted, Database, Transaction

_GUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_ACTION: Final = re.compile(r"\*|[A-Za-z0-9.*-]{1,128}(/[A-Za-z0-9.*_-]{1,128}){1,16}", re.ASCII)
_BUILT_IN_NAMES: Final = {one.name.lower(): one for one in builtin_roles.BUILT_IN}
_LONGEST_NAME: Final = 512
_LONGEST_DESCRIPTION: Final = 2048
_MOST_IN_TENANT: Final = 5000  # "Azure RBAC limits"
_MOST_BLOCKS: Final = 16  # guessed, as are the next three: real roles have one block and some dozens of actions
_MOST_ACTIONS: Final = 512
_MOST_SCOPES: Final = 512
_LONGEST_TEXTS: Final = 65_536  # characters of all actions, conditions and scopes: a tenant may have thousands of roles

Check = Callable[[RoleDefinition | None, RoleDefinition], Awaitable[None]]
"""Raises Forbidden unless the caller may replace the first definition, None for a new one, by the second."""


@dataclass(frozen=True, slots=True)
class NewDefinition:
    """As it was asked for. kind: the member `type`; "" when it was not given."""

    name: str
    description: str
    permissions: tuple[Permission, ...]
    assignable_scopes: tuple[str, ...]
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Filter:
    """below: also what can be assigned only below the scope. name: in any case. built_in: None for both kinds."""

    below: bool = False
    name: str = ""
    built_in: bool | None = None


class RoleDefinitions:
    """most: custom roles in one tenant."""

    def __init__(self, database: Database, clock: Clock, most: int = _MOST_IN_TENANT) -> None:
        self._database = database
        self._clock = clock
        self._most = most

    async def get(self, tenant_id: str, role_id: str) -> RoleDefinition:
        """Raises NotFound."""
        async with self._database.read() as tx:
            found = await _find(tx, tenant_id, role_id)
        if found is None:
            raise refusals.definition_not_found(role_id)
        return found

    async def named(self, tenant_id: str, name: str) -> RoleDefinition | None:
        """name: in any case, or the id."""
        built_in = _BUILT_IN_NAMES.get(name.lower())
        if built_in is not None:
            return built_in
        async with self._database.read() as tx:
            return await role_definitions.named(tx, tenant_id, name) or await _find(tx, tenant_id, name)

    async def list_at(self, tenant_id: str, scope: str, wanted: Filter) -> list[RoleDefinition]:
        """Those that can be assigned at a scope: built-in ones first, then by name. Raises NotFound."""
        where = scope_of(scope)
        async with self._database.read() as tx:
            at = frozenset(await scopes_at_and_above(tx, tenant_id, where))
            custom = await role_definitions.of_tenant(tx, tenant_id)
        place = where.folded + "/"

        def is_shown(role: RoleDefinition) -> bool:
            scopes = [folded(one) for one in role.assignable_scopes]
            return (
                (not wanted.name or role.name.lower() == wanted.name.lower())
                and wanted.built_in in (None, role.is_built_in)
                and any(one in at or (wanted.below and one.startswith(place)) for one in scopes)
            )

        return [role for role in (*builtin_roles.BUILT_IN, *custom) if is_shown(role)]

    async def read(self, tenant_id: str, role_id: str, asked: NewDefinition) -> RoleDefinition:
        """The definition that a request asks for. Raises BadRequest, Forbidden for a built-in one, NotFound."""
        role_id = role_id.lower()
        if not _GUID.fullmatch(role_id):
            raise refusals.invalid_definition_id(role_id)
        if role_id in builtin_roles.BY_ID:
            raise refusals.definition_is_built_in()
        if asked.kind and asked.kind.lower() != "customrole":
            raise refusals.bad_format(f"The role type '{asked.kind[:64]}' is not valid: it must be 'CustomRole'.")
        if not asked.name.strip() or len(asked.name) > _LONGEST_NAME or not asked.name.isprintable():
            raise refusals.bad_format(f"The role name must have 1 to {_LONGEST_NAME} characters.")
        if len(asked.description) > _LONGEST_DESCRIPTION:
            raise refusals.bad_format(f"The description has more than {_LONGEST_DESCRIPTION} characters.")
        if asked.name.strip().lower() in _BUILT_IN_NAMES:
            raise refusals.name_taken()
        _check_permissions(asked.permissions)
        texts = [text for block in asked.permissions for text in (*_actions_of(block), block.condition)]
        if sum(map(len, (*texts, *asked.assignable_scopes))) > _LONGEST_TEXTS:
            raise refusals.bad_format(f"All texts of a role have at most {_LONGEST_TEXTS} characters together.")
        scopes = await self._assignable(tenant_id, asked)
        return RoleDefinition(
            id=role_id,
            name=asked.name.strip(),
            permissions=asked.permissions,
            description=asked.description,
            assignable_scopes=scopes,
            tenant_id=tenant_id,
        )

    async def put(self, wanted: RoleDefinition, by: str, check: Check) -> RoleDefinition:
        """Make what read() has returned, or change the one of this id. by: object id of who does it.

        Raises BadRequest, Conflict, and what check() raises.
        """
        tenant_id, now = wanted.tenant_id, int(self._clock.now())
        async with self._database.read() as tx:
            before = await role_definitions.find(tx, wanted.id)
        if before is not None and before.tenant_id != tenant_id:
            raise refusals.name_taken()  # an id of another tenant: nothing is said about it
        await check(before, wanted)
        try:
            async with self._database.write() as tx:
                found = await role_definitions.find(tx, wanted.id)
                if found != before:
                    raise refusals.changed_meanwhile()
                if found is not None:
                    changed = replace(
                        wanted, created=found.created, created_by=found.created_by, updated=now, updated_by=by
                    )
                    await role_definitions.update(tx, changed)
                    return changed
                if await role_definitions.count(tx, tenant_id) >= self._most:
                    raise refusals.too_many_definitions()
                made = replace(wanted, created=now, created_by=by, updated=now, updated_by=by)
                await role_definitions.insert(tx, made)
                return made
        except Conflicted as error:
            raise refusals.name_taken() from error

    async def delete(self, tenant_id: str, role_id: str, check: Check) -> RoleDefinition | None:
        """Returns what was removed, None when there was nothing. Raises BadRequest while somebody holds it, Forbidden
        for a built-in one, and what check() raises.
        """
        role_id = role_id.lower()
        if role_id in builtin_roles.BY_ID:
            raise refusals.definition_is_built_in()
        async with self._database.read() as tx:
            found = await _find(tx, tenant_id, role_id)
        if found is None:
            return None
        await check(found, found)
        async with self._database.write() as tx:
            if await roles.uses(tx, tenant_id, role_id):
                raise refusals.definition_in_use()
            return found if await role_definitions.delete(tx, role_id) else None

    async def _assignable(self, tenant_id: str, asked: NewDefinition) -> tuple[str, ...]:
        """As they were written, without slashes too many. Raises BadRequest, NotFound."""
        if not 0 < len(asked.assignable_scopes) <= _MOST_SCOPES:
            raise refusals.bad_format(f"A role has 1 to {_MOST_SCOPES} assignable scopes.")
        found: dict[str, str] = {}
        management_groups = 0
        async with self._database.read() as tx:
            for text in asked.assignable_scopes:
                scope = read_scope(text)
                if scope is None or scope.kind in (ScopeKind.RESOURCE, ScopeKind.OBJECT):
                    raise refusals.invalid_assignable_scope(
                        text, "it must be a management group, a subscription or a resource group"
                    )
                if scope.kind is ScopeKind.TENANT:
                    raise refusals.invalid_assignable_scope(text, "'/' is for built-in roles alone")
                await check_there(tx, tenant_id, scope)
                management_groups += scope.kind is ScopeKind.MANAGEMENT_GROUP
                found[scope.folded] = scope.path
        if management_groups > 1:
            raise refusals.invalid_assignable_scope("", "a custom role has at most one management group")
        if management_groups and any(block.data_actions for block in asked.permissions):
            raise refusals.data_actions_at_management_group()
        return tuple(found.values())


async def usable_at(tx: Transaction, tenant_id: str, role_id: str, scopes: Sequence[str]) -> bool:
    """Whether the tenant has a role of this id that may be assigned at the last of these folded scopes, of which the
    others are those above it. role_id: in lower case.
    """
    found = await _find(tx, tenant_id, role_id)
    return found is not None and any(folded(one) in scopes for one in found.assignable_scopes)


async def _find(tx: Transaction, tenant_id: str, role_id: str) -> RoleDefinition | None:
    """Built-in, or of this tenant."""
    role_id = role_id.lower()
    built_in = builtin_roles.BY_ID.get(role_id)
    if built_in is not None:
        return built_in
    found = await role_definitions.find(tx, role_id)
    return found if found is not None and found.tenant_id == tenant_id else None


def _actions_of(block: Permission) -> tuple[str, ...]:
    return (*block.actions, *block.not_actions, *block.data_actions, *block.not_data_actions)


def _check_permissions(permissions: tuple[Permission, ...]) -> None:
    """Raises BadRequest."""
    if not 0 < len(permissions) <= _MOST_BLOCKS:
        raise refusals.bad_format(f"A role has 1 to {_MOST_BLOCKS} permissions.")
    actions = [action for block in permissions for action in _actions_of(block)]
    if len(actions) > _MOST_ACTIONS:
        raise refusals.bad_format(f"A role has at most {_MOST_ACTIONS} actions.")
    for action in actions:
        if not _ACTION.fullmatch(action):
            raise refusals.invalid_action(action)
    for block in permissions:
        if block.condition:
            try:
                parse(block.condition)
            except UnreadableCondition as error:
                raise refusals.invalid_condition(f"It cannot be read: {error}.") from error
