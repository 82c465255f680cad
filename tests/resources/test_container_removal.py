"""Keys that are objects in the token go with their vault, also when nobody comes to it before the next start."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from hsmvault.app.reconciliation import reconcile
from hsmvault.custody.protocols import CustodyClass
from hsmvault.custody.resident import ResidentCustodian
from hsmvault.errors import Unavailable
from hsmvault.model.algorithms import Curve, KeySpec
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.model.roles import RoleAssignment
from hsmvault.resources.container_removal import ContainerRemoval
from hsmvault.resources.key_settings import KeySettings
from hsmvault.store import containers, roles
from tests.resources.stage import POOL, VAULT, WORLD_ID, Stage, stage
from tests.softhsm import SoftToken, softhsm, softhsm_template

__all__ = ["softhsm", "softhsm_template"]

P256 = KeySpec.ec(Curve.P256)


@pytest.fixture
async def on(softhsm: SoftToken, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(softhsm, tmp_path / "hsmvault.db", CustodyClass.RESIDENT) as made:
        for name in ("one", "two"):
            await made.keys.create(VAULT, name, P256, KeySettings(), hardware=True)
        await made.keys.create(VAULT, "soft", P256, KeySettings(), hardware=False)
        await made.keys.delete(VAULT, "two")
        await made.keys.create(POOL, "theirs", P256, KeySettings(), hardware=True)
        yield made


def custodian_of(on: Stage) -> ResidentCustodian:
    custodian = on.custodians.worlds[WORLD_ID].custodians[CustodyClass.RESIDENT]
    assert isinstance(custodian, ResidentCustodian)
    return custodian


async def marked(on: Stage, container: Container) -> Container:
    async with on.database.write() as tx:
        now = int(on.clock.now())
        await containers.update(tx, replace(container, deleted_at=now, purge_at=now, purging=True))
        found = await containers.by_id(tx, container.id)
    assert found is not None
    return found


async def _nothing() -> None:
    return None


async def _goes_on() -> bool:
    return True


async def test_token_objects_go_with_their_vault_and_no_others(on: Stage) -> None:
    before = await custodian_of(on).objects()
    removal = ContainerRemoval(on.database, on.custodians, on.intents)
    assert await removal.remove(await marked(on, VAULT), 0, _nothing, _goes_on)
    after = await custodian_of(on).objects()
    assert len(before) - len(after) == 2
    assert await on.intents.left_over() == []
    assert (await on.keys.get(POOL, "theirs", None)).name == "theirs"


async def test_what_could_not_be_destroyed_is_the_next_starts(on: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    custodian = custodian_of(on)
    before = await custodian.objects()

    async def away(self: ResidentCustodian, token_id: bytes) -> bool:
        raise Unavailable("The HSM is not available.")

    removal = ContainerRemoval(on.database, on.custodians, on.intents)
    vault = await marked(on, VAULT)
    with monkeypatch.context() as patch:
        patch.setattr(ResidentCustodian, "remove", away)
        assert await removal.remove(vault, 0, _nothing, _goes_on)
    assert await custodian.objects() == before
    await reconcile(on.database, [custodian], on.intents)
    assert len(before) - len(await custodian.objects()) == 2
    assert await on.intents.left_over() == []


async def test_a_pool_goes_with_its_local_roles_behind_what_its_world_needs(on: Stage) -> None:
    async with on.database.write() as tx:
        for number, container in enumerate((POOL, VAULT)):
            assignment = RoleAssignment(f"id{number}", f"/local/{container.id}/keys/k", "role", "somebody")
            await roles.insert(tx, assignment)
    ended: list[Container] = []

    async def end(container: Container) -> None:
        ended.append(container)

    removal = ContainerRemoval(on.database, on.custodians, on.intents, last={ContainerKind.POOL: end})
    pool = await marked(on, POOL)
    assert await removal.remove(pool, 0, _nothing, _goes_on)
    assert ended == [pool]
    async with on.database.read() as tx:
        assert [one.id for one in await roles.list_at(tx, "/local")] == ["id1"]
        assert await containers.by_id(tx, POOL.id) is None
