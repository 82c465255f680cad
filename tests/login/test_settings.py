"""Settings that cannot work are refused at start, and aliases are off until somebody names them."""

import dataclasses

import pytest

from hsmvault.errors import ConfigurationError
from hsmvault.login.audiences import audience
from hsmvault.login.refusals import LoginRefused
from hsmvault.login.settings import LoginSettings

GOOD = LoginSettings(
    origin="https://login.example",
    default_tenant_id="00000000-0000-0000-0000-000000000001",
    resources={"vault": "https://vault.example"},
)


@pytest.mark.parametrize(
    "change",
    [
        {"origin": "http://login.example"},
        {"origin": "https://login.example/"},
        {"origin": "login.example"},
        {"token_life_seconds": (5400, 3600)},
        {"token_life_seconds": (0, 3600)},
        {"key_lead_seconds": 60},
        {"key_life_seconds": 3600},
        {"resources": {"vault": "https://vault.example/"}},
        {"aliases": frozenset({"https://vault.azure.net/"})},
    ],
)
def test_settings_that_cannot_work_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="login: "):
        dataclasses.replace(GOOD, **change)


def test_an_alias_is_an_audience_only_when_it_is_configured() -> None:
    with pytest.raises(LoginRefused):
        audience(GOOD, "https://vault.azure.net", tenant_id="t")
    aliased = dataclasses.replace(GOOD, aliases=frozenset({"https://vault.azure.net"}))
    assert audience(aliased, "https://vault.azure.net", tenant_id="t") == "https://vault.azure.net"
