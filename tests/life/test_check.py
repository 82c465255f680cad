"""`hsmvault check` says in plain words what a start would be refused for and what would fail later; and a start is
refused in the same words."""

import asyncio

import pytest

from hsmvault.app import operator
from hsmvault.cli import admin
from hsmvault.config import read_settings
from hsmvault.errors import ConfigurationError
from tests.life.worker import Life


async def test_what_stands_against_a_start_is_said_before_it_and_by_it(
    installation: Life, capsys: pytest.CaptureFixture[str]
) -> None:
    one = installation
    configuration = one.folder / "hsmvault.toml"
    configuration.write_text(
        configuration.read_text().replace(
            'host = "127.0.0.1"', 'host = "localhost"\nusername = "u"\npassword_file = "p"'
        )
        + '[[events]]\nname = "third"\nurl = "https://a.example/"\nca_file = "event-ca.pem"\n'
        '[[events]]\nname = "fourth"\nurl = "https://a.example/"\nheader_file = "headers"\n'
        '[[acme]]\nname = "public"\ndirectory = "https://a.example/"\nterms_agreed = true\nca_file = "acme-ca.pem"\n'
        'eab_kid = "kid"\neab_key_file = "eab"\n'
    )
    (one.folder / "headers").write_text("Authorization: sesame\n")
    (one.folder / "headers").chmod(0o644)
    (one.folder / "eab").write_text("sesame")
    (one.folder / "eab").chmod(0o600)
    code = await asyncio.to_thread(admin.check, configuration)
    lines = capsys.readouterr().out.splitlines()
    refusals = [line.replace(f"{one.folder}/", "") for line in lines if line.startswith("refused: ")]
    assert refusals == [
        "refused: hsmvault.toml: hsm.pin_file or hsm.pin_env is missing: where the PIN of the token comes from.",
        "refused: acme 'public': ca_file acme-ca.pem cannot be read.",
        "refused: acme 'public': eab_key_file eab is no HMAC key of at least 16 bytes in base64url.",
        "refused: events 'third': ca_file event-ca.pem cannot be read.",
        "refused: events 'fourth', header_file: other users can reach headers; run `chmod 0600 headers`.",
        "refused: smtp.password_file: the file p cannot be read (No such file or directory).",
    ]
    assert code == 2
    assert "sesame" not in "".join(lines)
    with pytest.raises(ConfigurationError, match=r"^acme 'public': ca_file .* cannot be read\.$"):
        async with one.serving():
            pytest.fail("it starts")
    assert not (one.folder / "data" / "node").exists()


async def test_what_would_fail_later_is_said_too(installation: Life) -> None:
    one = installation
    configuration = one.folder / "hsmvault.toml"

    async def will_fail() -> list[str]:
        """Without a PIN the token is not looked at."""
        checked = await operator.check(read_settings(configuration), None)
        assert checked.refusals == ()
        return [note.replace(f"{one.folder}/", "") for note in checked.notes]

    async with one.serving():
        for name, provider, account in (
            ("corp", "LocalCA", "corp"),
            ("one", "LocalCA", None),
            ("gone", "LocalCA", "elsewhere"),
            ("public", "ACME", "letsencrypt"),
            ("digicert", "DigiCert", "1234"),
        ):
            issuer = {"provider": provider, "credentials": {"account_id": account}}
            await one.good("PUT", f"/certificates/issuers/{name}", issuer)
    assert await will_fail() == [
        "will fail: vault 'north': the issuer 'gone' names 'elsewhere', and there is no such table in "
        "[[authorities]] for this vault; its certificates are not renewed.",
        "will fail: vault 'north': the issuer 'public' names 'letsencrypt', and there is no such table in [[acme]] for "
        "this vault; its certificates are not renewed.",
    ]
    configuration.write_text(
        configuration.read_text().replace('name = "corp"', 'name = "other"')
        + f'[[events]]\nname = "third"\nurl = "https://a.example/"\ncontainers = ["south", "north"]\n'
        f'[[acme]]\nname = "letsencrypt"\ndirectory = "https://a.example/"\nterms_agreed = true\nchallenge = "dns-01"\n'
        f'hook = ["{one.folder}/missing"]\n'
        f'[[acme]]\nname = "second"\ndirectory = "https://a.example/"\nterms_agreed = true\nwebroot = "nowhere"\n'
        'containers = ["west"]\n'
    )
    assert await will_fail() == [
        "will fail: acme 'letsencrypt': the hook missing is no program that can be run.",
        "will fail: acme 'second': webroot nowhere is no directory that can be written to.",
        "will fail: events 'third': there is no vault 'south'.",
        "will fail: acme 'second': there is no vault 'west'.",
        "will fail: vault 'north': the issuer 'corp' names 'corp', and there is no such table in [[authorities]] for "
        "this vault; its certificates are not renewed.",
        "will fail: vault 'north': the issuer 'gone' names 'elsewhere', and there is no such table in "
        "[[authorities]] for this vault; its certificates are not renewed.",
        "will fail: authority 'corp' was made and is not configured any more: its revocation lists are not published.",
    ]
