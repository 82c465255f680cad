"""Groups, which may hold users, service principals and other groups. A circle of groups does no harm: each group is
followed once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec

from hsmvault.model.directory import PrincipalDetails
from hsmvault.model.principals import Principal, PrincipalKind
from hsmvault.resources.directory import names
from hsmvault.resources.directory.lookups import principal_of
from hsmvault.resources.directory.parts import DirectoryParts
from hsmvault.resources.directory.refusals import bad, is_there, not_found
from hsmvault.resources.directory.rules import Actor, permit_group, permit_new_group
from hsmvault.store import directory, memberships, owners
from hsmvault.store.database import Transaction

_MOST_AT_CREATION = 20  # members and owners that come with a new group, as Graph's
_GROUP = PrincipalKind.GROUP


@dataclass(frozen=True, slots=True)
class NewGroup:
    """members, owners: object ids of the same tenant."""

    display_name: str
    details: PrincipalDetails = field(default_factory=PrincipalDetails)
    members: Sequence[str] = ()
    owners: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class GroupChange:
    """None: as it is. details: members of PrincipalDetails that change. members: object ids of those that join."""

    display_name: str | None = None
    details: dict[str, str | bool] = field(default_factory=dict)
    members: Sequence[str] = ()


class Groups:
    def __init__(self, parts: DirectoryParts) -> None:
        self._parts = parts

    async def get(self, actor: Actor, id: str) -> Principal:
        """Raises NotFound."""
        async with self._parts.database.read() as tx:
            return await principal_of(tx, actor.tenant_id, id, _GROUP)

    async def page(self, actor: Actor, *, after: str, most: int) -> list[Principal]:
        """By object id, behind `after`."""
        async with self._parts.database.read() as tx:
            return await directory.list_page(tx, actor.tenant_id, [_GROUP], after=after, most=most)

    async def create(self, actor: Actor, new: NewGroup) -> Principal:
        """Raises Forbidden, BadRequest, NotFound."""
        if len(new.members) + len(new.owners) > _MOST_AT_CREATION:
            raise bad(f"A new group takes at most {_MOST_AT_CREATION} members and owners.")
        group = Principal(
            object_id=self._parts.identifiers.guid(),
            tenant_id=actor.tenant_id,
            kind=_GROUP,
            display_name=names.checked_display_name(new.display_name),
            details=_checked(new.details),
            created=self._parts.now,
        )
        async with self._parts.writing(is_there("members")) as tx:
            await permit_new_group(tx, actor)
            await directory.insert_principal(tx, group)
            for member in new.members:
                await self._add(tx, group, member)
            for owner in new.owners:
                found = await principal_of(tx, actor.tenant_id, owner)
                await owners.insert(tx, group.object_id, found.object_id)
        return group

    async def update(self, actor: Actor, id: str, change: GroupChange) -> Principal:
        """All of it or nothing. Raises NotFound, Forbidden, BadRequest."""
        async with self._parts.writing(is_there("members")) as tx:
            group = await principal_of(tx, actor.tenant_id, id, _GROUP)
            await permit_group(tx, actor, group)
            if change.display_name is not None:
                group = replace(group, display_name=names.checked_display_name(change.display_name))
            if change.details:
                group = replace(group, details=_checked(msgspec.structs.replace(group.details, **change.details)))
            await directory.update_principal(tx, group)
            for member in change.members:
                await self._add(tx, group, member)
        return group

    async def delete(self, actor: Actor, id: str) -> None:
        """For good. Its role assignments stay and name nobody. Raises NotFound, Forbidden."""
        async with self._parts.database.write() as tx:
            group = await principal_of(tx, actor.tenant_id, id, _GROUP)
            await permit_group(tx, actor, group)
            await directory.delete_principal(tx, group)

    async def members(self, actor: Actor, id: str, *, after: str, most: int, direct: bool = True) -> list[Principal]:
        """By object id, behind `after`. direct: without those of the groups in it. Raises NotFound."""
        read = memberships.members_of if direct else memberships.members_below
        async with self._parts.database.read() as tx:
            group = await principal_of(tx, actor.tenant_id, id, _GROUP)
            ids = await read(tx, group.object_id, after=after, most=most)
            return await directory.principals_of(tx, actor.tenant_id, ids)

    async def groups_of(self, actor: Actor, id: str, *, direct: bool) -> list[Principal]:
        """The groups that a principal is in, by object id; direct: without those that its groups are in.

        Raises NotFound.
        """
        async with self._parts.database.read() as tx:
            principal = await principal_of(tx, actor.tenant_id, id)
            if direct:
                ids = await memberships.direct_groups_of(tx, principal.object_id)
            else:
                ids = sorted(await memberships.groups_of(tx, principal.object_id))
            return await directory.principals_of(tx, actor.tenant_id, ids)

    async def add_member(self, actor: Actor, id: str, member_id: str) -> None:
        """Raises NotFound, Forbidden, BadRequest."""
        async with self._parts.writing(is_there("members")) as tx:
            group = await principal_of(tx, actor.tenant_id, id, _GROUP)
            await permit_group(tx, actor, group)
            await self._add(tx, group, member_id)

    async def remove_member(self, actor: Actor, id: str, member_id: str) -> None:
        """Raises NotFound, Forbidden."""
        async with self._parts.database.write() as tx:
            group = await principal_of(tx, actor.tenant_id, id, _GROUP)
            await permit_group(tx, actor, group)
            if not await directory.remove_member(tx, group.object_id, member_id.lower()):
                raise not_found(member_id)

    @staticmethod
    async def _add(tx: Transaction, group: Principal, member_id: str) -> None:
        member = await principal_of(tx, group.tenant_id, member_id)
        if member.object_id == group.object_id:
            raise bad("A group cannot be a member of itself.")
        await directory.add_member(tx, group.object_id, member.object_id)


def _checked(details: PrincipalDetails) -> PrincipalDetails:
    names.checked_nickname(details.mail_nickname)
    names.checked_text(details.description, "description")
    return details
