"""Resource groups: made, tagged, listed, and deleted with everything that is in them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from hsmvault.clock import Clock
from hsmvault.errors import BadRequest, Conflict, NotFound
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.model.subscriptions import ResourceGroup
from hsmvault.resources.container_lives import delete_container
from hsmvault.resources.locations import folded_location
from hsmvault.resources.subscriptions import MayRead
from hsmvault.store import containers, resource_groups, roles
from hsmvault.store.database import Conflicted, Database, Transaction

DELETE_ACTIONS: Final = {
    ContainerKind.VAULT: "Microsoft.KeyVault/vaults/delete",
    ContainerKind.POOL: "Microsoft.KeyVault/managedHSMs/delete",
}
_NAME: Final = re.compile(r"[-\w.()]{1,90}(?<!\.)")
_MOST_TAGS: Final = 50  # with the lengths below "Use tags to organize your Azure resources"
_LONGEST_TAG_NAME: Final = 512
_LONGEST_TAG_VALUE: Final = 256
_EVERYTHING: Final = 2**31  # rows


@dataclass(frozen=True, slots=True)
class PutGroup:
    group: ResourceGroup
    is_new: bool


class ResourceGroups:
    """locations: the configured ones."""

    def __init__(self, database: Database, clock: Clock, locations: Sequence[str]) -> None:
        self._database = database
        self._clock = clock
        self._locations = tuple(locations)

    async def get(self, subscription_id: str, name: str) -> ResourceGroup:
        """Raises NotFound."""
        async with self._database.read() as tx:
            return await _found(tx, subscription_id, name)

    async def page(self, subscription_id: str, after: str, most: int) -> list[ResourceGroup]:
        """By name in lower case, behind the name `after`."""
        async with self._database.read() as tx:
            return await resource_groups.of_subscription(tx, subscription_id, after=after, most=most)

    async def put(self, subscription_id: str, name: str, location: str, tags: Mapping[str, str]) -> PutGroup:
        """Make a group, or give the one that is there these tags. Raises BadRequest, Conflict."""
        check_name(name)
        check_tags(tags)
        if not location:
            raise BadRequest("The location property is required for this definition.", code="LocationRequired")
        folded = folded_location(location)
        try:
            async with self._database.write() as tx:
                found = await resource_groups.find(tx, subscription_id, name)
                if found is None:
                    self._check_location(location)
                    group = ResourceGroup(subscription_id.lower(), name, folded, tags, int(self._clock.now()))
                    await resource_groups.insert(tx, group)
                    return PutGroup(group, is_new=True)
                if folded_location(found.location) != folded:
                    raise Conflict(
                        f"Invalid resource group location '{location[:64]}'. The Resource group already exists in "
                        f"location '{found.location}'.",
                        code="InvalidResourceGroupLocation",
                    )
                group = await _tagged(tx, found, tags)
                return PutGroup(group, is_new=False)
        except Conflicted as error:
            raise _changed_meanwhile(name) from error

    async def patch(self, subscription_id: str, name: str, tags: Mapping[str, str] | None) -> ResourceGroup:
        """tags: in place of those that it has; None leaves them. Raises NotFound, BadRequest, Conflict."""
        if tags is not None:
            check_tags(tags)
        try:
            async with self._database.write() as tx:
                found = await _found(tx, subscription_id, name)
                return found if tags is None else await _tagged(tx, found, tags)
        except Conflicted as error:
            raise _changed_meanwhile(name) from error

    async def delete(self, subscription_id: str, name: str, may: MayRead) -> None:
        """Everything in the group is deleted as by itself: vaults and pools wait for their recovery, which needs a
        group of this name again. Role assignments at the group and below are gone.

        may: the caller must be allowed to delete each of them. Raises NotFound, Conflict; and Conflict, with nothing
        changed, when something in it is not the caller's to delete.
        """
        allowed: set[str] = set()
        for container in await self._in_use(subscription_id, name):
            if not await may(DELETE_ACTIONS[container.kind], container.resource_id):
                raise Conflict(
                    f"The resource group '{name}' cannot be deleted: the resource '{container.resource_id}' in it may "
                    "not be deleted by this client.",
                    code="ResourceGroupDeletionBlocked",
                )
            allowed.add(container.id)
        try:
            async with self._database.write() as tx:
                group = await _found(tx, subscription_id, name)
                now = int(self._clock.now())
                for container in await _contents(tx, group):
                    if container.id not in allowed:  # it came in between, and nobody has asked for it
                        raise _changed_meanwhile(name)
                    await delete_container(tx, container, now)
                await roles.delete_at(tx, group.resource_id)
                await resource_groups.delete(tx, subscription_id, name)
        except Conflicted as error:
            raise _changed_meanwhile(name) from error

    async def _in_use(self, subscription_id: str, name: str) -> list[Container]:
        async with self._database.read() as tx:
            return await _contents(tx, await _found(tx, subscription_id, name))

    def _check_location(self, location: str) -> None:
        if folded_location(location) not in self._locations:
            raise BadRequest(
                f"The provided location '{location[:64]}' is not available for resource group. List of available "
                f"regions is '{','.join(self._locations)}'.",
                code="LocationNotAvailableForResourceGroup",
            )


def check_name(name: str) -> None:
    """1 to 90 letters, digits and -._(), no full stop at the end. Raises BadRequest."""
    if _NAME.fullmatch(name):
        return
    wrong = "".join(dict.fromkeys(character for character in name if not re.fullmatch(r"[-\w.()]", character)))
    raise BadRequest(
        f"The provided resource group name '{name[:90]}' has these invalid characters: '{wrong[:32]}'. The name can "
        "only be a letter, digit, '-', '.', '(', ')' or '_'."
        if wrong
        else f"The provided resource group name '{name[:90]}' is invalid: it has 1 to 90 characters and no full stop "
        "at its end.",
        code="InvalidResourceGroup",
    )


def check_tags(tags: Mapping[str, str]) -> None:
    """Raises BadRequest."""
    if len(tags) > _MOST_TAGS:
        raise BadRequest(f"There are more than {_MOST_TAGS} tags.", code="TooManyTags")
    for name, value in tags.items():
        if not 0 < len(name) <= _LONGEST_TAG_NAME or len(value) > _LONGEST_TAG_VALUE:
            raise BadRequest(
                f"The tag '{name[:64]}' is too long: a name has at most {_LONGEST_TAG_NAME} characters, a value "
                f"{_LONGEST_TAG_VALUE}.",
                code="InvalidTag",
            )
    if len({name.lower() for name in tags}) != len(tags):
        raise BadRequest("Tags have the same name, which compares without regard to case.", code="InvalidTag")


def group_not_found(name: str) -> NotFound:
    return NotFound(f"Resource group '{name[:90]}' could not be found.", code="ResourceGroupNotFound")


async def _found(tx: Transaction, subscription_id: str, name: str) -> ResourceGroup:
    group = await resource_groups.find(tx, subscription_id, name)
    if group is None:
        raise group_not_found(name)
    return group


async def _contents(tx: Transaction, group: ResourceGroup) -> list[Container]:
    found: list[Container] = []
    for kind in ContainerKind:
        found += await containers.of_group(tx, group.subscription_id, group.name, kind, after="", most=_EVERYTHING)
    return found


async def _tagged(tx: Transaction, group: ResourceGroup, tags: Mapping[str, str]) -> ResourceGroup:
    if dict(tags) == dict(group.tags):
        return group
    await resource_groups.update(tx, replace(group, tags=tags))
    return replace(group, tags=tags, revision=group.revision + 1)


def _changed_meanwhile(name: str) -> Conflict:
    return Conflict(f"The resource group '{name[:90]}' was changed meanwhile; try again.", code="Conflict")
