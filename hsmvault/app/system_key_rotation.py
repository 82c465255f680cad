"""`hsmvault rotate-system-key`: another system key at the root of everything sealed in software, without a stop.

    planned      its row is committed; the token makes the key with exactly that CKA_ID
    active       it seals what is new; the one before is retired, and only opens
    ...          every data key under a retired key is sealed anew; what the data keys sealed stays as it is
    destroying   the retired key has no data key left, and none is taken under it any more
    gone         the token object is destroyed, then the row

Each arrow is a transaction, and each step looks at what is there before it does anything: a rotation that was killed is
finished by the next call, which begins another one only when there is nothing to finish. Workers go on sealing and
opening all the while: they hear of a change of state within a second, and one that is late is refused by the store (an
insertion under a key that is going) or by the token, reads again, and succeeds.
"""

from collections.abc import Callable
from typing import TypeVar

from hsmvault.app.rotations import MADE_ONLY, Rotating
from hsmvault.app.worlds import KnownWorld
from hsmvault.custody.sealing import sealed_anew
from hsmvault.custody.world import TokenSystemKey, World
from hsmvault.errors import Damaged, HsmRefusal
from hsmvault.hsm import generations
from hsmvault.hsm.generations import Ending
from hsmvault.hsm.work import WorkSession
from hsmvault.model.data_keys import DataKeyRow
from hsmvault.model.worlds import ACTIVE, DESTROYING, PLANNED, RETIRED, SystemKeyRow
from hsmvault.store import data_keys, worlds

T = TypeVar("T")
JOB = "rotate-system-key"
_BATCH = 20  # rows in one transaction: some 5 ms of the token each, and a writer never waits long
_ID_BYTES = 16
_PROOF = b"hsmvault system key proof"


def job_of(known: KnownWorld) -> str:
    return f"{JOB}:{known.row.id}"


