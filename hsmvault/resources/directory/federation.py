"""Federated credentials of applications and of user-assigned identities: exact issuer, subject and audience."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec

from hsmvault.errors import Conflict
from hsmvault.model.directory import MOST_FEDERATED_CREDENTIALS, FederatedCredential
from hsmvault.resources.directory import names
from hsmvault.resources.directory.parts import DirectoryParts
from hsmvault.resources.directory.refusals import bad, invalid, not_found, same_key
from hsmvault.resources.directory.rules import Actor, permit_application, permit_service_principal
from hsmvault.store import applications, directory, federated_credentials
from hsmvault.store.database import Transaction

_NAME = re.compile(r"[A-Za-z0-9_-]{3,120}", re.ASCII)
_LONGEST = 600  # characters of an issuer, a subject, an audience and a description, as Graph's
DEFAULT_AUDIENCE = "api://AzureADTokenExchange"


@dataclass(frozen=True, slots=True)
class NewFederation:
    name: str
    issuer: str
    subject: str
    audiences: tuple[str, ...] = (DEFAULT_AUDIENCE,)
    description: str = ""


@dataclass(frozen=True, slots=True)
class FederationChange:
    """None: as it is."""

    issuer: str | None = None
    subject: str | None = None
    audiences: tuple[str, ...] | None = None
    description: str | None = None


class Federation:
    """application_id: the client id, of a registration of the actor's tenant or of a managed identity in it."""

    def __init__(self, parts: DirectoryParts) -> None:
        self._parts = parts

    async def of(self, actor: Actor, application_id: str) -> list[FederatedCredential]:
        """By name. Raises NotFound."""
        async with self._parts.database.read() as tx:
            await _check_home(tx, actor, application_id)
            return await federated_credentials.of_application(tx, application_id)

    async def get(self, actor: Actor, application_id: str, id_or_name: str) -> FederatedCredential:
        """name: in any case. Raises NotFound."""
        async with self._parts.database.read() as tx:
            await _check_home(tx, actor, application_id)
            return await _find(tx, application_id, id_or_name)

    async def create(self, actor: Actor, application_id: str, new: NewFederation) -> FederatedCredential:
        """Raises NotFound, Forbidden, BadRequest, Conflict."""
        credential = FederatedCredential(
            id=self._parts.identifiers.guid(),
            application_id=application_id,
            name=new.name,
            issuer=new.issuer,
            subject=new.subject,
            audiences=new.audiences,
            description=new.description,
        )
        _check(credential)
        async with self._parts.writing(_exists(new.name)) as tx:
            await _permit(tx, actor, application_id)
            before = await federated_credentials.of_application(tx, application_id)
            if len(before) >= MOST_FEDERATED_CREDENTIALS:
                raise bad(f"An application has at most {MOST_FEDERATED_CREDENTIALS} federated identity credentials.")
            await federated_credentials.insert(tx, credential)
        return credential

    async def update(self, actor: Actor, application_id: str, id_or_name: str, change: FederationChange) -> None:
        """Raises NotFound, Forbidden, BadRequest, Conflict."""
        async with self._parts.writing(_exists(id_or_name)) as tx:
            await _permit(tx, actor, application_id)
            before = await _find(tx, application_id, id_or_name)
            after = msgspec.structs.replace(
                before,
                issuer=before.issuer if change.issuer is None else change.issuer,
                subject=before.subject if change.subject is None else change.subject,
                audiences=before.audiences if change.audiences is None else change.audiences,
                description=before.description if change.description is None else change.description,
            )
            _check(after)
            await federated_credentials.update(tx, after)

    async def delete(self, actor: Actor, application_id: str, id_or_name: str) -> None:
        """Its tokens end on their next use. Raises NotFound, Forbidden."""
        async with self._parts.database.write() as tx:
            await _permit(tx, actor, application_id)
            found = await _find(tx, application_id, id_or_name)
            await federated_credentials.delete(tx, application_id, found.id)


def _check(credential: FederatedCredential) -> None:
    if not _NAME.fullmatch(credential.name):
        raise invalid("name")
    try:
        parts = urlsplit(credential.issuer)
    except ValueError:
        raise invalid("issuer") from None
    if parts.scheme != "https" or not parts.netloc or len(credential.issuer) > _LONGEST:
        raise invalid("issuer")
    if not credential.subject or len(credential.subject) > _LONGEST or not credential.subject.isprintable():
        raise invalid("subject")
    if len(credential.audiences) != 1 or not 0 < len(credential.audiences[0]) <= _LONGEST:
        raise invalid("audiences")
    names.checked_text(credential.description, "description", _LONGEST)


async def _check_home(tx: Transaction, actor: Actor, application_id: str) -> None:
    if await applications.find(tx, actor.tenant_id, application_id) is not None:
        return
    principal = await directory.by_application(tx, actor.tenant_id, application_id)
    if principal is None or not principal.resource_id:
        raise not_found(application_id)


async def _permit(tx: Transaction, actor: Actor, application_id: str) -> None:
    application = await applications.find(tx, actor.tenant_id, application_id)
    if application is not None:
        await permit_application(tx, actor, application)
        return
    principal = await directory.by_application(tx, actor.tenant_id, application_id)
    if principal is None or not principal.resource_id:
        raise not_found(application_id)
    await permit_service_principal(tx, actor, principal)


async def _find(tx: Transaction, application_id: str, id_or_name: str) -> FederatedCredential:
    folded = id_or_name.lower()
    for one in await federated_credentials.of_application(tx, application_id):
        if folded in (one.id, one.name.lower()):
            return one
    raise not_found(id_or_name)


def _exists(name: str) -> Conflict:
    return same_key(
        f"FederatedIdentityCredential with name {name[:120]}, or with the same issuer and subject, already exists."
    )
