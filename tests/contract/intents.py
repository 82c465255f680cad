"""Intents over a database of their own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from hsmvault.clock import SystemClock
from hsmvault.custody.intents import Intents
from hsmvault.store.database import Database
from hsmvault.store.migrations import migrate

NODE = "node-1"


@asynccontextmanager
async def intents_in(folder: Path) -> AsyncIterator[Intents]:
    url = f"sqlite:///{folder}/intents.db"
    migrate(url)
    database = await Database.open(url, clock=SystemClock())
    yield Intents(database, NODE, SystemClock())
    await database.close()