class SystemKeyRotation:
    """world: with the token at work, in this process. keep_old: retired keys stay in the token and go on opening.
    make_only: stop when the token has the next key, before anything is sealed by it.
    """

    def __init__(
        self, rotating: Rotating, known: KnownWorld, world: World, *, keep_old: bool = False, make_only: bool = False
    ) -> None:
        self._rotating = rotating
        self._world_id = known.row.id
        self._world = world
        self._token = world.tokens[0]
        self._keep_old = keep_old
        self._make_only = make_only

    async def run(self) -> None:
        """From wherever an earlier attempt ended, to the end. Raises HsmRefusal, Unavailable, Throttled."""
        await self._rotating.take_lease()
        planned_id = await self._plan()
        if planned_id is not None:
            await self._make(planned_id)
        if self._make_only:
            await self._leave(planned_id)
            return
        if planned_id is not None:
            await self._activate(planned_id)
        kept = 0
        for old in await self._keys(RETIRED, DESTROYING):
            kept += not await self._end(old)
        async with self._rotating.step() as tx:
            await self._rotating.end(tx)
        active = await self._active()
        self._say(f"The system key {active.id} is in use" + (f"; {kept} older kept." if kept else ", and no other."))

    # -- the next key -------------------------------------------------------------------------------------------------

    async def _plan(self) -> bytes | None:
        """CKA_ID of the key that is to be made; None when it is active already and older ones are to be ended."""
        rotating = self._rotating
        async with self._rotating.step() as tx:
            begun = await rotating.begun(tx)
            keys = await worlds.system_keys_of(tx, self._world_id)
            if begun is not None:
                state = next((key.state for key in keys if key.key_id == begun), None)
                self._say(f"Going on with the rotation to the system key {begun.hex()}.")
                return begun if state == PLANNED else None
            key_id = rotating.identifiers.random(_ID_BYTES)
            now = int(rotating.clock.now())
            row = SystemKeyRow(id=key_id.hex(), world_id=self._world_id, key_id=key_id, state=PLANNED, created=now)
            await worlds.insert_system_key(tx, row)
            await rotating.begin(tx, key_id)
        return key_id

    async def _make(self, key_id: bytes) -> None:
        rotating = self._rotating
        rotating.fault("before make")
        await self._token.run_once(self._alone(lambda work: generations.make_system_key(work, key_id)))
        rotating.fault("after make")
        key = TokenSystemKey(self._world, key_id)
        if await key.open(await key.seal(_PROOF, _PROOF), _PROOF) != _PROOF:
            raise HsmRefusal("The new system key opens to something else than it sealed; nothing was changed.")
        await rotating.sync(self._token.profile)
        rotating.fault("after sync")

    def _alone(self, job: Callable[[WorkSession], T]) -> Callable[[WorkSession], T]:
        """No worker of this node writes to the token meanwhile: it would not see what was done (token_objects.py)."""

        def run(work: WorkSession) -> T:
            with self._token.module.alone():
                return job(work)

        return run

    async def _leave(self, made_id: bytes | None) -> None:
        async with self._rotating.step() as tx:
            await self._rotating.leave(tx)
        if made_id is None:
            raise HsmRefusal(
                "The system key that was made last is in use already; run the command without --make-only to end that "
                "rotation."
            )
        self._say(f"The token has the system key {made_id.hex()}. {MADE_ONLY}")

    async def _activate(self, key_id: bytes) -> None:
        async with self._rotating.step() as tx:
            active = await worlds.active_system_key(tx, self._world_id)
            assert active is not None
            await worlds.activate_system_key(tx, key_id.hex(), active.id)
        self._say(f"The system key {key_id.hex()} seals from now on; {active.id} is retired.")

    # -- the older ones -----------------------------------------------------------------------------------------------

    async def _end(self, old: SystemKeyRow) -> bool:
        """Whether the key is gone; it is kept when something still needs it, or the token does not let it go."""
        while old.state == RETIRED:
            if not await self._seal_anew(old):
                return False
            if self._keep_old:
                async with self._rotating.database.read() as tx:
                    left = await data_keys.count_under(tx, old.id)
                self._say(f"The system key {old.id} is kept, as asked; {left} data keys are under it.")
                return False
            if await self._condemn(old):
                break
        self._rotating.fault("before destroy")
        ending = await self._token.run(self._alone(lambda work: generations.destroy_system_key(work, old.key_id)))
        self._rotating.fault("after destroy")
        if ending is Ending.KEPT:
            async with self._rotating.step() as tx:
                await worlds.move_system_key(tx, old.id, DESTROYING, RETIRED)
                left = await data_keys.count_under(tx, old.id)
            self._say(
                f"The system key {old.id} was made by an earlier version so that the token never destroys it; it stays "
                f"there, retired; {left} data keys are under it."
            )
            return False
        await self._rotating.sync(self._token.profile)
        async with self._rotating.step() as tx:
            await worlds.delete_system_key(tx, old.id, DESTROYING)
        self._say(f"The system key {old.id} is destroyed: nothing was left under it.")
        return True

    async def _seal_anew(self, old: SystemKeyRow) -> bool:
        """Every data key under the old key. False when one does not open, which is said."""
        old_key, new_key = TokenSystemKey(self._world, old.key_id), await self._current()
        async with self._rotating.database.read() as tx:
            total = await data_keys.count_under(tx, old.id)
        done = damaged = 0
        after = ""
        while True:
            async with self._rotating.database.read() as tx:
                rows = await data_keys.under(tx, old.id, after=after, limit=_BATCH)
            if not rows:
                break
            after = rows[-1].id
            anew: list[DataKeyRow] = []
            for row in rows:
                try:
                    anew.append(await sealed_anew(row, old_key, new_key))
                except Damaged as error:
                    damaged += 1
                    self._say(f"NOT re-sealed: {error.detail}")
            async with self._rotating.step() as tx:
                for row in anew:
                    done += await data_keys.reseal(tx, row, old.id)
            self._say(f"re-sealed {done} of {max(total, done)} data keys")
        if damaged:
            self._say(f"The system key {old.id} is kept: {damaged} data keys could not be opened.")
        return not damaged

    async def _condemn(self, old: SystemKeyRow) -> bool:
        """Nothing is under the key, and nothing comes under it any more. False when something came in between."""
        async with self._rotating.step() as tx:
            if await data_keys.count_under(tx, old.id):
                return False
            await worlds.move_system_key(tx, old.id, RETIRED, DESTROYING)
            return True

    async def _keys(self, *states: str) -> list[SystemKeyRow]:
        async with self._rotating.database.read() as tx:
            return [key for key in await worlds.system_keys_of(tx, self._world_id) if key.state in states]

    async def _active(self) -> SystemKeyRow:
        (active,) = await self._keys(ACTIVE)
        return active

    async def _current(self) -> TokenSystemKey:
        return TokenSystemKey(self._world, (await self._active()).key_id)

    @property
    def _say(self) -> Callable[[str], None]:
        return self._rotating.say
