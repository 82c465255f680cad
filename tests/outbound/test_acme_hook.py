"""Programs of the operator: run without a shell and without our environment, bounded, and heard in the log."""

import asyncio
import contextlib
import logging
import os
import stat
from pathlib import Path

import pytest

from hsmvault.outbound.acme_hook import Hook, HookFailed


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HSMVAULT_PIN", "secret")
    return tmp_path


def program(folder: Path, text: str, mode: int = 0o700) -> str:
    path = folder / "hook"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(mode)
    return str(path)


async def test_a_hook_has_its_arguments_as_they_are_and_nothing_of_ours(folder: Path) -> None:
    seen, text = folder / "seen", 'seen=$1; shift; printf "%s\\n" "$@" > "$seen"; env >> "$seen"; pwd >> "$seen"'
    hook = Hook((program(folder, text), str(seen), "--zone", "$(id)"), 10.0)
    await hook.run("add", "a.example.com", "-x; rm -rf /", "`id`")
    lines = seen.read_text().splitlines()
    assert lines[:6] == ["--zone", "$(id)", "add", "a.example.com", "-x; rm -rf /", "`id`"]
    assert {line.partition("=")[0] for line in lines[6:]} <= {"PATH", "LANG", "PWD", "SHLVL", "_", "/", "OLDPWD"}
    assert lines[-1] == "/"


async def test_what_it_says_is_heard_without_the_proof(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    hook = Hook((program(folder, 'echo "did $1 $2 $3"; printf "\\033[31mred\\n" >&2'),), 10.0)
    await hook.run("add", "a.example.com", "the-proof")
    (record,) = [record for record in caplog.records if record.name == "hsmvault.outbound"]
    assert record.getMessage().endswith("hook add a.example.com: did add a.example.com *** [31mred")


async def test_a_code_other_than_0_is_a_failure_with_its_reason(folder: Path) -> None:
    hook = Hook((program(folder, "echo no such zone >&2; exit 3"),), 10.0)
    with pytest.raises(HookFailed, match=r"hook add name ended with 3: no such zone$"):
        await hook.run("add", "name", "proof")


async def test_more_output_than_is_kept_stops_nobody(folder: Path) -> None:
    hook = Hook((program(folder, "head -c 1000000 /dev/zero | tr '\\0' x; exit 1"),), 10.0)
    with pytest.raises(HookFailed) as caught:
        await hook.run("add", "name", "proof")
    assert len(str(caught.value)) < 2300


@pytest.mark.parametrize("mode", [None, 0o600])
async def test_what_cannot_be_started_is_a_failure(folder: Path, mode: int | None) -> None:
    path = str(folder / "nothing") if mode is None else program(folder, "exit 0", mode)
    with pytest.raises(HookFailed, match="cannot be started"):
        await Hook((path,), 10.0).run("add", "name", "proof")


async def _none_runs(command: str) -> bool:
    for _ in range(200):
        lines = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                lines.append(path.read_bytes().decode(errors="replace"))
        if command not in lines:
            return True
        await asyncio.sleep(0.01)
    return False


async def _is_gone(pid: int) -> bool:
    """init may take its time to bury it."""
    for _ in range(200):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        await asyncio.sleep(0.01)
    return False


@pytest.mark.parametrize("leader", ["wait", "exit 0"])
async def test_a_hook_that_takes_too_long_is_killed_with_all_that_it_started(folder: Path, leader: str) -> None:
    pids = folder / "pids"
    os.mkfifo(pids, stat.S_IRUSR | stat.S_IWUSR)
    hook = Hook((program(folder, f"sleep 600 & echo $! > {pids}; {leader}"),), 0.1)
    running = asyncio.create_task(hook.run("add", "name", "proof"))
    pid = int(await asyncio.to_thread(pids.read_text))
    with pytest.raises(HookFailed, match=r"did not end within 0\.1 seconds and was killed"):
        await running
    assert await _is_gone(pid)


@pytest.mark.parametrize("turns", [1, 2, 4, 1000])
async def test_a_hook_does_not_outlive_whoever_waits_for_it(folder: Path, turns: int) -> None:
    """Not even who stops waiting while it is being started."""
    mine, pids = f"600.{os.getpid()}{turns}", folder / "pids"
    hook = Hook((program(folder, f"sleep {mine} & echo $! > {pids}; wait"),), 600.0)
    running = asyncio.create_task(hook.run("add", "name"))
    for _ in range(turns):
        await asyncio.sleep(0)
        if turns == 1000 and not pids.exists():
            await asyncio.sleep(0.001)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await _none_runs(f"sleep\0{mine}\0")
