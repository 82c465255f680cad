"""The audit log on a real disk: linked records, whole lines, and nothing lost or made up by a failure."""

import asyncio
import hashlib
import json
import os
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsmvault.audit import chain_end
from hsmvault.audit import log as module
from hsmvault.audit.log import AuditLog, Durability
from hsmvault.audit.record import AuditRecord, Properties, identity, timestamp
from hsmvault.clock import MovedClock
from hsmvault.errors import OperatorError, Unavailable

Open = Callable[..., Awaitable[AuditLog]]


def record(name: str = "KeyGet", **changes: Any) -> AuditRecord:
    members: dict[str, Any] = {
        "time": timestamp(1_750_000_000),
        "resourceId": "/SUBSCRIPTIONS/S",
        "operationName": name,
        "operationVersion": "7.4",
        "category": "AuditEvent",
        "resultType": "Success",
        "resultSignature": "OK",
        "resultDescription": "",
        "durationMs": "1",
        "callerIpAddress": "192.0.2.7",
        "correlationId": "",
        "identity": identity(object_id="o", application_id="a", tenant_id="t"),
        "properties": Properties(httpStatusCode=200),
    }
    return AuditRecord(**(members | changes))


def files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.jsonl"))


def verify(directory: Path) -> list[dict[str, Any]]:
    """Follow the chain by hand, over all files; returns the records."""
    previous, found = "", []
    for path in files(directory):
        content = path.read_bytes()
        assert content.endswith(b"\n") or not content
        for line in content.splitlines():
            value = json.loads(line)
            assert (value["sequence"], value["previous"]) == (len(found) + 1, previous)
            previous = urlsafe_b64encode(hashlib.sha256(line).digest()).rstrip(b"=").decode()
            found.append(value)
    return found


def names(directory: Path) -> list[str]:
    return [one["operationName"] for one in verify(directory)]


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
async def open_log(tmp_path: Path, clock: MovedClock) -> AsyncIterator[Open]:
    opened: list[AuditLog] = []

    async def opener(**more: Any) -> AuditLog:
        opened.append(AuditLog(tmp_path / "audit", "0", clock, **more))
        return opened[-1]

    yield opener
    for log in opened:
        if not log._lane._closing:
            await log.close()


async def test_records_are_linked_lines_in_the_order_of_their_acceptance(tmp_path: Path, open_log: Open) -> None:
    log = await open_log()
    await asyncio.gather(*(log.append(record(f"Op{number}")) for number in range(100)))
    assert names(tmp_path / "audit") == [f"Op{number}" for number in range(100)]


async def test_the_directory_and_its_files_are_the_owners_alone(tmp_path: Path, open_log: Open) -> None:
    await (await open_log()).append(record())
    (path,) = files(tmp_path / "audit")
    assert (path.parent.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)


async def test_a_restart_goes_on_in_the_same_chain(tmp_path: Path, open_log: Open) -> None:
    for number in range(3):
        log = await open_log()
        await log.append(record(f"Op{number}"))
        await log.close()
    assert names(tmp_path / "audit") == ["Op0", "Op1", "Op2"]


@pytest.mark.parametrize(
    "torn",
    [
        b"{",
        b'{"sequence":3,"previous":"x"',
        b"\xff\x00",
        b"x" * 100_000,
        b"\0" * (3 << 20),
        b'{"sequence":3,"previous":"x","time":"\0\0\0"}\n',
        b"\0" * 5000 + b"\n" + b"\0" * 200_000,
        b"\n" * 3,
        b"x" * (2 << 20) + b"\n",
        b"[" * 100_000 + b"\n",
    ],
    ids=lambda torn: f"{torn[:8]!r}-{len(torn)}",
)
async def test_a_torn_end_is_kept_aside_at_the_next_start(tmp_path: Path, open_log: Open, torn: bytes) -> None:
    log = await open_log()
    await log.append(record("First"))
    await log.append(record("Second"))
    await log.close()
    (path,) = files(tmp_path / "audit")
    with path.open("ab") as stream:
        stream.write(torn)
    log = await open_log()
    await log.append(record("Third"))
    assert names(tmp_path / "audit") == ["First", "Second", "Third"]
    aside = path.with_name(path.name + ".torn")
    assert aside.read_bytes() == torn
    assert aside.stat().st_mode & 0o777 == 0o600


async def test_every_torn_end_has_a_file_of_its_own(tmp_path: Path, open_log: Open) -> None:
    for number in range(3):
        log = await open_log()
        await log.append(record(f"Op{number}"))
        await log.close()
        with (tmp_path / "audit" / "audit-0-000001.jsonl").open("ab") as stream:
            stream.write(b"torn %d" % number)
    await open_log()
    asides = sorted((tmp_path / "audit").glob("*.torn*"))
    assert [aside.read_bytes() for aside in asides] == [b"torn 0", b"torn 1", b"torn 2"]
    assert names(tmp_path / "audit") == ["Op0", "Op1", "Op2"]


