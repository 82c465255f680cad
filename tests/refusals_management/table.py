"""What the reference says about each operation of the management plane, written out a second time: nothing of it is
read from the product's own table, so that a wrong row there fails. An operation without a row here fails as well."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from tests.refusals_management import key_vault_rows, other_rows
from tests.refusals_management.rows import Row

ROWS: Final[Mapping[str, Row]] = {**key_vault_rows.ROWS, **other_rows.ROWS}
STABLE: Final = (
    *("2015-06-01", "2016-10-01", "2018-02-14", "2019-09-01", "2021-10-01", "2022-07-01", "2022-11-01"),
    *("2023-02-01", "2023-07-01", "2024-11-01", "2025-05-01", "2026-02-01", "2026-05-15"),
)
PREVIEW: Final = ("2026-03-01-preview", "2026-04-01-preview")
NEWEST: Final = STABLE[-1]


_ORDER: Final = {name: number for number, name in enumerate(ROWS)}
Value = TypeVar("Value")
Rig = TypeVar("Rig")
Test = Callable[[Rig, str], Awaitable[None]]


def some_of(values: Sequence[Value], name: str, most: int) -> list[Value]:
    """A few for each operation, others for the next one: over all operations everyone comes up often. What costs more
    has a slow twin, in which each operation gets all of them."""
    first = _ORDER[name] * most
    return [values[(first + number) % len(values)] for number in range(min(most, len(values)))]


def every(which: Callable[[Row], object] = lambda _: True) -> Callable[[Test], Callable[[Rig], Awaitable[None]]]:
    """The test for every operation of which this is so, as its parameter `name`. One test of them all: pytest takes
    longer for a test of its own than most of them do. A failure says which operation it was."""
    names = [name for name, row in ROWS.items() if which(row)]
    return of_each(names)


def of_each(names: Iterable[str]) -> Callable[[Test], Callable[[Rig], Awaitable[None]]]:
    def decorate(test: Test) -> Callable[[Rig], Awaitable[None]]:
        async def of_all(rig: Rig) -> None:
            for name in names:
                try:
                    await test(rig, name)
                except BaseException as error:
                    error.add_note(f"with {name}")
                    raise

        of_all.__name__, of_all.__doc__, of_all.__module__ = test.__name__, test.__doc__, test.__module__
        return of_all

    return decorate
