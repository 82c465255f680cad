"""Who may change what, and that nobody gets at more than he has."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from hsmvault.errors import BadRequest, Forbidden, RequestError
from hsmvault.model.directory import DirectoryRole
from hsmvault.resources.directory.application_credentials import CertificateOffer
from hsmvault.resources.directory.applications import ApplicationChange, NewApplication
from hsmvault.resources.directory.federation import NewFederation
from hsmvault.resources.directory.groups import GroupChange, NewGroup
from hsmvault.resources.directory.rules import Actor
from hsmvault.resources.directory.service_principals import ServicePrincipalChange
from hsmvault.resources.directory.users import NewUser, UserChange
from tests.resources.directory_stage import PASSWORD, DirectoryStage, directory_stage

GLOBAL = DirectoryRole.GLOBAL_ADMINISTRATOR
USERS = DirectoryRole.USER_ADMINISTRATOR
GROUPS = DirectoryRole.GROUPS_ADMINISTRATOR
APPLICATIONS = DirectoryRole.APPLICATION_ADMINISTRATOR
MACHINE = "/subscriptions/33333333-0000-0000-0000-000000000001/resourceGroups/rg/providers/Some.Kind/things/one"
READERS = DirectoryRole.DIRECTORY_READERS


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[DirectoryStage]:
    async with directory_stage(tmp_path) as stage:
        yield stage


async def who_may(stage: DirectoryStage, act: Callable[[Actor], Awaitable[object]]) -> set[DirectoryRole]:
    """The roles whose administrator is not refused with 403; whatever else goes wrong comes behind the permission."""
    found = set()
    for role in DirectoryRole:
        try:
            await act(stage.by(role))
        except Forbidden:
            continue
        except RequestError:
            pass
        found.add(role)
    return found


async def test_each_administrator_may_do_its_own_and_a_reader_nothing(stage: DirectoryStage) -> None:
    directory = stage.directory
    user, group = await stage.user("ada"), await stage.group("group")
    application = await directory.applications.create(stage.root, NewApplication("app"))
    service_principal = await directory.service_principals.create(stage.root, application.application_id)
    app, client = application.object_id, application.application_id

    async def delete_user(by: Actor) -> None:
        await directory.users.delete(by, (await stage.user(f"of-{by.object_id[:8]}")).upn)

    by_right: dict[frozenset[DirectoryRole], list[Callable[[Actor], Awaitable[object]]]] = {
        frozenset({GLOBAL, USERS}): [
            lambda by: directory.users.create(by, NewUser("x", "x@dev.example", PASSWORD)),
            lambda by: directory.users.update(by, user.upn, UserChange(display_name="x")),
            lambda by: directory.users.revoke_sessions(by, user.upn),
            delete_user,
        ],
        frozenset({GLOBAL, USERS, GROUPS}): [
            lambda by: directory.groups.create(by, NewGroup("x")),
            lambda by: directory.groups.update(by, group.object_id, GroupChange("x")),
            lambda by: directory.groups.add_member(by, group.object_id, service_principal.object_id),
            lambda by: directory.groups.remove_member(by, group.object_id, service_principal.object_id),
            lambda by: directory.owners.add(by, group.object_id, service_principal.object_id),
            lambda by: directory.owners.remove(by, group.object_id, service_principal.object_id),
        ],
        frozenset({GLOBAL, APPLICATIONS}): [
            lambda by: directory.applications.create(by, NewApplication("x")),
            lambda by: directory.applications.update(by, app, ApplicationChange("x")),
            lambda by: directory.credentials.add_secret(by, app, display_name="x"),
            lambda by: directory.credentials.add_certificate(by, app, CertificateOffer("", b"x")),
            lambda by: directory.credentials.remove(by, app, "x"),
            lambda by: directory.federation.create(by, client, NewFederation("xxx", "https://x", "x")),
            lambda by: directory.owners.add(by, app, service_principal.object_id),
            lambda by: directory.service_principals.create(by, client),
            lambda by: directory.service_principals.update(by, service_principal.object_id, ServicePrincipalChange()),
            lambda by: directory.identities.create(by, MACHINE),
        ],
        frozenset({GLOBAL}): [
            lambda by: directory.roles.assign(by, user.object_id, READERS),
            lambda by: directory.roles.remove(by, user.object_id, READERS),
        ],
    }
    for right, acts in by_right.items():
        for number, act in enumerate(acts):
            assert await who_may(stage, act) == right, (right, number)


@pytest.mark.parametrize("role", [GLOBAL, APPLICATIONS])
@pytest.mark.parametrize("through_group", [False, True])
async def test_a_user_administrator_does_not_reset_a_mightier_one(
    stage: DirectoryStage, role: DirectoryRole, through_group: bool
) -> None:
    user, holder = await stage.user("chief"), await stage.group("chiefs")
    await stage.directory.groups.add_member(stage.operator, holder.object_id, user.object_id)
    await stage.give(holder.object_id if through_group else user.object_id, role)
    for change in (UserChange(password=PASSWORD), UserChange(enabled=False), UserChange(upn="x@dev.example")):
        with pytest.raises(Forbidden):
            await stage.directory.users.update(stage.by(USERS), user.upn, change)
    with pytest.raises(Forbidden):
        await stage.directory.users.delete(stage.by(USERS), user.upn)
    await stage.directory.users.update(stage.root, user.upn, UserChange(password=PASSWORD))


@pytest.mark.parametrize("role", [GLOBAL, USERS])
async def test_an_application_administrator_does_not_prove_a_mightier_application(
    stage: DirectoryStage, role: DirectoryRole
) -> None:
    directory = stage.directory
    application = await directory.applications.create(stage.root, NewApplication("chief"))
    principal = await directory.service_principals.create(stage.root, application.application_id)
    await stage.give(principal.object_id, role)
    for attempt in (
        directory.credentials.add_secret(stage.by(APPLICATIONS), application.object_id, display_name=""),
        directory.federation.create(
            stage.by(APPLICATIONS), application.application_id, NewFederation("ci1", "https://i.example", "s")
        ),
        directory.applications.update(stage.by(APPLICATIONS), application.object_id, ApplicationChange("x")),
        directory.owners.add(stage.by(APPLICATIONS), application.object_id, stage.administrators[APPLICATIONS]),
        directory.service_principals.delete(stage.by(APPLICATIONS), principal.object_id),
    ):
        with pytest.raises(Forbidden):
            await attempt


async def test_a_group_with_a_role_is_filled_by_global_administrators_alone(stage: DirectoryStage) -> None:
    directory, user = stage.directory, await stage.user("ada")
    outer, inner = await stage.group("outer"), await stage.group("inner")
    await directory.groups.add_member(stage.operator, outer.object_id, inner.object_id)
    await directory.owners.add(stage.operator, inner.object_id, user.object_id)
    await stage.give(outer.object_id, USERS)
    for by in (stage.by(GROUPS), stage.by(USERS), stage.actor(user.object_id)):
        for group in (outer, inner):
            with pytest.raises(Forbidden):
                await directory.groups.add_member(by, group.object_id, user.object_id)
    await directory.groups.add_member(stage.root, inner.object_id, user.object_id)
    assert await directory.users.create(stage.actor(user.object_id), NewUser("x", "x@dev.example", PASSWORD))


async def test_owners_change_what_they_own_and_nothing_else(stage: DirectoryStage) -> None:
    directory, user = stage.directory, await stage.user("ada")
    by = stage.actor(user.object_id)
    mine = await directory.applications.create(stage.root, NewApplication("mine"))
    theirs = await directory.applications.create(stage.root, NewApplication("theirs"))
    group = await stage.group("group")
    for owned in (mine.object_id, group.object_id):
        await directory.owners.add(stage.root, owned, user.object_id)
    await directory.credentials.add_secret(by, mine.object_id, display_name="")
    principal = await directory.service_principals.create(by, mine.application_id)
    await directory.groups.add_member(by, group.object_id, principal.object_id)
    with pytest.raises(Forbidden):
        await directory.credentials.add_secret(by, theirs.object_id, display_name="")
    with pytest.raises(Forbidden):
        await directory.applications.create(by, NewApplication("more"))
    await stage.give(principal.object_id, GROUPS)
    with pytest.raises(Forbidden):
        await directory.credentials.add_secret(by, mine.object_id, display_name="")
    owned = await directory.owners.owned_by(by, user.object_id)
    assert {one.object_id for one in owned} == {mine.object_id, group.object_id, principal.object_id}


async def test_a_user_who_registers_an_application_owns_it(stage: DirectoryStage) -> None:
    directory, user = stage.directory, await stage.user("ada")
    await stage.give(user.object_id, APPLICATIONS)
    made = await directory.applications.create(stage.actor(user.object_id), NewApplication("app"))
    assert [one.object_id for one in await directory.owners.of(stage.root, made.object_id)] == [user.object_id]


async def test_a_role_counts_from_the_next_act_on_and_the_last_chief_stays(stage: DirectoryStage) -> None:
    roles, user = stage.directory.roles, await stage.user("ada")
    by = stage.actor(user.object_id)
    await roles.assign(stage.root, user.object_id, GLOBAL)
    await roles.remove(by, stage.administrators[GLOBAL], GLOBAL)
    with pytest.raises(Forbidden):
        await roles.assign(stage.root, user.object_id, USERS)
    with pytest.raises(BadRequest, match="last Global Administrator"):
        await roles.remove(by, user.object_id, GLOBAL)
    await roles.assign(by, stage.administrators[GLOBAL], GLOBAL)
    await roles.remove(stage.operator, user.object_id, GLOBAL)


async def test_an_administrator_of_one_tenant_is_nobody_in_another(stage: DirectoryStage) -> None:
    stranger = Actor(stage.other.id, stage.administrators[GLOBAL])
    group = await stage.group("group")
    with pytest.raises(RequestError):
        await stage.directory.groups.delete(stranger, group.object_id)
    assert await stage.directory.users.page(stranger, after="", most=10) == []
