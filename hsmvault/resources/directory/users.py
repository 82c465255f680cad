"""Users: create, change, delete, disable, reset, sign out."""

from dataclasses import dataclass, field, replace

import msgspec

from hsmvault.model.directory import PrincipalDetails
from hsmvault.model.principals import Principal, PrincipalKind
from hsmvault.resources.directory import names
from hsmvault.resources.directory.lookups import tenant_of, user_of
from hsmvault.resources.directory.parts import DirectoryParts
from hsmvault.resources.directory.refusals import bad, taken
from hsmvault.resources.directory.rules import Actor, permit_new_user, permit_user
from hsmvault.store import directory, login_grants

_LONGEST_KEPT = 16 * 1024


@dataclass(frozen=True, slots=True)
class NewUser:
    """details: with must_change_password."""

    display_name: str
    upn: str
    password: str = field(repr=False)
    enabled: bool = True
    details: PrincipalDetails = field(default_factory=PrincipalDetails)


@dataclass(frozen=True, slots=True)
class UserChange:
    """None: as it is. details: members of PrincipalDetails that change."""

    display_name: str | None = None
    upn: str | None = None
    password: str | None = field(default=None, repr=False)
    enabled: bool | None = None
    details: dict[str, str | bool] = field(default_factory=dict)


class Users:
    def __init__(self, parts: DirectoryParts) -> None:
        self._parts = parts

    async def get(self, actor: Actor, id_or_name: str) -> Principal:
        """By object id or user principal name (in any case). Raises NotFound."""
        async with self._parts.database.read() as tx:
            return await user_of(tx, actor.tenant_id, id_or_name)

    async def page(self, actor: Actor, *, after: str, most: int) -> list[Principal]:
        """By object id, behind `after`."""
        async with self._parts.database.read() as tx:
            return await directory.list_page(tx, actor.tenant_id, [PrincipalKind.USER], after=after, most=most)

    async def create(self, actor: Actor, new: NewUser) -> Principal:
        """Raises Forbidden, BadRequest."""
        async with self._parts.database.read() as tx:  # before the hash, which is costly
            await permit_new_user(tx, actor)
            tenant = await tenant_of(tx, actor.tenant_id)
        self._check_password(new.password, new.upn, new.display_name)
        user = Principal(
            object_id=self._parts.identifiers.guid(),
            tenant_id=actor.tenant_id,
            kind=PrincipalKind.USER,
            display_name=names.checked_display_name(new.display_name),
            enabled=new.enabled,
            upn=names.checked_upn(new.upn, tenant),
            details=_checked(new.details),
            created=self._parts.now,
        )
        user = replace(user, password_hash=await self._parts.proofs.hash_password(new.password))
        async with self._parts.writing(taken("userPrincipalName")) as tx:
            await permit_new_user(tx, actor)
            await directory.insert_principal(tx, user)
        return user

    async def update(self, actor: Actor, id_or_name: str, change: UserChange) -> Principal:
        """A new password, and disabling, end every session of the user. Raises NotFound, Forbidden, BadRequest."""
        async with self._parts.database.read() as tx:
            user = await user_of(tx, actor.tenant_id, id_or_name)
            await permit_user(tx, actor, user)
            tenant = await tenant_of(tx, actor.tenant_id)
        password_hash = None
        if change.password is not None:
            self._check_password(change.password, change.upn or user.upn, change.display_name or user.display_name)
            password_hash = await self._parts.proofs.hash_password(change.password)
        async with self._parts.writing(taken("userPrincipalName")) as tx:
            user = await user_of(tx, actor.tenant_id, user.object_id)
            await permit_user(tx, actor, user)
            if change.display_name is not None:
                user = replace(user, display_name=names.checked_display_name(change.display_name))
            if change.upn is not None:
                user = replace(user, upn=names.checked_upn(change.upn, tenant))
            if change.details:
                user = replace(user, details=_checked(msgspec.structs.replace(user.details, **change.details)))
            if change.enabled is not None:
                user = replace(user, enabled=change.enabled)
            if password_hash is not None:
                user = replace(user, password_hash=password_hash)
            if password_hash is not None or change.enabled is False:
                user = replace(user, sessions_valid_from=user.ended_at(self._parts.now))
                await login_grants.revoke_of_person(tx, user.object_id)
            await directory.update_principal(tx, user)
        return user

    async def delete(self, actor: Actor, id_or_name: str) -> None:
        """For good: there is no recycle bin. Its role assignments stay and name nobody. Raises NotFound, Forbidden."""
        async with self._parts.database.write() as tx:
            user = await user_of(tx, actor.tenant_id, id_or_name)
            await permit_user(tx, actor, user)
            await login_grants.revoke_of_person(tx, user.object_id)
            await directory.delete_principal(tx, user)

    async def revoke_sessions(self, actor: Actor, id_or_name: str) -> None:
        """Ends every token and refresh token of the user. Users may do it to themselves. Raises NotFound, Forbidden."""
        async with self._parts.database.write() as tx:
            user = await user_of(tx, actor.tenant_id, id_or_name)
            if user.object_id != actor.object_id:
                await permit_user(tx, actor, user)
            await login_grants.revoke_of_person(tx, user.object_id)
            await directory.revoke_sessions(tx, actor.tenant_id, user.object_id, user.ended_at(self._parts.now))

    def _check_password(self, password: str, *names_of_user: str) -> None:
        problem = self._parts.proofs.password_problem(password, names_of_user)
        if problem:
            raise bad(f"The specified password does not comply with password complexity requirements. {problem}")


def _checked(details: PrincipalDetails) -> PrincipalDetails:
    if len(details.kept) > _LONGEST_KEPT:
        raise bad("The user has too many or too long properties.")
    names.checked_nickname(details.mail_nickname)
    for member, text in (
        ("givenName", details.given_name),
        ("surname", details.surname),
        ("jobTitle", details.job_title),
        ("mail", details.mail),
    ):
        names.checked_text(text, member, 256)
    return details
