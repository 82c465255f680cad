"""The life of vaults in a real database, with a subscription, its group and a subscription of another tenant."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from hsmvault.clock import MovedClock, RandomIdentifiers
from hsmvault.model.containers import AccessPolicy, Container
from hsmvault.model.subscriptions import ResourceGroup, Subscription
from hsmvault.resources.vaults.deleted import DeletedVaults
from hsmvault.resources.vaults.settings import Actor, Place, VaultSettings
from hsmvault.resources.vaults.vaults import VaultRules, Vaults
from hsmvault.store import containers, outbox, resource_groups, subscriptions
from hsmvault.store.changes import ChangeFeed
from hsmvault.store.database import Database
from hsmvault.store.outbox import Event

TENANT = "22222222-0000-0000-0000-000000000001"
FOREIGN_TENANT = "22222222-0000-0000-0000-000000000002"
SUBSCRIPTION = "33333333-0000-0000-0000-000000000001"
FOREIGN_SUBSCRIPTION = "33333333-0000-0000-0000-000000000002"
SOMEBODY = "44444444-0000-0000-0000-000000000001"
SUBNET = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/group/providers/Microsoft.Network/virtualNetworks/v/subnets/inside"
)
ACTOR = Actor("somebody@example.org", "User")
PLACE = Place(TENANT, SUBSCRIPTION, "group", "North")
PLAIN = VaultSettings(
    location="local", tenant_id=TENANT, sku_family="A", sku="standard", policies=(), tags={"team": "blue"}
)


@dataclass
class VaultStage:
    clock: MovedClock
    database: Database
    vaults: Vaults
    deleted: DeletedVaults
    feed: ChangeFeed
    may_switch: bool = True
    asked: list[str] = field(default_factory=list)

    async def put(self, settings: VaultSettings = PLAIN, place: Place = PLACE, *, rbac: bool = True) -> Container:
        return (await self.vaults.put(place, settings, ACTOR, may_switch=self.switches, rbac=rbac)).container

    async def patch(self, settings: VaultSettings, place: Place = PLACE) -> Container:
        return await self.vaults.patch(place, settings, ACTOR, self.switches)

    async def switches(self) -> bool:
        self.asked.append("switch")
        return self.may_switch

    async def stored(self, name: str = "north") -> Container | None:
        async with self.database.read() as tx:
            return next((one for one in await containers.list_all(tx) if one.name == name), None)

    async def events(self) -> list[Event]:
        async with self.database.read() as tx:
            return [event for _, event in await outbox.page(tx, 0, 1000)]


@asynccontextmanager
async def vault_stage(path: Path, empty: Path) -> AsyncIterator[VaultStage]:
    """path: where the database is made, as a copy of an empty one."""
    shutil.copy(empty, path)
    clock, identifiers = MovedClock(), RandomIdentifiers()
    database = await Database.open(f"sqlite:///{path}", clock=clock)
    async with database.write() as tx:
        for id, tenant in ((SUBSCRIPTION, TENANT), (FOREIGN_SUBSCRIPTION, FOREIGN_TENANT)):
            await subscriptions.insert(tx, Subscription(id, tenant, "test"))
            for group in ("group", "other"):
                await resource_groups.insert(tx, ResourceGroup(id, group, "local"))
    feed = ChangeFeed(database)
    rules = VaultRules("world", ("local", "north"), subnets=frozenset({SUBNET.lower()}))
    vaults = Vaults(database, clock, identifiers, rules)
    yield VaultStage(clock, database, vaults, DeletedVaults(database, clock, identifiers), feed)
    await feed.close()
    await database.close()


def policy(object_id: str = SOMEBODY, **permissions: frozenset[str]) -> AccessPolicy:
    return replace(AccessPolicy(TENANT, object_id), **permissions)
