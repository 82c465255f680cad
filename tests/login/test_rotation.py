"""Rotation of the signing keys, with a clock that the test moves."""

import asyncio
import dataclasses

import jwt
import pytest
from cryptography import x509

from hsmvault.clock import MovedClock, RandomIdentifiers
from hsmvault.custody.intents import Intents
from hsmvault.custody.protocols import Binding, CustodyClass, HeldKey
from hsmvault.errors import Unavailable
from hsmvault.login.rotation import JOB, Rotation, plan
from hsmvault.login.signing_keys import SigningKeys
from hsmvault.model.algorithms import KeySpec
from hsmvault.model.login_keys import LoginKeyRow
from hsmvault.store import jobs, login_keys
from tests.login.world import World

DAY = 86_400


async def published(world: World) -> list[str]:
    return [key["kid"] for key in (await world.get("/common/discovery/keys")).json["keys"]]


async def signing(world: World) -> str:
    return jwt.get_unverified_header((await world.token()).json["access_token"])["kid"]


async def rotate(world: World) -> None:
    await world.rotation.run_once()
    world.signing_keys.forget()


async def test_the_first_key_signs_at_once(world: World) -> None:
    assert await published(world) == [await signing(world)]


async def test_nothing_happens_while_nothing_is_due(world: World, clock: MovedClock) -> None:
    clock.move(87 * DAY)
    before = await published(world)
    await rotate(world)
    assert await published(world) == before


async def test_the_next_key_is_published_before_it_signs_and_the_last_one_after(
    world: World, clock: MovedClock
) -> None:
    (first,) = await published(world)
    clock.move(88 * DAY)
    await rotate(world)
    _, second = await published(world)
    assert await signing(world) == first

    clock.move(2 * DAY - 1)
    await rotate(world)
    old_token = (await world.token()).json["access_token"]
    assert jwt.get_unverified_header(old_token)["kid"] == first
    clock.move(1)
    assert await signing(world) == second

    clock.move(DAY + 3 * 3600 - 1)
    await rotate(world)
    assert await published(world) == [first, second]
    await world.claims(old_token)  # its key is still there, though the token has long expired

    clock.move(1)
    await rotate(world)
    assert await published(world) == [second]
    assert len(world.custodian.destroyed) == 1
    assert await signing(world) == second


async def test_keys_change_for_years(world: World, clock: MovedClock) -> None:
    seen = set()
    for _ in range(4 * 60):
        clock.move(6 * 86_400 / 4)
        await rotate(world)
        kid = await signing(world)
        keys = await published(world)
        assert kid in keys
        assert 1 <= len(keys) <= 2
        seen.add(kid)
    assert len(seen) >= 4


async def test_a_job_that_did_not_run_for_long_still_publishes_before_it_signs(world: World, clock: MovedClock) -> None:
    (first,) = await published(world)
    clock.move(365 * DAY)
    assert await signing(world) == first
    await rotate(world)
    assert await signing(world) == first
    assert len(await published(world)) == 2
    clock.move(2 * DAY)
    assert await signing(world) != first


async def test_an_hsm_out_of_reach_delays_rotation_and_nothing_else(world: World, clock: MovedClock) -> None:
    clock.move(89 * DAY)
    world.custodian.is_out = True
    with pytest.raises(Unavailable):
        await world.rotation.run_once()
    world.custodian.is_out = False
    assert len(await published(world)) == 1
    await rotate(world)
    assert len(await published(world)) == 2


async def test_who_does_not_hold_the_lease_does_nothing(world: World, clock: MovedClock) -> None:
    clock.move(88 * DAY)
    now = int(clock.now())
    async with world.database.write() as tx:
        assert await jobs.acquire(tx, JOB, "somebody else", now + 60, now)
    await rotate(world)
    assert len(await published(world)) == 1
    clock.move(60)
    await rotate(world)
    assert len(await published(world)) == 2


async def test_the_first_key_does_not_wait_for_a_lease_whose_holder_may_be_dead(
    world: World, clock: MovedClock
) -> None:
    now = int(clock.now())
    async with world.database.write() as tx:
        for row in await login_keys.list_all(tx):
            await login_keys.delete(tx, row.id)
        assert await jobs.acquire(tx, JOB, "a worker that was killed", now + 60, now)
    await asyncio.gather(world.rotation.run_once(), world.rotation.run_once())
    world.signing_keys.forget()
    assert await published(world) == [await signing(world)]
    async with world.database.write() as tx:
        assert not await jobs.acquire(tx, JOB, "another", now + 60, now), "the lease is still its holder's"


