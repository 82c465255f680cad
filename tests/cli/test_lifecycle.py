"""An instance from start to stop: real supervisor, real workers, real signals and sockets."""

import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.cli.conftest import Instance

Start = Callable[..., Instance]


def test_dev_env_is_there_when_the_workers_accept_and_not_before_and_not_after(start: Start, data_dir: Path) -> None:
    with socket.socket(socket.AF_UNIX) as gate:
        gate.bind(str(data_dir / "gate"))
        gate.listen()
        (data_dir / "dev.env").write_text("OLD=1\n")
        instance = start(mode="gated")
        waiting, _ = gate.accept()
        assert not (data_dir / "dev.env").exists()
        waiting.send(b"g")
        instance.wait_ready()
        waiting.close()
    written = (data_dir / "dev.env").read_text().splitlines()
    assert stat.S_IMODE((data_dir / "dev.env").stat().st_mode) == 0o600
    assert f"HSMVAULT_PID={instance.process.pid}" in written
    assert f"AZURE_KEYVAULT_URL=https://dev.vault.localhost:{instance.port}" in written
    assert "AZURE_CLIENT_SECRET='a b'" in written
    assert (data_dir / "dev-identity.env").exists()
    instance.process.send_signal(signal.SIGTERM)
    code, error = instance.end()
    assert code == 0, error
    assert not (data_dir / "dev.env").exists()
    assert not (data_dir / "dev-identity.env").exists()


def test_a_worker_that_dies_is_replaced(start: Start) -> None:
    instance = start()
    instance.wait_ready()
    first = instance.ask("pid")
    assert instance.ask("die") == ""
    assert instance.ask("pid") != first


def test_a_connection_that_waited_for_a_dead_worker_is_served_by_the_next(start: Start) -> None:
    instance = start()
    instance.wait_ready()
    first = int(instance.ask("pid"))
    os.kill(first, signal.SIGSTOP)
    while "(stopped)" not in Path(f"/proc/{first}/status").read_text():
        pass
    waiting = instance.connect()
    os.kill(first, signal.SIGKILL)
    assert waiting.ask("pid") not in ("", str(first))


def test_every_worker_serves_and_a_dead_one_leaves_the_others_alone(start: Start) -> None:
    instance = start(workers=2)
    instance.wait_ready()
    processes = {instance.ask("pid") for _ in range(40)}
    assert len(processes) == 2
    victim = processes.pop()
    os.kill(int(victim), signal.SIGKILL)
    after = {instance.ask("pid") for _ in range(40)}
    assert processes.issubset(after)
    assert victim not in after


def test_sigterm_lets_running_requests_finish_and_stops_intake(start: Start) -> None:
    instance = start()
    instance.wait_ready()
    running = instance.connect()
    assert running.ask("hold") == "held"
    instance.process.send_signal(signal.SIGTERM)
    assert running.read() == "stopping"
    with pytest.raises(ConnectionError):
        instance.connect()
    assert running.ask("go") == "done"
    code, error = instance.end()
    assert code == 0, error


def test_a_second_signal_ends_at_once(start: Start, data_dir: Path) -> None:
    instance = start()
    instance.wait_ready()
    running = instance.connect()
    assert running.ask("hold") == "held"
    instance.process.send_signal(signal.SIGINT)
    assert running.read() == "stopping"
    instance.process.send_signal(signal.SIGINT)
    assert instance.end()[0] == 0
    assert not (data_dir / "dev.env").exists()


@pytest.mark.parametrize("mode", ["gated", "prepare is gated"])
def test_a_signal_while_it_starts_stops_it_too(start: Start, data_dir: Path, mode: str) -> None:
    with socket.socket(socket.AF_UNIX) as gate:
        gate.bind(str(data_dir / "gate"))
        gate.listen()
        instance = start(mode=mode)
        waiting, _ = gate.accept()
        instance.process.send_signal(signal.SIGTERM)
        if mode == "prepare is gated":
            waiting.send(b"g")
        code, error = instance.end()
        waiting.close()
    assert code == 0, error
    assert not (data_dir / "dev.env").exists()


def test_a_second_signal_while_it_prepares_ends_at_once(start: Start, data_dir: Path) -> None:
    with socket.socket(socket.AF_UNIX) as gate:
        gate.bind(str(data_dir / "gate"))
        gate.listen()
        instance = start(mode="prepare is gated")
        waiting, _ = gate.accept()
        assert instance.process.stderr is not None
        instance.process.send_signal(signal.SIGTERM)
        instance.process.send_signal(signal.SIGINT)
        assert instance.end()[0] == 0
        waiting.close()


