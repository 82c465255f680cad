"""Something is being made in a vault, and the vault goes for good meanwhile: whoever makes it is refused
and neither the database nor the token keeps anything of it.
"""

from pathlib import Path

import pytest

from tests.faults.actions import RESIDENT, SOFT, WRAPPED
from tests.faults.pairs import Pair, require_pair
from tests.faults.processes import Processes

_GOES = "vault: goes with all in it"
_ALL = (SOFT, WRAPPED, RESIDENT)
PAIRS = [
    Pair("create", _GOES, "Conflict", "absent", 0, _ALL),
    Pair("import", _GOES, "Conflict", "absent", 0, _ALL),
    Pair("create a version", _GOES, "Conflict", "absent", 0, _ALL),
    Pair("rotate", _GOES, "NotFound", "absent", 0, _ALL),
    Pair("rotate by the job", _GOES, "", "absent", 0, _ALL),
    Pair("restore", _GOES, "Conflict", "absent", 0, (SOFT,)),
    Pair("purge", _GOES, "", "absent", 0, (RESIDENT,)),
    Pair("secret: set", _GOES, "Conflict", "absent", 0, (SOFT,)),
    Pair("certificate: create", _GOES, "Conflict", "absent", 0, _ALL),
    Pair("certificate: import", _GOES, "Conflict", "absent", 0, _ALL),
    Pair("certificate: issue", _GOES, "", "absent", 0, _ALL),
    Pair("certificate: renew by the job", _GOES, "", "absent", 0, (SOFT, RESIDENT)),
]
MATRIX = [(pair, custody) for pair in PAIRS for custody in pair.custody]


@pytest.mark.slow
@pytest.mark.parametrize(("pair", "custody"), MATRIX, ids=str)
def test_what_is_made_in_a_vault_that_goes_leaves_nothing_behind(
    pair: Pair, custody: str, two: list[Processes], folder: Path
) -> None:
    require_pair(pair, custody, two, folder, last_alone=False)
