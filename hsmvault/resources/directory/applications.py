"""Registrations of applications. Their service principals are in service_principals.py."""

import re
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

import msgspec

from hsmvault.model.directory import Application, ApplicationDetails, RedirectKind, RedirectUri
from hsmvault.model.principals import PrincipalKind
from hsmvault.resources.directory import names
from hsmvault.resources.directory.application_credentials import (
    CertificateOffer,
    forget_credentials,
    register_certificates,
)
from hsmvault.resources.directory.lookups import application_by_client, application_of
from hsmvault.resources.directory.parts import DirectoryParts
from hsmvault.resources.directory.refusals import bad, invalid, taken
from hsmvault.resources.directory.rules import Actor, permit_application, permit_new_application
from hsmvault.store import applications, directory, owners
from hsmvault.store.database import Transaction

_PAGE = 200
_MOST_URIS = 256
_LONGEST_URI = 2048
_LONGEST_KEPT = 64 * 1024
_AUDIENCES = ("AzureADMyOrg", "AzureADMultipleOrgs")
_URI = re.compile(r"[a-z][a-z0-9+.-]*:[!-~]+", re.ASCII)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class NewApplication:
    display_name: str
    public_client: bool = False
    redirect_uris: tuple[RedirectUri, ...] = ()
    details: ApplicationDetails = field(default_factory=ApplicationDetails)
    certificates: tuple[CertificateOffer, ...] = ()


@dataclass(frozen=True, slots=True)
class ApplicationChange:
    """None: as it is. redirect_uris: all of the kinds that are named; other kinds stay. certificates: all there shall
    be. details: members of ApplicationDetails that change.
    """

    display_name: str | None = None
    public_client: bool | None = None
    redirect_uris: dict[RedirectKind, tuple[str, ...]] = field(default_factory=dict)
    details: dict[str, str | tuple[str, ...]] = field(default_factory=dict)
    certificates: tuple[CertificateOffer, ...] | None = None


class Applications:
    def __init__(self, parts: DirectoryParts) -> None:
        self._parts = parts

    async def get(self, actor: Actor, object_id: str) -> Application:
        """By the object id of the registration. Raises NotFound."""
        async with self._parts.database.read() as tx:
            return await application_of(tx, actor.tenant_id, object_id)

    async def by_client(self, actor: Actor, application_id: str) -> Application:
        """By the client id. Raises NotFound."""
        async with self._parts.database.read() as tx:
            return await application_by_client(tx, actor.tenant_id, application_id)

    async def page(self, actor: Actor, *, after: str, most: int) -> list[Application]:
        """By object id, behind `after`."""
        async with self._parts.database.read() as tx:
            return await applications.list_page(tx, actor.tenant_id, after=after, most=most)

    async def create(self, actor: Actor, new: NewApplication) -> Application:
        """A user who creates an application owns it. Raises Forbidden, BadRequest."""
        application = _checked(
            Application(
                application_id=self._parts.identifiers.guid(),
                object_id=self._parts.identifiers.guid(),
                tenant_id=actor.tenant_id,
                display_name=new.display_name,
                public_client=new.public_client,
                redirect_uris=new.redirect_uris,
                details=new.details,
                created=self._parts.now,
            )
        )
        async with self._parts.database.write() as tx:
            await permit_new_application(tx, actor)
            await _check_unique(tx, application)
            await applications.insert(tx, application)
            await register_certificates(tx, self._parts, application.application_id, new.certificates)
            if not actor.is_operator:
                creator = await directory.principal(tx, actor.tenant_id, actor.object_id)
                if creator is not None and creator.kind is PrincipalKind.USER:
                    await owners.insert(tx, application.object_id, creator.object_id)
        return application

    async def update(self, actor: Actor, object_id: str, change: ApplicationChange) -> Application:
        """Raises NotFound, Forbidden, BadRequest."""
        async with self._parts.database.write() as tx:
            before = await application_of(tx, actor.tenant_id, object_id)
            await permit_application(tx, actor, before)
            after = _checked(_changed(before, change))
            if after.details.identifier_uris != before.details.identifier_uris:
                await _check_unique(tx, after)
            await applications.update(tx, after)
            if change.certificates is not None:
                await register_certificates(tx, self._parts, after.application_id, change.certificates)
            principal = await directory.by_application(tx, after.tenant_id, after.application_id)
            if principal is not None and principal.display_name != after.display_name:
                await directory.update_principal(tx, replace(principal, display_name=after.display_name))
        return after

    async def delete(self, actor: Actor, object_id: str) -> None:
        """With its credentials and the service principal of its own tenant, for good. Service principals in other
        tenants stay, and nothing can prove them any more. Raises NotFound, Forbidden.
        """
        async with self._parts.database.write() as tx:
            application = await application_of(tx, actor.tenant_id, object_id)
            await permit_application(tx, actor, application)
            await forget_credentials(tx, application.application_id)
            principal = await directory.by_application(tx, application.tenant_id, application.application_id)
            if principal is not None:
                await directory.delete_principal(tx, principal)
            await owners.delete_all(tx, application.object_id)
            await applications.delete(tx, application.tenant_id, application.application_id)


