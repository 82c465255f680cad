"""The management plane, put together: its pipeline, and the handlers of every resource provider."""

from dataclasses import dataclass

from hsmvault.app.access import Access
from hsmvault.app.base import Base
from hsmvault.app.logins import issuer_urls
from hsmvault.app.networks import private_endpoint_handlers
from hsmvault.app.observation import Observation
from hsmvault.app.pools import make_pools, pool_groups
from hsmvault.app.roles import role_handlers
from hsmvault.app.served_worlds import ServedWorlds
from hsmvault.app.surroundings import surrounding_handlers
from hsmvault.app.vaults import vault_handlers
from hsmvault.pipeline.management import ManagementPipeline
from hsmvault.resources.keys import Keys
from hsmvault.resources.secrets import Secrets
from hsmvault.wire import failures
from hsmvault.wire.data_plane import BodyLimits
from hsmvault.wire.management.handlers import ManagementGroup, ManagementHandlers
from hsmvault.wire.management.plane import ManagementPlane
from hsmvault.wire.management.versions import ManagementVersions


@dataclass(frozen=True, slots=True)
class ManagementParts:
    """What handlers of the management plane are made with."""

    base: Base
    access: Access
    served: ServedWorlds
    keys: Keys
    secrets: Secrets


def make_management(parts: ManagementParts, authority: str) -> ManagementPlane:
    """authority: URL of the default tenant's issuer."""
    base, access = parts.base, parts.access
    settings = base.settings
    pipeline = ManagementPipeline(
        access.authentication,
        access.subscriptions,
        access.rbac,
        base.audit,
        base.clock,
        failures.status_of,
        issuer_urls(settings),
    )
    return ManagementPlane(
        base.feed,
        pipeline,
        ManagementHandlers(*_groups(parts, authority)).table,
        ManagementVersions(serve_newer=settings.api_versions.newer == "serve"),
        base.clock,
        authority,
        Observation(base.metrics, base.clock).management_call,
        BodyLimits(settings.limits.body_bytes, settings.limits.body_seconds),
    )


def _groups(parts: ManagementParts, authority: str) -> tuple[ManagementGroup, ...]:
    base, served = parts.base, parts.served
    return (
        *vault_handlers(base, served.default.id, served.default.sealer, parts.keys, parts.secrets),
        *pool_groups(base, served, parts.keys, make_pools(base)),
        *surrounding_handlers(base, authority),
        role_handlers(base, parts.access.rbac),
        private_endpoint_handlers(base),
    )
