"""What every DataKeyStore must do; run as custody.py is, with a fixture `data_keys` of the module's scope.

Containers named c-1 to c-9 exist.
"""

import asyncio
import os

import pytest

from hsmvault.custody.sealing import DataKeyStore
from hsmvault.model.data_keys import DataKeyRow


def a_row(container_id: str) -> DataKeyRow:
    return DataKeyRow(os.urandom(16).hex(), container_id, "system-key-1", os.urandom(60), 1_750_000_000)


@pytest.mark.asyncio(loop_scope="module")
class DataKeyStoreContract:
    async def test_a_container_begins_without_a_data_key(self, data_keys: DataKeyStore) -> None:
        assert await data_keys.current("c-1") is None

    async def test_an_unknown_id_is_nothing(self, data_keys: DataKeyStore) -> None:
        assert await data_keys.get("0" * 32) is None

    async def test_what_was_added_is_current_and_is_found_by_its_id(self, data_keys: DataKeyStore) -> None:
        row = a_row("c-2")
        assert await data_keys.add(row) == row
        assert await data_keys.current("c-2") == row
        assert await data_keys.get(row.id) == row
        assert await data_keys.current("c-3") is None

    async def test_the_second_of_two_gets_the_first_ones_row(self, data_keys: DataKeyStore) -> None:
        first, second = a_row("c-4"), a_row("c-4")
        assert await data_keys.add(first) == first
        assert await data_keys.add(second) == first
        assert await data_keys.current("c-4") == first
        assert await data_keys.get(second.id) is None

    async def test_of_many_at_once_one_wins_for_all(self, data_keys: DataKeyStore) -> None:
        rows = await asyncio.gather(*(data_keys.add(a_row("c-5")) for _ in range(8)))
        assert len({row.id for row in rows}) == 1
        assert await data_keys.current("c-5") == rows[0]
