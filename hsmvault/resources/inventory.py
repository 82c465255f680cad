"""The vaults and pools of a subscription or a resource group as plain resources, over both kinds."""

from collections.abc import Mapping
from dataclasses import dataclass

from hsmvault.model.containers import Container, ContainerKind
from hsmvault.model.filters import Filter
from hsmvault.resources.subscriptions import MayRead
from hsmvault.store import containers
from hsmvault.store.database import Database

TYPES = {ContainerKind.VAULT: "Microsoft.KeyVault/vaults", ContainerKind.POOL: "Microsoft.KeyVault/managedHSMs"}
_BATCH = 200
_MOST_READ = 2000  # of one page, when few of them are shown


@dataclass(frozen=True, slots=True)
class ResourcePage:
    """next: the place that the next page begins behind, "" at the end."""

    containers: tuple[Container, ...]
    next: str


class Inventory:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, subscription_id: str, group: str | None, wanted: Filter, may: MayRead, after: str, most: int
    ) -> ResourcePage:
        """Those in use that pass the filter and that the caller may read: vaults by name, then pools by name.

        after: place that an earlier page ended at, "" for the first one. A page may be shorter than `most`, or empty,
        and have a next one all the same.
        """
        kind_of_place, _, name = after.partition(":")
        kinds = list(ContainerKind)
        if kind_of_place in {kind.value for kind in kinds}:
            kinds = kinds[kinds.index(ContainerKind(kind_of_place)) :]
        else:
            name = ""
        shown: list[Container] = []
        read = 0
        for kind in kinds:
            while rows := await self._rows(subscription_id, group, kind, name):
                for container in rows:
                    name = container.name
                    if passes(container, wanted) and await may(f"{TYPES[kind]}/read", container.resource_id):
                        shown.append(container)
                        if len(shown) == most:
                            return ResourcePage(tuple(shown), f"{kind.value}:{name}")
                read += len(rows)
                if read >= _MOST_READ:
                    return ResourcePage(tuple(shown), f"{kind.value}:{name}")
            name = ""
        return ResourcePage(tuple(shown), "")

    async def _rows(self, subscription_id: str, group: str | None, kind: ContainerKind, after: str) -> list[Container]:
        async with self._database.read() as tx:
            if group is None:
                return await containers.of_subscription(tx, subscription_id, kind, after=after, most=_BATCH)
            return await containers.of_group(tx, subscription_id, group, kind, after=after, most=_BATCH)


def passes(container: Container, wanted: Filter) -> bool:
    return passes_tags(
        wanted,
        {
            "resourcetype": TYPES[container.kind].lower(),
            "name": container.name,
            "location": container.location.lower(),
            "resourcegroup": container.resource_group.lower(),
            "id": container.resource_id.lower(),
        },
        container.tags,
    )


def passes_tags(wanted: Filter, fields: Mapping[str, str], tags: Mapping[str, str]) -> bool:
    """tagName and tagValue in a filter are of one and the same tag."""
    if not tags:
        return wanted(fields)
    return any(wanted({**fields, "tagname": name.lower(), "tagvalue": value.lower()}) for name, value in tags.items())
