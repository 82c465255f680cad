"""Groups and their members."""

from collections.abc import Mapping, Sequence

from hsmvault.model.directory import PrincipalDetails
from hsmvault.model.principals import Principal, PrincipalKind
from hsmvault.resources.directory.groups import GroupChange, NewGroup
from hsmvault.resources.directory.objects import Directory
from hsmvault.resources.directory.refusals import bad
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.codec import encode_body
from hsmvault.wire.graph import answers, filters
from hsmvault.wire.graph.bodies import Members
from hsmvault.wire.graph.lists import Listing, each, select
from hsmvault.wire.graph.requests import GraphHandler, GraphRequest

_MOST_MEMBERS_PATCHED = 20
_TOLERATED = frozenset({"visibility", "isAssignableToRole"})


class GroupHandlers:
    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    @property
    def table(self) -> Mapping[str, GraphHandler]:
        return {
            "groups_list": self.list_all,
            "groups_count": self.count,
            "groups_create": self.create,
            "groups_get": self.get,
            "groups_update": self.update,
            "groups_delete": self.delete,
            "members_list": self.members,
            "transitive_members_list": self.transitive_members,
            "members_add": self.add_member,
            "members_remove": self.remove_member,
        }

    async def get(self, request: GraphRequest) -> WireAnswer:
        group = await self._directory.groups.get(request.actor, request.names["id"])
        shown = {"@odata.context": request.context("groups/$entity"), **answers.group(group)}
        return ok(select(shown, request.query), used=group.object_id)

    async def list_all(self, request: GraphRequest) -> WireAnswer:
        return await self._listing(request).answer(request)

    async def count(self, request: GraphRequest) -> WireAnswer:
        return await self._listing(request).count(request)

    async def create(self, request: GraphRequest) -> WireAnswer:
        body = Members.of(request.body)
        _check_kind(body)
        members, owners = body.references("members"), body.references("owners")
        new = NewGroup(
            display_name=body.required("displayName"),
            details=PrincipalDetails(
                description=body.text("description") or "", mail_nickname=body.text("mailNickname") or ""
            ),
            members=members,
            owners=owners,
        )
        body.kept(_TOLERATED)
        group = await self._directory.groups.create(request.actor, new)
        shown = {"@odata.context": request.context("groups/$entity"), **answers.group(group)}
        return WireAnswer(201, encode_body(shown), used=group.object_id)

    async def update(self, request: GraphRequest) -> WireAnswer:
        """members@odata.bind adds members, as Graph does it."""
        body = Members.of(request.body)
        _check_kind(body)
        members = body.references("members")
        if len(members) > _MOST_MEMBERS_PATCHED:
            raise bad(f"At most {_MOST_MEMBERS_PATCHED} members can be added in one request.")
        texts = {"description": body.text("description"), "mail_nickname": body.text("mailNickname")}
        details: dict[str, str | bool] = {name: text for name, text in texts.items() if text is not None}
        change = GroupChange(body.text("displayName"), details, members)
        body.kept(_TOLERATED)
        group = await self._directory.groups.update(request.actor, request.names["id"], change)
        return WireAnswer(204, used=group.object_id)

    async def delete(self, request: GraphRequest) -> WireAnswer:
        await self._directory.groups.delete(request.actor, request.names["id"])
        return WireAnswer(204)

    async def members(self, request: GraphRequest) -> WireAnswer:
        return await self._members(request, direct=True).answer(request)

    async def transitive_members(self, request: GraphRequest) -> WireAnswer:
        """Each once, whatever circles the groups make."""
        return await self._members(request, direct=False).answer(request)

    def _members(self, request: GraphRequest, *, direct: bool) -> Listing[Principal]:
        groups, actor, id = self._directory.groups, request.actor, request.names["id"]
        return Listing(
            "directoryObjects",
            lambda after, most: groups.members(actor, id, after=after, most=most, direct=direct),
            lambda row: row.object_id,
            each(answers.typed),
        )

    async def add_member(self, request: GraphRequest) -> WireAnswer:
        member = Members.of(request.body).reference()
        await self._directory.groups.add_member(request.actor, request.names["id"], member)
        return WireAnswer(204, about=f"member {member}")

    async def remove_member(self, request: GraphRequest) -> WireAnswer:
        await self._directory.groups.remove_member(request.actor, request.names["id"], request.names["other"])
        return WireAnswer(204)

    def _listing(self, request: GraphRequest) -> Listing[Principal]:
        groups, actor = self._directory.groups, request.actor

        async def find(test: filters.Node | None) -> Sequence[Principal] | None:
            id = filters.wanted(test, "id")
            if id is None:
                return None
            found = await self._directory.principals_named(actor, id)
            return [one for one in found if one.kind is PrincipalKind.GROUP]

        return Listing(
            "groups",
            lambda after, most: groups.page(actor, after=after, most=most),
            lambda row: row.object_id,
            each(answers.group),
            find=find,
        )


def _check_kind(body: Members) -> None:
    """There is one kind: security groups with assigned members. Raises BadRequest for another."""
    if body.flag("mailEnabled") or body.flag("securityEnabled") is False or body.texts("groupTypes"):
        raise bad("Only security groups with assigned members are supported: mailEnabled must be false.")