def test_a_preparation_that_hangs_does_not_hold_up_a_stop(start: Start, data_dir: Path) -> None:
    with socket.socket(socket.AF_UNIX) as gate:
        gate.bind(str(data_dir / "gate"))
        gate.listen()
        instance = start(mode="prepare hangs")
        waiting, _ = gate.accept()
        instance.process.send_signal(signal.SIGTERM)
        code, error = instance.end()
        waiting.close()
    assert code == 0, error
    assert "preparation does not come to its end" in error


@pytest.mark.parametrize("command", [["serve", "--config"], ["dev", "--trust-issuer"]], ids=lambda words: words[0])
def test_a_signal_before_there_is_a_loop_is_a_stop_too(tmp_path: Path, command: list[str]) -> None:
    """Both read this file first, and a pipe makes them wait for it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    arguments = [sys.executable, "-m", "hsmvault", *command, str(pipe)]
    process = subprocess.Popen(arguments, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    with pipe.open("wb"):  # returns when it has been opened for reading, too
        process.send_signal(signal.SIGTERM)
        _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (0, "")


def _attempts(data_dir: Path) -> int:
    path = data_dir / "attempts"
    return path.read_text().count("one") if path.exists() else 0


@pytest.mark.parametrize("mode", ["worker refuses", "database is locked"])
def test_what_refuses_a_replacement_may_pass(start: Start, data_dir: Path, mode: str) -> None:
    instance = start()
    instance.wait_ready()
    first = instance.ask("pid")
    (data_dir / "mode").write_text(mode)
    assert instance.ask("die") == ""
    while _attempts(data_dir) < 3:
        assert instance.process.poll() is None
    (data_dir / "mode").write_text("")
    assert instance.ask("pid") not in ("", first)


def test_a_pin_that_is_refused_to_a_replacement_ends_the_instance(start: Start, data_dir: Path) -> None:
    instance = start(workers=2)
    instance.wait_ready()
    (data_dir / "mode").write_text("pin is refused")
    assert instance.ask("die") == ""
    code, error = instance.end()
    assert code == 3
    assert error.splitlines()[-1] == "hsmvault: The token refuses the user PIN."
    assert _attempts(data_dir) == 1
    assert not (data_dir / "dev.env").exists()


@pytest.mark.parametrize("heals", [pytest.param(True, marks=pytest.mark.slow), False])
def test_a_machine_that_cannot_start_a_worker_is_asked_again(start: Start, data_dir: Path, heals: bool) -> None:
    instance = start()
    instance.wait_ready()
    first = instance.ask("pid")
    dying = instance.connect()
    limits = resource.prlimit(instance.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(instance.process.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    assert dying.ask("die") == ""
    assert instance.process.stderr is not None
    while "a worker cannot be started" not in (line := instance.process.stderr.readline()):
        assert line
    if heals:
        resource.prlimit(instance.process.pid, resource.RLIMIT_NOFILE, limits)
        assert instance.ask("pid") not in ("", first)
    instance.process.send_signal(signal.SIGTERM)
    assert instance.end()[0] == 0
    assert not (data_dir / "dev.env").exists()


def test_a_wrong_pin_is_tried_once_and_ends_with_three(start: Start, data_dir: Path) -> None:
    code, error = start(mode="prepare refuses", workers=2).end()
    assert code == 3
    assert error.splitlines()[-1] == "hsmvault: The PIN of the token's user is wrong."
    assert "Traceback" not in error
    assert (data_dir / "attempts").read_text().count("one") == 1


def test_a_worker_that_the_hsm_refuses_ends_the_instance_with_three(start: Start, data_dir: Path) -> None:
    code, error = start(mode="worker refuses").end()
    assert code == 3
    assert error.splitlines()[-1] == "hsmvault: The token is not the one that the database knows."
    assert (data_dir / "attempts").read_text().count("one") == 1
    assert not (data_dir / "dev.env").exists()


def test_workers_that_never_come_up_end_the_start_instead_of_trying_for_ever(start: Start, data_dir: Path) -> None:
    code, error = start(mode="worker crashes").end()
    assert code == 1
    assert "exit code 9" in error.splitlines()[-1]
    assert (data_dir / "attempts").read_text().count("one") == 3


def test_a_second_instance_on_the_same_directory_is_refused_before_it_touches_anything(
    start: Start, data_dir: Path, port: int
) -> None:
    first = start()
    first.wait_ready()
    before = {path: path.stat().st_mtime_ns for path in data_dir.rglob("*")}
    code, error = start(at=port + 10).end()
    assert code == 6
    assert f"process {first.process.pid}" in error
    assert {path: path.stat().st_mtime_ns for path in data_dir.rglob("*")} == before
    assert first.ask("pid")


@pytest.mark.parametrize("offset", [0, 1, 2])
def test_a_port_that_somebody_listens_on_ends_with_five(start: Start, port: int, offset: int) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", port + offset))
        other.listen()
        code, error = start().end()
    assert code == 5
    assert f"port {port + offset}" in error


def test_an_instance_that_shares_its_ports_is_not_shared_with(start: Start, tmp_path: Path) -> None:
    start(workers=2).wait_ready()
    other = tmp_path / "other"
    other.mkdir()
    code, _ = start(directory=other).end()
    assert code == 5


def test_after_kill_9_of_the_supervisor_the_next_start_needs_no_repair(start: Start) -> None:
    first = start(workers=2)
    first.wait_ready()
    old = first.ask("pid")
    first.process.kill()
    second = start(workers=2)
    second.wait_ready()
    assert first.process.wait() == -signal.SIGKILL
    assert second.ask("pid") != old


def test_pins_are_neither_in_arguments_nor_in_the_environment(start: Start, data_dir: Path) -> None:
    instance = start()
    instance.wait_ready()
    pins = [(data_dir / "credentials" / name).read_bytes().strip() for name in ("hsm-pin", "hsm-so-pin")]
    for process in (instance.process.pid, int(instance.ask("pid"))):
        seen = Path(f"/proc/{process}/cmdline").read_bytes()
        with suppress(PermissionError):  # only root gets this far: the process is not dumpable
            seen += Path(f"/proc/{process}/environ").read_bytes()
        assert not any(pin in seen for pin in pins)


def test_no_process_leaves_a_core_dump(start: Start) -> None:
    instance = start()
    instance.wait_ready()
    for process in (instance.process.pid, int(instance.ask("pid"))):
        limits = Path(f"/proc/{process}/limits").read_text()
        (line,) = (line for line in limits.splitlines() if line.startswith("Max core file size"))
        assert line.split()[4:6] == ["0", "0"]


def test_everything_in_the_data_directory_is_for_its_owner_alone(start: Start, data_dir: Path) -> None:
    start().wait_ready()
    for path in data_dir.rglob("*"):
        if path.name != "mode":
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700


def test_metrics_are_those_of_every_worker(start: Start) -> None:
    instance = start(workers=2)
    instance.wait_ready()
    seen = {instance.ask("pid") for _ in range(40)}
    assert len(seen) == 2
    with urllib.request.urlopen(f"http://127.0.0.1:{instance.port + 2}/metrics", timeout=30) as answer:
        families = {family.name: family for family in text_string_to_metric_families(answer.read().decode())}
    requests = {sample.labels["worker"]: sample.value for sample in families["hsmvault_requests"].samples}
    assert set(requests) == {"0", "1"}
    assert sum(requests.values()) == 40
    assert families["hsmvault_request_seconds"].type == "histogram"
    assert families["hsmvault_workers_ready"].samples[0].value == 2
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"http://127.0.0.1:{instance.port + 2}/", timeout=30)


def test_names_that_do_not_resolve_stand_in_the_hosts_file(start: Start, tmp_path: Path) -> None:
    start().wait_ready()
    from hsmvault.cli.hosts import unresolved

    missing = unresolved(["login.localhost", "dev.vault.localhost"])
    text = (tmp_path / "hosts").read_text()
    assert all(name in text for name in missing)


def test_a_host_that_is_announced_later_stands_in_the_hosts_file_once(start: Start, tmp_path: Path) -> None:
    instance = start(workers=2)
    instance.wait_ready()
    before = (tmp_path / "hosts").read_text()
    host = "late.vault.invalid"  # a name that no machine resolves
    for _ in range(8):
        assert instance.ask(f"announce {host}") == "announced"
    assert instance.process.stdout is not None
    while "Added 1 names" not in (line := instance.process.stdout.readline()):
        assert line, "the instance ended"
    after = (tmp_path / "hosts").read_text()
    assert host not in before
    assert sum(host in line.split() for line in after.splitlines()) == 2, "one line for each address"
