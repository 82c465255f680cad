"""What administrators do while the process is killed: done or open, and nothing between.

Then the same request is made once more, as a client does whose answer was lost. Either it succeeds, or it is told that
it is done already, and nothing changes.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from hsmvault.errors import HsmvaultError
from hsmvault.model.containers import Container
from hsmvault.store import meta
from hsmvault.store.database import Transaction
from tests.faults.actions import SOFT, Case, Setup
from tests.faults.observing import State
from tests.faults.parts import Parts

_BEFORE = "before-the-case"

Act = Callable[[Parts], Awaitable[object]]
Look = Callable[[Transaction], Awaitable[Sequence[object]]]
"""What there is of it: everything that the action changes."""


@dataclass(frozen=True)
class Governed:
    """again: name of the refusal of the same request once more when it was done, or "" when it succeeds."""

    before: Act
    action: Act
    look: Look
    again: str = ""


def case_of(one: Governed) -> Case:
    async def before(parts: Parts, _: Setup) -> bytes:
        """Kept in the database: what there was, to tell done from open."""
        await one.before(parts)
        async with parts.database.write() as tx:
            await meta.put(tx, _BEFORE, repr(tuple(map(repr, await one.look(tx)))))
        return b""

    async def action(parts: Parts, _: Setup) -> None:
        await one.action(parts)

    return Case(before, action, (SOFT,))


def observing(one: Governed) -> Callable[[Parts, Container], Awaitable[State]]:
    async def observe(parts: Parts, _: Container) -> State:
        async with parts.database.read() as tx:
            found = tuple(map(repr, await one.look(tx)))
            before = await meta.get(tx, _BEFORE)
        return State("open" if repr(found) == before else "done", found, "", 0, 0, 0, 0, 0)

    return observe


def repeating(one: Governed) -> Callable[[Parts, Setup, State], Awaitable[None]]:
    observe = observing(one)

    async def require_usable(parts: Parts, setup: Setup, state: State) -> None:
        try:
            await one.action(parts)
        except HsmvaultError as error:
            assert (state.life, type(error).__name__) == ("done", one.again), error
        else:
            assert state.life == "open" or not one.again
        after = await observe(parts, setup.container)
        assert after.life == "done"

    return require_usable
