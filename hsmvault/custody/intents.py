"""The intents of this run of this node, as custody and those who store keys use them (see store/intents.py).

Only resident keys have any: for every other class of custody keep() and give_up() do nothing.
"""

from hsmvault.clock import Clock
from hsmvault.custody.protocols import HeldKey
from hsmvault.custody.reference import token_id
from hsmvault.model.intents import DESTROY, MAKE, Intent
from hsmvault.store import intents as store
from hsmvault.store.database import Database, Transaction


class Intents:
    """owner: names the run that this process belongs to (app/reconciliation.py)."""

    def __init__(self, database: Database, owner: str, clock: Clock) -> None:
        self._database = database
        self._owner = owner
        self._clock = clock

    async def plan(self, token_id: bytes) -> None:
        """Before an object is made: durable when this returns. Raises Unavailable."""
        async with self._database.write() as tx:
            await store.insert(tx, self._intent(token_id, MAKE))

    async def settle(self, token_id: bytes) -> None:
        """There is no such object, for certain. Raises Unavailable."""
        async with self._database.write() as tx:
            await store.delete(tx, token_id.hex())

    async def keep(self, tx: Transaction, held: HeldKey) -> None:
        """In the transaction that stores the key's row: from now on the row answers for the object."""
        if (object_id := token_id(held)) is not None:
            await store.delete(tx, object_id.hex())

    async def give_up(self, tx: Transaction, held: HeldKey) -> None:
        """In the transaction that removes the key's row, before Custodian.destroy() is called."""
        if (object_id := token_id(held)) is not None:
            await store.delete(tx, object_id.hex())
            await store.insert(tx, self._intent(object_id, DESTROY))

    async def left_over(self) -> list[Intent]:
        """Of this owner's dead attempts; to be asked while none of its processes is at work."""
        async with self._database.read() as tx:
            return await store.of_owner(tx, self._owner)

    def _intent(self, token_id: bytes, kind: str) -> Intent:
        return Intent(token_id.hex(), kind, self._owner, int(self._clock.now()))
