"""Identifiers: every one is another, whoever makes it."""

import os
from uuid import UUID

from hsmvault.clock import RandomIdentifiers


def test_guids_are_random_ones_and_none_comes_twice() -> None:
    identifiers = RandomIdentifiers()
    made = [identifiers.guid() for _ in range(1000)]
    assert len(set(made)) == len(made)
    assert all(UUID(each).version == 4 and str(UUID(each)) == each for each in made)


def test_a_fork_does_not_repeat_what_its_parent_makes() -> None:
    identifiers = RandomIdentifiers()
    identifiers.guid()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, identifiers.guid().encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reading, 36).decode()
    os.close(reading)
    os.close(writing)
    assert str(UUID(theirs)) == theirs
    assert theirs != identifiers.guid()
