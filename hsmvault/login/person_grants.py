"""The grants of people at the token endpoint: authorization code, device code, refresh token, password, on behalf of.

Each in this order: what the client sent, the client itself, whose it is and whether that is still good, signatures,
and only then the redemption: while the HSM is out of reach nothing is used up.
"""

import hashlib
import hmac
import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import msgspec

from hsmvault.clock import Clock
from hsmvault.login.attempts import AttemptNotes, guid_or_empty
from hsmvault.login.audiences import application_named, audience, delegated_resource_in, openid_scopes
from hsmvault.login.clients import Presented, read_presented
from hsmvault.login.grants import Grants, Held
from hsmvault.login.own_tokens import OwnTokens
from hsmvault.login.people import People, Person
from hsmvault.login.person_tokens import PersonTokenMaker, PersonTokens
from hsmvault.login.realms import Realm
from hsmvault.login.refusals import (
    AUTHORIZATION_DECLINED,
    AUTHORIZATION_PENDING,
    NO_TENANT,
    OTHER_REDIRECT,
    OTHER_TENANT,
    PASSWORD_EXPIRED,
    PERSON_DISABLED,
    SESSION_REVOKED,
    SLOW_DOWN,
    UNKNOWN_RESOURCE,
    UNSUPPORTED_GRANT,
    WRONG_VERIFIER,
    LoginRefused,
    malformed,
)
from hsmvault.login.registrations import ActingClient, Registrations
from hsmvault.login.requests import Form
from hsmvault.login.settings import LoginSettings
from hsmvault.model import base64url
from hsmvault.model.login_grants import Grant, GrantDetails, GrantKind, GrantStatus
from hsmvault.store import applications
from hsmvault.store.database import Database

DEVICE_INTERVAL_SECONDS: Final = 5
_POLL_TOLERANCE_SECONDS: Final = 1.0
_MOST_POLLS: Final = 10_000
_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)  # RFC 7636, 4.1


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """dialect: 'v1', 'v2' or 'adfs'. authorization: the header of that name, or empty."""

    realm: Realm
    dialect: str
    form: Form
    authorization: str
    notes: AttemptNotes

    @property
    def tenant_id(self) -> str:
        """Empty where the realm is of all tenants."""
        return self.realm.tenant.id if self.realm.tenant else ""


