"""Role assignments: made, changed, removed and listed. Who may do that is asked before (wire/management/roles.py)."""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from hsmvault.clock import Clock
from hsmvault.model.condition_parsing import VERSION, UnreadableCondition, parse
from hsmvault.model.principals import PrincipalKind
from hsmvault.model.roles import RoleAssignment, folded
from hsmvault.model.scopes import Scope, ScopeKind
from hsmvault.resources.roles import refusals
from hsmvault.resources.roles.definitions import usable_at
from hsmvault.resources.roles.places import check_there, scope_of, scopes_at_and_above
from hsmvault.store import directory, roles
from hsmvault.store.database import Conflicted, Database, Transaction

_GUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_TYPES: Final = {
    PrincipalKind.USER: "User",
    PrincipalKind.GROUP: "Group",
    PrincipalKind.APPLICATION: "ServicePrincipal",
    PrincipalKind.MANAGED_IDENTITY: "ServicePrincipal",
}
_KNOWN_TYPES: Final = {name.lower(): name for name in (*_TYPES.values(), "ForeignGroup", "Device")}
_LONGEST_DESCRIPTION: Final = 1024
_LONGEST_IDENTITY: Final = 1024  # an ARM id
_MOST_AT_MANAGEMENT_GROUP: Final = 500  # "Azure RBAC limits"


@dataclass(frozen=True, slots=True)
class NewAssignment:
    """As it was asked for. role: id of the definition, the GUID or an ARM id that ends in it."""

    role: str
    principal_id: str
    principal_type: str = ""
    description: str = ""
    condition: str = ""
    condition_version: str = ""
    delegated_identity: str = ""


@dataclass(frozen=True, slots=True)
class MadeAssignment:
    assignment: RoleAssignment
    is_new: bool


@dataclass(frozen=True, slots=True)
class Filter:
    """at_scope: none below the scope. principal_id: of this principal alone; assigned_to: and of its groups."""

    at_scope: bool = False
    principal_id: str = ""
    assigned_to: str = ""


class RoleAssignments:
    """most: in one subscription."""

    def __init__(self, database: Database, clock: Clock, most: int = 4000) -> None:
        self._database = database
        self._clock = clock
        self._most = most

    async def read(self, tenant_id: str, scope: str, name: str, asked: NewAssignment) -> RoleAssignment:
        """The assignment that a request asks for, checked as far as nothing has to be written. principal_type is filled
        in from the directory. Raises BadRequest, NotFound.
        """
        if not _GUID.fullmatch(name.lower()):
            raise refusals.invalid_assignment_id(name)
        role_id = asked.role.rstrip("/").rpartition("/")[2].lower()
        if not _GUID.fullmatch(role_id):
            raise refusals.invalid_definition_id(role_id)
        principal_id = asked.principal_id.lower()
        if not _GUID.fullmatch(principal_id):
            raise refusals.bad_format(f"The principal ID '{principal_id[:64]}' is not valid: it must be a GUID.")
        given_type = _KNOWN_TYPES.get(asked.principal_type.lower(), "")
        if asked.principal_type and not given_type:
            raise refusals.bad_format(f"The principal type '{asked.principal_type[:64]}' is not valid.")
        if len(asked.description) > _LONGEST_DESCRIPTION:
            raise refusals.bad_format(f"The description has more than {_LONGEST_DESCRIPTION} characters.")
        if len(asked.delegated_identity) > _LONGEST_IDENTITY:
            raise refusals.bad_format("The delegatedManagedIdentityResourceId is too long.")
        check_condition(asked.condition, asked.condition_version)
        where = scope_of(scope)
        async with self._database.read() as tx:
            await check_there(tx, tenant_id, where)
            if not await usable_at(tx, tenant_id, role_id, await scopes_at_and_above(tx, tenant_id, where)):
                raise refusals.definition_not_found(role_id)
            principal_type = await _principal_type(tx, tenant_id, principal_id, given_type)
        return RoleAssignment(
            id=name.lower(),
            scope=where.path,
            role_id=role_id,
            principal_id=principal_id,
            tenant_id=tenant_id,
            principal_type=principal_type,
            description=asked.description,
            condition=asked.condition,
            condition_version=VERSION if asked.condition else "",
            delegated_identity=asked.delegated_identity,
        )

    async def put(self, wanted: RoleAssignment, by: str) -> MadeAssignment:
        """Make what read() has returned, or give the assignment of this id its description and condition; scope, role
        and principal never change. by: object id of who does it. Raises BadRequest, Conflict, NotFound.
        """
        now = int(self._clock.now())
        try:
            async with self._database.write() as tx:
                found = await roles.by_id(tx, wanted.id)
                if found is not None:
                    return MadeAssignment(await self._changed(tx, found, wanted, by, now), is_new=False)
                scope = scope_of(wanted.scope)
                await check_there(tx, wanted.tenant_id, scope)  # or it would wait there for what is recovered or made
                above = await scopes_at_and_above(tx, wanted.tenant_id, scope)
                if not await usable_at(tx, wanted.tenant_id, wanted.role_id, above):  # it was there a moment ago
                    raise refusals.definition_not_found(wanted.role_id)
                await self._check_room(tx, wanted.tenant_id, scope)
                made = replace(wanted, created=now, created_by=by, updated=now, updated_by=by)
                await roles.insert(tx, made)
                return MadeAssignment(made, is_new=True)
        except Conflicted as error:
            raise refusals.assignment_exists() from error

    async def find(self, tenant_id: str, scope: str, name: str) -> RoleAssignment | None:
        """None unless there is one of this id at exactly this scope."""
        async with self._database.read() as tx:
            found = await _at(tx, tenant_id, scope, name)
            return None if found is None else (await _typed(tx, [found]))[0]

    async def get(self, tenant_id: str, scope: str, name: str) -> RoleAssignment:
        """Raises NotFound."""
        found = await self.find(tenant_id, scope, name)
        if found is None:
            raise refusals.assignment_not_found(name)
        return found

    async def delete(self, tenant_id: str, scope: str, name: str) -> RoleAssignment | None:
        """Returns what was removed; None when there was nothing of this id at this scope."""
        async with self._database.write() as tx:
            found = await _at(tx, tenant_id, scope, name)
            return None if found is None else await roles.delete(tx, found.id)

    async def page(
        self, tenant_id: str, scope: str, wanted: Filter, after: tuple[str, str], most: int
    ) -> list[RoleAssignment]:
        """At a scope, above it and, unless the filter says otherwise, below it; by folded scope and id, behind the
        place `after` (("", "") for the first page). Raises NotFound.
        """
        where = scope_of(scope)
        async with self._database.read() as tx:
            above = await scopes_at_and_above(tx, tenant_id, where)
            if not wanted.principal_id and not wanted.assigned_to:
                below = None if wanted.at_scope else where.folded
                return await _typed(tx, await roles.page(tx, tenant_id, above, below, after, most))
            principals = {wanted.principal_id or wanted.assigned_to}
            if wanted.assigned_to:
                principals |= await directory.groups_of(tx, wanted.assigned_to)
                if wanted.principal_id:
                    principals &= {wanted.principal_id}
            found = await _of(tx, tenant_id, principals, above, None if wanted.at_scope else where.folded)
            found = await _typed(tx, found)
        places = {(folded(one.scope), one.id): one for one in found}
        return [places[place] for place in sorted(places) if place > after][:most]

    async def _changed(
        self, tx: Transaction, found: RoleAssignment, wanted: RoleAssignment, by: str, now: int
    ) -> RoleAssignment:
        """Raises BadRequest, and Conflict for one of another tenant, of which nothing is said."""
        if found.tenant_id != wanted.tenant_id:
            raise refusals.assignment_exists()
        if (folded(found.scope), found.role_id, found.principal_id) != (
            folded(wanted.scope),
            wanted.role_id,
            wanted.principal_id,
        ):
            raise refusals.update_not_permitted()
        same = replace(
            found,
            principal_type=wanted.principal_type,
            description=wanted.description,
            condition=wanted.condition,
            condition_version=wanted.condition_version,
        )
        if same == found:
            return found
        changed = replace(same, updated=now, updated_by=by)
        await roles.update(tx, changed)
        return changed

    async def _check_room(self, tx: Transaction, tenant_id: str, scope: Scope) -> None:
        """Raises BadRequest."""
        if scope.kind in (ScopeKind.TENANT, ScopeKind.MANAGEMENT_GROUP):
            most, count = _MOST_AT_MANAGEMENT_GROUP, await roles.count_exactly_at(tx, tenant_id, scope.path)
        else:
            most, count = self._most, await roles.count_at(tx, f"/subscriptions/{scope.subscription_id}")
        if count >= most:
            raise refusals.too_many_assignments(most)


