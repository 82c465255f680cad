"""What all commands of the management plane have in common: help, and one sentence and 2 for what cannot be."""

from pathlib import Path

import pytest

from hsmvault.config.layout import Layout
from hsmvault.store.migrations import migrate
from tests.cli.commands import Commands, all_commands

TENANT = "22222222-0000-0000-0000-000000000001"
NOBODY = "44444444-0000-0000-0000-000000000001"
SITE = "33333333-0000-0000-0000-000000000001"


def test_every_command_explains_itself(tmp_path: Path) -> None:
    commands = Commands("--data-dir", str(tmp_path))
    assert len(all_commands()) > 60
    for words in sorted(all_commands()):
        code, said, error = commands.run(*words, "--help")
        assert (code, error) == (0, ""), words
        assert said.startswith(f"usage: hsmvault {' '.join(words)} "), words
        assert "--data-dir DIR" in said and "--config FILE" in said, words


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """On a data directory with a tenant, a subscription and a group, where nothing runs."""
    folder = tmp_path_factory.mktemp("data")
    migrate(f"sqlite:///{Layout(folder).database}")
    made = Commands("--data-dir", str(folder))
    made("directory", "tenant", "create", "Ours", "ours.example")
    made("subscription", "create", "Site", "--id", SITE)
    made("group", "create", "ops")
    return made


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("directory", "invalid choice"),
        ("directory user", "invalid choice"),
        ("directory user shout", "invalid choice"),
        ("directory user create ada@ours.example Ada --password-file /none", "cannot be read"),
        ("directory user create ada@elsewhere.example Ada --generate-password", "domain"),
        ("directory user list --tenant none", "does not exist"),
        ("directory group delete none", "does not exist"),
        ("directory app add-secret none --days 0", "not a number of days"),
        ("directory app create web --web-redirect-uri javascript:1", "redirectUris"),
        ("directory app add-certificate none /none", "cannot be read"),
        ("directory app federate none name --issuer x --subject y", "'issuer'"),
        ("directory identity create none", "ARM id"),
        (f"directory role add {NOBODY} King", "There is no role 'King'"),
        ("role list --tenant none", "no tenant 'none'"),
        ("role list --principal ada@ours.example", "nobody 'ada@ours.example'"),
        (f"role list --scope /subscriptions/{NOBODY}", "no subscription"),
        (f"role assign Owner {NOBODY} --scope x", "is no scope"),
        (f"role assign King {NOBODY} --scope /", "no role 'King'"),
        (f"role assign Owner {NOBODY} --scope /", "does not exist"),
        ("role remove none", "no role assignment"),
        ("role create /none", "cannot be read"),
        ("role delete Owner", "Built-in"),
        ("vault list", "no security world yet"),
        ("vault create dev --retention-days x", "invalid int"),
        ("vault network add dev", "at least one --ip or --subnet"),
        ("subscription create x --tenant none", "no GUID"),
        (f"subscription create {'x' * 65}", "1 to 64"),
        ("group create a?b", "invalid characters"),
        ("group create ops", "already"),
        ("group create other --location moon", "not available"),
        ("group delete none", "could not be found"),
        ("group list --subscription none", "no subscription none"),
        ("vault list --config /none", "/none cannot be read"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_two(commands: Commands, words: str, reason: str) -> None:
    code, said, error = commands.run(*words.split())
    assert (code, said) == (2, ""), error
    last = error.splitlines()[-1]
    assert reason in last, error
    assert error.count("\n") == 1 or error.startswith("usage: "), error
    assert "Traceback" not in error
