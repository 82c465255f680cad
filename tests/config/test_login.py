"""The embedded issuer in the configuration: what is understood, and what is refused with its place."""

from pathlib import Path

import pytest

from hsmvault.app.checking import unreadable
from hsmvault.app.trust import federated_issuers
from hsmvault.clock import MovedClock
from hsmvault.config import Settings, read_settings
from hsmvault.errors import ConfigurationError

FEDERATED = "[[login.federated_issuers]]\nissuer = 'https://a.example'\n"
TRUSTED = (
    "[[issuers]]\nissuer = ['https://b.example', 'https://c.example']\njwks_file = 'keys.json'\n"
    "tenant = '11111111-1111-1111-1111-111111111111'\nalgorithms = ['ES256']\n[issuers.audiences]\nvault = ['x']\n"
)


def read(tmp_path: Path, text: str) -> Settings:
    (tmp_path / "keys.json").write_text('{"keys": []}')
    (tmp_path / "c.toml").write_text(text)
    return read_settings(tmp_path / "c.toml")


def test_issuers_for_proofs_alone_and_trusted_ones_may_prove_applications(tmp_path: Path) -> None:
    text = FEDERATED + "jwks_file = 'keys.json'\nalgorithms = ['RS256', 'PS256']\n" + TRUSTED
    found = federated_issuers(read(tmp_path, text), MovedClock())
    assert {name: issuer.algorithms for name, issuer in found.items()} == {
        "https://a.example": {"RS256", "PS256"},
        "https://b.example": {"ES256"},
        "https://c.example": {"ES256"},
    }


def test_nobody_proves_anything_unless_he_is_named() -> None:
    assert federated_issuers(Settings(), MovedClock()) == {}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (FEDERATED, "one place"),
        (FEDERATED + "jwks_file = 'keys.json'\njwks_uri = 'https://a.example/k'\n", "one place"),
        (FEDERATED + "jwks_uri = 'http://a.example/k'\n", "https"),
        (FEDERATED + "jwks_file = 'keys.json'\nca_file = 'ca.pem'\n", "jwks_uri"),
        (2 * (FEDERATED + "jwks_file = 'keys.json'\n"), "another table"),
        (FEDERATED.replace("//a", "//b") + "jwks_file = 'keys.json'\n" + TRUSTED, "under [[issuers]]"),
        (FEDERATED + "jwks_file = 'keys.json'\nalgorithms = ['HS256']\n", "algorithms"),
        ("[login]\nrefresh_token_days = 0\n", "refresh_token_days"),
        ("[login]\nsession_hours = 0\n", "session_hours"),
        ("[login]\ndevice_code_minutes = 61\n", "device_code_minutes"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, text: str, word: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, text)
    assert word in str(caught.value)


def test_keys_that_cannot_be_read_are_found_before_the_start(tmp_path: Path) -> None:
    settings = read(tmp_path, FEDERATED + "jwks_file = 'missing.json'\n")
    (found,) = unreadable(settings, MovedClock())
    assert "missing.json" in str(found)


def test_people_may_not_send_passwords_unless_the_operator_says_so() -> None:
    assert Settings().login.password_grant is False
