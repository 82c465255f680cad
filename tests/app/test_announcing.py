"""Hosts of containers that are made while a worker runs."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from hsmvault.app.announcing import Announcements
from hsmvault.config.names import Names
from hsmvault.resources.vaults.settings import VaultSettings
from hsmvault.store.migrations import migrate
from tests.resources.vault_stage import PLACE, VaultStage, vault_stage


@pytest.fixture
async def on(tmp_path: Path) -> AsyncIterator[VaultStage]:
    empty = tmp_path / "empty.db"
    migrate(f"sqlite:///{empty}")
    async with vault_stage(tmp_path / "hsmvault.db", empty) as stage:
        yield stage


async def test_a_new_vault_is_announced_once_and_a_deleted_one_is_not(on: VaultStage) -> None:
    told: asyncio.Queue[tuple[str, ...]] = asyncio.Queue()

    def announce(hosts: Sequence[str]) -> None:
        told.put_nowait(tuple(hosts))

    announcements = Announcements(on.database, on.feed, Names("localhost", 8443), announce)
    await on.put()
    assert await told.get() == ("north.vault.localhost",)
    await on.patch(VaultSettings(tags={"a": "b"}))
    await on.vaults.delete(PLACE)
    await on.put(place=replace(PLACE, name="south"))
    assert await told.get() == ("south.vault.localhost",)
    await announcements.close()
    assert told.empty()
