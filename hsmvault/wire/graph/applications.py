"""Registrations of applications, their credentials, and federated credentials."""

import base64
import binascii
from collections.abc import Mapping, Sequence

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hsmvault.errors import NotFound
from hsmvault.model.directory import Application, ApplicationDetails, RedirectKind, RedirectUri
from hsmvault.model.principals import CredentialKind
from hsmvault.resources.directory.application_credentials import CertificateOffer
from hsmvault.resources.directory.applications import ApplicationChange, NewApplication
from hsmvault.resources.directory.objects import Directory
from hsmvault.resources.directory.refusals import bad, invalid
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.codec import encode_body
from hsmvault.wire.graph import answers, filters
from hsmvault.wire.graph.bodies import Members, with_kept
from hsmvault.wire.graph.lists import Listing, Shown, each, select, selects
from hsmvault.wire.graph.requests import GraphHandler, GraphRequest

_KEPT = frozenset(
    {"api", "appRoles", "groupMembershipClaims", "info", "isDeviceOnlyAuthSupported", "notes", "optionalClaims"}
    | {"oauth2RequirePostResponse", "parentalControlSettings", "requiredResourceAccess", "samlMetadataUrl", "tags"}
    | {"serviceManagementReference", "servicePrincipalLockConfiguration", "tokenEncryptionKeyId", "verifiedPublisher"}
    | {"addIns", "defaultRedirectUri", "nativeAuthenticationApisEnabled"}
)
_PARTS = {"web": RedirectKind.WEB, "spa": RedirectKind.SPA, "publicClient": RedirectKind.PUBLIC}
_IN_PARTS = frozenset({"homePageUrl", "logoutUrl", "implicitGrantSettings", "redirectUriSettings"})
_BY_CLIENT = "appId="
_OF_THE_SERVER = frozenset({"customKeyIdentifier", "hint", "keyId", "secretText"})  # of a secret
_LONGEST_CERTIFICATE = 64 * 1024  # characters of base64


class ApplicationHandlers:
    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    @property
    def table(self) -> Mapping[str, GraphHandler]:
        return {
            "applications_list": self.list_all,
            "applications_count": self.count,
            "applications_create": self.create,
            "applications_get": self.get,
            "applications_update": self.update,
            "applications_delete": self.delete,
            "applications_add_password": self.add_password,
            "applications_remove_password": self.remove_password,
        }

    async def named(self, request: GraphRequest) -> Application:
        """By object id, or `applications(appId='…')`. Raises NotFound."""
        id = request.names["id"]
        if id.lower().startswith(_BY_CLIENT.lower()):
            return await self._directory.applications.by_client(request.actor, id[len(_BY_CLIENT) :])
        return await self._directory.applications.get(request.actor, id)

    async def get(self, request: GraphRequest) -> WireAnswer:
        return ok(select(await self._shown(request, await self.named(request)), request.query))

    async def list_all(self, request: GraphRequest) -> WireAnswer:
        return await self._listing(request).answer(request)

    async def count(self, request: GraphRequest) -> WireAnswer:
        return await self._listing(request).count(request)

    async def create(self, request: GraphRequest) -> WireAnswer:
        body = Members.of(request.body)
        if body.objects("passwordCredentials"):
            raise bad("New password credentials must be generated with service actions.")
        certificates = read_certificates(body)
        redirects, parts = _redirects(body, {})
        new = NewApplication(
            display_name=body.required("displayName"),
            public_client=bool(body.flag("isFallbackPublicClient")),
            redirect_uris=tuple(RedirectUri(kind, uri) for kind, uris in redirects.items() for uri in uris),
            details=ApplicationDetails(
                identifier_uris=body.texts("identifierUris") or (),
                description=body.text("description") or "",
                sign_in_audience=body.text("signInAudience") or "AzureADMyOrg",
                kept=with_kept("{}", body.kept(_KEPT) | parts),
            ),
            certificates=certificates or (),
        )
        application = await self._directory.applications.create(request.actor, new)
        shown = await self._shown(request, application)
        return WireAnswer(201, encode_body(shown), used=application.object_id)

    async def update(self, request: GraphRequest) -> WireAnswer:
        before = await self.named(request)
        body = Members.of(request.body)
        if body.objects("passwordCredentials"):
            raise bad("New password credentials must be generated with service actions.")
        certificates = read_certificates(body)
        redirects, parts = _redirects(body, answers.application(before))
        details: dict[str, str | tuple[str, ...]] = {}
        if (uris := body.texts("identifierUris")) is not None:
            details["identifier_uris"] = uris
        if (description := body.text("description")) is not None:
            details["description"] = description
        if audience := body.text("signInAudience"):
            details["sign_in_audience"] = audience
        display_name, public = body.text("displayName"), body.flag("isFallbackPublicClient")
        kept = body.kept(_KEPT) | parts
        if kept:
            details["kept"] = with_kept(before.details.kept, kept)
        change = ApplicationChange(display_name, public, redirects, details, certificates)
        await self._directory.applications.update(request.actor, before.object_id, change)
        return WireAnswer(204, used=before.object_id)

    async def delete(self, request: GraphRequest) -> WireAnswer:
        await self._directory.applications.delete(request.actor, (await self.named(request)).object_id)
        return WireAnswer(204)

    async def add_password(self, request: GraphRequest) -> WireAnswer:
        return await add_password(self._directory, request, await self.named(request))

    async def remove_password(self, request: GraphRequest) -> WireAnswer:
        return await remove_password(self._directory, request, await self.named(request))

    async def _shown(self, request: GraphRequest, application: Application) -> Shown:
        found = await self._directory.credentials.of(application.application_id)
        with_keys = selects(request.query, "keyCredentials")
        return {
            "@odata.context": request.context("applications/$entity"),
            **answers.application(application),
            **answers.credentials(found, with_keys=with_keys),
        }

    def _listing(self, request: GraphRequest) -> Listing[Application]:
        applications, actor = self._directory.applications, request.actor

        async def find(test: filters.Node | None) -> Sequence[Application] | None:
            client, id = filters.wanted(test, "appId"), filters.wanted(test, "id")
            try:
                if client is not None:
                    return [await applications.by_client(actor, client)]
                if id is not None:
                    return [await applications.get(actor, id)]
            except NotFound:
                return []
            return None

        return Listing(
            "applications",
            lambda after, most: applications.page(actor, after=after, most=most),
            lambda row: row.object_id,
            each(answers.application),
            find=find,
            complete=lambda rows: with_credentials(self._directory, request, rows),
        )


