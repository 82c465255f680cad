"""As test_held.py, for certificates and secrets: creations, the engine, merges, cancellations and renewals at one name.

Whatever the step, who is refused is told so; the certificate, its key and its secret are of the same versions; what is
still under way goes on by itself; and nothing is left in the token.
"""

from pathlib import Path

import pytest

from tests.faults.actions import RESIDENT, SOFT, WRAPPED
from tests.faults.pairs import Pair, require_pair
from tests.faults.processes import Processes

_KEY, _SECRET, _CERTIFICATE = "create", "secret: set", "certificate: create"
_OWN = "certificate: issue by an authority of our own"
_IN_PROGRESS, _COMPLETED, _CANCELLED = "Status.IN_PROGRESS", "Status.COMPLETED", "Status.CANCELLED"
_BOTH = (SOFT, RESIDENT)


def _pair(held: str, meanwhile: str, refusal: str, life: str, versions: int, operation: str = "") -> Pair:
    return Pair(f"certificate: {held}", f"certificate: {meanwhile}", refusal, life, versions, _BOTH, operation)


PAIRS = [
    Pair(_CERTIFICATE, _CERTIFICATE, "Conflict", "active", 1, (SOFT, WRAPPED, RESIDENT), _IN_PROGRESS),
    Pair(_CERTIFICATE, _KEY, "Conflict", "active", 1, _BOTH, seen_as=_KEY),
    Pair(_CERTIFICATE, _SECRET, "Conflict", "active", 1, _BOTH, seen_as=_SECRET),
    Pair(_KEY, _CERTIFICATE, "Forbidden", "active", 1, _BOTH, seen_as=_CERTIFICATE),
    Pair(_SECRET, _CERTIFICATE, "Forbidden", "active", 1, (SOFT,), seen_as=_CERTIFICATE),
    Pair(_SECRET, _SECRET, "", "active", 2, (SOFT,)),
    _pair("create in place of a cancelled one", "create", "Conflict", "active", 1, _IN_PROGRESS),
    _pair("create in place of a cancelled one", "forget", "", "active", 1, _IN_PROGRESS),
    _pair("create in place of a cancelled one", "delete", "Conflict", "deleted", 1),
    _pair("create in place of a cancelled one", "merge", "", "active", 2, _IN_PROGRESS),
    _pair("import", "import", "", "active", 2),
    _pair("import", "create", "Conflict", "active", 1, _IN_PROGRESS),
    _pair("import in place of a cancelled one", "delete", "Conflict", "deleted", 2),
    _pair("issue", "issue", "", "active", 1, _COMPLETED),
    _pair("issue", "ask to cancel", "", "active", 1, _CANCELLED),
    _pair("issue", "forget", "", "absent", 0),
    _pair("issue", "delete", "", "deleted", 1, _CANCELLED),
    _pair("issue", "update one that is under way", "", "active", 1, _COMPLETED),
    _pair("issue another", "forget", "", "active", 1),
    Pair(_OWN, _OWN, "", "active", 1, (RESIDENT,), _COMPLETED),  # its keys are made at the first call
    _pair("issue a renewal", "issue a renewal", "", "active", 2, _COMPLETED),
    _pair("issue a renewal", "delete", "", "deleted", 2, _CANCELLED),
    Pair("certificate: merge", "certificate: merge", "Conflict", "active", 1, (SOFT,), _COMPLETED),
    Pair("certificate: merge", "certificate: forget", "Conflict", "absent", 0, (SOFT,)),
    Pair("certificate: merge", "certificate: delete", "Conflict", "deleted", 1, (SOFT,), _CANCELLED),
    Pair("certificate: merge", "certificate: ask to cancel", "Conflict", "active", 1, (SOFT,), _IN_PROGRESS),
    _pair("renew by the job", "renew by the job", "", "active", 2, _IN_PROGRESS),
    Pair("certificate: renew by the job", "certificate: delete", "", "deleted", (1, 2), _BOTH),
    Pair("certificate: purge", _CERTIFICATE, "", "active", 1, (RESIDENT,), _IN_PROGRESS),
    Pair("certificate: forget", _CERTIFICATE, "", "active", 1, (RESIDENT,), _IN_PROGRESS),
    _pair("cancel", "forget", "", "absent", 0),
    Pair("certificate: restore", _CERTIFICATE, "Conflict", "active", 1, (SOFT,), _IN_PROGRESS),
    Pair("certificate: restore", "certificate: restore", "Conflict", "active", 2, (SOFT,)),
    Pair("certificate: restore", _KEY, "Conflict", "active", 1, (SOFT,), seen_as=_KEY),
]
FAST = {
    ("certificate: create", "certificate: create", RESIDENT),
    ("certificate: issue", "certificate: ask to cancel", SOFT),
}
MATRIX = [(pair, custody) for pair in PAIRS for custody in pair.custody]


@pytest.mark.parametrize(
    ("pair", "custody"), [one for one in MATRIX if (one[0].held, one[0].meanwhile, one[1]) in FAST], ids=str
)
def test_two_at_one_certificate_at_the_last_moment_lose_nothing(
    pair: Pair, custody: str, two: list[Processes], folder: Path
) -> None:
    require_pair(pair, custody, two, folder, last_alone=True)


@pytest.mark.slow
@pytest.mark.parametrize(("pair", "custody"), MATRIX, ids=str)
def test_two_at_one_certificate_lose_nothing_and_leave_it_whole(
    pair: Pair, custody: str, two: list[Processes], folder: Path
) -> None:
    require_pair(pair, custody, two, folder, last_alone=False)
