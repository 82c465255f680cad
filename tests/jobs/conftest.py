from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hsmvault.clock import MovedClock
from tests.jobs.rig import Node, Opener, installation


@pytest.fixture
async def open_node(tmp_path: Path) -> AsyncIterator[Opener]:
    async with installation(tmp_path) as opener:
        yield opener


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
async def node(open_node: Opener, clock: MovedClock) -> Node:
    return await open_node(clock)