async def with_credentials(directory: Directory, request: GraphRequest, rows: list[Shown]) -> None:
    with_keys = selects(request.query, "keyCredentials")
    for row in rows:
        row.update(answers.credentials(await directory.credentials.of(str(row["appId"])), with_keys=with_keys))


async def add_password(directory: Directory, request: GraphRequest, application: Application) -> WireAnswer:
    """The text of the secret is in this answer and in no other."""
    body = Members.of(request.body)
    wanted = body.inner("passwordCredential") or Members({})
    display_name = wanted.text("displayName") or ""
    starts, expires = wanted.time("startDateTime"), wanted.time("endDateTime")
    wanted.kept(_OF_THE_SERVER)
    body.end()
    credential, secret = await directory.credentials.add_secret(
        request.actor, application.object_id, display_name=display_name, starts=starts, expires=expires
    )
    shown = {
        "@odata.context": request.context("microsoft.graph.passwordCredential"),
        **answers.password(credential, secret.reveal()),
    }
    return ok(shown, used=application.object_id)


async def remove_password(directory: Directory, request: GraphRequest, application: Application) -> WireAnswer:
    body = Members.of(request.body)
    id = body.required("keyId")
    body.end()
    await directory.credentials.remove(request.actor, application.object_id, id, CredentialKind.SECRET)
    return WireAnswer(204, used=application.object_id)


def read_certificates(body: Members) -> tuple[CertificateOffer, ...] | None:
    """keyCredentials; None when it is not there. One without its key is registered already and stays."""
    wanted = body.objects("keyCredentials")
    return None if wanted is None else tuple(_certificate(one) for one in wanted)


def _certificate(one: Members) -> CertificateOffer:
    key = one.text("key")
    kind, usage = one.text("type"), one.text("usage")
    if kind not in (None, "", "AsymmetricX509Cert") or usage not in (None, "", "Verify"):
        raise bad("A key credential must be of the type AsymmetricX509Cert, for the usage Verify.")
    return CertificateOffer(
        id=one.text("keyId") or "",
        certificate_der=_der(key) if key else b"",
        display_name=one.text("displayName") or "",
        starts=one.time("startDateTime"),
        expires=one.time("endDateTime"),
    )


def _der(text: str) -> bytes:
    """Base64, with line ends or without, of DER or, as some clients send it, of PEM."""
    if len(text) > _LONGEST_CERTIFICATE:
        raise invalid("key")
    try:
        content = base64.b64decode("".join(text.split()), validate=True)
        if content.lstrip().startswith(b"-----BEGIN"):
            content = x509.load_pem_x509_certificate(content).public_bytes(Encoding.DER)
    except (binascii.Error, ValueError):
        raise invalid("key") from None
    return content


def _redirects(
    body: Members, before: Mapping[str, object]
) -> tuple[dict[RedirectKind, tuple[str, ...]], dict[str, object]]:
    """Redirect URIs by kind, where they are given, and what else stands in these parts. before: as it is shown now."""
    redirects: dict[RedirectKind, tuple[str, ...]] = {}
    parts: dict[str, object] = {}
    for name, kind in _PARTS.items():
        part = body.inner(name)
        if part is None:
            continue
        uris = part.texts("redirectUris")
        if uris is not None:
            redirects[kind] = uris
        others = part.kept(_IN_PARTS)
        if others:
            old = before.get(name)
            kept = {key: value for key, value in old.items() if key != "redirectUris"} if isinstance(old, dict) else {}
            parts[name] = kept | others
    return redirects, parts
