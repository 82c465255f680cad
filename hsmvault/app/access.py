"""The pipeline in front of every request, put together with its caches."""

from dataclasses import dataclass

from hsmvault.app.base import Base
from hsmvault.app.networks import firewall
from hsmvault.app.observation import show_cache
from hsmvault.app.reloading import Reload
from hsmvault.app.trust import EmbeddedKeys, configured_issuer, embedded_issuers
from hsmvault.pipeline.authentication import Authentication
from hsmvault.pipeline.authorization import Authorization
from hsmvault.pipeline.azure_rbac import AzureRbac
from hsmvault.pipeline.caches import AssignmentCache, ContainerCache, DirectoryCache, RoleCache, SubscriptionCache
from hsmvault.pipeline.issuers import Issuers
from hsmvault.pipeline.run import Pipeline
from hsmvault.wire import failures


@dataclass(frozen=True, slots=True)
class Access:
    """pipeline: of the data plane. The others are what the management plane's pipeline is made of."""

    pipeline: Pipeline
    authentication: Authentication
    rbac: AzureRbac
    subscriptions: SubscriptionCache
    reload: Reload


async def make_pipeline(base: Base, embedded: EmbeddedKeys, containers: ContainerCache) -> Access:
    """Caches follow the changes: what is dropped here is what a removed right has to reach."""
    names, feed = base.settings.names, base.feed
    issuers = Issuers(tuple(configured_issuer(issuer, names, base.clock) for issuer in base.settings.issuers))
    issuers.replace_embedded(await embedded_issuers(base.database, names, embedded))
    directory_cache = DirectoryCache(base.database, built_in=base.settings.login.public_clients)
    assignments = AssignmentCache(base.database)
    authentication = Authentication(issuers, directory_cache, base.clock)
    show_cache(base.metrics, "tokens", authentication)
    roles, subscriptions = RoleCache(base.database), SubscriptionCache(base.database)
    rbac = AzureRbac(assignments, roles, subscriptions)
    authorization = Authorization(rbac, assignments)

    async def reload_issuers() -> None:
        issuers.replace_embedded(await embedded_issuers(base.database, names, embedded))

    reload = Reload("tenants", reload_issuers)

    def directory_changed() -> None:
        directory_cache.forget_all()
        authorization.forget()
        reload.ask()

    def roles_changed(principal_id: str) -> None:
        assignments.forget(principal_id)
        authorization.forget()

    def definition_changed(role_id: str) -> None:
        roles.forget(role_id)
        authorization.forget()

    def places_changed() -> None:
        subscriptions.forget_all()
        authorization.forget()

    def container_changed(name: str) -> None:
        containers.forget(name)
        authorization.forget()

    def everything_changed() -> None:
        assignments.forget_all()
        roles.forget_all()
        subscriptions.forget_all()
        containers.forget_all()
        authentication.forget()
        directory_changed()

    for kind in ("directory", "principal", "application"):
        feed.subscribe(kind, lambda _, __: directory_changed())
    feed.subscribe("role", lambda _, principal_id: roles_changed(principal_id))
    feed.subscribe("role-definition", lambda _, role_id: definition_changed(role_id))
    for kind in ("management-group", "subscription"):
        feed.subscribe(kind, lambda _, __: places_changed())
    feed.subscribe("container", lambda _, name: container_changed(name))
    feed.subscribe("login-key", lambda _, __: authentication.forget())
    feed.subscribe_all(everything_changed)
    pipeline = Pipeline(
        authentication, authorization, base.audit, base.clock, failures.status_of, firewall(base.settings)
    )
    return Access(pipeline, authentication, rbac, subscriptions, reload)
