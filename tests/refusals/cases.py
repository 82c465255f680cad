"""Operations times places, as parameters of tests."""

from collections.abc import Callable, Iterable

import pytest

from tests.refusals.places import KINDS, Place
from tests.refusals.rows import Absent, Row


def served(which: Callable[[Row], object] = lambda _: True, places: Iterable[Place] = KINDS) -> pytest.MarkDecorator:
    """Every operation that a place serves, in every place: `place` and `operation`."""
    both = [(place, name) for place in places for name, row in place.rows.items() if which(row)]
    return pytest.mark.parametrize(("place", "operation"), both, ids=[f"{place}-{name}" for place, name in both])


def missing(*absent: Absent) -> Callable[[Row], bool]:
    """For served(): what answers this about an object that is not there."""
    return lambda row: row.absent in absent
