"""The export of audit records: a real log, real files, and every way in which a destination or a node can fail."""

import asyncio
import json
import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hsmvault.audit import export_cursor, following
from hsmvault.audit.export_cursor import cursor_of
from hsmvault.audit.following import LogPlace
from hsmvault.audit.log import AuditLog
from hsmvault.audit.sinks import Destination, LoggedLine, Routes
from hsmvault.clock import MovedClock
from hsmvault.errors import ConfigurationError, Unavailable
from hsmvault.jobs import audit_export
from hsmvault.jobs.audit_export import ExportAudit
from hsmvault.jobs.audit_sinks import FileSink, Sent, WebhookSink
from hsmvault.model.diagnostics import DiagnosticBody, DiagnosticSetting, LogSetting
from hsmvault.outbound.webhooks import Webhook
from tests.audit.test_log import record
from tests.outbound.receivers import receiving

NAME = "siem"


@dataclass
class Taker:
    """A destination in memory. answers: to the next batches; then they are taken."""

    answers: list[Sent] = field(default_factory=list)
    batches: list[list[str]] = field(default_factory=list)

    async def send(self, records: Sequence[LoggedLine], now: float) -> Sent:
        answer = self.answers.pop(0) if self.answers else Sent()
        if not answer.problem:
            self.batches.append([one.head.operationName for one in records])
        return answer

    @property
    def names(self) -> list[str]:
        return [name for batch in self.batches for name in batch]


@dataclass
class Node:
    """A data directory with one log and one destination. routes: what the next turn goes by."""

    path: Path
    clock: MovedClock = field(default_factory=MovedClock)
    routes: Routes = field(default_factory=lambda: Routes((Destination(NAME),), [NAME]))
    counted: list[tuple[str, int]] = field(default_factory=list)
    rotate_bytes: int = 1 << 20

    @property
    def log(self) -> Path:
        return self.path / "audit"

    @property
    def cursors(self) -> Path:
        return self.path / "audit-exports"

    def start(self) -> None:
        export_cursor.begin(self.cursors, [NAME], self.log)

    async def write(self, *names: str, writer: str = "0") -> None:
        audit = AuditLog(self.log, writer, self.clock, rotate_bytes=self.rotate_bytes)
        for name in names:
            await audit.append(record(name))
        await audit.close()

    def export(self, sink: Any) -> ExportAudit:
        async def routes() -> Routes:
            return self.routes

        return ExportAudit(
            NAME,
            sink,
            self.log,
            cursor_of(self.cursors, NAME),
            routes,
            self.clock,
            count=lambda outcome, number: self.counted.append((outcome, number)),
        )


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def wanting(destination: str) -> DiagnosticSetting:
    """A setting of a vault that no record is of."""
    body = DiagnosticBody(storage_account_id=destination, logs=(LogSetting(enabled=True, category="AuditEvent"),))
    return DiagnosticSetting("/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v", "s", body, 0)


async def turns(export: ExportAudit, count: int = 2) -> float:
    """Each file is read as far as it was there at the turn before."""
    wait = 0.0
    for _ in range(count):
        wait = await export.turn()
    return wait


async def test_records_are_exported_once_from_the_beginning_on(node: Node) -> None:
    await node.write("before")
    node.start()
    taker = Taker()
    export = node.export(taker)
    await node.write("a", "b")
    assert await turns(export) == 1.0
    await node.write("c")
    await turns(export, 4)
    assert taker.batches == [["a", "b"], ["c"]]
    assert node.counted == [("exported", 2), ("exported", 1)]
    assert export.lag_seconds() == 0


async def test_a_restart_goes_on_where_the_last_batch_ended(node: Node) -> None:
    node.start()
    taker = Taker()
    await node.write("a")
    await turns(node.export(taker))
    await node.write("b")
    node.start()
    await turns(node.export(taker))
    assert taker.names == ["a", "b"]


async def test_a_crash_behind_a_batch_sends_it_again_and_loses_nothing(node: Node) -> None:
    node.start()
    await node.write("a", "b")

    @dataclass
    class Killed(Taker):
        async def send(self, records: Sequence[LoggedLine], now: float) -> Sent:
            await super().send(records, now)
            raise KeyboardInterrupt

    killed = Killed()
    with pytest.raises(KeyboardInterrupt):
        await turns(node.export(killed))
    taker = Taker()
    await turns(node.export(taker))
    assert (killed.names, taker.names) == (["a", "b"], ["a", "b"])


async def test_every_series_keeps_its_order_across_files(node: Node) -> None:
    node.rotate_bytes = 1
    node.start()
    taker = Taker()
    export = node.export(taker)
    await node.write("a1", "a2", "a3")
    await node.write("b1", "b2", writer="rotation")
    await turns(export)
    assert [name for name in taker.names if name[0] == "a"] == ["a1", "a2", "a3"]
    assert [name for name in taker.names if name[0] == "b"] == ["b1", "b2"]


