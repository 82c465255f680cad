"""Rotation on demand, and the policies that are set, answered and removed."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from hsmvault.clock import MovedClock
from hsmvault.errors import BadRequest, Conflict, NotFound
from hsmvault.model.algorithms import Curve, KeySpec
from hsmvault.model.containers import AuthorizationModel, ContainerKind
from hsmvault.model.durations import Duration
from hsmvault.model.keys import KeyName, KeyVersion
from hsmvault.model.rotation import (
    ActionType,
    LifetimeAction,
    RotationPolicy,
    StatedAction,
    check_policy,
    parse_policy,
)
from hsmvault.resources import key_schedule
from hsmvault.resources.key_settings import KeySettings
from hsmvault.store import keys as store
from hsmvault.store import schedule
from hsmvault.store.schedule import What
from tests.jobs.rig import DAY, VAULT, Node, installation

NOW = 1_750_000_000
NOTICE = LifetimeAction(ActionType.NOTIFY, before_expiry=Duration(days=30))
EMPTY = parse_policy([], None)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    async with installation(tmp_path) as opener:
        yield await opener(MovedClock())


async def scheduled(node: Node, name: str = "key") -> dict[What, int]:
    async with node.database.read() as tx:
        return await schedule.of_object(tx, VAULT.id, "keys", name)


async def test_a_rotated_key_is_like_the_latest_one_and_new(node: Node) -> None:
    spec = KeySpec.ec(Curve.P384)
    settings = KeySettings(operations=("sign",), tags={"a": "b"}, not_before=5, expires=NOW + 90 * DAY, enabled=False)
    old = await node.keys.create(VAULT, "Key", spec, settings, hardware=False)
    node.clock.move(10)
    new = await node.rotation.rotate(VAULT, "kEY")
    assert (new.name, new.spec, new.operations, new.tags) == ("Key", spec, ("sign",), {"a": "b"})
    assert (new.enabled, new.not_before, new.expires) == (True, None, None)
    assert new.created == new.updated == NOW + 10
    assert new.public != old.public
    assert new.version != old.version
    assert (await node.keys.get(VAULT, "key", None)).version == new.version
    assert (await node.keys.get(VAULT, "key", old.version)).enabled is False


async def test_a_rotated_key_expires_as_its_policy_says(node: Node) -> None:
    await node.create()
    await node.rotation.set_policy(VAULT, "key", parse_policy([], "P90D"))
    assert (await node.rotation.rotate(VAULT, "key")).expires == NOW + 90 * DAY


async def test_an_expired_key_is_rotated(node: Node) -> None:
    await node.create(expires=NOW - DAY)
    assert (await node.rotation.rotate(VAULT, "key")).expires is None


async def test_missing_and_deleted_keys_are_not_found(node: Node) -> None:
    await node.create("deleted")
    await node.keys.delete(VAULT, "deleted")
    for name in ("missing", "deleted"):
        for call in (
            node.rotation.rotate(VAULT, name),
            node.rotation.get_policy(VAULT, name),
            node.rotation.set_policy(VAULT, name, EMPTY),
        ):
            with pytest.raises(NotFound) as caught:
                await call
            assert caught.value.code == "KeyNotFound"


async def test_the_policy_is_the_default_until_one_is_set_and_after_it_was_removed(node: Node) -> None:
    await node.create()
    default = RotationPolicy((NOTICE,), None, NOW, NOW)
    assert await node.rotation.get_policy(VAULT, "KEY") == default
    node.clock.move(100)
    stated = parse_policy([StatedAction("rotate", "P18M")], "P2Y")
    answered = await node.rotation.set_policy(VAULT, "key", stated)
    assert answered == replace(stated, created=NOW + 100, updated=NOW + 100)
    assert await node.rotation.get_policy(VAULT, "key") == answered
    node.clock.move(100)
    again = await node.rotation.set_policy(VAULT, "key", stated)
    assert (again.created, again.updated) == (NOW + 100, NOW + 200)
    assert await node.rotation.set_policy(VAULT, "key", EMPTY) == default
    assert await node.rotation.get_policy(VAULT, "key") == default


async def test_the_policy_belongs_to_the_name_and_outlives_versions_and_deletion(node: Node) -> None:
    await node.create()
    policy = await node.rotation.set_policy(VAULT, "key", parse_policy([StatedAction("Rotate", "P90D")], None))
    await node.create()
    await node.keys.delete(VAULT, "key")
    await node.keys.recover(VAULT, "key")
    assert await node.rotation.get_policy(VAULT, "key") == policy


async def test_a_refused_policy_changes_nothing(node: Node) -> None:
    await node.create()
    policy = await node.rotation.set_policy(VAULT, "key", parse_policy([StatedAction("Rotate", "P90D")], None))
    with pytest.raises(BadRequest):
        await node.rotation.set_policy(VAULT, "key", parse_policy([StatedAction("Rotate", "P1D")], None))
    assert await node.rotation.get_policy(VAULT, "key") == policy


class Needy:
    """The vault, with the rule of a pool that rotation needs a policy, and with few versions."""

    rotation_needs_policy = True
    most_versions = 3

    def __getattr__(self, name: str) -> object:
        return getattr(VAULT, name)


async def test_where_rotation_needs_a_policy_there_is_none_without(node: Node) -> None:
    await node.create()
    with pytest.raises(BadRequest):
        await node.rotation.rotate(Needy(), "key")  # type: ignore[arg-type]  # its rules alone are asked for
    await node.set_policy("P90D")
    await node.rotation.rotate(Needy(), "key")  # type: ignore[arg-type]  # as above


async def test_the_limit_of_versions_holds_for_rotations_too(node: Node) -> None:
    await node.create()
    await node.set_policy("P90D")
    needy = Needy()
    for _ in range(2):
        await node.rotation.rotate(needy, "key")  # type: ignore[arg-type]  # its rules alone are asked for
    for call in (node.rotation.rotate(needy, "key"), node.create(container=needy)):  # type: ignore[arg-type]  # as above
        with pytest.raises(BadRequest):
            await call
    assert len(await node.versions()) == 3


async def test_many_rotations_at_once_are_all_there(node: Node) -> None:
    await node.create()
    made = await asyncio.gather(*[node.rotation.rotate(VAULT, "key") for _ in range(8)])
    versions = await node.versions()
    assert {row.version for row in made} == {row.version for row in versions[1:]}
    assert [row.sequence for row in versions] == list(range(1, 10))


async def test_a_rotation_does_not_follow_a_version_of_another_type(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The material was made for the version before."""
    await node.create()
    succeed = node.keys.succeed

    async def overtaken(container: object, like: KeyVersion, *rest: object) -> KeyVersion:
        await node.keys.create(VAULT, "key", KeySpec.ec(Curve.P384), KeySettings(), hardware=False)
        return await succeed(container, like, *rest)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(node.keys, "succeed", overtaken)
    with pytest.raises(Conflict):
        await node.rotation.rotate(VAULT, "key")
    assert [row.spec.curve for row in await node.versions()] == [Curve.P256, Curve.P384]


