"""Two processes that write to one token see what the other one wrote: SoftHSM alone does not see to that."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.softhsm import SoftToken

ROOT = Path(__file__).parent.parent.parent
FIRST, SECOND, THIRD = (f"{number:032x}" for number in (1, 2, 3))


class Writer:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def __call__(self, command: str, token_id: str) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command} {token_id}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@pytest.fixture
def writers(softhsm: SoftToken) -> Iterator[list[Writer]]:
    command = [sys.executable, "-m", "tests.faults.writer", str(softhsm.folder)]
    with ExitStack() as stack:
        pipe = subprocess.PIPE
        started = [
            stack.enter_context(subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True))
            for _ in range(2)
        ]
        yield [Writer(process) for process in started]
        for process in started:
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(30) == 0


def test_who_writes_sees_what_the_other_one_wrote_before(writers: list[Writer]) -> None:
    one, other = writers
    assert one("find", FIRST) == other("find", FIRST) == 0
    assert other("make", FIRST) == 1
    assert one("make", SECOND) == 1
    assert one("find", FIRST) == 1
    assert other("find", SECOND) == 1


def test_a_key_of_the_other_one_is_destroyed_and_not_taken_for_gone(writers: list[Writer]) -> None:
    one, other = writers
    assert one("find", FIRST) == 0
    assert other("make", FIRST) == 1
    assert other("make", SECOND) == 1
    assert one("make", THIRD) == 1
    assert one("destroy", FIRST) == 1
    assert other("find", FIRST) == 0
    assert other("destroy", SECOND) == other("destroy", THIRD) == 1
    assert one("find", SECOND) == one("find", THIRD) == 0
