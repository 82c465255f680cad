"""Attestation authorities in the configuration: what is understood, and what is refused with its place."""

from pathlib import Path

import pytest

from hsmvault.config import Settings, read_settings
from hsmvault.config.rules import missing_for_serve
from hsmvault.config.settings import Attestation, AttestationAuthority
from hsmvault.errors import ConfigurationError

AUTHORITY = "[[attestation_authorities]]\nissuer = 'https://a.example'\n"


def read(tmp_path: Path, text: str) -> Settings:
    (tmp_path / "c.toml").write_text(text)
    return read_settings(tmp_path / "c.toml")


def test_an_authority_has_its_keys_in_a_file_or_behind_a_url(tmp_path: Path) -> None:
    first = "[[attestation_authorities]]\nissuer = 'https://b.example/'\njwks_uri = 'https://b.example/certs'\n"
    settings = read(tmp_path, first + AUTHORITY + "jwks_file = 'keys.json'\nalgorithms = ['PS256', 'ES384']\n")
    assert settings.attestation_authorities == (
        AttestationAuthority(issuer="https://b.example/", jwks_uri="https://b.example/certs"),
        AttestationAuthority(
            issuer="https://a.example", jwks_file=tmp_path / "keys.json", algorithms=("PS256", "ES384")
        ),
    )
    assert settings.attestation_authorities[0].algorithms == ("RS256",)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (AUTHORITY, 1, "attestation_authorities[1]: the key set comes from one place"),
        (AUTHORITY + "jwks_file = 'a'\njwks_uri = 'https://a.example'\n", 1, "the key set comes from one place"),
        (AUTHORITY + "jwks_uri = 'http://a.example'\n", 3, "authorities[1].jwks_uri: this must be an https"),
        (AUTHORITY + "jwks_uri = 'https://u@a.example'\n", 3, "without a user name"),
        (AUTHORITY + "jwks_uri = 'https://[a.example'\n", 3, "this is not a URL"),
        (AUTHORITY + "jwks_file = 'a'\nca_file = 'b'\n", 4, "attestation_authorities[1].ca_file"),
        (AUTHORITY + "jwks_file = 'a'\nalgorithms = ['HS256']\n", 4, "attestation_authorities[1].algorithms"),
        (AUTHORITY + "jwks_file = 'a'\nalgorithms = []\n", 4, "attestation_authorities[1].algorithms"),
        (AUTHORITY + "jwks_file = 'a'\naudiences = []\n", 4, "authorities[1].audiences: this key is not known"),
        ("[[attestation_authorities]]\njwks_file = 'a'\n", 1, "the key 'issuer' is missing"),
        (
            AUTHORITY + "jwks_file = 'a'\n\n" + AUTHORITY.replace("example", "example/") + "jwks_file = 'b'\n",
            6,
            "'https://a.example' stands in another",
        ),
    ],
)
def test_a_mistake_is_refused_with_its_place(tmp_path: Path, text: str, line: int, reason: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, text)
    assert f"line {line}:" in str(caught.value)
    assert reason in str(caught.value)


def test_the_development_authority_is_not_for_production() -> None:
    assert Settings().attestation.development is False
    missing = missing_for_serve(Settings(attestation=Attestation(development=True)))
    assert any(sentence.startswith("attestation.development") for sentence in missing)
