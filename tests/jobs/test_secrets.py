"""The life of a secret as the jobs lead it: told of before its end and at it, and purged."""

import pytest

from hsmvault.errors import NotFound, Unavailable
from hsmvault.resources.secrets import SecretSettings
from hsmvault.store import schedule
from hsmvault.store.keys import KEYS
from hsmvault.store.schedule import What
from hsmvault.store.secrets import SECRETS
from tests.jobs.rig import DAY, VAULT, Node
from tests.managed import made_managed, managed_secret


async def set_secret(node: Node, name: str = "secret", **settings: int | bool) -> str:
    """Returns the version."""
    made = await node.secrets.set(VAULT, name, "value", SecretSettings(**settings))  # type: ignore[arg-type]  # by name
    return made.row.version


async def told(node: Node) -> list[str]:
    return [event.type for event in await node.events() if event.type != "SecretNewVersionCreated"]


async def is_there(node: Node, name: str = "secret") -> bool:
    async with node.database.read() as tx:
        return await SECRETS.name(tx, VAULT.id, name) is not None


async def test_the_end_of_a_secret_is_told_thirty_days_before_and_when_it_has_come(node: Node) -> None:
    now = int(node.clock.now())
    version = await set_secret(node, "Secret", expires=now + 40 * DAY, not_before=now)
    event = (await node.events())[0]
    assert (event.type, event.object_type, event.name, event.version) == (
        "SecretNewVersionCreated",
        "Secret",
        "Secret",
        version,
    )
    assert (event.not_before, event.expires) == (now, now + 40 * DAY)
    await node.pass_days(9)
    assert await told(node) == []
    await node.pass_days(1)
    assert await told(node) == ["SecretNearExpiry"]
    seen: set[str] = set()
    for _ in range(60):
        await node.pass_days(1)
        seen.update(await told(node))
        assert len(await told(node)) <= 1
    assert seen == {"SecretNearExpiry", "SecretExpired"} or seen == {"SecretExpired"}
    names = [name for name, status in node.recorded() if status == 200]
    assert names.count("SecretNearExpiryEventGridNotification") == 1
    assert names.count("SecretExpiredEventGridNotification") == 1


async def test_only_the_latest_version_is_told_of_and_a_new_end_again(node: Node) -> None:
    now = int(node.clock.now())
    first = await set_secret(node, expires=now + 31 * DAY)
    await set_secret(node)
    await node.secrets.update(VAULT, "secret", first, SecretSettings(expires=now + 5 * DAY))
    await node.pass_days(40)
    assert not node.recorded()
    await node.secrets.update(VAULT, "secret", None, SecretSettings(expires=now + 60 * DAY))
    await node.runner.tick()
    await node.pass_days(1)
    assert "SecretNearExpiry" in await told(node)
    await node.secrets.update(VAULT, "secret", None, SecretSettings(enabled=False))
    await node.secrets.update(VAULT, "secret", None, SecretSettings(expires=now + 90 * DAY))
    await node.pass_days(3)
    assert await told(node) == []
    async with node.database.read() as tx:
        times = await schedule.of_object(tx, VAULT.id, "secrets", "secret")
    assert times == {What.NEAR_EXPIRY: now + 60 * DAY, What.EXPIRED: now + 90 * DAY}
    await set_secret(node)
    async with node.database.read() as tx:
        assert await schedule.of_object(tx, VAULT.id, "secrets", "secret") == {}


async def test_a_deleted_secret_is_not_told_of_and_what_was_told_is_not_told_again(node: Node) -> None:
    now = int(node.clock.now())
    await set_secret(node, expires=now + 20 * DAY)
    await node.runner.tick()
    assert await told(node) == ["SecretNearExpiry"]
    await node.pass_days(2)
    await node.secrets.delete(VAULT, "secret")
    await node.pass_days(2)
    await node.secrets.recover(VAULT, "secret")
    await node.pass_days(2)
    names = [name for name, _ in node.recorded()]
    assert names.count("SecretNearExpiryEventGridNotification") == 1
    await node.pass_days(20)
    assert "SecretExpiredEventGridNotification" in [name for name, _ in node.recorded()]


async def test_a_deleted_secret_is_purged_at_the_end_of_its_retention_in_spite_of_its_protection(node: Node) -> None:
    await set_secret(node)
    await set_secret(node)
    deleted = await node.secrets.delete(VAULT, "secret")
    await node.pass_days(6)
    node.clock.move(deleted.purge_at - node.clock.now() - 301)
    await node.runner.tick()
    assert await is_there(node)
    node.clock.move(301)
    await node.runner.tick()
    assert not await is_there(node)
    assert node.recorded()[-1] == ("SecretPurge", 200)
    with pytest.raises(NotFound):
        await node.secrets.get_deleted(VAULT, "secret")
    await set_secret(node)


async def test_without_a_record_nothing_is_purged(node: Node) -> None:
    await set_secret(node)
    deleted = await node.secrets.delete(VAULT, "secret")

    async def refuse(_: object) -> None:
        raise Unavailable("no")

    with pytest.raises(Unavailable):
        await node.secrets.purge_when_due(VAULT, "secret", deleted.purge_at, refuse)
    assert await is_there(node)
    assert not await node.secrets.purge_when_due(VAULT, "secret", deleted.purge_at - 1, refuse)


async def test_the_key_and_the_secret_of_a_certificate_wait_for_its_own_purge(node: Node) -> None:
    now = int(node.clock.now())
    sealer = node.secrets._sealers[VAULT.world_id]
    await managed_secret(node.database, sealer, VAULT, deleted_at=now, purge_at=now + DAY)
    own = await node.create("own")
    await made_managed(node.database, own)
    await set_secret(node, "mine")
    async with node.database.write() as tx:
        at_name = await KEYS.name(tx, VAULT.id, "site")
        assert at_name is not None
        await KEYS.mark_deleted(tx, at_name, now, now + DAY)
    await node.keys.delete(VAULT, "own")
    await node.secrets.delete(VAULT, "mine")
    await node.pass_days(9)
    assert [await node.is_there("own"), await is_there(node, "mine")] == [False, False]
    assert [await node.is_there("site"), await is_there(node, "site")] == [True, True]
    assert sorted(node.recorded()) == [("KeyPurge", 200), ("SecretPurge", 200)]
