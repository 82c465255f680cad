"""The pipeline in front of every request, put together with its caches."""

from hsmvault.app.base import Base
from hsmvault.app.observation import show_cache
from hsmvault.app.reloading import Reload
from hsmvault.app.trust import EmbeddedKeys, configured_issuer, embedded_issuers
from hsmvault.pipeline.authentication import Authentication
from hsmvault.pipeline.authorization import Authorization
from hsmvault.pipeline.caches import AssignmentCache, ContainerCache, DirectoryCache
from hsmvault.pipeline.issuers import Issuers
from hsmvault.pipeline.run import Pipeline
from hsmvault.wire import failures


async def make_pipeline(base: Base, embedded: EmbeddedKeys, containers: ContainerCache) -> tuple[Pipeline, Reload]:
    """Caches follow the changes: what is dropped here is what a removed right has to reach."""
    names, feed = base.settings.names, base.feed
    issuers = Issuers(tuple(configured_issuer(issuer, names, base.clock) for issuer in base.settings.issuers))
    issuers.replace_embedded(await embedded_issuers(base.database, names, embedded))
    directory_cache = DirectoryCache(base.database)
    assignments = AssignmentCache(base.database)
    authentication = Authentication(issuers, directory_cache, base.clock)
    show_cache(base.metrics, "tokens", authentication)
    authorization = Authorization(assignments)

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

    def container_changed(name: str) -> None:
        containers.forget(name)
        authorization.forget()

    def everything_changed() -> None:
        assignments.forget_all()
        containers.forget_all()
        authentication.forget()
        directory_changed()

    for kind in ("directory", "principal", "application"):
        feed.subscribe(kind, lambda _, __: directory_changed())
    feed.subscribe("role", lambda _, principal_id: roles_changed(principal_id))
    feed.subscribe("container", lambda _, name: container_changed(name))
    feed.subscribe("login-key", lambda _, __: authentication.forget())
    feed.subscribe_all(everything_changed)
    return Pipeline(authentication, authorization, base.audit, base.clock, failures.status_of), reload
