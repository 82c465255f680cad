"""Webhooks and the mail server in the configuration: what is understood, and what is refused with its place."""

from pathlib import Path

import pytest

from hsmvault.config import Settings, read_settings
from hsmvault.config.certificates import EventSubscription, Smtp
from hsmvault.errors import ConfigurationError

HOOK = "[[events]]\nname = 'abc'\nurl = 'https://a.example/x?y=z'\n"
SMTP = "[smtp]\nhost = 'mail.example'\nsender = 'vault@keys.example'\n"


def read(tmp_path: Path, text: str) -> Settings:
    (tmp_path / "c.toml").write_text(text)
    return read_settings(tmp_path / "c.toml")


def test_a_webhook_says_what_it_gets_and_how(tmp_path: Path) -> None:
    plain = "[[events]]\nname = 'local'\nurl = 'http://[::1]:8080/'\nschema = 'cloudevents'\nheader_file = 'h'\n"
    more = "containers = ['payments']\ntypes = ['Microsoft.KeyVault.SecretExpired']\ntimeout_seconds = 5\n"
    assert read(tmp_path, HOOK + more + plain).events == (
        EventSubscription(
            name="abc",
            url="https://a.example/x?y=z",
            containers=("payments",),
            types=("Microsoft.KeyVault.SecretExpired",),
            timeout_seconds=5.0,
        ),
        EventSubscription(name="local", url="http://[::1]:8080/", schema="cloudevents", header_file=tmp_path / "h"),
    )
    for host in ("localhost", "127.0.0.1", "127.8.9.10"):
        assert read(tmp_path, HOOK.replace("https://a.example", f"http://{host}")).events


def test_the_port_of_the_mail_server_follows_from_its_tls(tmp_path: Path) -> None:
    assert not Settings().mail_enabled
    settings = read(tmp_path, SMTP)
    assert settings.smtp == Smtp(host="mail.example", sender="vault@keys.example")
    assert (settings.mail_enabled, settings.smtp_port) == (True, 587)
    assert read(tmp_path, SMTP + "tls = 'tls'\n").smtp_port == 465
    assert read(tmp_path, SMTP.replace("mail.example", "::1") + "tls = 'none'\n").smtp_port == 25
    assert read(tmp_path, SMTP + "port = 2525\n").smtp_port == 2525


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("[[events]]\nname = 'abc'\n", 1, "the key 'url' is missing"),
        (HOOK.replace("abc", "a b"), 2, "events[1].name"),
        (HOOK.replace("abc", "ab"), 2, "events[1].name"),
        (HOOK + HOOK.replace("abc", "ABC"), 5, "events[2].name: 'abc' stands in another [[events]] table too"),
        (HOOK.replace("https:", "http:"), 3, "events[1].url: this must be an https"),
        (HOOK.replace("https://a.example", "http://localhost.a.example"), 3, "this must be an https"),
        (HOOK.replace("https://a.example", "http://127.0.0.1@a.example"), 3, "without a user name"),
        (HOOK.replace("https://a.example", "http://u@localhost"), 3, "without a user name"),
        (HOOK.replace("https://a.example", "ftp://localhost"), 3, "this must be an https"),
        (HOOK.replace("a.example", "[a.example"), 3, "this is not a URL"),
        (HOOK.replace("https://a.example", "http://localhost") + "ca_file = 'a'\n", 4, "events[1].ca_file"),
        (HOOK + "schema = 'custom'\n", 4, "events[1].schema"),
        (HOOK + "types = ['SecretExpired']\n", 4, "events[1].types"),
        (HOOK + "types = ['Microsoft.KeyVault.VaultMoved']\n", 4, "events[1].types"),
        (HOOK + "containers = ['A']\n", 4, "events[1].containers"),
        (HOOK + "timeout_seconds = 61\n", 4, "events[1].timeout_seconds"),
        (HOOK + "headers = ['a']\n", 4, "events[1].headers: this key is not known"),
        (SMTP.replace("sender", "#"), 1, "smtp.sender: the address that mail comes from is needed"),
        (SMTP.replace("vault@", "Vault <vault@"), 3, "smtp.sender"),
        (SMTP.replace("mail.example", "mail example"), 2, "smtp.host"),
        (SMTP + "tls = 'none'\n", 4, 'smtp.tls: "none" is for a server on this machine alone'),
        (SMTP.replace("mail.example", "localhost") + "tls = 'none'\nca_file = 'a'\n", 5, "smtp.ca_file"),
        (SMTP + "username = 'u'\n", 1, "smtp: username and password_file belong together"),
        (SMTP + "password_file = 'p'\n", 1, "smtp: username and password_file belong together"),
        (SMTP + "password = 'p'\n", 4, "smtp.password: this key is not known"),
    ],
)
def test_a_mistake_is_refused_with_its_place(tmp_path: Path, text: str, line: int, reason: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, text)
    assert f"line {line}:" in str(caught.value)
    assert reason in str(caught.value)
