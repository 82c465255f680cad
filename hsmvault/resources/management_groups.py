"""Management groups: a tree of at most six levels below the root group of each tenant, with subscriptions in it.

The root group has the tenant's id as its name and no row; it cannot be changed or removed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from hsmvault.clock import Clock
from hsmvault.errors import BadRequest, Conflict, NotFound
from hsmvault.model.subscriptions import ManagementGroup, Subscription, management_group_id
from hsmvault.store import management_groups, roles, subscriptions
from hsmvault.store.database import Conflicted, Database, Transaction

ROOT_NAME: Final = "Tenant Root Group"
_NAME: Final = re.compile(r"[-\w._()]{1,90}(?<!\.)", re.ASCII)
_LONGEST_DISPLAY_NAME: Final = 256
_MOST: Final = 10_000  # of a tenant; as the real service


@dataclass(frozen=True, slots=True)
class Shown:
    """A group with its parent (None: it is the root) and, when they were asked for, what stands right below it."""

    group: ManagementGroup
    parent: ManagementGroup | None
    groups: "tuple[Shown, ...]" = ()
    subscriptions: tuple[Subscription, ...] = ()


class ManagementGroups:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def list_all(self, tenant_id: str) -> list[ManagementGroup]:
        """The root first, then by name."""
        async with self._database.read() as tx:
            return [root_of(tenant_id), *await management_groups.of_tenant(tx, tenant_id)]

    async def get(self, tenant_id: str, name: str, *, levels: int = 0) -> Shown:
        """levels: how many of them are shown below it. Raises NotFound."""
        async with self._database.read() as tx:
            return await _shown(tx, await _found(tx, tenant_id, name), levels)

    async def find(self, tenant_id: str, name: str) -> ManagementGroup | None:
        async with self._database.read() as tx:
            return await _find(tx, tenant_id, name)

    async def put(
        self,
        tenant_id: str,
        name: str,
        display_name: str | None,
        parent: str | None,
        *,
        before: ManagementGroup | None,
    ) -> Shown:
        """Make a group, or change the one that is there. parent: name of one; None leaves it, or means the root.
        before: what find() has found, which the caller's right was asked for.

        Raises BadRequest, NotFound for the parent, Conflict.
        """
        if not _NAME.fullmatch(name) or name.lower() == tenant_id:
            raise BadRequest(f"The management group name '{name[:90]}' is invalid.", code="InvalidManagementGroupName")
        if display_name is not None and len(display_name) > _LONGEST_DISPLAY_NAME:
            raise BadRequest("The display name is too long.", code="InvalidDisplayName")
        try:
            async with self._database.write() as tx:
                found = await management_groups.find(tx, tenant_id, name)
                if found != before:
                    raise _changed_meanwhile(name)
                above = "" if found is None else found.parent
                if parent is not None:
                    above = await self._checked_parent(tx, tenant_id, name, parent)
                if found is None:
                    if len(await management_groups.of_tenant(tx, tenant_id)) >= _MOST:
                        raise Conflict("There are too many management groups.", code="TooManyManagementGroups")
                    group = ManagementGroup(tenant_id, name, display_name or name, above, int(self._clock.now()))
                    await management_groups.insert(tx, group)
                else:
                    group = replace(found, display_name=display_name or found.display_name, parent=above)
                    if group != found:
                        await management_groups.update(tx, group)
                return await _shown(tx, group, 0)
        except Conflicted as error:
            raise _changed_meanwhile(name) from error

    async def delete(self, tenant_id: str, name: str) -> bool:
        """Whether it was there; role assignments at it go too. Raises BadRequest when something is in it, and for the
        root group."""
        if name.lower() == tenant_id:
            raise BadRequest("The root management group cannot be deleted.", code="BadRequest")
        async with self._database.write() as tx:
            group = await management_groups.find(tx, tenant_id, name)
            if group is None:
                return False
            has_groups = await management_groups.children(tx, tenant_id, name)
            if has_groups or await subscriptions.in_management_group(tx, tenant_id, name):
                raise BadRequest(
                    f"Group '{group.name}' cannot be deleted: it has children. Move them first.",
                    code="ManagementGroupHasChildren",
                )
            for assignment in await roles.list_at(tx, group.resource_id):
                if assignment.tenant_id == tenant_id:  # another tenant may have a group of this name
                    await roles.delete(tx, assignment.id)
            return await management_groups.delete(tx, tenant_id, name)

    async def subscriptions_of(self, tenant_id: str, name: str) -> list[Subscription]:
        """Those right below, by id. Raises NotFound."""
        async with self._database.read() as tx:
            group = await _found(tx, tenant_id, name)
            return await subscriptions.in_management_group(tx, tenant_id, stored_name(tenant_id, group.name))

    async def subscription(self, tenant_id: str, subscription_id: str) -> Subscription:
        """Raises NotFound, also for one of another tenant."""
        async with self._database.read() as tx:
            return await _subscription(tx, tenant_id, subscription_id)

    async def subscription_in(self, tenant_id: str, name: str, subscription_id: str) -> Subscription:
        """Raises NotFound, also for one that stands in another group."""
        async with self._database.read() as tx:
            group = await _found(tx, tenant_id, name)
            found = await _subscription(tx, tenant_id, subscription_id)
        if found.management_group != stored_name(tenant_id, group.name):
            raise NotFound(
                f"The subscription '{found.id}' is not in the management group '{group.name}'.", code="NotFound"
            )
        return found

    async def move(self, tenant_id: str, name: str, subscription_id: str) -> Subscription:
        """Put a subscription into a group. Raises NotFound."""
        async with self._database.write() as tx:
            group = await _found(tx, tenant_id, name)
            found = await _subscription(tx, tenant_id, subscription_id)
            moved = replace(found, management_group=stored_name(tenant_id, group.name))
            if moved != found:
                await subscriptions.update(tx, moved)
            return moved

    async def take_out(self, tenant_id: str, name: str, subscription_id: str) -> bool:
        """Put a subscription of this group back under the root. Whether it was in it. Raises NotFound."""
        async with self._database.write() as tx:
            group = await _found(tx, tenant_id, name)
            found = await subscriptions.find(tx, subscription_id)
            if found is None or found.tenant_id != tenant_id:
                return False
            if not found.management_group or found.management_group != stored_name(tenant_id, group.name):
                return False
            await subscriptions.update(tx, replace(found, management_group=""))
            return True

    async def _checked_parent(self, tx: Transaction, tenant_id: str, name: str, parent: str) -> str:
        """As it is kept. Raises NotFound, BadRequest for a circle or too many levels."""
        above = stored_name(tenant_id, (await _found(tx, tenant_id, parent)).name)
        chain = await management_groups.above(tx, tenant_id, above)
        if name.lower() in {group.name.lower() for group in chain}:
            raise BadRequest(f"The group '{name}' cannot stand below itself.", code="InvalidParent")
        if len(chain) + 1 + await _depth_below(tx, tenant_id, name) > management_groups.MOST_LEVELS:
            raise BadRequest(
                f"There are at most {management_groups.MOST_LEVELS} levels of management groups.", code="TooDeep"
            )
        return above


def root_of(tenant_id: str) -> ManagementGroup:
    return ManagementGroup(tenant_id, tenant_id, ROOT_NAME)


def stored_name(tenant_id: str, name: str) -> str:
    """As `parent` and `management_group` have it: in lower case, "" for the root group."""
    return "" if name.lower() == tenant_id else name.lower()


def name_of(id_or_name: str) -> str:
    """The name in an ARM id of a management group, or what stands there. Raises BadRequest for another id."""
    prefix = management_group_id("").lower()
    if id_or_name.lower().startswith(prefix):
        id_or_name = id_or_name[len(prefix) :]
    if not id_or_name or "/" in id_or_name:
        raise BadRequest(f"'{id_or_name[:90]}' is no id of a management group.", code="InvalidParent")
    return id_or_name


def _changed_meanwhile(name: str) -> Conflict:
    return Conflict(f"The management group '{name}' was changed meanwhile; try again.")


async def _find(tx: Transaction, tenant_id: str, name: str) -> ManagementGroup | None:
    if name.lower() == tenant_id:
        return root_of(tenant_id)
    return await management_groups.find(tx, tenant_id, name)


async def _found(tx: Transaction, tenant_id: str, name: str) -> ManagementGroup:
    group = await _find(tx, tenant_id, name)
    if group is None:
        raise NotFound(f"The management group '{name[:90]}' cannot be found.", code="NotFound")
    return group


async def _subscription(tx: Transaction, tenant_id: str, subscription_id: str) -> Subscription:
    found = await subscriptions.find(tx, subscription_id)
    if found is None or found.tenant_id != tenant_id:
        raise NotFound(f"The subscription '{subscription_id[:64]}' could not be found.", code="SubscriptionNotFound")
    return found


async def _shown(tx: Transaction, group: ManagementGroup, levels: int) -> Shown:
    is_root = group.name == group.tenant_id
    parent = None if is_root else await _found(tx, group.tenant_id, group.parent or group.tenant_id)
    if levels == 0:
        return Shown(group, parent)
    stored = stored_name(group.tenant_id, group.name)
    below: Sequence[ManagementGroup] = await management_groups.children(tx, group.tenant_id, stored)
    return Shown(
        group,
        parent,
        tuple([await _shown(tx, one, levels - 1) for one in below]),
        tuple(await subscriptions.in_management_group(tx, group.tenant_id, stored)),
    )


async def _depth_below(tx: Transaction, tenant_id: str, name: str) -> int:
    """Levels of groups below this one, which cannot be more than there may be."""
    below = await management_groups.children(tx, tenant_id, name)
    return max([1 + await _depth_below(tx, tenant_id, one.name) for one in below], default=0)
