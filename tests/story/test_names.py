"""Names of an embedded instance whose suffix this machine does not resolve: in the hosts file, in certificates, in
URLs; also those of vaults and pools that are made while it runs."""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest

from hsmvault.config import Names
from tests.caller import Answer, Caller
from tests.cli.commands import Commands
from tests.instance import ROOT, folder_for_data, free_ports, read_environment

pytestmark = pytest.mark.slow
SUFFIX = "keys.hsmvault.invalid"  # a name that no machine resolves
NO_HEADERS: Mapping[str, str] = {}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_FIXED = {f"{role}.{SUFFIX}" for role in ("login", "management", "graph", "attest", "devstore.blob")}


@dataclass
class Dev:
    process: "subprocess.Popen[str]"
    data_dir: Path
    hosts: Path
    port: int
    welcome: str = ""

    def read_until(self, text: str) -> str:
        """What it says, up to a line with this text."""
        assert self.process.stdout is not None
        said = ""
        for line in self.process.stdout:
            said += line
            if text in line:
                return said
        pytest.fail(f"the instance ended with {self.process.wait()}: {said}")

    def listed(self) -> dict[str, list[str]]:
        """Names of the hosts file by address."""
        found: dict[str, list[str]] = {}
        for line in self.hosts.read_text().splitlines():
            address, *names = line.partition("#")[0].split() or ["127.0.0.1"]
            found.setdefault(address, []).extend(names)
        return found

    def ask(
        self, method: str, host: str, path: str, data: bytes | None = None, headers: Mapping[str, str] = NO_HEADERS
    ) -> Answer:
        variables = read_environment(self.data_dir / "dev.env")
        caller = Caller(self.port, Path(variables["SSL_CERT_FILE"]), host)
        try:
            return caller.send(method, path, data, headers)
        finally:
            caller.close()

    def token(self, resource: str) -> str:
        variables = read_environment(self.data_dir / "dev.env")
        form = {
            "grant_type": "client_credentials",
            "client_id": variables["AZURE_CLIENT_ID"],
            "client_secret": variables["AZURE_CLIENT_SECRET"],
            "scope": f"{resource}/.default",
        }
        path = f"/{variables['AZURE_TENANT_ID']}/oauth2/v2.0/token"
        answer = self.ask("POST", f"login.{SUFFIX}", path, urlencode(form).encode(), FORM)
        return str(answer.body["access_token"])


@contextmanager
def serving(folder: Path, port: int) -> Iterator[Dev]:
    data_dir, hosts = folder / "data", folder / "hosts"
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.story.dev", str(data_dir), str(port), SUFFIX, str(hosts)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        dev = Dev(process, data_dir, hosts, port)
        dev.welcome = dev.read_until("metrics:")
        yield dev
        process.terminate()
        assert process.wait(30) == 0, (folder / "log").read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_names_are_made_known_and_served_also_later_ones_and_at_the_next_start() -> None:
    with folder_for_data() as folder:
        (folder / "hosts").write_text("127.0.0.1 localhost\n")
        port = free_ports()
        with serving(folder, port) as dev:
            first = _FIXED | {f"dev.vault.{SUFFIX}", f"devhsm.managedhsm.{SUFFIX}"}
            assert "Added" in dev.welcome
            assert {address: set(names) - {"localhost"} for address, names in dev.listed().items()} == {
                "127.0.0.1": first,
                "::1": first,
            }
            variables = read_environment(dev.data_dir / "dev.env")
            assert variables["AZURE_KEYVAULT_URL"] == f"https://dev.vault.{SUFFIX}:{port}"
            run = Commands("--data-dir", str(dev.data_dir))
            made = run("vault", "create", "late")
            assert made["properties"]["vaultUri"] == f"https://late.vault.{SUFFIX}:{port}/"
            dev.read_until("Added 1 names")
            late = f"late.vault.{SUFFIX}"
            for names in (dev.listed()["127.0.0.1"], dev.listed()["::1"]):
                assert names.count(late) == 1
            challenged = dev.ask("GET", late, "/secrets?api-version=7.6")
            assert challenged.status == 401
            assert challenged.headers["WWW-Authenticate"] == (
                f'Bearer authorization="https://login.{SUFFIX}:{port}/{variables["AZURE_TENANT_ID"]}", '
                f'resource="https://vault.{SUFFIX}:{port}"'
            )
            token = dev.token(f"https://vault.{SUFFIX}:{port}")
            listed = dev.ask("GET", late, "/secrets?api-version=7.6", headers={"Authorization": f"Bearer {token}"})
            assert (listed.status, listed.body["value"]) == (200, [])
            arm = dev.ask("GET", f"management.{SUFFIX}", "/metadata/endpoints?api-version=2022-09-01")
            assert set(re.findall(r"https://[^/\"']*", str(arm.body))) >= {
                f"https://{role}.{SUFFIX}:{port}" for role in ("login", "graph", "management")
            }
            text = dev.hosts.read_text()
        with serving(folder, port) as dev:  # nothing is new
            assert "Added" not in dev.welcome
            assert dev.hosts.read_text() == text
            run("vault", "delete", "late")
        with serving(folder, port) as dev:  # a name that was known once stays
            assert dev.hosts.read_text() == text
            assert dev.ask("GET", late, "/secrets?api-version=7.6").status == 404


def test_the_port_disappears_from_every_url_at_443() -> None:
    names = Names(SUFFIX, 443)
    assert names.vault_url("dev") == f"https://dev.vault.{SUFFIX}"
    assert names.pool_resource == f"https://managedhsm.{SUFFIX}"
