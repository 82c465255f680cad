"""The operator's commands around `hsmvault serve`, on a token that was prepared by hand."""

from collections.abc import Iterator

import pytest

from tests.caller import Caller
from tests.instance import folder_for_data
from tests.isolation.node import Node, prepare_token, set_up


@pytest.fixture
def fresh() -> Iterator[Node]:
    with folder_for_data() as folder:
        yield set_up(folder)


@pytest.mark.slow
def test_from_a_prepared_token_to_a_node_that_serves_and_starts_again(fresh: Node) -> None:
    early = fresh.command("check")
    assert early.returncode == 4, early
    assert "no database" in early.stdout
    refused = fresh.command("serve")
    assert refused.returncode == 3, refused
    assert "hsmvault init" in refused.stderr
    made = fresh.command("init")
    assert made.returncode == 0, made.stderr
    ready = fresh.command("check")
    assert ready.returncode == 0, ready.stdout
    assert "nothing stands against a start" in ready.stdout
    assert "passed  RSA-2048: generate, sign, verify\n" in ready.stdout
    again = fresh.command("init")
    assert again.returncode == 3
    assert "not overwritten" in again.stderr
    caller = Caller(fresh.port, fresh.certificate, "north.vault.localhost", fresh.north.token(fresh.audience))
    with fresh.serving():
        created = caller.call("POST", "/keys/first/create", {"kty": "EC-HSM", "crv": "P-256"})
        assert created.status == 200, created
        running = fresh.command("check")
        assert running.returncode == 0, running.stdout
        assert "An instance is running" in running.stdout
        second = fresh.command("serve")
        assert second.returncode in (5, 6), second
        caller.close()
    with fresh.serving():
        found = caller.call("GET", "/keys/first")
        assert found.body["key"] == created.body["key"]
        caller.close()


@pytest.mark.slow
def test_a_world_is_not_made_beside_an_existing_one_and_a_wrong_pin_changes_nothing(fresh: Node) -> None:
    (fresh.folder / "pin").write_text("wrong\n")
    refused = fresh.command("init")
    assert refused.returncode == 3, refused
    assert "wrong" not in refused.stdout
    (fresh.folder / "pin").write_text("a-user-pin\n")
    assert fresh.command("init").returncode == 0
    assert fresh.command("check").returncode == 0
    (fresh.folder / "pin").write_text("wrong\n")
    for command in ("check", "serve"):
        answer = fresh.command(command)
        assert answer.returncode == 3, (command, answer)
        assert "PIN" in answer.stdout + answer.stderr


@pytest.mark.slow
def test_a_node_refuses_a_token_that_is_not_its_own(fresh: Node) -> None:
    assert fresh.command("init").returncode == 0
    tokens = fresh.folder / "tokens"
    tokens.rename(fresh.folder / "away")
    tokens.mkdir()
    missing = fresh.command("serve")
    assert missing.returncode == 3, missing
    prepare_token(fresh)
    other = fresh.command("serve")
    assert other.returncode == 3, other
    assert fresh.command("check").returncode == 3
    assert "Traceback" not in missing.stderr + other.stderr
