"""Objects of every kind: by ids, owners, what is owned, and groups around them."""

from collections.abc import Mapping, Sequence

from hsmvault.model.directory import Application
from hsmvault.model.principals import Principal, PrincipalKind
from hsmvault.resources.directory.objects import Directory
from hsmvault.resources.directory.refusals import bad, not_found
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.graph import answers
from hsmvault.wire.graph.applications import ApplicationHandlers
from hsmvault.wire.graph.bodies import Members
from hsmvault.wire.graph.lists import listed, select
from hsmvault.wire.graph.requests import GraphHandler, GraphRequest
from hsmvault.wire.graph.users import check_delegated

_MOST_IDS = 1000
_MOST_CHECKED = 20
_KINDS = {
    "user": (PrincipalKind.USER,),
    "group": (PrincipalKind.GROUP,),
    "serviceprincipal": (PrincipalKind.APPLICATION, PrincipalKind.MANAGED_IDENTITY),
}


class ObjectHandlers:
    def __init__(self, directory: Directory, applications: ApplicationHandlers) -> None:
        self._directory = directory
        self._applications = applications

    @property
    def table(self) -> Mapping[str, GraphHandler]:
        return {
            "objects_by_ids": self.by_ids,
            "objects_get": self.get,
            "objects_delete": self.delete,
            "owners_list": self.owners,
            "owners_add": self.add_owner,
            "owners_remove": self.remove_owner,
            "owned_list": self.owned,
            "me_owned": self.own,
            "member_groups": self.member_groups,
            "member_objects": self.member_groups,
            "check_member_groups": self.check_member_groups,
            "member_of": self.member_of,
            "transitive_member_of": self.transitive_member_of,
            "me_member_groups": self.member_groups,
            "me_member_objects": self.member_groups,
            "me_check_member_groups": self.check_member_groups,
            "me_member_of": self.member_of,
            "me_transitive_member_of": self.transitive_member_of,
            "organization_list": self.organization,
            "grants_list": self.grants,
        }

    async def by_ids(self, request: GraphRequest) -> WireAnswer:
        """Ids that name nothing are left out of the answer."""
        body = Members.of(request.body)
        ids, types = body.texts("ids"), body.texts("types")
        if ids is None or len(ids) > _MOST_IDS:
            raise bad(f"A collection of at most {_MOST_IDS} ids is required.")
        found = await self._directory.by_ids(request.actor, ids)
        wanted = {kind.lower() for kind in types or ()} - {"directoryobject"}
        if wanted:
            found = [one for one in found if _is_of(one, wanted)]
        shown = [select(answers.typed(one), request.query) for one in found]
        return ok({"@odata.context": request.context("directoryObjects"), "value": shown})

    async def get(self, request: GraphRequest) -> WireAnswer:
        found = await self._one(request)
        context = request.context("directoryObjects/$entity")
        return ok(select({"@odata.context": context, **answers.typed(found)}, request.query))

    async def delete(self, request: GraphRequest) -> WireAnswer:
        found, actor = await self._one(request), request.actor
        if isinstance(found, Application):
            await self._directory.applications.delete(actor, found.object_id)
        elif found.kind is PrincipalKind.USER:
            await self._directory.users.delete(actor, found.object_id)
        elif found.kind is PrincipalKind.GROUP:
            await self._directory.groups.delete(actor, found.object_id)
        else:
            await self._directory.service_principals.delete(actor, found.object_id)
        return WireAnswer(204, used=found.object_id)

    async def owners(self, request: GraphRequest) -> WireAnswer:
        found = await self._directory.owners.of(request.actor, await self._owned_id(request))
        return listed(request, "directoryObjects", [answers.typed(one) for one in found])

    async def add_owner(self, request: GraphRequest) -> WireAnswer:
        owner = Members.of(request.body).reference()
        await self._directory.owners.add(request.actor, await self._owned_id(request), owner)
        return WireAnswer(204, about=f"owner {owner}")

    async def remove_owner(self, request: GraphRequest) -> WireAnswer:
        await self._directory.owners.remove(request.actor, await self._owned_id(request), request.names["other"])
        return WireAnswer(204)

    async def owned(self, request: GraphRequest) -> WireAnswer:
        id = await self._principal_id(request)
        if not await self._directory.by_ids(request.actor, [id]):
            raise not_found(id)
        return await self._owned_by(request, id)

    async def own(self, request: GraphRequest) -> WireAnswer:
        check_delegated(request)
        return await self._owned_by(request, request.caller.object_id)

    async def member_groups(self, request: GraphRequest) -> WireAnswer:
        """Every group is for security: securityEnabledOnly makes no difference."""
        groups = await self._directory.groups.groups_of(request.actor, await self._principal_id(request), direct=False)
        context = request.context("Collection(Edm.String)")
        return ok({"@odata.context": context, "value": [group.object_id for group in groups]})

    async def check_member_groups(self, request: GraphRequest) -> WireAnswer:
        body = Members.of(request.body)
        asked = body.texts("groupIds") or body.texts("ids") or ()
        if not 1 <= len(asked) <= _MOST_CHECKED:
            raise bad(f"1 to {_MOST_CHECKED} ids are required.")
        groups = await self._directory.groups.groups_of(request.actor, await self._principal_id(request), direct=False)
        around = {group.object_id for group in groups}
        context = request.context("Collection(Edm.String)")
        return ok({"@odata.context": context, "value": [id for id in asked if id.lower() in around]})

    async def member_of(self, request: GraphRequest) -> WireAnswer:
        return await self._groups(request, direct=True)

    async def transitive_member_of(self, request: GraphRequest) -> WireAnswer:
        return await self._groups(request, direct=False)

    async def organization(self, request: GraphRequest) -> WireAnswer:
        tenant = await self._directory.tenants.find(request.actor.tenant_id)
        return listed(request, "organization", [answers.organization(tenant)])

    async def grants(self, request: GraphRequest) -> WireAnswer:
        """There are none: no consent is asked for."""
        return ok({"@odata.context": request.context("oauth2PermissionGrants"), "value": []})

    async def _groups(self, request: GraphRequest, *, direct: bool) -> WireAnswer:
        found = await self._directory.groups.groups_of(request.actor, await self._principal_id(request), direct=direct)
        return listed(request, "directoryObjects", [answers.typed(one) for one in found])

    async def _owned_by(self, request: GraphRequest, object_id: str) -> WireAnswer:
        found = await self._directory.owners.owned_by(request.actor, object_id)
        return listed(request, "directoryObjects", [answers.typed(one) for one in found])

    async def _one(self, request: GraphRequest) -> Principal | Application:
        found: Sequence[Principal | Application] = await self._directory.by_ids(request.actor, [request.names["id"]])
        if not found:
            raise not_found(request.names["id"])
        return found[0]

    async def _owned_id(self, request: GraphRequest) -> str:
        """Object id of what has owners; `applications(appId='…')` and `servicePrincipals(appId='…')` too."""
        id = request.names["id"]
        if not id.lower().startswith("appid="):
            return id
        if request.path.lower().startswith("/applications"):
            return (await self._applications.named(request)).object_id
        return (await self._directory.service_principals.by_client(request.actor, id[len("appId=") :])).object_id

    async def _principal_id(self, request: GraphRequest) -> str:
        """Of the path; the caller where the path says /me. Users also by their principal names."""
        id = request.names.get("id")
        if id is None:
            check_delegated(request)
            return request.caller.object_id
        if id.lower().startswith("appid="):
            return (await self._directory.service_principals.by_client(request.actor, id[len("appId=") :])).object_id
        return (await self._directory.users.get(request.actor, id)).object_id if "@" in id else id


def _is_of(found: Principal | Application, wanted: set[str]) -> bool:
    if isinstance(found, Application):
        return "application" in wanted
    return any(found.kind in _KINDS.get(kind, ()) for kind in wanted)
