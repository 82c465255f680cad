"""Service principals. Their credentials are those of the registration: one list, seen from both sides."""

from collections.abc import Mapping, Sequence

from hsmvault.errors import NotFound
from hsmvault.model.directory import Application
from hsmvault.model.principals import Principal, PrincipalKind
from hsmvault.resources.directory.applications import ApplicationChange
from hsmvault.resources.directory.objects import Directory
from hsmvault.resources.directory.refusals import denied
from hsmvault.resources.directory.service_principals import ServicePrincipalChange
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.codec import encode_body
from hsmvault.wire.graph import answers, filters
from hsmvault.wire.graph.applications import add_password, read_certificates, remove_password, with_credentials
from hsmvault.wire.graph.bodies import Members
from hsmvault.wire.graph.lists import Listing, Shown, select
from hsmvault.wire.graph.requests import GraphHandler, GraphRequest

_TOLERATED = frozenset(
    {"appRoleAssignmentRequired", "displayName", "tags", "notes", "description", "servicePrincipalType", "replyUrls"}
    | {"alternativeNames", "servicePrincipalNames", "loginUrl", "homepage", "notificationEmailAddresses"}
)
_BY_CLIENT = "appId="


class ServicePrincipalHandlers:
    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    @property
    def table(self) -> Mapping[str, GraphHandler]:
        return {
            "service_principals_list": self.list_all,
            "service_principals_count": self.count,
            "service_principals_create": self.create,
            "service_principals_get": self.get,
            "service_principals_update": self.update,
            "service_principals_delete": self.delete,
            "service_principals_add_password": self.add_password,
            "service_principals_remove_password": self.remove_password,
        }

    async def get(self, request: GraphRequest) -> WireAnswer:
        return ok(select(await self._entity(request, await self._named(request)), request.query))

    async def list_all(self, request: GraphRequest) -> WireAnswer:
        return await self._listing(request).answer(request)

    async def count(self, request: GraphRequest) -> WireAnswer:
        return await self._listing(request).count(request)

    async def create(self, request: GraphRequest) -> WireAnswer:
        body = Members.of(request.body)
        enabled = body.flag("accountEnabled")
        application_id = body.required("appId")
        body.kept(_TOLERATED)
        made = await self._directory.service_principals.create(
            request.actor, application_id, enabled=True if enabled is None else enabled
        )
        return WireAnswer(201, encode_body(await self._entity(request, made)), used=made.object_id)

    async def update(self, request: GraphRequest) -> WireAnswer:
        """accountEnabled, and keyCredentials of the registration. Other members are accepted and mean nothing here."""
        principal = await self._named(request)
        body = Members.of(request.body)
        enabled, certificates = body.flag("accountEnabled"), read_certificates(body)
        body.kept(_TOLERATED)
        await self._directory.service_principals.update(
            request.actor, principal.object_id, ServicePrincipalChange(enabled=enabled)
        )
        if certificates is not None:
            registration = await self._registration(request, principal)
            change = ApplicationChange(certificates=certificates)
            await self._directory.applications.update(request.actor, registration.object_id, change)
        return WireAnswer(204, used=principal.object_id)

    async def delete(self, request: GraphRequest) -> WireAnswer:
        principal = await self._named(request)
        await self._directory.service_principals.delete(request.actor, principal.object_id)
        return WireAnswer(204, used=principal.object_id)

    async def add_password(self, request: GraphRequest) -> WireAnswer:
        registration = await self._registration(request, await self._named(request))
        return await add_password(self._directory, request, registration)

    async def remove_password(self, request: GraphRequest) -> WireAnswer:
        registration = await self._registration(request, await self._named(request))
        return await remove_password(self._directory, request, registration)

    async def _named(self, request: GraphRequest) -> Principal:
        id = request.names["id"]
        if id.lower().startswith(_BY_CLIENT.lower()):
            return await self._directory.service_principals.by_client(request.actor, id[len(_BY_CLIENT) :])
        return await self._directory.service_principals.get(request.actor, id)

    async def _registration(self, request: GraphRequest, principal: Principal) -> Application:
        """Raises Forbidden for one of another tenant, and for a managed identity: others say what proves it."""
        if principal.kind is PrincipalKind.MANAGED_IDENTITY:
            raise denied()
        try:
            return await self._directory.applications.by_client(request.actor, principal.application_id)
        except NotFound:
            raise denied() from None

    async def _entity(self, request: GraphRequest, principal: Principal) -> Shown:
        shown: Shown = {"@odata.context": request.context("servicePrincipals/$entity")}
        shown |= (await self._shown([principal]))[0]
        await self._with_credentials(request, [shown])
        return shown

    async def _shown(self, rows: Sequence[Principal]) -> list[Shown]:
        registrations = await self._directory.service_principals.registrations(rows)
        return [answers.service_principal(row, known) for row, known in zip(rows, registrations, strict=True)]

    async def _with_credentials(self, request: GraphRequest, rows: list[Shown]) -> None:
        """Those of another tenant's application are none of ours to see."""
        ours = [row for row in rows if row["appOwnerOrganizationId"] == request.actor.tenant_id]
        for row in rows:
            row.update(answers.credentials((), with_keys=False))
        await with_credentials(self._directory, request, ours)

    def _listing(self, request: GraphRequest) -> Listing[Principal]:
        service_principals, actor = self._directory.service_principals, request.actor

        async def find(test: filters.Node | None) -> Sequence[Principal] | None:
            client, id = filters.wanted(test, "appId"), filters.wanted(test, "id")
            name = filters.wanted(test, "servicePrincipalNames")
            if client is None and name is not None and ":" not in name:
                client = name
            try:
                if client is not None:
                    return [await service_principals.by_client(actor, client)]
                if id is not None:
                    return [await service_principals.get(actor, id)]
            except NotFound:
                return []
            return None

        return Listing(
            "servicePrincipals",
            lambda after, most: service_principals.page(actor, after=after, most=most),
            lambda row: row.object_id,
            self._shown,
            find=find,
            complete=lambda rows: self._with_credentials(request, rows),
        )