def check_condition(condition: str, version: str) -> None:
    """Raises BadRequest for a condition that could not be evaluated, which would give nothing."""
    if not condition:
        return
    if version != VERSION:
        raise refusals.invalid_condition(f"The conditionVersion must be '{VERSION}'.")
    try:
        parse(condition)
    except UnreadableCondition as error:
        raise refusals.invalid_condition(f"It cannot be read: {error}.") from error


async def _principal_type(tx: Transaction, tenant_id: str, principal_id: str, given: str) -> str:
    """Of the embedded directory; what somebody says of a principal that it does not know is believed, as a new
    principal may not be known everywhere. Raises BadRequest.
    """
    known = await directory.principal(tx, tenant_id, principal_id)
    if known is None:
        if not given and await directory.tenant(tx, tenant_id) is not None:
            raise refusals.principal_not_found(principal_id, tenant_id)
        return given
    has = _TYPES[known.kind]
    if given and given != has:
        raise refusals.unmatched_principal_type(principal_id, has, given)
    return has


async def _typed(tx: Transaction, assignments: list[RoleAssignment]) -> list[RoleAssignment]:
    """With the principal types that the directory knows, where an assignment was made without one."""
    found: list[RoleAssignment] = []
    for one in assignments:
        known = None if one.principal_type else await directory.principal(tx, one.tenant_id, one.principal_id)
        found.append(one if known is None else replace(one, principal_type=_TYPES[known.kind]))
    return found


async def _at(tx: Transaction, tenant_id: str, scope: str, name: str) -> RoleAssignment | None:
    found = await roles.by_id(tx, name.lower())
    where = scope_of(scope)  # never one of a pool
    if found is None or found.tenant_id != tenant_id or folded(found.scope) != where.folded:
        return None
    return found


async def _of(
    tx: Transaction, tenant_id: str, principals: Collection[str], above: tuple[str, ...], below: str | None
) -> list[RoleAssignment]:
    """Of these principals, at these folded scopes, and below another."""
    if below == "":  # everywhere
        found = await roles.assignments_of(tx, principals)
    else:
        by_principal = await roles.around(tx, principals, above, below or "")
        found = [one for by_scope in by_principal.values() for some in by_scope.values() for one in some]
    return [one for one in found if one.tenant_id == tenant_id and not folded(one.scope).startswith("/local/")]
