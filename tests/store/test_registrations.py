"""Registrations, federated credentials, owners and roles of the directory in the store."""

from dataclasses import replace

import msgspec
import pytest

from hsmvault.errors import BadRequest
from hsmvault.model.directory import (
    AZURE_CLI,
    Application,
    ApplicationDetails,
    DirectoryRole,
    FederatedCredential,
    PrincipalDetails,
    RedirectKind,
    RedirectUri,
    public_client,
)
from hsmvault.model.principals import PrincipalKind
from hsmvault.store import applications, directory, directory_roles, federated_credentials, memberships, owners
from hsmvault.store.database import Change, Conflicted, Database

from .samples import TENANT, group, identity, user

OTHER_TENANT = replace(TENANT, id="22222222-0000-0000-0000-000000000002", domain="fabrikam.example")
APPLICATION = Application(
    "77777777-0000-0000-0000-000000000001",
    "66666666-0000-0000-0000-000000000001",
    TENANT.id,
    "App",
    public_client=True,
    redirect_uris=(RedirectUri(RedirectKind.PUBLIC, "http://localhost"),),
    details=ApplicationDetails(identifier_uris=("api://app",), kept='{"notes":"ä"}'),
    created=5,
)
RECORD = FederatedCredential("f1", APPLICATION.application_id, "Main", "https://i.example", "s", ("a",), "d")
GLOBAL = DirectoryRole.GLOBAL_ADMINISTRATOR


@pytest.fixture
async def peopled(database: Database) -> Database:
    async with database.write() as tx:
        for tenant in (TENANT, OTHER_TENANT):
            await directory.insert_tenant(tx, tenant)
        for principal in (user(1), user(2), group(1), group(2), identity(1)):
            await directory.insert_principal(tx, principal)
        await applications.insert(tx, APPLICATION)
    return database


async def test_a_registration_is_read_back_as_it_was_written(peopled: Database) -> None:
    changed = msgspec.structs.replace(APPLICATION, display_name="New", redirect_uris=(), public_client=False)
    async with peopled.write() as tx:
        assert await applications.find(tx, TENANT.id, APPLICATION.application_id) == APPLICATION
        assert await applications.by_object(tx, TENANT.id, APPLICATION.object_id) == APPLICATION
        assert await applications.anywhere(tx, APPLICATION.application_id) == APPLICATION
        assert await applications.find(tx, OTHER_TENANT.id, APPLICATION.application_id) is None
        assert await applications.update(tx, changed)
        assert await applications.find(tx, TENANT.id, APPLICATION.application_id) == changed
        assert not await applications.update(tx, msgspec.structs.replace(changed, tenant_id=OTHER_TENANT.id))
        assert not await applications.delete(tx, OTHER_TENANT.id, APPLICATION.application_id)
        assert await applications.delete(tx, TENANT.id, APPLICATION.application_id)
        assert await applications.list_page(tx, TENANT.id, after="", most=10) == []


async def test_a_client_id_is_taken_in_every_tenant(peopled: Database) -> None:
    with pytest.raises(Conflicted):
        async with peopled.write() as tx:
            await applications.insert(
                tx, msgspec.structs.replace(APPLICATION, tenant_id=OTHER_TENANT.id, object_id="x")
            )


async def test_what_the_database_would_not_keep_is_refused(peopled: Database) -> None:
    for text in ("\0", "\ud800"):
        broken = msgspec.structs.replace(APPLICATION, details=ApplicationDetails(description=text))
        with pytest.raises(BadRequest):
            async with peopled.write() as tx:
                await applications.update(tx, broken)


async def test_federated_credentials_are_unique_in_name_and_in_issuer_and_subject(peopled: Database) -> None:
    async with peopled.write() as tx:
        await federated_credentials.insert(tx, RECORD)
        assert await federated_credentials.of_application(tx, RECORD.application_id) == [RECORD]
        assert await federated_credentials.update(tx, msgspec.structs.replace(RECORD, subject="t"))
    for taken in (
        msgspec.structs.replace(RECORD, id="f2", name="MAIN"),
        msgspec.structs.replace(RECORD, id="f2", name="other", subject="t"),
    ):
        with pytest.raises(Conflicted):
            async with peopled.write() as tx:
                await federated_credentials.insert(tx, taken)
    async with peopled.write() as tx:
        assert not await federated_credentials.delete(tx, "other", "f1")
        assert await federated_credentials.delete(tx, RECORD.application_id, "f1")


async def test_a_principal_goes_with_everything_that_names_it_and_is_told(peopled: Database) -> None:
    person, outer, inner, machine = user(1), group(1), group(2), identity(1)
    async with peopled.write() as tx:
        await directory.add_member(tx, outer.object_id, inner.object_id)
        await directory.add_member(tx, inner.object_id, person.object_id)
        await owners.insert(tx, outer.object_id, person.object_id)
        await directory_roles.insert(tx, person.object_id, GLOBAL)
        await federated_credentials.insert(tx, msgspec.structs.replace(RECORD, application_id=machine.application_id))
    async with peopled.write() as tx:
        assert await directory_roles.roles_of(tx, [person.object_id, outer.object_id]) == {GLOBAL}
        for gone in (person, inner, machine):
            assert await directory.delete_principal(tx, gone)
        assert Change("directory", "", person.object_id) in tx.changes
        assert not await directory.delete_principal(tx, person)
        assert await memberships.members_of(tx, outer.object_id, after="", most=10) == []
        assert await owners.owners_of(tx, outer.object_id) == []
        assert await directory_roles.list_all(tx, TENANT.id) == []
        assert await federated_credentials.of_application(tx, machine.application_id) == []


async def test_a_changed_principal_is_read_back_and_pages_follow_ids(peopled: Database) -> None:
    details = PrincipalDetails(surname="S", must_change_password=True, kept='{"city":"x"}')
    changed = replace(user(1), display_name="N", upn="n@contoso.example", details=details, sessions_valid_from=7)
    async with peopled.write() as tx:
        assert await directory.update_principal(tx, changed)
        assert await directory.principal(tx, TENANT.id, changed.object_id) == changed
        state = await directory.state(tx, TENANT.id, changed.object_id)
        assert state is not None and state.sessions_valid_from == 7
        kinds = [PrincipalKind.USER, PrincipalKind.GROUP]
        every = await directory.list_page(tx, TENANT.id, kinds, after="", most=10)
        assert [one.object_id for one in every] == sorted(one.object_id for one in every) and len(every) == 4
        rest = await directory.list_page(tx, TENANT.id, kinds, after=every[1].object_id, most=1)
        assert rest == every[2:3]
        assert await directory.list_page(tx, OTHER_TENANT.id, kinds, after="", most=10) == []


async def test_people_act_through_what_the_tenant_knows(peopled: Database) -> None:
    async with peopled.read() as tx:
        for known in (APPLICATION.application_id, AZURE_CLI):
            state = await directory.application_state(tx, TENANT.id, known)
            assert state is not None and state.enabled
        assert await directory.application_state(tx, OTHER_TENANT.id, APPLICATION.application_id) is None
        assert await directory.application_state(tx, TENANT.id, "") is None
        assert await directory.application_state(tx, TENANT.id, AZURE_CLI, built_in=False) is None


def test_the_public_client_of_az_is_known_and_no_other() -> None:
    known = public_client(TENANT.id, AZURE_CLI)
    assert known is not None and known.public_client and known.redirect_uris[0].uri == "http://localhost"
    assert public_client(TENANT.id, APPLICATION.application_id) is None
