"""What every part of the directory is given."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from hsmvault.clock import Clock, Identifiers
from hsmvault.errors import RequestError
from hsmvault.resources.directory.proofs import Proofs
from hsmvault.store.database import Database, Transaction
from hsmvault.store.drivers import Conflicted


@dataclass(frozen=True, slots=True)
class DirectoryParts:
    database: Database
    clock: Clock
    identifiers: Identifiers
    proofs: Proofs

    @property
    def now(self) -> int:
        """Seconds since 1970 UTC."""
        return int(self.clock.now())

    @asynccontextmanager
    async def writing(self, taken: RequestError) -> AsyncIterator[Transaction]:
        """A transaction. taken: the refusal when somebody else has the name, or the pair, a moment earlier."""
        try:
            async with self.database.write() as tx:
                yield tx
        except Conflicted as error:
            raise taken from error
