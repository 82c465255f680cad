"""Hashes of secrets and passwords, and the form of both."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsmvault.clock import RandomIdentifiers
from hsmvault.login.passwords import hash_password, password_matches
from hsmvault.login.secrets import generate_secret, hash_secret, secret_matches

IDENTIFIERS = RandomIdentifiers()


def test_a_secret_has_forty_characters_that_a_shell_leaves_alone() -> None:
    secrets = [generate_secret(IDENTIFIERS) for _ in range(300)]
    for secret in secrets:
        assert re.fullmatch(r"[A-Za-f]{3}8Q~[A-Za-z0-9_.]{34}", secret.reveal())
        assert secret.reveal() not in repr(secret)
        assert secret.reveal() not in str(secret)
    assert len({secret.reveal() for secret in secrets}) == 300


def test_a_secret_matches_its_hash_and_no_other() -> None:
    secret, other = generate_secret(IDENTIFIERS), generate_secret(IDENTIFIERS)
    stored = hash_secret(IDENTIFIERS, secret)
    assert secret.reveal() not in stored
    assert stored != hash_secret(IDENTIFIERS, secret)
    assert secret_matches(secret.reveal(), stored)
    assert not secret_matches(other.reveal(), stored)
    assert not secret_matches(secret.reveal() + "\0", stored)
    assert not secret_matches("", stored)


@pytest.mark.parametrize("stored", ["", "sha256", "sha256$", "sha256$$", "md5$AAAA$AAAA", "AAAA", "scrypt$1$1$1$A$A"])
def test_a_stored_value_of_another_format_matches_nothing(stored: str) -> None:
    assert not secret_matches("", stored)
    assert not secret_matches("x", stored)


@given(st.text())
def test_no_text_breaks_the_comparison(text: str) -> None:
    stored = hash_secret(IDENTIFIERS, generate_secret(IDENTIFIERS))
    assert not secret_matches(text, stored)
    assert not secret_matches(text + "\ud800", stored)


async def test_a_password_matches_its_hash_and_no_other() -> None:
    stored = await hash_password(IDENTIFIERS, "correct horse")
    assert stored.startswith("scrypt$32768$8$1$")
    assert await password_matches("correct horse", stored)
    assert not await password_matches("correct horse ", stored)
    assert not await password_matches("x" * 2000, stored)
    assert not await password_matches("", "")
    assert not await password_matches("", "sha256$AAAA$AAAA")
