"""The life of a key over years, as the jobs lead it."""

from dataclasses import replace
from itertools import pairwise

import pytest

from hsmvault.errors import NotFound
from hsmvault.model.durations import Duration, after
from hsmvault.model.rotation import StatedAction, parse_policy
from hsmvault.resources.key_settings import KeySettings
from hsmvault.store import schedule
from hsmvault.store.schedule import What
from tests.jobs.rig import DAY, VAULT, Node


async def test_a_key_is_rotated_when_its_policy_says_so_for_years(node: Node) -> None:
    await node.create(tags={"a": "b"}, operations=("sign",))
    await node.set_policy("P3M", expiry="P1Y")
    await node.pass_days(1000)
    versions = await node.versions()
    assert len(versions) == 11
    for one, following in pairwise(versions):
        assert 0 <= following.created - after(one.created, Duration(months=3)) <= DAY
        assert following.expires == after(following.created, Duration(years=1))
        assert (following.spec, following.tags, following.operations) == (one.spec, one.tags, one.operations)
    assert versions[0].expires is None
    rotated = [record for record in node.recorded() if record[0] == "KeyRotateIfDue"]
    assert rotated == [("KeyRotateIfDue", 200)] * 10
    assert {outcome for _, outcome in node.counted} == {"done"}


async def test_a_key_is_rotated_before_it_expires(node: Node) -> None:
    await node.create()
    policy = parse_policy([StatedAction("Rotate", None, "P30D"), StatedAction("Notify", None, "P10D")], "P90D")
    await node.rotation.set_policy(VAULT, "key", policy)
    await node.pass_days(100)
    assert len(await node.versions()) == 1  # it has no expiry
    await node.rotation.rotate(VAULT, "key")
    await node.pass_days(245)
    assert len(await node.versions()) == 2 + 245 // 60
    assert await node.told() == []  # the latest version is always a young one


async def test_near_expiry_and_expiry_are_told_once_each(node: Node) -> None:
    now = int(node.clock.now())
    row = await node.create(expires=now + 40 * DAY, not_before=now)
    await node.pass_days(9)
    assert await node.told() == []
    await node.pass_days(2)
    assert await node.told() == ["KeyNearExpiry"]
    event = (await node.events())[-1]
    assert (event.version, event.expires, event.not_before) == (row.version, row.expires, row.not_before)
    assert (event.object_type, event.name, event.container_id) == ("Key", "key", VAULT.id)
    told = []
    for _ in range(60):
        await node.pass_days(1)
        told += await node.told()  # an event stays a day in the outbox, and may be seen twice
        assert len(await node.told()) <= 1
    assert set(told) == {"KeyNearExpiry", "KeyExpired"} or set(told) == {"KeyExpired"}
    names = [name for name, _ in node.recorded()]
    assert names.count("KeyNearExpiryEventGridNotification") == names.count("KeyExpiredEventGridNotification") == 1


async def test_the_notice_of_a_policy_takes_the_place_of_the_thirty_days(node: Node) -> None:
    await node.create(expires=int(node.clock.now()) + 80 * DAY)
    await node.rotation.set_policy(VAULT, "key", parse_policy([StatedAction("Notify", None, "P60D")], None))
    await node.pass_days(19)
    assert await node.told() == []
    await node.pass_days(1)
    assert await node.told() == ["KeyNearExpiry"]


async def test_a_new_expiry_is_told_again_and_other_changes_are_not(node: Node) -> None:
    now = int(node.clock.now())
    await node.create(expires=now + 20 * DAY)
    await node.runner.tick()
    assert await node.told() == ["KeyNearExpiry"]  # it comes with less than thirty days
    await node.keys.update(VAULT, "key", None, KeySettings(tags={"a": "b"}, enabled=False))
    await node.pass_days(5)
    assert await node.told() == []  # that of the beginning was dropped after a day
    await node.keys.update(VAULT, "key", None, KeySettings(expires=now + 60 * DAY))
    await node.pass_days(24)
    assert await node.told() == []
    await node.pass_days(1)
    assert await node.told() == ["KeyNearExpiry"]


async def test_only_the_latest_version_is_told_of(node: Node) -> None:
    now = int(node.clock.now())
    first = await node.create(expires=now + 40 * DAY)
    await node.create()
    await node.keys.update(VAULT, "key", first.version, KeySettings(expires=now + 5 * DAY))
    await node.pass_days(50)
    assert not {name for name, _ in node.recorded()}


