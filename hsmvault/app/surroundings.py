"""What clients call around vaults, put together: subscriptions, groups, providers, and where audit records go."""

from hsmvault.app.base import Base
from hsmvault.app.exporting import destinations_of
from hsmvault.resources.diagnostics import DiagnosticSettings
from hsmvault.resources.inventory import Inventory
from hsmvault.resources.management_groups import ManagementGroups
from hsmvault.resources.resource_groups import ResourceGroups
from hsmvault.resources.subscriptions import Subscriptions
from hsmvault.wire.management.diagnostics import DiagnosticHandlers
from hsmvault.wire.management.groups import GroupHandlers
from hsmvault.wire.management.handlers import ManagementGroup
from hsmvault.wire.management.management_groups import ManagementGroupHandlers
from hsmvault.wire.management.metadata import MetadataHandlers
from hsmvault.wire.management.providers import ProviderHandlers
from hsmvault.wire.management.subscriptions import SubscriptionHandlers


def surrounding_handlers(base: Base, authority: str) -> tuple[ManagementGroup, ...]:
    """authority: URL of the default tenant's issuer; clients put other tenants in the place of its last segment."""
    database, settings = base.database, base.settings
    subscriptions, locations = Subscriptions(database), settings.locations
    return (
        SubscriptionHandlers(subscriptions, locations),
        GroupHandlers(ResourceGroups(database, base.clock, locations), Inventory(database)),
        ProviderHandlers(subscriptions, locations),
        MetadataHandlers(settings.names, authority.rpartition("/")[0]),
        ManagementGroupHandlers(ManagementGroups(database, base.clock)),
        DiagnosticHandlers(DiagnosticSettings(database, base.clock, destinations_of(settings))),
    )
