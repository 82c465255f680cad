"""Managed identities: system-assigned ones, which belong to a resource, and user-assigned ones, which are a resource.

Both are named by an ARM id. What proves them is the local endpoint that hands out their tokens (IMDS, or the App
Service endpoint with its IDENTITY_HEADER), or a federated credential.
"""

import re

from hsmvault.model.principals import Credential, CredentialKind, Principal, PrincipalKind
from hsmvault.resources.directory import names
from hsmvault.resources.directory.lookups import principal_of
from hsmvault.resources.directory.parts import DirectoryParts
from hsmvault.resources.directory.proofs import NewSecret
from hsmvault.resources.directory.refusals import bad, same_key
from hsmvault.resources.directory.rules import Actor, permit_new_application, permit_service_principal
from hsmvault.store import directory
from hsmvault.store.database import Transaction

_RESOURCE = re.compile(
    r"/subscriptions/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/resourcegroups/[0-9a-z_.()-]{1,90}"
    r"/providers/[0-9a-z.]{1,128}(/[0-9a-z]{1,128}/[0-9a-z_.-]{1,260}){1,5}",
    re.ASCII | re.IGNORECASE,
)
_USER_ASSIGNED = "/providers/microsoft.managedidentity/userassignedidentities/"
_KIND = PrincipalKind.MANAGED_IDENTITY


def is_user_assigned(identity: Principal) -> bool:
    return _USER_ASSIGNED in identity.resource_id.lower()


class Identities:
    def __init__(self, parts: DirectoryParts) -> None:
        self._parts = parts

    async def get(self, actor: Actor, object_id: str) -> Principal:
        """Raises NotFound."""
        async with self._parts.database.read() as tx:
            return await principal_of(tx, actor.tenant_id, object_id, _KIND)

    async def page(self, actor: Actor, *, after: str, most: int) -> list[Principal]:
        """By object id, behind `after`."""
        async with self._parts.database.read() as tx:
            return await directory.list_page(tx, actor.tenant_id, [_KIND], after=after, most=most)

    async def create(self, actor: Actor, resource_id: str) -> tuple[Principal, NewSecret]:
        """The identity of an ARM resource, or the user-assigned one with this ARM id, and the value of IDENTITY_HEADER
        for its App Service endpoint. Its name is the last part of the ARM id.

        Raises Forbidden, BadRequest, Conflict.
        """
        if not _RESOURCE.fullmatch(resource_id) or len(resource_id) > 1024:
            raise bad("The ARM id of the resource is not valid.")
        identity = Principal(
            object_id=self._parts.identifiers.guid(),
            tenant_id=actor.tenant_id,
            kind=_KIND,
            display_name=names.checked_display_name(resource_id.rpartition("/")[2]),
            application_id=self._parts.identifiers.guid(),
            resource_id=resource_id,
            created=self._parts.now,
        )
        async with self._parts.writing(same_key("The resource has a managed identity already.")) as tx:
            await permit_new_application(tx, actor)
            await directory.insert_principal(tx, identity)
            return identity, await self._add_header(tx, identity)

    async def reset_header(self, actor: Actor, object_id: str) -> NewSecret:
        """Another value of IDENTITY_HEADER; the one before, and its tokens, end. Raises NotFound, Forbidden."""
        async with self._parts.database.write() as tx:
            identity = await principal_of(tx, actor.tenant_id, object_id, _KIND)
            await permit_service_principal(tx, actor, identity)
            for credential in await directory.credentials_of(tx, identity.application_id):
                await directory.delete_credential(tx, identity.application_id, credential.id)
            return await self._add_header(tx, identity)

    async def delete(self, actor: Actor, object_id: str) -> None:
        """For good, with its federated credentials. Raises NotFound, Forbidden."""
        async with self._parts.database.write() as tx:
            identity = await principal_of(tx, actor.tenant_id, object_id, _KIND)
            await permit_service_principal(tx, actor, identity)
            await directory.delete_principal(tx, identity)

    async def _add_header(self, tx: Transaction, identity: Principal) -> NewSecret:
        made = self._parts.proofs.new_secret()
        await directory.insert_credential(
            tx,
            Credential(
                id=self._parts.identifiers.guid(),
                application_id=identity.application_id,
                kind=CredentialKind.IDENTITY_HEADER,
                verifier=made.verifier,
                hint=made.hint,
            ),
        )
        return made.secret
