"""Federated credentials of applications."""

from collections.abc import Mapping

from hsmvault.resources.directory.federation import FederationChange, NewFederation
from hsmvault.resources.directory.objects import Directory
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.codec import encode_body
from hsmvault.wire.graph import answers
from hsmvault.wire.graph.applications import ApplicationHandlers
from hsmvault.wire.graph.bodies import Members
from hsmvault.wire.graph.lists import listed
from hsmvault.wire.graph.requests import GraphHandler, GraphRequest

_TOLERATED = frozenset({"id", "claimsMatchingExpression"})


class FederationHandlers:
    def __init__(self, directory: Directory, applications: ApplicationHandlers) -> None:
        self._directory = directory
        self._applications = applications

    @property
    def table(self) -> Mapping[str, GraphHandler]:
        return {
            "federated_list": self.list_all,
            "federated_create": self.create,
            "federated_get": self.get,
            "federated_update": self.update,
            "federated_delete": self.delete,
        }

    async def list_all(self, request: GraphRequest) -> WireAnswer:
        application = await self._applications.named(request)
        found = await self._directory.federation.of(request.actor, application.application_id)
        fragment = _fragment(application.object_id)
        return listed(request, fragment, [answers.federated(one) for one in found])

    async def get(self, request: GraphRequest) -> WireAnswer:
        application = await self._applications.named(request)
        actor, other = request.actor, _named(request.names["other"])
        found = await self._directory.federation.get(actor, application.application_id, other)
        context = request.context(_fragment(application.object_id) + "/$entity")
        return ok({"@odata.context": context, **answers.federated(found)})

    async def create(self, request: GraphRequest) -> WireAnswer:
        application = await self._applications.named(request)
        body = Members.of(request.body)
        new = NewFederation(
            name=body.required("name"),
            issuer=body.required("issuer"),
            subject=body.required("subject"),
            audiences=body.texts("audiences") or (),
            description=body.text("description") or "",
        )
        body.kept(_TOLERATED)
        made = await self._directory.federation.create(request.actor, application.application_id, new)
        context = request.context(_fragment(application.object_id) + "/$entity")
        shown = {"@odata.context": context, **answers.federated(made)}
        return WireAnswer(201, encode_body(shown), used=application.object_id)

    async def update(self, request: GraphRequest) -> WireAnswer:
        """The name stays: it is what the credential is found by."""
        application = await self._applications.named(request)
        body = Members.of(request.body)
        change = FederationChange(
            issuer=body.text("issuer"),
            subject=body.text("subject"),
            audiences=body.texts("audiences"),
            description=body.text("description"),
        )
        body.kept(_TOLERATED | {"name"})
        other = _named(request.names["other"])
        await self._directory.federation.update(request.actor, application.application_id, other, change)
        return WireAnswer(204, used=application.object_id)

    async def delete(self, request: GraphRequest) -> WireAnswer:
        application = await self._applications.named(request)
        other = _named(request.names["other"])
        await self._directory.federation.delete(request.actor, application.application_id, other)
        return WireAnswer(204, used=application.object_id)


def _named(segment: str) -> str:
    """Id or name; the name also as (name='…')."""
    return segment.removeprefix("name=")


def _fragment(object_id: str) -> str:
    return f"applications('{object_id}')/federatedIdentityCredentials"
