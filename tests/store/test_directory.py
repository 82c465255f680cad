"""The embedded directory in the store."""

from dataclasses import replace

import pytest

from hsmvault.errors import BadRequest
from hsmvault.model.principals import Principal, PrincipalState, Tenant
from hsmvault.store import directory
from hsmvault.store.database import Change, Conflicted, Database

from .samples import TENANT, group, identity, secret, user

OTHER_TENANT = Tenant("22222222-0000-0000-0000-000000000002", "Fabrikam", "fabrikam.example")


@pytest.fixture
async def peopled(database: Database) -> Database:
    """Two tenants; users 1 and 2, groups 1 to 4, and identity 1 in the first."""
    async with database.write() as tx:
        await directory.insert_tenant(tx, TENANT)
        await directory.insert_tenant(tx, OTHER_TENANT)
        for principal in (user(1), user(2), group(1), group(2), group(3), group(4), identity(1)):
            await directory.insert_principal(tx, principal)
    return database


async def join(database: Database, *pairs: tuple[Principal, Principal]) -> None:
    async with database.write() as tx:
        for outer, member in pairs:
            await directory.add_member(tx, outer.object_id, member.object_id)


async def test_a_tenant_is_found_by_id_and_by_domain(peopled: Database) -> None:
    async with peopled.read() as tx:
        assert await directory.tenant(tx, TENANT.id.upper()) == TENANT
        assert await directory.tenant(tx, "contoso.EXAMPLE") == TENANT
        assert await directory.tenant(tx, "nobody") is None
        assert await directory.list_tenants(tx) == [TENANT, OTHER_TENANT]
    with pytest.raises(Conflicted):
        async with peopled.write() as tx:
            await directory.insert_tenant(tx, replace(TENANT, id="new", domain="CONTOSO.example"))


async def test_principals_are_found_in_their_tenant_alone(peopled: Database) -> None:
    person, machine = user(1), identity(1)
    async with peopled.read() as tx:
        assert await directory.principal(tx, TENANT.id, person.object_id) == person
        assert await directory.user_by_name(tx, TENANT.id, person.upn.upper()) == person
        assert await directory.by_application(tx, TENANT.id, machine.application_id) == machine
        assert await directory.by_resource(tx, machine.resource_id.upper()) == machine
        assert await directory.principal(tx, OTHER_TENANT.id, person.object_id) is None
        assert await directory.user_by_name(tx, OTHER_TENANT.id, person.upn) is None
        assert await directory.by_application(tx, OTHER_TENANT.id, machine.application_id) is None
        assert await directory.by_application(tx, TENANT.id, "") is None
        assert await directory.by_resource(tx, "") is None
        assert await directory.user_by_name(tx, TENANT.id, "") is None


async def test_names_and_ids_are_taken_once(peopled: Database) -> None:
    for principal in (
        replace(user(9), object_id=user(1).object_id),
        replace(user(9), upn=user(1).upn.upper()),
        replace(identity(9), application_id=identity(1).application_id),
        replace(identity(9), resource_id=identity(1).resource_id.upper()),
        replace(user(9), tenant_id="nobody"),
    ):
        with pytest.raises(Conflicted):
            async with peopled.write() as tx:
                await directory.insert_principal(tx, principal)
    async with peopled.write() as tx:  # one application has a service principal in each tenant that uses it
        there = replace(identity(9), tenant_id=OTHER_TENANT.id, application_id=identity(1).application_id)
        await directory.insert_principal(tx, there)
        await directory.insert_principal(tx, replace(user(9), tenant_id=OTHER_TENANT.id, upn=user(1).upn))


async def test_groups_are_found_through_groups_and_circles_end(peopled: Database) -> None:
    await join(
        peopled,
        (group(1), user(1)),
        (group(2), group(1)),
        (group(3), group(2)),
        (group(1), group(3)),
        (group(4), user(2)),
    )
    async with peopled.read() as tx:
        through = frozenset(group(number).object_id for number in (1, 2, 3))
        assert await directory.groups_of(tx, user(1).object_id) == through
        assert await directory.groups_of(tx, group(1).object_id) == through
        assert await directory.groups_of(tx, user(2).object_id) == {group(4).object_id}
        assert await directory.groups_of(tx, "nobody") == frozenset()


