"""The embedded issuer under `hsmvault serve`: its directory is made at the command line, while the instance runs."""

import json
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.caller import Answer, Caller
from tests.instance import folder_for_data, names_resolved
from tests.isolation.node import Node, set_up

_SECONDS = 10.0  # for what takes one: changes are read once a second


@pytest.fixture
def node() -> Iterator[Node]:
    """Nobody but the embedded issuer is trusted, and there is no vault."""
    with folder_for_data() as folder:
        made = set_up(folder)
        text = made.configuration.read_text()
        made.configuration.write_text(text.partition("[[issuers]]")[0] + "\n[login]\nenabled = true\n")
        initialized = made.command("init")
        assert initialized.returncode == 0, initialized.stderr
        with names_resolved():
            yield made


def run(node: Node, *arguments: str) -> Any:
    ended = node.command("directory", *arguments)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout) if ended.stdout.startswith("{") else ended.stdout


def login(node: Node, tenant: str, application: dict[str, Any]) -> Answer:
    form = {
        "grant_type": "client_credentials",
        "client_id": application["appId"],
        "client_secret": application["secretText"],
        "scope": f"https://graph.localhost:{node.port}/.default",
    }
    caller = Caller(node.port, node.certificate, "login.localhost")
    try:
        content = urllib.parse.urlencode(form).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return caller.send("POST", f"/{tenant}/oauth2/v2.0/token", content, headers)
    finally:
        caller.close()


def users(node: Node, token: str) -> int:
    caller = Caller(node.port, node.certificate, "graph.localhost", token)
    try:
        return caller.send("GET", "/v1.0/users", None, {"Authorization": f"Bearer {token}"}).status
    finally:
        caller.close()


@pytest.mark.slow
def test_a_directory_made_at_the_command_line_serves_and_is_obeyed(node: Node, tmp_path: Path) -> None:
    with node.serving():
        tenant = run(node, "tenant", "create", "Dev", "dev.example")["id"]
        application = run(node, "app", "create", "chief", "--with-secret")
        run(node, "role", "add", application["servicePrincipalId"], "Global Administrator")
        deadline = time.monotonic() + _SECONDS
        while (answer := login(node, tenant, application)).status != 200:
            assert time.monotonic() < deadline, answer
        token = answer.body["access_token"]
        while users(node, token) != 200:
            assert time.monotonic() < deadline
    with node.serving():
        assert users(node, token) == 200
        assert login(node, "adfs", application).status == 200
        run(node, "app", "remove-credential", application["appId"], application["passwordCredentials"][0]["keyId"])
        deadline = time.monotonic() + _SECONDS
        while users(node, token) != 401:
            assert time.monotonic() < deadline
        assert login(node, tenant, application).status == 401