class PersonGrants:
    """Each method is one grant: the JSON members of its success. They raise LoginRefused, Unavailable, Throttled."""

    def __init__(
        self,
        settings: LoginSettings,
        *,
        database: Database,
        clock: Clock,
        grants: Grants,
        registrations: Registrations,
        people: People,
        own_tokens: OwnTokens,
        maker: PersonTokenMaker,
    ) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        self._grants = grants
        self._registrations = registrations
        self._people = people
        self._own_tokens = own_tokens
        self._maker = maker
        self._polls: OrderedDict[str, float] = OrderedDict()

    async def authorization_code(self, request: TokenRequest) -> dict[str, str | int]:
        text = request.form.require("code")
        client, grant = await self._accept(request, GrantKind.CODE, text)
        if request.form.get("redirect_uri") != grant.details.redirect_uri:
            raise LoginRefused(OTHER_REDIRECT)
        _check_verifier(request.form.get("code_verifier"), grant.details.challenge)
        return await self._redeem(request, client, grant)

    async def device_code(self, request: TokenRequest) -> dict[str, str | int]:
        text = request.form.get("device_code") or request.form.require("code")
        client, grant = await self._accept(request, GrantKind.DEVICE_CODE, text)
        if grant.status is GrantStatus.PENDING:
            raise LoginRefused(SLOW_DOWN if self._is_too_soon(grant.id) else AUTHORIZATION_PENDING)
        if grant.status is GrantStatus.DECLINED:
            raise LoginRefused(AUTHORIZATION_DECLINED)
        return await self._redeem(request, client, grant)

    async def refresh_token(self, request: TokenRequest) -> dict[str, str | int]:
        """For the resource of before or for another one."""
        text = request.form.require("refresh_token")
        client, grant = await self._accept(request, GrantKind.REFRESH_TOKEN, text)
        return await self._redeem(request, client, grant)

    async def password(self, request: TokenRequest) -> dict[str, str | int]:
        """Off unless the operator allows it: the client sees the password."""
        if not self._settings.password_grant:
            raise LoginRefused(UNSUPPORTED_GRANT, grant="password")
        form, notes = request.form, request.notes
        user_name, password = form.require("username"), form.require("password")
        resource = delegated_resource_in(form, dialect=request.dialect)
        presented = self._presented(request)
        client = await self._registrations.prove(request.realm, "", presented, address=notes.address)
        person = await self._people.prove(request.realm, user_name, password, address=notes.address)
        notes.tenant_id, notes.object_id = person.principal.tenant_id, person.principal.object_id
        if person.principal.details.must_change_password:
            raise LoginRefused(PASSWORD_EXPIRED)
        details = GrantDetails(
            audience=await self._audience(resource, person.principal.tenant_id),
            scopes=openid_scopes(form),
            address=notes.address,
            signed_in=int(self._clock.now()),
            needs_proof=not client.application.public_client,
        )
        return await self._give(request, client, person, details)

    async def on_behalf_of(self, request: TokenRequest) -> dict[str, str | int]:
        """An application that a person has called calls on as that person: the rights stay the person's."""
        form, notes = request.form, request.notes
        if form.get("requested_token_use") != "on_behalf_of":
            raise malformed("The requested_token_use must be on_behalf_of.")
        assertion = form.require("assertion")
        if request.realm.tenant is None:
            raise LoginRefused(NO_TENANT)
        tenant_id = request.realm.tenant.id
        presented = self._presented(request)
        client = await self._registrations.prove(
            request.realm, tenant_id, presented, address=notes.address, needs_proof=True
        )
        token = await self._own_tokens.read(
            assertion, tenant_id=tenant_id, is_audience=lambda name: application_named(name) == client.id
        )
        await self._registrations.find(tenant_id, token.application_id)  # it may have been closed since
        person = await self._people.find(tenant_id, token.object_id, since=token.issued)
        if person is None:
            raise LoginRefused(SESSION_REVOKED)
        if not person.principal.enabled:
            raise LoginRefused(PERSON_DISABLED)
        notes.object_id = person.principal.object_id
        resource = delegated_resource_in(form, dialect=request.dialect)
        details = GrantDetails(
            audience=await self._audience(resource, tenant_id),
            scopes=openid_scopes(form),
            address=token.address,
            needs_proof=True,
        )
        return await self._give(request, client, person, details)

    def _presented(self, request: TokenRequest) -> Presented:
        presented = read_presented(request.form, request.authorization)
        request.notes.client_id = guid_or_empty(presented.client_id)
        return presented

    async def _accept(self, request: TokenRequest, kind: GrantKind, text: str) -> tuple[ActingClient, Grant]:
        """The client and what it may redeem now."""
        presented = self._presented(request)
        found = await self._grants.look(kind, text)
        needs_proof = None if found is None else found.details.needs_proof
        client = await self._registrations.prove(
            request.realm,
            "" if found is None else found.tenant_id,
            presented,
            address=request.notes.address,
            needs_proof=needs_proof,
        )
        grant = await self._grants.accept(kind, text, found, client.id)
        if request.tenant_id and grant.tenant_id not in ("", request.tenant_id):
            raise LoginRefused(OTHER_TENANT)
        return client, grant

    async def _redeem(self, request: TokenRequest, client: ActingClient, grant: Grant) -> dict[str, str | int]:
        notes = request.notes
        notes.tenant_id, notes.object_id = grant.tenant_id, grant.object_id
        person = await self._people.of_grant(grant)
        asked = delegated_resource_in(request.form, dialect=request.dialect)
        details = msgspec.structs.replace(
            grant.details,
            audience=await self._audience(asked, grant.tenant_id) if asked else grant.details.audience,
            scopes=tuple(sorted({*grant.details.scopes, *openid_scopes(request.form)})),
        )
        made = await self._made(request, person, client, details)
        later = msgspec.structs.replace(details, audience=grant.details.audience)  # as it was asked for at first
        refresh = _refresh_details(later) if _wants_refresh(request, details) else None
        given = await self._grants.redeem(grant, refresh=refresh, refresh_seconds=self._settings.refresh_token_seconds)
        return self._members(request, made, given)

    async def _give(
        self, request: TokenRequest, client: ActingClient, person: Person, details: GrantDetails
    ) -> dict[str, str | int]:
        """Without anything to redeem; a refresh token begins a family."""
        made = await self._made(request, person, client, details)
        given: Held | None = None
        if _wants_refresh(request, details):
            async with self._database.write() as tx:
                given = await self._grants.give(
                    tx,
                    GrantKind.REFRESH_TOKEN,
                    life_seconds=self._settings.refresh_token_seconds,
                    tenant_id=person.principal.tenant_id,
                    object_id=person.principal.object_id,
                    application_id=client.id,
                    details=_refresh_details(details),
                )
        return self._members(request, made, given)

    async def _made(
        self, request: TokenRequest, person: Person, client: ActingClient, details: GrantDetails
    ) -> PersonTokens:
        request.notes.resource = details.audience
        made = await self._maker.make(person, client, details, dialect=request.dialect)
        request.notes.token_id = made.access.id
        return made

    def _members(self, request: TokenRequest, made: PersonTokens, given: Held | None) -> dict[str, str | int]:
        wants_client_info = request.form.get("client_info") == "1"
        return made.members(dialect=request.dialect, refresh_token=given, wants_client_info=wants_client_info)

    async def _audience(self, resource: str, tenant_id: str) -> str:
        return await audience_for_people(self._settings, self._database, resource, tenant_id)

    def _is_too_soon(self, id: str) -> bool:
        """Whether this worker was asked about the same device code less than the interval ago."""
        now = self._clock.monotonic()
        last = self._polls.pop(id, None)
        self._polls[id] = now
        if len(self._polls) > _MOST_POLLS:
            self._polls.popitem(last=False)
        return last is not None and now - last < DEVICE_INTERVAL_SECONDS - _POLL_TOLERANCE_SECONDS


