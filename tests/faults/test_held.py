"""A process is held at a step of its act, and another one does something to the same name meanwhile. Whatever the step:
who is refused is told so, what was acknowledged is there, one version is the newest, and nothing is left in the token.
"""

from pathlib import Path

import pytest

from tests.faults.actions import HARD, RESIDENT, SOFT, WRAPPED
from tests.faults.pairs import Pair, require_pair
from tests.faults.processes import Processes

PAIRS = [
    Pair("create", "create", "", "active", 2),
    Pair("import", "create", "", "active", 2),
    Pair("import wrapped", "create", "", "active", 2, HARD),
    Pair("create a version", "delete", "Conflict", "deleted", 2),
    Pair("create a version", "set the rotation policy", "", "active", 3),
    Pair("rotate", "rotate", "", "active", 4),
    Pair("rotate", "create", "", "active", 4),
    Pair("rotate", "create RSA", "Conflict", "active", 3),  # the material that was made does not do any more
    Pair("rotate", "update", "", "active", 3),
    Pair("rotate", "delete", "Conflict", "deleted", 2),
    Pair("rotate by the job", "rotate by the job", "", "active", 3),  # once: who comes second finds it done
    Pair("rotate by the job", "rotate", "", "active", 3),
    Pair("rotate by the job", "delete", "", "deleted", 2),
    Pair("rotate by the job", "set the rotation policy", "", "active", 2),  # it is not due any more
    Pair("restore", "create", "Conflict", "active", 1, (SOFT,)),
    Pair("purge", "create", "", "active", 1, (RESIDENT,)),
    Pair("make a statement key", "make a statement key", "", "absent", 0, HARD),
]
FAST = {
    ("create", "create", WRAPPED),
    ("create a version", "delete", RESIDENT),
    ("rotate by the job", "rotate by the job", RESIDENT),
    ("rotate", "rotate", SOFT),
}
MATRIX = [(pair, custody) for pair in PAIRS for custody in pair.custody]


@pytest.mark.parametrize(
    ("pair", "custody"), [one for one in MATRIX if (one[0].held, one[0].meanwhile, one[1]) in FAST], ids=str
)
def test_two_at_one_name_at_the_last_moment_lose_nothing(
    pair: Pair, custody: str, two: list[Processes], folder: Path
) -> None:
    require_pair(pair, custody, two, folder, last_alone=True)


@pytest.mark.slow
@pytest.mark.parametrize(("pair", "custody"), MATRIX, ids=str)
def test_two_at_one_name_lose_nothing_and_leave_one_newest_version(
    pair: Pair, custody: str, two: list[Processes], folder: Path
) -> None:
    require_pair(pair, custody, two, folder, last_alone=False)