async def test_what_is_not_taken_is_tried_again_later_and_later(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    node.start()
    refused = Sent("HTTP 503")
    taker = Taker([refused] * 3 + [Sent("HTTP 429", retry_after_seconds=100.0), Sent("x", retry_after_seconds=1e9)])
    export = node.export(taker)
    await node.write("a")
    await export.turn()
    waits = []
    for _ in range(5):
        waits.append(await export.turn())
        node.clock.move(waits[-1])
    assert waits == [1.0, 2.0, 4.0, 100.0, 300.0]
    assert export.lag_seconds() == sum(waits)
    await node.write("b")
    await turns(export)
    assert taker.names == ["a", "b"]
    assert export.lag_seconds() == 0
    assert node.counted.count(("failed", 1)) == 5
    assert "HTTP 503" in caplog.text


async def test_a_batch_that_is_too_large_is_halved(node: Node) -> None:
    node.start()
    too_large = Sent("HTTP 413", is_too_large=True)
    taker = Taker([too_large, too_large])
    export = node.export(taker)
    await node.write(*"abcdefgh")
    await turns(export)
    assert await turns(export, 2) == 0.0
    await turns(export, 3)
    assert taker.batches[0] == ["a", "b"]
    assert taker.names == list("abcdefgh")


async def test_a_batch_has_a_bound(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_export, "MOST_BYTES", 600)
    node.start()
    taker = Taker()
    export = node.export(taker)
    await node.write(*"abcdefg")
    assert await turns(export) == 0.0
    await turns(export, 5)
    assert taker.names == list("abcdefg")
    assert max(len(batch) for batch in taker.batches) < 4


async def test_what_nobody_wants_is_passed_over_in_pieces(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_export, "_MOST_READ", 600)
    node.routes = Routes((Destination(NAME),), settings=[wanting("archive"), wanting(NAME)])
    node.start()
    taker = Taker()
    export = node.export(taker)
    await node.write(*"abcdefgh")
    assert await turns(export) == 0.0
    await turns(export, 4)
    assert cursor_of(node.cursors, NAME).load() == {}
    node.clock.move(61)
    assert await export.turn() == 1.0
    assert cursor_of(node.cursors, NAME).load()["0"].sequence == 8
    assert taker.batches == []


async def test_only_what_the_routes_say_is_sent(node: Node) -> None:
    node.routes = Routes((Destination(NAME),))
    node.start()
    taker = Taker()
    export = node.export(taker)
    await node.write("nobody asked")
    await turns(export, 3)
    await node.write("just before")
    await turns(export, 2)
    node.routes = Routes((Destination(NAME),), [NAME])
    await node.write("from here on")
    await turns(export, 2)
    assert taker.names == ["from here on"]


async def test_passing_over_is_kept_now_and_then(node: Node) -> None:
    node.routes = Routes((Destination(NAME),))
    node.start()
    export = node.export(Taker())
    await node.write("a")
    await turns(export)
    assert cursor_of(node.cursors, NAME).load() == {}
    node.clock.move(61)
    await export.turn()
    assert cursor_of(node.cursors, NAME).load()["0"].sequence == 1


async def test_a_finished_file_may_be_moved_away(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    node.rotate_bytes = 1
    node.start()
    taker = Taker()
    export = node.export(taker)
    await node.write("a", "b")
    await turns(export)
    for path in sorted(node.log.iterdir())[:-1]:
        path.unlink()
    await node.write("c", "d")
    await turns(export)
    assert taker.names == ["a", "b", "c", "d"]
    assert "moved away" not in caplog.text
    await node.write("e", "f", "g")
    for path in sorted(node.log.iterdir())[:-1]:
        path.unlink()
    await turns(export)
    assert taker.names == ["a", "b", "c", "d", "g"]
    assert "2 audit records of the series 0 were moved away" in caplog.text


async def test_what_was_cut_off_the_log_is_noticed(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    """As after a power cut: lines that were read are gone, and others have their place."""
    node.start()
    taker = Taker()
    export = node.export(taker)
    await node.write("a")
    (path,) = node.log.iterdir()
    size = path.stat().st_size
    await node.write("lost")
    await turns(export)
    os.truncate(path, size)
    await node.write("b")
    await node.write("c")
    await turns(export, 4)
    assert taker.names[:2] == ["a", "lost"]
    assert taker.names[-3:] == ["a", "b", "c"]
    assert "exported once more" in caplog.text
    await node.write("d")
    await turns(export, 4)
    assert taker.names.count("d") == 1


async def test_a_chain_that_was_broken_by_hand_is_read_to_its_end(node: Node) -> None:
    node.start()
    await node.write("a", "b", "c")
    (path,) = node.log.iterdir()
    path.write_bytes(path.read_bytes().replace(b'"operationName":"a"', b'"operationName":"x"'))
    taker = Taker()
    export = node.export(taker)
    await turns(export, 6)
    await node.write("d")
    await turns(export, 2)
    assert taker.names[-1] == "d"
    assert len(taker.names) <= 7


async def test_half_a_line_waits_for_its_other_half(node: Node) -> None:
    node.start()
    await node.write("a", "b")
    (path,) = node.log.iterdir()
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    taker = Taker()
    export = node.export(taker)
    await turns(export, 3)
    assert taker.names == ["a"]
    path.write_bytes(content)
    await turns(export, 2)
    assert taker.names == ["a", "b"]


async def test_a_torn_end_of_a_finished_file_and_a_line_of_nothing_are_passed_over(node: Node) -> None:
    node.rotate_bytes = 1
    node.start()
    await node.write("a", "b")
    first = min(node.log.iterdir())
    first.write_bytes(first.read_bytes() + b"\0\0\0\n{half")
    taker = Taker()
    await turns(node.export(taker), 4)
    assert taker.names == ["a", "b"]


async def test_a_line_that_is_far_too_long_is_passed_over(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_LONGEST_READ", 1024)
    node.start()
    await node.write("a", "b")
    (path,) = node.log.iterdir()
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + b"x" * 5000 + b"\n" + second)
    taker = Taker()
    await turns(node.export(taker), 4)
    assert taker.names == ["a", "b"]


def test_another_log_in_the_place_of_the_old_one_is_read_from_its_beginning(tmp_path: Path) -> None:
    (tmp_path / "audit-0-000001.jsonl").write_bytes(b"")
    reading = following.read_behind(tmp_path, "0", LogPlace(7, 5, 9, "d"), {1: 0})
    assert reading.behind == LogPlace(1)


async def test_a_destination_that_comes_back_to_the_configuration_begins_anew(node: Node) -> None:
    node.start()
    export_cursor.begin(node.cursors, [], node.log)
    assert not cursor_of(node.cursors, NAME).exists()
    await node.write("between")
    node.start()
    taker = Taker()
    await turns(node.export(taker))
    assert taker.names == []


@pytest.mark.parametrize("content", [b"", b"{", b'{"format":2,"series":{}}', b'{"format":1}'])
def test_a_cursor_that_cannot_be_read_refuses_the_start(node: Node, content: bytes) -> None:
    node.start()
    (node.cursors / f"{NAME}.json").write_bytes(content)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        node.start()


async def test_a_cursor_is_private(node: Node) -> None:
    node.start()
    assert (node.cursors / f"{NAME}.json").stat().st_mode & 0o777 == 0o600


async def test_failures_end_nothing(node: Node) -> None:
    node.start()
    paused: list[float] = []
    calls = iter([Unavailable("The database is busy."), OSError(13, "denied"), ValueError("unexpected"), None])

    async def routes() -> Routes:
        problem = next(calls)
        if problem is None:
            raise asyncio.CancelledError
        raise problem

    async def pause(seconds: float) -> None:
        paused.append(seconds)

    export = ExportAudit(NAME, Taker(), node.log, cursor_of(node.cursors, NAME), routes, node.clock, pause=pause)
    with pytest.raises(asyncio.CancelledError):
        await export.run()
    assert paused == [10.0, 10.0, 300.0]


async def test_a_file_gets_a_line_for_each_record(node: Node) -> None:
    node.start()
    path = node.path / "export.jsonl"
    export = node.export(FileSink(path, "node1"))
    await node.write("a", "b")
    await turns(export)
    path.write_bytes(path.read_bytes() + b'{"half')  # as a crash leaves it
    await node.write("c")
    await turns(export)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["operationName"] for line in lines] == ["a", "b", "c"]
    assert {line["host"] for line in lines} == {"node1"}
    assert path.stat().st_mode & 0o777 == 0o600
    path.rename(node.path / "rotated")
    await node.write("d")
    await turns(export)
    assert len(path.read_text().splitlines()) == 1


async def test_a_file_that_cannot_be_written_holds_records_up(node: Node) -> None:
    node.start()
    export = node.export(FileSink(node.path / "missing" / "export.jsonl", "node1"))
    await node.write("a")
    await turns(export)
    assert node.counted == [("failed", 1)]
    (node.path / "missing").mkdir()
    await turns(export)
    assert node.counted[-1] == ("exported", 1)


async def test_a_webhook_gets_records_as_azure_exports_them(node: Node) -> None:
    node.start()
    async with receiving() as receiver:
        receiver.statuses, receiver.headers = [503, 413, 200], {"Retry-After": "5"}
        hook = Webhook(receiver.url, context=ssl.create_default_context(), headers={}, timeout_seconds=10)
        export = node.export(WebhookSink(hook, "node1"))
        await node.write("a", "b")
        assert await turns(export) == 5.0
        assert await turns(export, 1) == 0.0  # too large: half of it
        await turns(export, 3)
        names = [[one["operationName"] for one in received.json["records"]] for received in receiver.received]
        assert names == [["a", "b"], ["a", "b"], ["a"], ["b"]]
        assert receiver.received[0].headers["content-type"] == "application/json; charset=utf-8"