async def test_a_deleted_key_has_no_events_and_no_rotations_until_it_is_recovered(node: Node) -> None:
    now = int(node.clock.now())
    await node.create(expires=now + 35 * DAY)
    await node.set_policy("P8D")
    await node.pass_days(7)
    await node.keys.delete(VAULT, "key")
    await node.pass_days(3)
    assert await node.told() == []
    assert len(await node.versions()) == 1
    await node.keys.recover(VAULT, "key")
    node.clock.move(60)
    await node.runner.tick()
    assert len(await node.versions()) == 1
    node.clock.move(300)
    await node.runner.tick()
    assert len(await node.versions()) == 2


async def test_what_was_told_before_a_deletion_is_not_told_after_the_recovery(node: Node) -> None:
    await node.create(expires=int(node.clock.now()) + 20 * DAY)
    await node.runner.tick()
    await node.pass_days(2)
    await node.keys.delete(VAULT, "key")
    await node.pass_days(2)
    await node.keys.recover(VAULT, "key")
    await node.pass_days(2)
    names = [name for name, _ in node.recorded()]
    assert names.count("KeyNearExpiryEventGridNotification") == 1


async def test_a_deleted_key_is_purged_at_the_end_of_its_retention_in_spite_of_its_protection(node: Node) -> None:
    await node.create()
    await node.create()
    deleted = await node.keys.delete(VAULT, "key")
    assert VAULT.retention.purge_protection
    await node.pass_days(6)
    node.clock.move(deleted.purge_at - node.clock.now() - 301)
    await node.runner.tick()
    assert await node.is_there()
    node.clock.move(301)
    await node.runner.tick()
    assert not await node.is_there()
    assert node.recorded()[-1] == ("KeyPurge", 200)
    with pytest.raises(NotFound):
        await node.keys.get_deleted(VAULT, "key")
    await node.create()  # the name is free


async def test_new_versions_are_told_by_create_import_and_rotation(node: Node) -> None:
    created = await node.create("Key")
    rotated = await node.rotation.rotate(VAULT, "kEY")
    events = await node.events()
    assert [(event.type, event.version, event.name) for event in events] == [
        ("KeyNewVersionCreated", row.version, "Key") for row in (created, rotated)
    ]
    assert len({event.event_id for event in events}) == 2
    assert events[0] == replace(events[0], time=created.created, not_before=None, expires=None)


async def test_events_leave_the_outbox_after_a_day(node: Node) -> None:
    await node.create()
    node.clock.move(DAY)
    await node.runner.tick()
    assert len(await node.events()) == 1
    node.clock.move(3600)
    await node.runner.tick()
    assert await node.events() == []


async def test_a_removed_policy_rotates_nothing(node: Node) -> None:
    await node.create()
    await node.set_policy("P7D")
    await node.pass_days(6)
    await node.rotation.set_policy(VAULT, "key", parse_policy([], None))
    await node.pass_days(30)
    assert len(await node.versions()) == 1


async def test_a_policy_that_is_overdue_when_it_is_set_rotates_at_once(node: Node) -> None:
    await node.create()
    await node.pass_days(100)
    await node.set_policy("P90D")
    node.clock.move(300)
    await node.runner.tick()
    assert len(await node.versions()) == 2


async def test_keys_from_before_there_was_a_schedule_get_theirs(node: Node) -> None:
    expires = int(node.clock.now()) + 40 * DAY
    for number in range(120):
        await node.create(f"old-{number}", expires=expires)
    await node.create("expired", expires=int(node.clock.now()) - 1)
    await node.create("deleted", expires=expires)
    await node.keys.delete(VAULT, "deleted")
    async with node.database.write() as tx:
        for name in ("expired", *[f"old-{number}" for number in range(120)]):
            await schedule.replace(tx, VAULT.id, "keys", name, {})
    await node.runner.tick()
    async with node.database.read() as tx:
        for name in ("old-0", "old-119"):
            times = await schedule.of_object(tx, VAULT.id, "keys", name)
            assert times == {What.NEAR_EXPIRY: expires - 30 * DAY, What.EXPIRED: expires}
        for name in ("expired", "deleted"):
            assert await schedule.of_object(tx, VAULT.id, "keys", name) == {}
    async with node.database.write() as tx:
        await schedule.replace(tx, VAULT.id, "keys", "old-0", {})
    node.clock.move(300)
    await node.runner.tick()
    async with node.database.read() as tx:
        assert await schedule.of_object(tx, VAULT.id, "keys", "old-0") == {}  # once, and never again
