"""Audit records of a whole node on their way to a file and to a syslog server: through two workers, diagnostic settings
that come through ARM, kill -9 and a server that is away."""

import json
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.app.test_firewall import SUBSCRIPTION, VAULT, Line
from tests.instance import folder_for_data
from tests.isolation.node import Node, set_up

pytestmark = pytest.mark.slow

SETTING = f"{VAULT}/providers/Microsoft.Insights/diagnosticSettings/all?api-version=2021-05-01-preview"
SECONDS = 20.0


class Collector:
    """A syslog server over TCP, on one port for as long as it is open."""

    def __init__(self, port: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self.messages: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def close(self) -> None:
        """May be called again."""
        if self._thread.is_alive():
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            content = b""
            with connection:
                while block := connection.recv(65_536):
                    content += block
            while content:
                length, _, rest = content.partition(b" ")
                message, content = rest[: int(length)], rest[int(length) :]
                self.messages.append(json.loads(message.partition(b" - ")[2]))


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


@pytest.fixture
def node(collector: Collector) -> Iterator[Node]:
    with folder_for_data() as folder:
        made = set_up(folder)
        text = made.configuration.read_text()
        text = text.replace("vault = [", f'management = ["https://management.localhost:{made.port}"]\nvault = [')
        text = text.replace("\nretention_days", f'\nsubscription = "{SUBSCRIPTION}"\nretention_days', 1)
        text += (
            f'[[subscriptions]]\nid = "{SUBSCRIPTION}"\ntenant = "{made.north.id}"\nname = "Site"\n'
            f'owners = ["{made.north.owner}"]\n'
            '[audit]\nall_to = ["siem"]\n'
            '[[audit.destinations]]\nname = "archive"\nkind = "file"\npath = "export.jsonl"\n'
            f'[[audit.destinations]]\nname = "siem"\nkind = "syslog"\nprotocol = "tcp"\n'
            f'address = "127.0.0.1:{collector.port}"\n'
        )
        made.configuration.write_text(text)
        initialized = made.command("init")
        assert initialized.returncode == 0, initialized.stderr
        yield made


def ask(node: Node, host: str, method: str, path: str, body: object = None) -> Any:
    audience = "management" if host == "management" else "vault"
    tenant = node.south if host.startswith("south") else node.north
    token = tenant.token(f"https://{audience}.localhost:{node.port}")
    with ExitStack() as stack:
        line = Line(node, host, "127.0.0.1", "127.0.0.1", b"")
        stack.callback(line.close)
        status, answer = line.ask(method, path, token, body)
    assert status < 300, answer
    return answer


def use(node: Node, name: str) -> None:
    """One call of each vault, which names a secret."""
    for vault in ("north", "south"):
        ask(node, f"{vault}.vault", "PUT", f"/secrets/{name}?api-version=7.4", {"value": "x"})


def names(records: list[dict[str, Any]]) -> list[str]:
    """Host and secret of every SecretSet."""
    uris = [one["properties"]["requestUri"] for one in records if one["operationName"] == "SecretSet"]
    return [f"{uri.split('/')[2].split('.')[0]} {uri.rpartition('/')[2]}" for uri in uris]


def exported(node: Node) -> list[dict[str, Any]]:
    path = Path(node.folder / "export.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_for(node: Node, collector: Collector, name: str) -> None:
    """Until both destinations have the calls of this name."""
    deadline = time.monotonic() + SECONDS
    while f"north {name}" not in names(exported(node)) or f"south {name}" not in names(collector.messages):
        assert time.monotonic() < deadline, (names(exported(node)), names(collector.messages), node.log.read_text())
        time.sleep(0.05)


def test_records_reach_their_destinations_across_kill_9_and_a_server_that_is_away(
    node: Node, collector: Collector
) -> None:
    with node.serving():
        use(node, "before")
        body = {"properties": {"storageAccountId": "archive", "logs": [{"category": "AuditEvent", "enabled": True}]}}
        ask(node, "management", "PUT", SETTING, body)
        use(node, "one")
        wait_for(node, collector, "one")
        with urllib.request.urlopen(f"http://127.0.0.1:{node.port + 2}/metrics", timeout=30) as answer:
            metrics = answer.read().decode()
        assert 'hsmvault_audit_exports_total{destination="archive",outcome="exported"' in metrics
        assert 'hsmvault_audit_export_lag_seconds{destination="siem"' in metrics
        port = collector.port
        collector.close()
        use(node, "two")
        node.kill()
    with node.serving():
        use(node, "three")
        again = Collector(port)
        try:
            again.messages = collector.messages
            wait_for(node, again, "three")
        finally:
            again.close()
    everything = names(collector.messages)
    for name in ("before", "one", "two", "three"):
        assert {f"north {name}", f"south {name}"} <= set(everything)
    archived = names(exported(node))
    assert {"north one", "north two", "north three"} <= set(archived)
    assert not any(name.startswith("south") for name in archived)
    assert any(one["operationName"] == "DiagnosticSettingPut" for one in collector.messages)
