"""Service principals: where an application acts in a tenant. One for each tenant and application; managed identities
are listed with them, and live as their resource does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hsmvault.model.directory import Application
from hsmvault.model.principals import Principal, PrincipalKind
from hsmvault.resources.directory.lookups import SERVICE_PRINCIPALS, principal_of
from hsmvault.resources.directory.names import is_guid
from hsmvault.resources.directory.parts import DirectoryParts
from hsmvault.resources.directory.refusals import bad, denied, not_found, same_key
from hsmvault.resources.directory.rules import (
    Actor,
    permit_application,
    permit_new_application,
    permit_service_principal,
)
from hsmvault.store import applications, directory, owners

MULTIPLE = "AzureADMultipleOrgs"


@dataclass(frozen=True, slots=True)
class ServicePrincipalChange:
    """None: as it is."""

    enabled: bool | None = None


class ServicePrincipals:
    def __init__(self, parts: DirectoryParts) -> None:
        self._parts = parts

    async def get(self, actor: Actor, object_id: str) -> Principal:
        """Raises NotFound."""
        async with self._parts.database.read() as tx:
            return await principal_of(tx, actor.tenant_id, object_id, *SERVICE_PRINCIPALS)

    async def by_client(self, actor: Actor, application_id: str) -> Principal:
        """By the client id. Raises NotFound."""
        async with self._parts.database.read() as tx:
            found = await directory.by_application(tx, actor.tenant_id, application_id.lower())
        if found is None:
            raise not_found(application_id)
        return found

    async def page(self, actor: Actor, *, after: str, most: int) -> list[Principal]:
        """By object id, behind `after`."""
        async with self._parts.database.read() as tx:
            return await directory.list_page(tx, actor.tenant_id, SERVICE_PRINCIPALS, after=after, most=most)

    async def registrations(self, principals: Sequence[Principal]) -> list[Application | None]:
        """Behind each of them, in whichever tenant; None for a managed identity and where the registration is gone."""
        async with self._parts.database.read() as tx:
            return [
                await applications.anywhere(tx, one.application_id) if one.kind is PrincipalKind.APPLICATION else None
                for one in principals
            ]

    async def create(self, actor: Actor, application_id: str, *, enabled: bool = True) -> Principal:
        """Of an application of this tenant, or of another tenant's that is for several organizations.

        Raises Forbidden, BadRequest, Conflict.
        """
        folded = application_id.lower()
        conflict = same_key(
            "The service principal cannot be created, updated, or restored because the service principal name "
            f"{folded[:36]} is already in use."
        )
        async with self._parts.writing(conflict) as tx:
            application = await applications.anywhere(tx, folded) if is_guid(folded) else None
            is_ours = application is not None and application.tenant_id == actor.tenant_id
            if application is None or not (is_ours or application.details.sign_in_audience == MULTIPLE):
                await permit_new_application(tx, actor)
                raise bad(
                    f"The appId '{application_id[:64]}' of the service principal does not reference a valid "
                    "application object."
                )
            if is_ours:
                await permit_application(tx, actor, application)
            else:
                await permit_new_application(tx, actor)
            principal = Principal(
                object_id=self._parts.identifiers.guid(),
                tenant_id=actor.tenant_id,
                kind=PrincipalKind.APPLICATION,
                display_name=application.display_name,
                enabled=enabled,
                application_id=folded,
                created=self._parts.now,
            )
            await directory.insert_principal(tx, principal)
            if not actor.is_operator:
                creator = await directory.principal(tx, actor.tenant_id, actor.object_id)
                if creator is not None and creator.kind is PrincipalKind.USER:
                    await owners.insert(tx, principal.object_id, creator.object_id)
        return principal

    async def update(self, actor: Actor, object_id: str, change: ServicePrincipalChange) -> Principal:
        """Disabling ends every token that it has, and those that are issued later in the same second with them.

        Raises NotFound, Forbidden.
        """
        async with self._parts.database.write() as tx:
            principal = await principal_of(tx, actor.tenant_id, object_id, *SERVICE_PRINCIPALS)
            await permit_service_principal(tx, actor, principal)
            if change.enabled is not None:
                principal = replace(principal, enabled=change.enabled)
                if not change.enabled:
                    principal = replace(principal, sessions_valid_from=principal.ended_at(self._parts.now))
                await directory.update_principal(tx, principal)
        return principal

    async def delete(self, actor: Actor, object_id: str) -> None:
        """The registration stays. A managed identity ends with its resource alone. Raises NotFound, Forbidden."""
        async with self._parts.database.write() as tx:
            principal = await principal_of(tx, actor.tenant_id, object_id, *SERVICE_PRINCIPALS)
            await permit_service_principal(tx, actor, principal)
            if principal.kind is PrincipalKind.MANAGED_IDENTITY:
                raise denied()
            await directory.delete_principal(tx, principal)
