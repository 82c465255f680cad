"""Destinations of audit records and subscriptions in the configuration."""

from pathlib import Path

import pytest

from hsmvault.config import read_settings
from hsmvault.errors import ConfigurationError

FILE = '[[audit.destinations]]\nname = "one"\nkind = "file"\npath = "/x"\n'
SUBSCRIPTION = '[[subscriptions]]\nid = "33333333-0000-0000-0000-000000000001"\nname = "x"\n'


def destination(text: str) -> str:
    return f'[[audit.destinations]]\nname = "one"\n{text}\n'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (FILE + FILE, "stands in another"),
        (
            FILE + destination('kind = "file"\npath = "/y"').replace('"one"', '"two"') + 'id = "one"\n',
            "stands in another",
        ),
        (destination('kind = "file"'), "needs path"),
        (destination('kind = "webhook"'), "needs url"),
        (destination('kind = "syslog"'), "needs address"),
        (destination('kind = "webhook"\nurl = "http://example.com/"'), "https URL"),
        (destination('kind = "webhook"\nurl = "https://u:p@example.com/"'), "https URL"),
        (destination('kind = "file"\npath = "/x"\nurl = "https://example.com/"'), "no meaning"),
        (destination('kind = "syslog"\naddress = "h:1"\nheader_file = "/x"'), "no meaning"),
        *(
            (destination(f'kind = "syslog"\naddress = "{address}"'), "host and a port")
            for address in ("host", "host:", "host:0", "host:99999", ":5", "u@h:5", "h:5/x", "::1:5", "[::1]")
        ),
        ('[audit]\nall_to = ["one"]\n', "no \\[\\[audit.destinations\\]\\] table"),
        (destination('kind = "pigeon"'), "kind"),
        (FILE.replace('"one"', '"Two"'), "name"),
        (2 * (SUBSCRIPTION + 'tenant = "22222222-0000-0000-0000-000000000001"\n'), "stands in another"),
        (
            SUBSCRIPTION
            + 'tenant = "22222222-0000-0000-0000-000000000001"\n[[containers]]\nname = "dev"\n'
            + 'tenant = "22222222-0000-0000-0000-000000000002"\n'
            + 'subscription = "33333333-0000-0000-0000-000000000001"\n',
            "another tenant",
        ),
        ("[management]\nlocations = []\n", "locations"),
        ('[management]\nlocations = ["West Europe"]\n', "locations"),
    ],
)
def test_what_does_not_go_together_is_refused_with_its_place(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=reason):
        read_settings(tmp_path / "c.toml")


@pytest.mark.parametrize(
    "text",
    [
        FILE + '[audit]\nall_to = ["one"]\n',
        destination('kind = "webhook"\nurl = "http://127.0.0.1:8080/x"'),
        destination('kind = "syslog"\naddress = "[2001:db8::1]:6514"\nprotocol = "tcp"'),
    ],
)
def test_what_is_right_is_taken(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    assert read_settings(tmp_path / "c.toml").audit.destinations[0].name == "one"
