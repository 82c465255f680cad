"""What goes out, put together from a configuration: its files, and a real node that posts what its callers did."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import pytest

from hsmvault.app.sending import read_headers, sending_jobs
from hsmvault.clock import MovedClock
from hsmvault.config import Settings
from hsmvault.config.certificates import EventSubscription, Smtp
from hsmvault.errors import ConfigurationError
from hsmvault.store.database import Database
from hsmvault.store.migrations import migrate
from hsmvault.telemetry.metrics import Metrics
from tests.caller import Caller
from tests.instance import folder_for_data
from tests.isolation.node import set_up


def secret_file(folder: Path, content: str | bytes, mode: int = 0o600) -> Path:
    path = folder / "secret"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return path


def test_headers_come_from_a_file(tmp_path: Path) -> None:
    path = secret_file(tmp_path, "Authorization: Bearer a b\r\nX-Key:c:d \n\n")
    assert read_headers(path, "k") == {"Authorization": "Bearer a b", "X-Key": "c:d"}


@pytest.mark.parametrize(
    "content",
    [
        "sesame",
        "A: sesame\nsesame\n",
        "A : sesame",
        " A: sesame",
        "A: ",
        "A: ses\0ame",
        "A: sésame",
        "A: sesame\na: sesame",
        "Host: sesame",
        "content-length: sesame",
        "Transfer-Encoding: sesame",
        "A: sesame\x0bB: c",
        "",
        "\n",
        b"A: \xff",
        "A: " + "sesame" * 20_000,
    ],
)
def test_what_is_no_file_of_headers_is_refused_without_its_content(tmp_path: Path, content: str | bytes) -> None:
    with pytest.raises(ConfigurationError, match=r"^the key: .*secret") as refused:
        read_headers(secret_file(tmp_path, content), "the key")
    assert "sesame" not in str(refused.value)


@pytest.mark.parametrize("mode", [0o604, 0o620, 0o601, 0o666])
def test_a_file_that_other_users_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigurationError, match="other users can reach"):
        read_headers(secret_file(tmp_path, "A: b", mode), "k")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_headers(tmp_path / "none", "k")


async def test_jobs_and_metrics_are_those_of_the_configuration(tmp_path: Path) -> None:
    migrate(f"sqlite:///{tmp_path}/hsmvault.db")
    database = await Database.open(f"sqlite:///{tmp_path}/hsmvault.db", clock=MovedClock())
    try:
        metrics = Metrics()
        assert sending_jobs(Settings(), database, str, metrics) == []
        hook = EventSubscription(name="inventory", url="https://a.example")
        password = secret_file(tmp_path, "open sesame\n")
        smtp = Smtp(host="mail.example", sender="v@k.example", username="u", password_file=password)
        jobs = sending_jobs(Settings(events=(hook,), smtp=smtp), database, str, metrics)
        assert [job.name for job in jobs] == ["events:inventory", "mails"]
        shown = {family.name: len(family.samples) for family in metrics.collect()}
        assert shown == {"hsmvault_events": 4, "hsmvault_mails": 3}
        for broken in (
            Settings(smtp=Smtp(host="mail.example", password_file=tmp_path / "none")),
            Settings(smtp=Smtp(host="mail.example", ca_file=tmp_path / "none")),
            Settings(events=(EventSubscription(name="abc", url="https://a", ca_file=password),)),
            Settings(events=(EventSubscription(name="abc", url="https://a", header_file=password),)),
        ):
            with pytest.raises(ConfigurationError):
                sending_jobs(broken, database, str, Metrics())
    finally:
        await database.close()


@contextmanager
def listening(statuses: list[int]) -> Iterator[tuple[int, "Queue[Any]"]]:
    """A receiver in a thread of its own: its port, and the events that arrive. statuses: of the next answers."""
    arrived: Queue[Any] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            arrived.put((self.headers["Authorization"], json.loads(body)[0]))
            self.send_response(statuses.pop(0) if statuses else 200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1], arrived
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.slow
def test_a_node_posts_what_its_callers_did_at_once_and_after_a_restart() -> None:
    statuses: list[int] = []
    with folder_for_data() as folder, listening(statuses) as (port, arrived):
        node = set_up(folder)
        secret_file(folder, "Authorization: Bearer sesame\n")
        with node.configuration.open("a") as configuration:
            configuration.write(
                f'[[events]]\nname = "inventory"\nurl = "http://127.0.0.1:{port}/"\nheader_file = "secret"\n'
            )
        assert node.command("init").returncode == 0
        caller = Caller(node.port, node.certificate, "north.vault.localhost", node.north.token(node.audience))

        def create(name: str) -> str:
            """Returns the key's id."""
            answer = caller.call("POST", f"/keys/{name}/create", {"kty": "EC", "crv": "P-256"})
            assert answer.status == 200, answer
            return str(answer.body["key"]["kid"])

        with node.serving():
            for number in range(4):  # whichever worker takes it
                kid = create(f"key-{number}")
                authorization, event = arrived.get(timeout=10)
                assert (authorization, event["data"]["Id"]) == ("Bearer sesame", kid)
                assert event["eventType"] == "Microsoft.KeyVault.KeyNewVersionCreated"
            statuses.append(503)
            late = create("late")
            assert arrived.get(timeout=10)[1]["data"]["Id"] == late
            caller.close()
        log = node.log.read_text()
        with node.serving():
            assert arrived.get(timeout=30)[1]["data"]["Id"] == late
            last = create("last")
            assert arrived.get(timeout=10)[1]["data"]["Id"] == last
            caller.close()
        assert "sesame" not in log + node.log.read_text()
        assert "did not take event" in log
