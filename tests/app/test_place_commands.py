"""`hsmvault subscription` and `hsmvault group`, without an instance that runs."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hsmvault.cli import main
from hsmvault.store.migrations import migrate

TENANT = "22222222-0000-0000-0000-000000000001"
ID = "33333333-0000-0000-0000-000000000001"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Exit code, output, refusal."""
    (tmp_path / "hsmvault.toml").write_text('[server]\ndata_dir = "data"\n[management]\nlocations = ["eu", "us"]\n')
    (tmp_path / "data").mkdir()
    migrate(f"sqlite:///{tmp_path / 'data' / 'hsmvault.db'}")

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main.main([*arguments, "--config", str(tmp_path / "hsmvault.toml")])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    yield call


def test_subscriptions_and_groups_are_made_listed_and_deleted(run: Run, tmp_path: Path) -> None:
    assert run("subscription", "create", "Site", "--id", ID.upper(), "--tenant", TENANT)[0] == 0
    assert run("subscription", "list")[1] == f"{ID}  {TENANT}  Site\n"
    assert run("group", "create", "ops")[1] == f"ops  eu  /subscriptions/{ID}/resourceGroups/ops\n"
    assert run("group", "create", "Dev", "--location", "us", "--subscription", ID)[0] == 0
    listed = run("group", "list")[1].splitlines()
    assert [line.split()[:2] for line in listed] == [["Dev", "us"], ["ops", "eu"]]
    assert run("group", "delete", "OPS")[0] == 0
    assert len(run("group", "list")[1].splitlines()) == 1
    (log,) = (tmp_path / "data" / "audit").glob("audit-place-*.jsonl")
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(one["operationName"], one["resultSignature"]) for one in records[:4]] == [
        ("SubscriptionCreate", "Begun"),
        ("SubscriptionCreate", "OK"),
        ("ResourceGroupPut", "Begun"),
        ("ResourceGroupPut", "OK"),
    ]


def test_what_cannot_be_is_refused_in_a_sentence(run: Run) -> None:
    for arguments, reason in (
        (("subscription", "create", "x"), "Name the tenant"),
        (("subscription", "create", "x", "--tenant", TENANT, "--id", "1"), "is no GUID"),
        (("group", "list"), "there is: none"),
    ):
        code, _, refusal = run(*arguments)
        assert code != 0 and reason in refusal
    assert run("subscription", "create", "One", "--tenant", TENANT)[0] == 0
    assert "There is no subscription" in run("group", "create", "ops", "--subscription", ID)[2]
    assert run("subscription", "create", "x", "--tenant", TENANT, "--id", ID)[0] == 0
    assert "Name one with --subscription" in run("group", "create", "ops")[2]
    assert "already" in run("subscription", "create", "x", "--tenant", TENANT, "--id", ID)[2]
    at = ("--subscription", ID)
    assert "not available" in run("group", "create", "ops", "--location", "moon", *at)[2]
    assert run("group", "create", "ops", *at)[0] == 0
    assert "already" in run("group", "create", "OPS", *at)[2]
    assert "could not be found" in run("group", "delete", "other", *at)[2]
