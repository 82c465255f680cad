"""Workers of one node start at the same moment, on one token."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.softhsm import SoftToken

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("times", [25, pytest.param(300, marks=pytest.mark.slow)])
def test_processes_that_log_in_at_once_do_not_hide_the_token_from_each_other(
    softhsm: SoftToken,  # the fixture
    times: int,
) -> None:
    """SoftHSM writes its token's file anew at each login, and a module that reads it meanwhile finds no token."""
    command = [sys.executable, "-m", "tests.faults.starter", str(softhsm.folder), softhsm.ids.mac.hex(), str(times)]
    started = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) for _ in range(3)]
    ended = [process.communicate(timeout=100)[1].decode() for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], ended