async def test_members_are_of_the_groups_tenant_and_groups_are_groups(peopled: Database) -> None:
    stranger = user(7, tenant=OTHER_TENANT)
    async with peopled.write() as tx:
        await directory.insert_principal(tx, stranger)
    for outer, member in ((group(1), stranger), (user(1), user(2)), (group(9), user(1)), (group(1), user(9))):
        with pytest.raises(BadRequest):
            await join(peopled, (outer, member))
    await join(peopled, (group(1), user(1)))
    with pytest.raises(Conflicted):
        await join(peopled, (group(1), user(1)))


async def test_a_member_that_was_removed_is_no_member(peopled: Database) -> None:
    await join(peopled, (group(1), user(1)))
    async with peopled.write() as tx:
        assert await directory.remove_member(tx, group(1).object_id, user(1).object_id)
        assert not await directory.remove_member(tx, group(1).object_id, user(1).object_id)
        assert await directory.groups_of(tx, user(1).object_id) == frozenset()


async def test_credentials_belong_to_their_application(peopled: Database) -> None:
    machine = identity(1)
    first, second = secret(1, machine.application_id), secret(2, machine.application_id)
    async with peopled.write() as tx:
        await directory.insert_credential(tx, second)
        await directory.insert_credential(tx, first)
    async with peopled.write() as tx:
        assert await directory.credentials_of(tx, machine.application_id) == [first, second]
        assert await directory.credentials_of(tx, "other") == []
        assert not await directory.delete_credential(tx, "other", first.id)
        assert await directory.delete_credential(tx, machine.application_id, first.id)
        assert await directory.credentials_of(tx, machine.application_id) == [second]
    with pytest.raises(Conflicted):
        async with peopled.write() as tx:
            await directory.insert_credential(tx, second)


async def test_the_state_of_a_principal_is_what_it_may_now(peopled: Database) -> None:
    machine = identity(1)
    await join(peopled, (group(1), machine), (group(2), group(1)))
    async with peopled.write() as tx:
        await directory.insert_credential(tx, secret(1, machine.application_id))
        assert await directory.state(tx, TENANT.id, machine.object_id) == PrincipalState(
            tenant_id=TENANT.id,
            enabled=True,
            groups=frozenset({group(1).object_id, group(2).object_id}),
            credentials=frozenset({secret(1, "").id}),
        )
        assert await directory.set_enabled(tx, TENANT.id, machine.object_id, False)
        assert not await directory.set_enabled(tx, OTHER_TENANT.id, machine.object_id, True)
        found = await directory.state(tx, TENANT.id, machine.object_id)
        assert found is not None
        assert not found.enabled
        assert await directory.state(tx, TENANT.id, user(1).object_id) == PrincipalState(
            TENANT.id, True, frozenset(), frozenset()
        )
        assert await directory.state(tx, OTHER_TENANT.id, machine.object_id) is None


async def test_everything_that_changes_a_permission_is_told(peopled: Database) -> None:
    heard: list[Change] = []
    peopled.listen(lambda changes: heard.extend(change for _, change in changes))
    machine = identity(1)
    async with peopled.write() as tx:
        await directory.set_enabled(tx, TENANT.id, machine.object_id, False)
        await directory.add_member(tx, group(1).object_id, machine.object_id)
        await directory.remove_member(tx, group(1).object_id, machine.object_id)
        await directory.insert_credential(tx, secret(1, machine.application_id))
        await directory.delete_credential(tx, machine.application_id, secret(1, "").id)
    assert heard == [
        Change("principal", "", machine.object_id),
        Change("directory", "", ""),
        Change("directory", "", ""),
        Change("application", "", machine.application_id),
        Change("application", "", machine.application_id),
    ]


def test_hashes_are_not_in_the_repr() -> None:
    assert "hash" not in repr(user(1)).replace("password_hash", "") + repr(secret(1, "")).replace("password_hash", "")
