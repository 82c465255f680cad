"""Users, and what a signed-in user asks about itself."""

from collections.abc import Mapping, Sequence

from hsmvault.errors import BadRequest
from hsmvault.model.directory import PrincipalDetails
from hsmvault.model.principals import Principal
from hsmvault.resources.directory.objects import Directory
from hsmvault.resources.directory.refusals import bad
from hsmvault.resources.directory.users import NewUser, UserChange
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.codec import encode_body
from hsmvault.wire.graph import answers, filters
from hsmvault.wire.graph.bodies import Members, with_kept
from hsmvault.wire.graph.lists import Listing, each, select
from hsmvault.wire.graph.requests import GraphHandler, GraphRequest

_TEXTS = {"mail": "mail", "mailNickname": "mail_nickname", "givenName": "given_name", "surname": "surname"} | {
    "jobTitle": "job_title"
}
_KEPT = frozenset(
    {"businessPhones", "city", "companyName", "country", "department", "employeeId", "mobilePhone", "officeLocation"}
    | {"onPremisesImmutableId", "otherMails", "passwordPolicies", "postalCode", "preferredLanguage", "state"}
    | {"streetAddress", "usageLocation", "userType"}
)


class UserHandlers:
    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    @property
    def table(self) -> Mapping[str, GraphHandler]:
        return {
            "me_get": self.me,
            "me_revoke": self.revoke_own,
            "users_list": self.list_all,
            "users_count": self.count,
            "users_create": self.create,
            "users_get": self.get,
            "users_update": self.update,
            "users_delete": self.delete,
            "users_revoke": self.revoke,
        }

    async def me(self, request: GraphRequest) -> WireAnswer:
        check_delegated(request)
        return self._one(request, await self._directory.users.get(request.actor, request.caller.object_id))

    async def get(self, request: GraphRequest) -> WireAnswer:
        return self._one(request, await self._directory.users.get(request.actor, request.names["id"]))

    async def list_all(self, request: GraphRequest) -> WireAnswer:
        return await self._listing(request).answer(request)

    async def count(self, request: GraphRequest) -> WireAnswer:
        return await self._listing(request).count(request)

    async def create(self, request: GraphRequest) -> WireAnswer:
        body = Members.of(request.body)
        profile = body.inner("passwordProfile")
        if profile is None:
            raise bad("A password must be specified to create a new user.")
        must_change = _must_change(profile) is not False
        texts = {ours: text for theirs, ours in _TEXTS.items() if (text := body.text(theirs)) is not None}
        enabled = body.flag("accountEnabled")
        new = NewUser(
            display_name=body.required("displayName"),
            upn=body.required("userPrincipalName"),
            password=profile.required("password"),
            enabled=True if enabled is None else enabled,
            details=PrincipalDetails(
                must_change_password=must_change,
                kept=with_kept("{}", body.kept(_KEPT)),
                **texts,
            ),
        )
        profile.end()
        user = await self._directory.users.create(request.actor, new)
        shown = {"@odata.context": request.context("users/$entity"), **answers.user(user)}
        return WireAnswer(201, encode_body(shown), used=user.object_id)

    async def update(self, request: GraphRequest) -> WireAnswer:
        body = Members.of(request.body)
        before = await self._directory.users.get(request.actor, request.names["id"])
        details: dict[str, str | bool] = {
            ours: text for theirs, ours in _TEXTS.items() if (text := body.text(theirs)) is not None
        }
        password = None
        profile = body.inner("passwordProfile")
        if profile is not None:
            must_change = _must_change(profile)
            password = profile.text("password")
            profile.end()
            if must_change is not None or password is not None:
                details["must_change_password"] = must_change is not False
        display_name, upn = body.text("displayName"), body.text("userPrincipalName")
        enabled = body.flag("accountEnabled")
        kept = body.kept(_KEPT)
        if kept:
            details["kept"] = with_kept(before.details.kept, kept)
        change = UserChange(display_name=display_name, upn=upn, password=password, enabled=enabled, details=details)
        await self._directory.users.update(request.actor, before.object_id, change)
        return WireAnswer(204, used=before.object_id)

    async def delete(self, request: GraphRequest) -> WireAnswer:
        await self._directory.users.delete(request.actor, request.names["id"])
        return WireAnswer(204)

    async def revoke(self, request: GraphRequest) -> WireAnswer:
        await self._directory.users.revoke_sessions(request.actor, request.names["id"])
        return ok({"@odata.context": request.context("Edm.Boolean"), "value": True})

    async def revoke_own(self, request: GraphRequest) -> WireAnswer:
        check_delegated(request)
        await self._directory.users.revoke_sessions(request.actor, request.caller.object_id)
        return ok({"@odata.context": request.context("Edm.Boolean"), "value": True})

    def _one(self, request: GraphRequest, user: Principal) -> WireAnswer:
        shown = {"@odata.context": request.context("users/$entity"), **answers.user(user)}
        return ok(select(shown, request.query), used=user.object_id)

    def _listing(self, request: GraphRequest) -> Listing[Principal]:
        users, actor = self._directory.users, request.actor

        async def find(test: filters.Node | None) -> Sequence[Principal] | None:
            name = filters.wanted(test, "userPrincipalName") or filters.wanted(test, "id")
            if name is None:
                return None
            return [one for one in await self._directory.principals_named(actor, name) if one.upn]

        return Listing(
            "users",
            lambda after, most: users.page(actor, after=after, most=most),
            lambda row: row.object_id,
            each(answers.user),
            find=find,
        )


def check_delegated(request: GraphRequest) -> None:
    """Raises BadRequest for an application: it is nobody's self."""
    if not request.caller.delegated:
        raise BadRequest("/me request is only valid with delegated authentication flow.", code="BadRequest")


def _must_change(profile: Members) -> bool | None:
    with_mfa = profile.flag("forceChangePasswordNextSignInWithMfa")
    plain = profile.flag("forceChangePasswordNextSignIn")
    return plain if with_mfa is None else with_mfa or bool(plain)