async def test_a_rotation_takes_over_what_was_changed_meanwhile(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    await node.create(tags={"a": "old"})
    succeed = node.keys.succeed

    async def overtaken(container: object, like: KeyVersion, *rest: object) -> KeyVersion:
        await node.keys.update(VAULT, "key", None, KeySettings(tags={"a": "new"}))
        return await succeed(container, like, *rest)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(node.keys, "succeed", overtaken)
    assert (await node.rotation.rotate(VAULT, "key")).tags == {"a": "new"}


async def test_the_schedule_follows_every_change(node: Node) -> None:
    expires = NOW + 100 * DAY
    events = {What.NEAR_EXPIRY: expires - 30 * DAY, What.EXPIRED: expires}
    await node.create()
    assert await scheduled(node) == {}
    await node.keys.update(VAULT, "key", None, KeySettings(expires=expires))
    assert await scheduled(node) == events
    await node.set_policy("P90D", expiry="P1Y")
    assert await scheduled(node) == {What.ROTATE: NOW + 90 * DAY, **events}
    await node.keys.delete(VAULT, "key")
    assert await scheduled(node) == {}
    await node.keys.recover(VAULT, "key")
    assert await scheduled(node) == {What.ROTATE: NOW + 90 * DAY, **events}
    node.clock.move(DAY)
    new = await node.rotation.rotate(VAULT, "key")
    assert new.expires is not None
    assert await scheduled(node) == {
        What.ROTATE: NOW + 91 * DAY,
        What.NEAR_EXPIRY: new.expires - 30 * DAY,
        What.EXPIRED: new.expires,
    }
    await node.rotation.set_policy(VAULT, "key", EMPTY)
    assert await scheduled(node) == {What.NEAR_EXPIRY: new.expires - 30 * DAY, What.EXPIRED: new.expires}
    await node.create()
    assert await scheduled(node) == {}
    await node.keys.delete(VAULT, "key")
    await node.keys.purge_when_due(VAULT, "key", 2**40, _unrecorded)
    await node.create()
    with pytest.raises(NotFound):
        await node.keys.get_deleted(VAULT, "key")
    assert (await node.rotation.get_policy(VAULT, "key")).expiry is None


async def _unrecorded(_: KeyVersion) -> None:
    pass


async def test_the_times_of_a_restored_key_are_those_that_are_still_ahead(node: Node) -> None:
    row = await node.create(expires=NOW + 100 * DAY)
    policy = parse_policy([StatedAction("Rotate", "P7D")], None)
    node.clock.move(80 * DAY)
    copy = replace(row, name="copy")
    at_name = KeyName(VAULT.id, "copy", row.version, 2, row.created, 1, rotation_policy=policy)
    async with node.database.write() as tx:
        await store.restore(tx, at_name, [copy])
        await key_schedule.begin(tx, VAULT, policy, copy, told_until=int(node.clock.now()))
    assert await scheduled(node, "copy") == {What.ROTATE: NOW + 7 * DAY, What.EXPIRED: NOW + 100 * DAY}


async def test_a_purge_of_what_is_not_due_does_nothing(node: Node) -> None:
    await node.create()
    assert not await node.keys.purge_when_due(VAULT, "key", 2**40, _unrecorded)
    deleted = await node.keys.delete(VAULT, "key")
    assert not await node.keys.purge_when_due(VAULT, "key", deleted.purge_at - 1, _unrecorded)
    assert not await node.keys.purge_when_due(VAULT, "missing", 2**40, _unrecorded)
    assert await node.keys.purge_when_due(VAULT, "key", deleted.purge_at, _unrecorded)
    assert not await node.is_there()


async def test_a_pool_rotates_and_tells_nobody(node: Node) -> None:
    pool = replace(VAULT, id="p", kind=ContainerKind.POOL, software_keys=False, authorization=AuthorizationModel.LOCAL)
    row = await node.create(expires=NOW + 100 * DAY)
    policy = parse_policy([StatedAction("Rotate", "P28D")], None)
    assert key_schedule.due_of(pool, policy, row) == {What.ROTATE: NOW + 28 * DAY}
    with pytest.raises(BadRequest):
        check_policy(parse_policy([StatedAction("Notify", None, "P30D")], None), pool.rotation_rules)
    with pytest.raises(BadRequest):
        check_policy(parse_policy([StatedAction("Rotate", "P27D")], None), pool.rotation_rules)
