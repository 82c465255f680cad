"""The embedded directory and what the issuer gives, changed while the process is killed."""

from collections.abc import Sequence

import sqlalchemy as sa

from hsmvault.clock import RandomIdentifiers
from hsmvault.login.grants import Grants
from hsmvault.model.directory import DirectoryRole
from hsmvault.model.login_grants import GrantDetails, GrantKind
from hsmvault.model.principals import CredentialKind, Principal, PrincipalKind
from hsmvault.resources.directory.applications import NewApplication
from hsmvault.resources.directory.groups import NewGroup
from hsmvault.resources.directory.objects import Directory
from hsmvault.resources.directory.parts import DirectoryParts
from hsmvault.resources.directory.rules import Actor, operator
from hsmvault.resources.directory.service_principals import ServicePrincipalChange
from hsmvault.resources.directory.users import NewUser, UserChange
from hsmvault.store import applications, directory, directory_roles, memberships, meta, owners, schema
from hsmvault.store.database import Transaction
from hsmvault.store.statements import Statement
from tests.faults.governed import Act, Governed
from tests.faults.parts import VAULT, Parts
from tests.faults.place_actions import have_places
from tests.resources.directory_stage import PASSWORD, QuickProofs

_ONE = "66666666-0000-0000-0000-000000000001"
_APPLICATION = "66666666-0000-0000-0000-000000000003"
_LONG = 10**9  # seconds: what is before the case, the case and what is behind it are of different years


def _directory(parts: Parts) -> Directory:
    return Directory(DirectoryParts(parts.database, parts.clock, RandomIdentifiers(), QuickProofs(RandomIdentifiers())))


def _operator() -> Actor:
    return operator(VAULT.tenant_id)


async def _have_people(parts: Parts) -> None:
    """A user, a group in a group, and an application with a service principal and a secret."""
    who, directory_of = _operator(), _directory(parts)
    await have_places(parts)
    user = await directory_of.users.create(who, NewUser("Ada", "ada@t.example", PASSWORD))
    inner = await directory_of.groups.create(who, NewGroup("inner", members=[user.object_id]))
    await directory_of.groups.create(who, NewGroup("outer", members=[inner.object_id], owners=[user.object_id]))
    await directory_of.roles.assign(who, user.object_id, DirectoryRole.GROUPS_ADMINISTRATOR)
    made = await directory_of.applications.create(who, NewApplication("front"))
    await directory_of.credentials.add_secret(who, made.object_id, display_name="first")
    await directory_of.service_principals.create(who, made.application_id)
    async with parts.database.write() as tx:
        for kind in (GrantKind.SESSION, GrantKind.REFRESH_TOKEN):
            await _give(parts, tx, kind)


async def _give(parts: Parts, tx: Transaction, kind: GrantKind) -> str:
    """To Ada. Returns what the client holds."""
    user = await _named(tx, "Ada")
    given = await _grants(parts).give(
        tx,
        kind,
        life_seconds=_LONG,
        tenant_id=VAULT.tenant_id,
        object_id=user.object_id,
        application_id="" if kind is GrantKind.SESSION else _APPLICATION,
        details=GrantDetails(audience="a"),
    )
    return given.reveal()


async def _named(tx: Transaction, name: str) -> Principal:
    (found,) = [one for one in await _principals(tx) if one.display_name == name]
    return found


async def _principals(tx: Transaction) -> list[Principal]:
    return await directory.list_page(tx, VAULT.tenant_id, list(PrincipalKind), after="", most=99)


async def _id(parts: Parts, name: str) -> str:
    """Of a principal that may be gone, an id that nobody has."""
    async with parts.database.read() as tx:
        return next((one.object_id for one in await _principals(tx) if one.display_name == name), _ONE)


async def _registration(parts: Parts) -> str:
    """Object id."""
    async with parts.database.read() as tx:
        found = await applications.list_page(tx, VAULT.tenant_id, after="", most=9)
    return found[0].object_id if found else _ONE


async def _look_at_directory(tx: Transaction) -> Sequence[object]:
    """Everything in it by names, and what the issuer has given."""
    principals = await _principals(tx)
    names = {one.object_id: one.display_name for one in principals}
    found: list[object] = []
    for one in sorted(principals, key=lambda one: (one.display_name, one.kind.value)):
        members = sorted(names[id] for id in await memberships.members_of(tx, one.object_id, after="", most=99))
        of = sorted(names[id] for id in await owners.owners_of(tx, one.object_id))
        has = await directory_roles.roles_of(tx, [one.object_id])
        ended = one.sessions_valid_from > 0
        about = (one.display_name, one.kind.value, one.enabled, one.password_hash, ended)
        found.append((*about, members, of, sorted(role.value for role in has)))
    registered = await applications.list_page(tx, VAULT.tenant_id, after="", most=9)
    for application in sorted(registered, key=lambda one: one.display_name):
        credentials = await directory.credentials_of(tx, application.application_id)
        found.append((application.display_name, sorted(one.display_name for one in credentials)))
    grants = await tx.rows(_GRANTS)
    return [*found, sorted((row[0], row[1]) for row in grants)]


async def _create_user(parts: Parts) -> None:
    await _directory(parts).users.create(_operator(), NewUser("Bob", "bob@t.example", PASSWORD))


