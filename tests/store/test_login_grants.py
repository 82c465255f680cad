"""What the issuer has handed out: rows, single use, families, and what ends them."""

import msgspec
import pytest

from hsmvault.model.login_grants import Grant, GrantDetails, GrantKind, GrantStatus
from hsmvault.store import login_grants
from hsmvault.store.database import Conflicted, Database

CODE = Grant(
    id="c" * 64,
    kind=GrantKind.CODE,
    family="f" * 32,
    tenant_id="t",
    object_id="o",
    application_id="a",
    status=GrantStatus.OPEN,
    created=100,
    expires=400,
    details=GrantDetails(audience="https://vault", scopes=("openid",), challenge="x", needs_proof=True),
)
TOKEN = msgspec.structs.replace(CODE, id="r" * 64, kind=GrantKind.REFRESH_TOKEN, expires=900)
DEVICE = msgspec.structs.replace(
    CODE, id="d" * 64, kind=GrantKind.DEVICE_CODE, family="e" * 32, status=GrantStatus.PENDING, user_code="BCDFGHJKL"
)


async def insert(database: Database, *grants: Grant) -> None:
    async with database.write() as tx:
        for grant in grants:
            await login_grants.insert(tx, grant)


async def test_a_grant_comes_back_as_it_was_and_under_its_own_kind_alone(database: Database) -> None:
    await insert(database, CODE, DEVICE)
    async with database.read() as tx:
        assert await login_grants.find(tx, GrantKind.CODE, CODE.id) == CODE
        assert await login_grants.find(tx, GrantKind.REFRESH_TOKEN, CODE.id) is None
        assert await login_grants.by_user_code(tx, "BCDFGHJKL") == DEVICE
        assert await login_grants.by_user_code(tx, "") is None
        assert await login_grants.has_family(tx, CODE.family)
        assert not await login_grants.has_family(tx, "0" * 32)


async def test_a_grant_is_redeemed_once(database: Database) -> None:
    await insert(database, CODE)
    async with database.write() as tx:
        assert await login_grants.redeem(tx, CODE, now=200, kept_until=300)
        assert not await login_grants.redeem(tx, CODE, now=201, kept_until=300)
        found = await login_grants.find(tx, GrantKind.CODE, CODE.id)
    assert found is not None
    assert (found.status, found.redeemed_at, found.expires) == (GrantStatus.REDEEMED, 200, 300)


async def test_a_device_code_is_decided_once_and_its_user_code_is_unique(database: Database) -> None:
    await insert(database, DEVICE)
    with pytest.raises(Conflicted):
        await insert(database, msgspec.structs.replace(DEVICE, id="0" * 64))
    given = {"tenant_id": "t", "object_id": "o", "since": 150, "details": DEVICE.details}
    async with database.write() as tx:
        assert await login_grants.decide(tx, DEVICE.id, GrantStatus.DECLINED, **given)
        assert not await login_grants.decide(tx, DEVICE.id, GrantStatus.APPROVED, **given)
        found = await login_grants.find(tx, GrantKind.DEVICE_CODE, DEVICE.id)
    assert found is not None
    assert (found.status, found.created) == (GrantStatus.DECLINED, 150)


async def test_families_people_and_applications_are_ended_whole(database: Database) -> None:
    other = msgspec.structs.replace(TOKEN, id="1" * 64, family="1" * 32, object_id="o2", application_id="a2")
    await insert(database, CODE, TOKEN, DEVICE, other)
    async with database.write() as tx:
        assert await login_grants.revoke_family(tx, CODE.family) == 2
        assert await login_grants.revoke_of_person(tx, "o") == 1
        assert await login_grants.revoke_of_application(tx, "elsewhere", "a2") == 0
        assert await login_grants.revoke_of_application(tx, "t", "a2") == 1


async def test_what_has_expired_goes_and_the_rest_stays(database: Database) -> None:
    await insert(database, CODE, TOKEN)
    async with database.write() as tx:
        assert await login_grants.delete_expired(tx, 399) == 0
        assert await login_grants.delete_expired(tx, 400) == 1
        assert await login_grants.find(tx, GrantKind.REFRESH_TOKEN, TOKEN.id) == TOKEN
        assert await login_grants.delete(tx, TOKEN.id)
        assert not await login_grants.delete(tx, TOKEN.id)