def _changed(application: Application, change: ApplicationChange) -> Application:
    redirects = tuple(one for one in application.redirect_uris if one.kind not in change.redirect_uris)
    redirects += tuple(RedirectUri(kind, uri) for kind, uris in change.redirect_uris.items() for uri in uris)
    details = application.details
    if change.details:
        details = msgspec.structs.replace(details, **change.details)
    return msgspec.structs.replace(
        application,
        display_name=application.display_name if change.display_name is None else change.display_name,
        public_client=application.public_client if change.public_client is None else change.public_client,
        redirect_uris=redirects,
        details=details,
    )


def _checked(application: Application) -> Application:
    names.checked_display_name(application.display_name)
    details = application.details
    names.checked_text(details.description, "description")
    if details.sign_in_audience not in _AUDIENCES:
        raise invalid("signInAudience")
    if len(details.kept) > _LONGEST_KEPT:
        raise bad("The application has too many or too long properties.")
    if len(application.redirect_uris) > _MOST_URIS or len(details.identifier_uris) > _MOST_URIS:
        raise bad(f"An application has at most {_MOST_URIS} redirect URIs and as many identifier URIs.")
    for uri in details.identifier_uris:
        if len(uri) > _LONGEST_URI or not _URI.fullmatch(uri) or uri.endswith("/"):
            raise invalid("identifierUris")
    for redirect in application.redirect_uris:
        _check_redirect(redirect)
    return application


def _check_redirect(redirect: RedirectUri) -> None:
    """https, or http on the machine itself; a public client may also have a scheme of its own (RFC 8252, 7.1)."""
    uri = redirect.uri
    member = f"{redirect.kind.value}.redirectUris"
    if len(uri) > _LONGEST_URI or not _URI.fullmatch(uri) or "#" in uri or "*" in uri:
        raise invalid(member)
    try:
        parts = urlsplit(uri)
        host = parts.hostname or ""
    except ValueError:
        raise invalid(member) from None
    if parts.scheme == "https" and host:
        return
    if parts.scheme == "http" and host in _LOOPBACK:
        return
    if redirect.kind is RedirectKind.PUBLIC and parts.scheme not in ("http", "https", "javascript", "data", "file"):
        return
    raise invalid(member)


async def _check_unique(tx: Transaction, application: Application) -> None:
    """No other application of the tenant has one of its identifier URIs."""
    wanted = frozenset(application.details.identifier_uris)
    after = ""
    while wanted:
        page = await applications.list_page(tx, application.tenant_id, after=after, most=_PAGE)
        for one in page:
            if one.object_id != application.object_id and wanted & frozenset(one.details.identifier_uris):
                raise taken("identifierUris")
        if len(page) < _PAGE:
            return
        after = page[-1].object_id