def _updating(**changes: str | bool) -> Act:
    async def act(parts: Parts) -> None:
        change = UserChange(**changes)  # type: ignore[arg-type]  # by name
        await _directory(parts).users.update(_operator(), "ada@t.example", change)

    return act


async def _delete_user(parts: Parts) -> None:
    await _directory(parts).users.delete(_operator(), "ada@t.example")


async def _sign_out(parts: Parts) -> None:
    await _directory(parts).users.revoke_sessions(_operator(), "ada@t.example")


async def _make_people(parts: Parts) -> None:
    members = [await _id(parts, "Ada"), await _id(parts, "inner")]
    await _directory(parts).groups.create(_operator(), NewGroup("new", members=members, owners=members[:1]))


async def _add_member(parts: Parts) -> None:
    await _directory(parts).groups.add_member(_operator(), await _id(parts, "outer"), await _id(parts, "Ada"))


async def _remove_member(parts: Parts) -> None:
    await _directory(parts).groups.remove_member(_operator(), await _id(parts, "outer"), await _id(parts, "inner"))


async def _delete_people(parts: Parts) -> None:
    await _directory(parts).groups.delete(_operator(), await _id(parts, "inner"))


async def _register(parts: Parts) -> None:
    await _directory(parts).applications.create(_operator(), NewApplication("other"))


async def _add_secret(parts: Parts) -> None:
    await _directory(parts).credentials.add_secret(_operator(), await _registration(parts), display_name="second")


async def _remove_secret(parts: Parts) -> None:
    async with parts.database.read() as tx:
        found = await applications.by_object(tx, VAULT.tenant_id, await _registration(parts))
        held = [] if found is None else await directory.credentials_of(tx, found.application_id)
    id = held[0].id if held else _ONE
    await _directory(parts).credentials.remove(_operator(), await _registration(parts), id, CredentialKind.SECRET)


async def _unregister(parts: Parts) -> None:
    await _directory(parts).applications.delete(_operator(), await _registration(parts))


async def _disable_principal(parts: Parts) -> None:
    change = ServicePrincipalChange(enabled=False)
    await _directory(parts).service_principals.update(_operator(), await _id(parts, "front"), change)


async def _delete_principal(parts: Parts) -> None:
    await _directory(parts).service_principals.delete(_operator(), await _id(parts, "front"))


async def _create_principal(parts: Parts) -> None:
    async with parts.database.read() as tx:
        (found,) = await applications.list_page(tx, VAULT.tenant_id, after="", most=9)
    await _directory(parts).service_principals.create(_operator(), found.application_id)


async def _have_no_principal(parts: Parts) -> None:
    await _have_people(parts)
    await _delete_principal(parts)


def _grants(parts: Parts) -> Grants:
    return Grants(database=parts.database, clock=parts.clock, identifiers=RandomIdentifiers())


def _having(kind: GrantKind) -> Act:
    async def before(parts: Parts) -> None:
        """What the client holds is kept where another process finds it."""
        await _have_people(parts)
        async with parts.database.write() as tx:
            await meta.put(tx, kind.value, await _give(parts, tx, kind))

    return before


def _redeeming(kind: GrantKind) -> Act:
    async def act(parts: Parts) -> None:
        async with parts.database.read() as tx:
            text = await meta.get(tx, kind.value)
        assert text is not None
        grants = _grants(parts)
        grant = await grants.accept(kind, text, await grants.look(kind, text), _APPLICATION)
        assert await grants.redeem(grant, refresh=GrantDetails(audience="a"), refresh_seconds=_LONG) is not None

    return act


_CODE, _REFRESH = GrantKind.CODE, GrantKind.REFRESH_TOKEN
_GRANTS = Statement(sa.select(schema.login_grants.c.kind, schema.login_grants.c.status))
GOVERNED = {
    "user: create": Governed(_have_people, _create_user, _look_at_directory, "BadRequest"),
    "user: another password": Governed(_have_people, _updating(password=f"{PASSWORD}-9"), _look_at_directory),
    "user: disable": Governed(_have_people, _updating(enabled=False), _look_at_directory),
    "user: sign out": Governed(_have_people, _sign_out, _look_at_directory),
    "user: delete": Governed(_have_people, _delete_user, _look_at_directory, "NotFound"),
    "people: make": Governed(_have_people, _make_people, _look_at_directory),
    "people: add": Governed(_have_people, _add_member, _look_at_directory, "BadRequest"),
    "people: remove": Governed(_have_people, _remove_member, _look_at_directory, "NotFound"),
    "people: delete": Governed(_have_people, _delete_people, _look_at_directory, "NotFound"),
    "application: register": Governed(_have_people, _register, _look_at_directory),
    "application: add a secret": Governed(_have_people, _add_secret, _look_at_directory),
    "application: take a secret": Governed(_have_people, _remove_secret, _look_at_directory, "BadRequest"),
    "application: delete": Governed(_have_people, _unregister, _look_at_directory, "NotFound"),
    "service principal: create": Governed(_have_no_principal, _create_principal, _look_at_directory, "Conflict"),
    "service principal: disable": Governed(_have_people, _disable_principal, _look_at_directory),
    "service principal: delete": Governed(_have_people, _delete_principal, _look_at_directory, "NotFound"),
    "code: redeem": Governed(_having(_CODE), _redeeming(_CODE), _look_at_directory, "LoginRefused"),
    "refresh token: rotate": Governed(_having(_REFRESH), _redeeming(_REFRESH), _look_at_directory, "LoginRefused"),
}
