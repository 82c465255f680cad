"""Headless Chromium and one instance for the folder. Only this instance's names resolve in the browser."""

import base64
import hashlib
import shutil
import sqlite3
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from tests.instance import DevInstance, dev_instance  # noqa: F401  # fixture


@dataclass
class Chromium:
    """driver: a browser with a profile of its own."""

    driver: Any
    origin: str

    def problems(self) -> list[str]:
        """What the console says: errors, and what the policy of a page has stopped. An application of these tests that
        is not there is no fault of the page."""
        lines = [entry["message"] for entry in self.driver.get_log("browser")]
        return [line for line in lines if "ERR_CONNECTION_REFUSED" not in line]


def open_chromium(instance: DevInstance, profile: Path, *, scripts: bool = True) -> Chromium:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "/usr/bin/chromium"
    for argument in (
        "--headless=new",
        "--no-sandbox",  # tests run as root in containers, where it cannot work
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--no-first-run",
        f"--user-data-dir={profile}",
        "--host-resolver-rules=MAP *.localhost 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
        f"--ignore-certificate-errors-spki-list={_key_hash(instance)}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    if not scripts:
        options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver") or "chromedriver"))
    driver.set_page_load_timeout(30)
    return Chromium(driver, instance.environment["AZURE_AUTHORITY_HOST"])


@pytest.fixture
def chromium(dev_instance: DevInstance, tmp_path: Path) -> Iterator[Chromium]:  # noqa: F811  # the fixture
    opened = open_chromium(dev_instance, tmp_path / "profile")
    yield opened
    assert opened.problems() == []
    opened.driver.quit()


@pytest.fixture
def chromium_without_scripts(dev_instance: DevInstance, tmp_path: Path) -> Iterator[Chromium]:  # noqa: F811
    opened = open_chromium(dev_instance, tmp_path / "profile", scripts=False)
    yield opened
    assert opened.problems() == []
    opened.driver.quit()


def _key_hash(instance: DevInstance) -> str:
    """Of the public key of the instance's certificate: how one server is trusted without touching anything of the
    machine's."""
    certificate = x509.load_pem_x509_certificate(ssl.get_server_certificate(("127.0.0.1", instance.port)).encode())
    der = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


@pytest.fixture
def must_change(dev_instance: DevInstance) -> Iterator[None]:  # noqa: F811  # the fixture
    """The user has a first password; afterwards everything is as before."""
    (path,) = dev_instance.data_dir.glob("*.db")
    name = dev_instance.environment["HSMVAULT_USER_NAME"]
    with sqlite3.connect(path) as connection:
        (before,) = connection.execute("SELECT password_hash, details FROM principals WHERE upn = ?", (name,))
        details = msgspec.json.encode({**msgspec.json.decode(before[1]), "must_change_password": True}).decode()
        connection.execute("UPDATE principals SET details = ? WHERE upn = ?", (details, name))
    connection.close()
    yield
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE principals SET password_hash = ?, details = ? WHERE upn = ?", (*before, name))
    connection.close()