async def test_the_last_good_line_is_found_wherever_the_blocks_of_the_search_end(
    tmp_path: Path, open_log: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = await open_log()
    await log.append(record("First"))
    await log.append(record("Second"))
    await log.close()
    (path,) = files(tmp_path / "audit")
    content = path.read_bytes()
    for block in (1, 2, 3, 7, len(content) - 1, len(content), len(content) + 1):
        monkeypatch.setattr(chain_end, "_BLOCK", block)
        found = chain_end.find_end(path)
        assert found is not None
        assert (found.sequence, found.end, found.line) == (2, len(content), content.splitlines()[1])
    path.write_bytes(content.splitlines()[0])  # a line without its line feed is not whole
    assert chain_end.find_end(path) is None


async def test_without_room_for_the_torn_end_the_next_file_is_begun(
    tmp_path: Path, open_log: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = await open_log()
    await log.append(record("First"))
    await log.close()
    (path,) = files(tmp_path / "audit")
    before = path.read_bytes() + b"torn"
    path.write_bytes(before)

    def full(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "keep_aside", full)
    for name in ("Second", "Third"):
        log = await open_log()
        await log.append(record(name))
        await log.close()
    assert path.read_bytes() == before
    path.write_bytes(before.removesuffix(b"torn"))
    assert names(tmp_path / "audit") == ["First", "Second", "Third"]


async def test_a_file_that_was_begun_and_holds_no_whole_line_is_begun_anew(tmp_path: Path, open_log: Open) -> None:
    log = await open_log(rotate_bytes=1)
    await log.append(record("First"))
    await log.close()
    for content in (b"", b'{"sequence":2', b"\0" * 5000 + b"\n"):
        (tmp_path / "audit" / "audit-0-000002.jsonl").write_bytes(content)
        log = await open_log(rotate_bytes=1)
        await log.close()
    log = await open_log(rotate_bytes=1)
    await log.append(record("Second"))
    assert names(tmp_path / "audit") == ["First", "Second"]
    asides = sorted((tmp_path / "audit").glob("*.torn*"))
    assert [aside.read_bytes() for aside in asides] == [b'{"sequence":2', b"\0" * 5000 + b"\n"]


async def test_a_log_without_a_single_good_line_is_kept_aside_and_begun_anew(tmp_path: Path, open_log: Open) -> None:
    (tmp_path / "audit").mkdir()
    for content in (b"not JSON\n", b"{}\n"):
        (tmp_path / "audit" / "audit-0-000001.jsonl").write_bytes(content)
        log = await open_log()
        await log.append(record("First"))
        await log.close()
        assert names(tmp_path / "audit") == ["First"]
    asides = sorted((tmp_path / "audit").glob("*.torn*"))
    assert [aside.read_bytes() for aside in asides] == [b"not JSON\n", b"{}\n"]


async def test_a_new_file_is_begun_at_the_size_and_the_chain_goes_on(tmp_path: Path, open_log: Open) -> None:
    log = await open_log(rotate_bytes=1500)
    for number in range(10):
        await log.append(record(f"Op{number}"))
    await log.close()
    assert len(files(tmp_path / "audit")) > 2
    log = await open_log(rotate_bytes=1500)
    await log.append(record("Op10"))
    assert names(tmp_path / "audit") == [f"Op{number}" for number in range(11)]


async def test_writers_do_not_share_a_file(tmp_path: Path, clock: MovedClock) -> None:
    logs = [AuditLog(tmp_path / "audit", writer, clock) for writer in ("0", "1", "10")]
    for log in logs:
        await log.append(record())
        await log.close()
    assert [path.name for path in files(tmp_path / "audit")] == [
        "audit-0-000001.jsonl", "audit-1-000001.jsonl", "audit-10-000001.jsonl",
    ]  # fmt: skip


async def test_a_file_with_a_strange_name_is_refused_in_one_sentence(tmp_path: Path, open_log: Open) -> None:
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit" / "audit-0-old.jsonl").write_bytes(b"{}\n")
    with pytest.raises(OperatorError, match=r"The audit log in .* cannot be opened"):
        await open_log()


async def test_a_directory_that_is_a_file_is_refused(tmp_path: Path, open_log: Open) -> None:
    (tmp_path / "audit").write_bytes(b"")
    with pytest.raises(OperatorError):
        await open_log()


@pytest.mark.parametrize(
    ("durability", "syncs"), [(Durability.SYNCED, 4), (Durability.WRITTEN, 2)], ids=lambda value: str(value)
)
async def test_synced_waits_for_the_disk_and_written_syncs_once_a_second(
    open_log: Open, clock: MovedClock, monkeypatch: pytest.MonkeyPatch, durability: Durability, syncs: int
) -> None:
    log, seen = await open_log(durability=durability), []
    real = os.fdatasync
    monkeypatch.setattr(module.os, "fdatasync", lambda descriptor: (seen.append(descriptor), real(descriptor)))
    for _ in range(3):
        await log.append(record())
    clock.move(1)
    await log.append(record())
    assert len(seen) == syncs


# failures


class Disk:
    """Faults of the calls that the log makes. fail: names of the calls that fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fail: set[str] = set()
        for name in ("pwrite", "fdatasync", "ftruncate", "open"):
            monkeypatch.setattr(module.os, name, self._wrapped(name, getattr(os, name)))

    def _wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            if name == "pwrite" and "short" in self.fail:
                descriptor, content, offset = arguments
                return real(descriptor, bytes(content)[: len(content) // 2], offset)
            if name in self.fail:
                raise OSError(28, "No space left on device")
            return real(*arguments, **more)

        return call


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


async def refused(log: AuditLog, name: str = "Lost") -> str:
    with pytest.raises(Unavailable) as caught:
        await log.append(record(name))
    assert caught.value.message == "The service cannot record this call and therefore does not carry it out."
    return caught.value.detail or ""


@pytest.mark.parametrize(
    "fault", [{"pwrite"}, {"short"}, {"fdatasync"}, {"short", "ftruncate"}, {"pwrite", "ftruncate"}]
)
async def test_a_failed_write_leaves_no_trace_and_the_next_goes_on(
    tmp_path: Path, open_log: Open, clock: MovedClock, disk: Disk, fault: set[str]
) -> None:
    log = await open_log(durability=Durability.SYNCED)
    await log.append(record("First"))
    disk.fail = fault
    assert await refused(log, "Lost" * 200) == "audit: OSError 28"
    with pytest.raises(Unavailable):
        await log.ready()
    disk.fail = set()
    with pytest.raises(Unavailable):  # not asked yet
        await log.ready()
    clock.move(1)
    await log.ready()
    await log.append(record("Second"))
    assert names(tmp_path / "audit") == ["First", "AuditResumed", "Second"]


async def test_a_call_that_was_under_way_marks_the_gap_too(tmp_path: Path, open_log: Open, disk: Disk) -> None:
    """It had passed ready() before the failure, and is recorded after it."""
    log = await open_log()
    disk.fail = {"pwrite"}
    await refused(log)
    disk.fail = set()
    await log.append(record("UnderWay"))
    await log.ready()
    await log.append(record("Later"))
    assert names(tmp_path / "audit") == ["AuditResumed", "UnderWay", "Later"]


async def test_every_call_of_a_failed_batch_is_refused(tmp_path: Path, open_log: Open, disk: Disk) -> None:
    log = await open_log()
    disk.fail = {"pwrite"}
    outcomes = await asyncio.gather(*(log.append(record()) for _ in range(20)), return_exceptions=True)
    assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
    assert verify(tmp_path / "audit") == []


async def test_a_new_file_that_cannot_be_opened_costs_nothing_else(
    tmp_path: Path, open_log: Open, clock: MovedClock, disk: Disk
) -> None:
    """The old file's descriptor is closed by then, and its number may be that of another file: a database."""
    log = await open_log(rotate_bytes=1)
    await log.append(record("First"))
    disk.fail = {"open"}
    await refused(log)
    with (tmp_path / "database").open("w+b") as other:
        other.write(b"precious")
        other.flush()
        assert log._lane.resource.descriptor != other.fileno()
        await refused(log)
        disk.fail = set()
        clock.move(1)
        await log.ready()
        await log.append(record("Second"))
        other.seek(0)
        assert other.read() == b"precious"
    assert names(tmp_path / "audit") == ["First", "AuditResumed", "Second"]


async def test_a_record_that_cannot_be_written_down_costs_its_own_call_only(tmp_path: Path, open_log: Open) -> None:
    log = await open_log()
    bad = record(properties=Properties(clientInfo="\udcff"))
    good, lost, better = await asyncio.gather(
        log.append(record("Good")), log.append(bad), log.append(record("Better")), return_exceptions=True
    )
    assert good is None and better is None and isinstance(lost, Unavailable)
    await log.ready()
    assert names(tmp_path / "audit") == ["Good", "Better"]


async def test_closing_on_a_broken_disk_ends_all_the_same(open_log: Open, disk: Disk) -> None:
    log = await open_log()
    await log.append(record())
    disk.fail = {"fdatasync"}
    await log.close()
    assert log._lane.resource.descriptor == -1


# records


@settings(max_examples=50)
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
async def test_a_record_is_one_line_whatever_is_in_it(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    directory = tmp_path_factory.mktemp("audit")
    log = AuditLog(directory, "0", MovedClock())
    await log.append(record(resultDescription=text, properties=Properties(clientInfo=text)))
    await log.close()
    (found,) = verify(directory)
    assert found["resultDescription"] == found["properties"].get("clientInfo", "") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "1970-01-01T00:00:00.0000000Z"), (1_451_957_521.25, "2016-01-05T01:32:01.2500000Z")],
)
def test_times_have_seven_digits_as_in_azure(seconds: float, text: str) -> None:
    assert timestamp(seconds) == text


def test_claims_that_are_not_known_are_left_out() -> None:
    assert identity(object_id="o", application_id="", tenant_id="t") == {
        "claim": {"http://schemas.microsoft.com/identity/claims/objectidentifier": "o", "tid": "t"}
    }