async def test_a_key_that_was_made_too_late_is_thrown_away(world: World, clock: MovedClock) -> None:
    """The lease ran out while the HSM was making the key, and another worker has done the work."""
    clock.move(88 * DAY)
    other = Rotation(
        world.settings,
        database=world.database,
        custodian=world.custodian,
        clock=clock,
        identifiers=RandomIdentifiers(),
        intents=Intents(world.database, "node", clock),
        owner="worker-2",
    )
    generate = world.custodian.generate

    async def slowly(spec: KeySpec, binding: Binding) -> HeldKey:
        world.custodian.generate = generate
        clock.move(300)
        await other.run_once()
        return await generate(spec, binding)

    world.custodian.generate = slowly
    await rotate(world)
    assert len(await published(world)) == 2
    assert len(world.custodian.destroyed) == 1


async def test_a_crash_between_key_and_row_leaves_what_was_there(world: World, clock: MovedClock) -> None:
    clock.move(88 * DAY)

    def crash(step: str) -> None:
        if step == "commit:before" and len(world.custodian.keys) == 2:
            raise KeyboardInterrupt

    world.database.fault = crash
    with pytest.raises(KeyboardInterrupt):
        await world.rotation.run_once()
    world.database.fault = None
    assert len(await published(world)) == 1
    clock.move(300)
    await rotate(world)
    assert len(await published(world)) == 2


async def test_another_worker_finds_the_key_by_its_row_alone(world: World, clock: MovedClock) -> None:
    keys = SigningKeys(database=world.database, custodian=world.custodian, clock=clock)
    key, handle = await keys.current()
    binding = handle.binding
    assert (binding.container_id, binding.kind, binding.name) == ("login", "key", "signing")
    assert x509.load_der_x509_certificate(key.certificate_der).serial_number == int(binding.version, 16)
    await world.claims((await world.token()).json["access_token"])


async def test_keys_are_read_again_after_a_minute_without_news(world: World, clock: MovedClock) -> None:
    await published(world)
    clock.move(88 * DAY)
    await world.rotation.run_once()
    clock.move(60)
    assert len(await published(world)) == 2


async def test_a_clock_that_was_set_back_still_has_a_key(world: World, clock: MovedClock) -> None:
    clock.jump(-30 * DAY)
    assert (await world.token()).status == 200


async def test_without_a_key_the_issuer_says_so_and_recovers(world: World, clock: MovedClock) -> None:
    (row,) = await _rows(world)
    async with world.database.write() as tx:
        await login_keys.delete(tx, row.id)
    world.signing_keys.forget()
    answer = await world.token()
    assert (answer.status, answer.json["error"]) == (503, "temporarily_unavailable")
    await rotate(world)
    assert (await world.token()).status == 200


async def test_a_damaged_row_does_not_take_the_others_along(world: World, clock: MovedClock) -> None:
    (row,) = await _rows(world)
    async with world.database.write() as tx:
        await login_keys.insert(tx, dataclasses.replace(row, id="damaged", certificate_der=b"x"))
        await login_keys.insert(tx, dataclasses.replace(row, id="damaged too", public=b"x"))
    world.signing_keys.forget()
    assert await published(world) == [row.id]
    assert (await world.token()).status == 200


async def test_keys_of_another_custody_are_published_and_a_new_one_signs(world: World, clock: MovedClock) -> None:
    (first,) = await published(world)
    old_token = (await world.token()).json["access_token"]
    world.custodian.custody = CustodyClass.SOFT
    fresh = SigningKeys(database=world.database, custodian=world.custodian, clock=clock)
    world.application._keys = fresh
    world.application._token_endpoint._tokens._signer._keys = fresh
    await world.rotation.run_once()
    fresh.forget()
    assert await signing(world) != first
    assert first in await published(world)
    await world.claims(old_token)


async def test_the_plan_of_no_rows_is_a_key_that_signs_now(world: World) -> None:
    assert plan([], world.settings, custody="wrapped", now=1000).next_signs_from == 1000


async def test_a_key_that_cannot_sign_succeeds_none_that_can(world: World) -> None:
    """The class of custody was changed and changed back."""
    settings, now = world.settings, 100 * DAY
    (row,) = await _rows(world)

    def key(name: str, custody: str, age: int) -> LoginKeyRow:
        retires = now - age + settings.key_life_seconds + settings.key_retention_seconds
        return dataclasses.replace(row, id=name, custody=custody, signs_from=now - age, retires_at=retires)

    able, newer = key("A", "wrapped", 20 * DAY), key("B", "resident", 5 * DAY)
    assert plan([able, newer], settings, custody="wrapped", now=now).gone == ()
    assert plan([able, newer], settings, custody="resident", now=now).gone == ()  # A may just have signed

    successor = key("C", "wrapped", 3 * DAY)
    assert plan([able, newer, successor], settings, custody="wrapped", now=now).gone == (able,)
    foreign = key("D", "resident", 95 * DAY)
    assert plan([foreign, able], settings, custody="wrapped", now=now).gone == (foreign,)
    assert plan([foreign], settings, custody="wrapped", now=now).gone == ()


async def _rows(world: World) -> list:
    async with world.database.read() as tx:
        return await login_keys.list_all(tx)
