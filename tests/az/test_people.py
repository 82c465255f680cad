"""az login for people: device code, browser, user name and password."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.az.runner import AZ, Az, AzFailed
from tests.clients.browser import Browser
from tests.instance import names_resolved

pytestmark = pytest.mark.slow


@pytest.fixture
def browser(az: Az, monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    """With the instance's user in front of it."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", az.environment["REQUESTS_CA_BUNDLE"])
    with names_resolved():
        opened = Browser(az.environment["HSMVAULT_USER_NAME"], az.environment["HSMVAULT_USER_PASSWORD"])
        yield opened
        opened.close()


def check(newcomer: Az) -> None:
    """Who is logged in reads the names of keys, by a token for another resource than the one of the login."""
    account = newcomer("account", "show")
    assert account["user"] == {"name": newcomer.environment["HSMVAULT_USER_NAME"], "type": "user"}
    assert account["tenantId"] == newcomer.environment["AZURE_TENANT_ID"]
    assert newcomer("keyvault", "key", "list", "--vault-name", "dev") is not None


@pytest.mark.parametrize("tenant", [False, True], ids=["organizations", "tenant"])
def test_by_device_code(newcomer: Az, browser: Browser, tenant: bool) -> None:
    def told(line: str) -> None:
        found = re.search(r"open the page (\S+) and enter the code (\S+) to authenticate", line)
        assert found is not None, line
        browser.approve(found[1], found[2])

    named = ("--tenant", newcomer.environment["AZURE_TENANT_ID"]) if tenant else ()
    words = ("login", "--use-device-code", "--allow-no-subscriptions", *named)
    newcomer.while_running(*words, told=told, until="enter the code")
    check(newcomer)
    newcomer("logout")
    with pytest.raises(AzFailed, match="az login"):
        newcomer("keyvault", "key", "list", "--vault-name", "dev")


def test_by_browser(newcomer: Az, browser: Browser, tmp_path: Path) -> None:
    """az opens $BROWSER; here it writes the address down for the browser that is a script."""
    opened = tmp_path / "opened"
    os.mkfifo(opened)
    opener = tmp_path / "open"
    opener.write_text(f'#!/bin/sh\nprintf "%s" "$1" >{opened}\n')
    opener.chmod(0o755)
    with subprocess.Popen(
        [str(AZ), "login", "--allow-no-subscriptions", "--output", "none"],
        env=newcomer.variables(BROWSER=str(opener), DISPLAY=":0"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        browser.go_through(opened.read_text())
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    check(newcomer)


def test_by_user_name_and_password_through_the_alias_adfs_alone(newcomer: Az) -> None:
    """With a tenant's GUID az asks port 443 for the realm of the user, which an instance on another port is not."""
    environment = newcomer.environment
    words = ("login", "-u", environment["HSMVAULT_USER_NAME"], "--allow-no-subscriptions", "-p")
    newcomer(
        "cloud", "update", "-n", "hsmvault", "--endpoint-active-directory", _adfs(environment["AZURE_AUTHORITY_HOST"])
    )
    with pytest.raises(AzFailed, match="AADSTS50126"):
        newcomer(*words, "wrong password")
    newcomer(*words, environment["HSMVAULT_USER_PASSWORD"])
    assert newcomer("account", "show")["user"]["name"] == environment["HSMVAULT_USER_NAME"]


def _adfs(authority: str) -> str:
    return f"{authority}/adfs"
