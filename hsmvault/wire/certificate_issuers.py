"""Issuers and contacts of a vault, on the wire."""

from collections.abc import Mapping

import msgspec

from hsmvault.model.certificate_policy_rules import is_email
from hsmvault.model.certificates import AdministratorDetails, CertificateIssuer, Contact, Organization
from hsmvault.resources.certificate_issuer_objects import Contacts, IssuerObjects, IssuerSettings
from hsmvault.resources.refusals import invalid_property
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.codec import decode_body
from hsmvault.wire.paging import Pages
from hsmvault.wire.requests import Handler, Request

_LONGEST = 1024  # characters of any member
_MOST_ADMINISTRATORS = 32
_MOST_CONTACTS = 100


class Credentials(msgspec.Struct, frozen=True):
    """The repr shows no password."""

    account_id: str | None = None
    pwd: str | None = None

    def __repr__(self) -> str:
        return f"Credentials({self.account_id!r})"


class Administrator(msgspec.Struct, frozen=True, omit_defaults=True):
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    phone: str | None = None


class OrganizationDetails(msgspec.Struct, frozen=True):
    id: str | None = None
    admin_details: list[Administrator] | None = None


class IssuerAttributes(msgspec.Struct, frozen=True):
    enabled: bool | None = None


class SetIssuer(msgspec.Struct, frozen=True):
    provider: str
    credentials: Credentials | None = None
    org_details: OrganizationDetails | None = None
    attributes: IssuerAttributes | None = None


class UpdateIssuer(msgspec.Struct, frozen=True):
    provider: str | None = None
    credentials: Credentials | None = None
    org_details: OrganizationDetails | None = None
    attributes: IssuerAttributes | None = None


class ContactOf(msgspec.Struct, frozen=True, omit_defaults=True):
    email: str | None = None
    name: str | None = None
    phone: str | None = None


class SetContacts(msgspec.Struct, frozen=True):
    contacts: list[ContactOf]


class CertificateIssuers:
    def __init__(self, issuers: IssuerObjects, contacts: Contacts, pages: Pages) -> None:
        self._issuers = issuers
        self._contacts = contacts
        self._pages = pages
        self.table: Mapping[str, Handler] = {
            "set_certificate_issuer": self._set,
            "update_certificate_issuer": self._update,
            "get_certificate_issuer": self._get,
            "get_certificate_issuers": self._list,
            "delete_certificate_issuer": self._delete,
            "set_certificate_contacts": self._set_contacts,
            "get_certificate_contacts": self._get_contacts,
            "delete_certificate_contacts": self._delete_contacts,
        }

    async def _set(self, request: Request) -> WireAnswer:
        settings = _settings_of(decode_body(request.body, SetIssuer))
        return _answer(request, await self._issuers.set(request.container, request.name, settings))

    async def _update(self, request: Request) -> WireAnswer:
        settings = _settings_of(decode_body(request.body, UpdateIssuer))
        return _answer(request, await self._issuers.update(request.container, request.name, settings))

    async def _get(self, request: Request) -> WireAnswer:
        return _answer(request, await self._issuers.get(request.container, request.name))

    async def _list(self, request: Request) -> WireAnswer:
        return await self._pages.answer(
            request,
            "/certificates/issuers",
            lambda after, limit: self._issuers.page(request.container, after, limit),
            lambda row: {"id": _id_of(request, row.name), "provider": row.provider},
            lambda row: row.folded,
        )

    async def _delete(self, request: Request) -> WireAnswer:
        return _answer(request, await self._issuers.delete(request.container, request.name))

    async def _set_contacts(self, request: Request) -> WireAnswer:
        contacts = _contacts_of(decode_body(request.body, SetContacts))
        return _answer_contacts(request, await self._contacts.set(request.container, contacts))

    async def _get_contacts(self, request: Request) -> WireAnswer:
        return _answer_contacts(request, await self._contacts.get(request.container))

    async def _delete_contacts(self, request: Request) -> WireAnswer:
        return _answer_contacts(request, await self._contacts.delete(request.container))


def _settings_of(body: SetIssuer | UpdateIssuer) -> IssuerSettings:
    credentials = body.credentials or Credentials()
    return IssuerSettings(
        provider=_text(body.provider, "provider"),
        account_id=_text(credentials.account_id, "account_id"),
        password=_text(credentials.pwd, "pwd"),
        organization=None if body.org_details is None else _organization(body.org_details),
        enabled=None if body.attributes is None else body.attributes.enabled,
    )


def _organization(details: OrganizationDetails) -> Organization:
    given = details.admin_details or []
    if len(given) > _MOST_ADMINISTRATORS:
        raise invalid_property("admin_details")
    return Organization(
        _text(details.id, "id"),
        tuple(
            AdministratorDetails(
                _text(one.first_name, "first_name"),
                _text(one.last_name, "last_name"),
                _text(one.email, "email"),
                _text(one.phone, "phone"),
            )
            for one in given
        ),
    )


def _contacts_of(body: SetContacts) -> tuple[Contact, ...]:
    """Raises BadRequest: none at all, or one whom no mail reaches."""
    if not 1 <= len(body.contacts) <= _MOST_CONTACTS:
        raise invalid_property("contacts")
    if not all(one.email is not None and is_email(one.email) for one in body.contacts):
        raise invalid_property("email")
    return tuple(Contact(one.email, _text(one.name, "name"), _text(one.phone, "phone")) for one in body.contacts)


def _text(text: str | None, member: str) -> str | None:
    """Raises BadRequest."""
    if text is not None and len(text) > _LONGEST:
        raise invalid_property(member)
    return text


def _id_of(request: Request, name: str) -> str:
    return f"{request.origin}/certificates/issuers/{name}"


def _answer(request: Request, issuer: CertificateIssuer) -> WireAnswer:
    """IssuerBundle of the reference, never with a password."""
    identifier = _id_of(request, issuer.name)
    members: dict[str, object] = {"id": identifier, "provider": issuer.provider}
    if issuer.account_id is not None:
        members["credentials"] = {"account_id": issuer.account_id}
    if issuer.organization is not None:
        members["org_details"] = _organization_members(issuer.organization)
    members["attributes"] = {"enabled": issuer.enabled, "created": issuer.created, "updated": issuer.updated}
    return ok(members, identifier)


def _organization_members(organization: Organization) -> dict[str, object]:
    members: dict[str, object] = {} if organization.id is None else {"id": organization.id}
    members["zip"] = 0  # the service answers it, and nobody sends it
    members["admin_details"] = [
        Administrator(one.first_name, one.last_name, one.email, one.phone) for one in organization.administrators
    ]
    return members


def _answer_contacts(request: Request, contacts: tuple[Contact, ...]) -> WireAnswer:
    identifier = f"{request.origin}/certificates/contacts"
    shown = [ContactOf(one.email, one.name, one.phone) for one in contacts]
    return ok({"id": identifier, "contacts": shown}, identifier)
