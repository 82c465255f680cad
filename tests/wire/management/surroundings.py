"""The stage of the tests around vaults: every handler of it, and a few containers to look at."""

from collections.abc import Iterable

from hsmvault.audit.sinks import Destination
from hsmvault.config.names import Names
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.model.roles import RoleAssignment
from hsmvault.resources.diagnostics import DiagnosticSettings
from hsmvault.resources.inventory import Inventory
from hsmvault.resources.management_groups import ManagementGroups
from hsmvault.resources.resource_groups import ResourceGroups
from hsmvault.resources.subscriptions import Subscriptions
from hsmvault.store import containers, roles
from hsmvault.wire.management.diagnostics import DiagnosticHandlers
from hsmvault.wire.management.groups import GroupHandlers
from hsmvault.wire.management.handlers import ManagementGroup
from hsmvault.wire.management.management_groups import ManagementGroupHandlers
from hsmvault.wire.management.metadata import MetadataHandlers
from hsmvault.wire.management.providers import ProviderHandlers
from hsmvault.wire.management.subscriptions import SubscriptionHandlers
from tests.pipeline.world import TENANT
from tests.wire.management.stage import SUBSCRIPTION, ManagementService, Parts

LOCATIONS = ("local", "westeurope")
WORKSPACE = "/subscriptions/s/resourceGroups/site/providers/Microsoft.OperationalInsights/workspaces/logs"
DESTINATIONS = (Destination("archive"), Destination("monitor", WORKSPACE))


def surroundings(parts: Parts) -> Iterable[ManagementGroup]:
    database = parts.database
    subscriptions = Subscriptions(database)
    return (
        SubscriptionHandlers(subscriptions, LOCATIONS),
        GroupHandlers(ResourceGroups(database, parts.clock, LOCATIONS), Inventory(database)),
        ProviderHandlers(subscriptions, LOCATIONS),
        MetadataHandlers(Names("localhost", 8443), "https://login.localhost:8443"),
        ManagementGroupHandlers(ManagementGroups(database, parts.clock)),
        DiagnosticHandlers(DiagnosticSettings(database, parts.clock, DESTINATIONS)),
    )


async def have(service: ManagementService, *names: str, kind: ContainerKind = ContainerKind.VAULT) -> list[Container]:
    """Containers of these names in the resource group `rg`."""
    made = [
        Container(
            id=service.parts.identifiers.guid(),
            kind=kind,
            name=name,
            tenant_id=TENANT,
            subscription_id=SUBSCRIPTION,
            resource_group="rg",
            location="local",
            world_id="world",
            tags={"stage": "test"} if name.endswith("test") else {},
        )
        for name in names
    ]
    async with service.parts.database.write() as tx:
        for container in made:
            await containers.insert(tx, container)
    return made


async def give(service: ManagementService, principal_id: str, role_id: str, scope: str) -> None:
    async with service.parts.database.write() as tx:
        identifier = service.parts.identifiers.guid()
        await roles.insert(tx, RoleAssignment(identifier, scope, role_id, principal_id, 0, TENANT))