async def audience_for_people(settings: LoginSettings, database: Database, resource: str, tenant_id: str) -> str:
    """One of this instance's resources, or an application of the tenant, which can then act on behalf of the person.

    resource: empty for the directory, as Entra has it. tenant_id: empty while it is not known; then applications of no
    tenant are. Raises LoginRefused.
    """
    if not resource:
        return settings.resources["graph"]
    if application_id := application_named(resource):
        async with database.read() as tx:
            if tenant_id and await applications.find(tx, tenant_id, application_id) is not None:
                return resource
        raise LoginRefused(UNKNOWN_RESOURCE, tenant=tenant_id)
    return audience(settings, resource, tenant_id=tenant_id)


def _wants_refresh(request: TokenRequest, details: GrantDetails) -> bool:
    return request.dialect == "v1" or "offline_access" in details.scopes


def _refresh_details(details: GrantDetails) -> GrantDetails:
    """What a later token is made from: without what belonged to the code."""
    return msgspec.structs.replace(details, redirect_uri="", challenge="", nonce="")


def _check_verifier(verifier: str, challenge: str) -> None:
    """PKCE, S256 (RFC 7636, 4.6). A verifier without a challenge is refused too: somebody took the challenge away."""
    if not challenge and not verifier:
        return
    digest = base64url.encode(hashlib.sha256(verifier.encode("utf-8", "replace")).digest())
    if not _VERIFIER.fullmatch(verifier) or not hmac.compare_digest(digest, challenge):
        raise LoginRefused(WRONG_VERIFIER)
