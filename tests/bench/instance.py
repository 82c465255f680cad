"""The instance under test: `hsmvault dev` in a directory of its own, with a token for its owner."""

import json
import shlex
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.bench.messages import Target
from tests.bench.processes import BenchError, Child, tree
from tests.instance import free_ports

FORM = "application/x-www-form-urlencoded"
API_VERSION = "7.6"  # the first that has every operation and algorithm that is measured
_START_SECONDS = 60.0
_PORT_TAKEN = 5


class Container:
    """A vault or a pool of the instance, with a token for its owner."""

    def __init__(self, target: Target, token: str) -> None:
        self.target = target
        self._token = token
        self._headers = {"Authorization": f"Bearer {token}"}

    def beside(self, name: str) -> "Container":
        """Another vault, with the same token."""
        suffix = self.target.host.partition(".")[2]
        return Container(replace(self.target, host=f"{name}.{suffix}"), self._token)

    def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """One call; the answer's JSON. path: from `/keys` on, without a query. Raises BenchError."""
        content = None if body is None else json.dumps(body).encode()
        return self.target.call(method, _path(path), {**self._headers, "Content-Type": "application/json"}, content)

    def request(self, method: str, path: str, body: object = None) -> bytes:
        """The same as bytes, for the load generator."""
        content = b"" if body is None else json.dumps(body).encode()
        return self.target.request(method, _path(path), self._headers, content)


class Instance:
    """Started by the constructor, ready when it returns; stop() ends it. Raises BenchError.

    authority: the URL of its attestation authority.
    """

    def __init__(self, folder: Path, workers: int) -> None:
        self._child, self._environment = _started(folder, workers)
        try:
            self._pids = tuple(tree(self._child.process.pid))
            self.certificate = folder / "tls" / "server.pem"
            self.private_key = folder / "tls" / "server.key"
            self.authority = self._environment["AZURE_KEYVAULT_ATTESTATION_URL"]
            self.vault = self._container("AZURE_KEYVAULT_URL")
            self.pool = self._container("AZURE_MANAGEDHSM_URL")
        except BaseException:
            self._child.stop()
            raise

    def stop(self) -> None:
        self._child.stop()

    def assertion(self, encryption: Mapping[str, str]) -> str:
        """What the attestation authority says of an environment with this public key (RSA, as a JWK)."""
        body = json.dumps({"key": encryption}).encode()
        target = self._target("AZURE_KEYVAULT_ATTESTATION_URL")
        answer = target.call("POST", "/generate-test-token", {"Content-Type": "application/json"}, body)
        return str(answer["token"])

    def variable(self, name: str) -> str:
        """Of dev.env."""
        return self._environment[name]

    def service(self, role: str) -> Target:
        """What is at login., management. or graph."""
        target = self._target("ARM_ENDPOINT")
        return replace(target, host=f"{role}.{target.host.partition('.')[2]}")

    def login(self, resource: str) -> tuple[str, bytes]:
        """Path and form with which the owner asks for a token: client credentials with a secret."""
        form = {
            "grant_type": "client_credentials",
            "client_id": self.variable("AZURE_CLIENT_ID"),
            "client_secret": self.variable("AZURE_CLIENT_SECRET"),
            "scope": f"{resource}/.default",
        }
        return f"/{self.variable('AZURE_TENANT_ID')}/oauth2/v2.0/token", urlencode(form).encode()

    def token(self, resource: str) -> str:
        """For the owner, fetched as a client does it."""
        path, form = self.login(resource)
        return str(self.service("login").call("POST", path, {"Content-Type": FORM}, form)["access_token"])

    def _target(self, variable: str) -> Target:
        url = urlsplit(self._environment[variable])
        assert url.hostname is not None and url.port is not None
        return Target("hsmvault", url.hostname, url.port, Path(self._environment["SSL_CERT_FILE"]), self._pids)

    def _container(self, variable: str) -> Container:
        """With a token that was fetched once."""
        target = self._target(variable)
        resource = "https://" + target.host.partition(".")[2] + f":{target.port}"
        return Container(target, self.token(resource))


def _path(path: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}api-version={API_VERSION}"


def _started(folder: Path, workers: int) -> tuple[Child, dict[str, str]]:
    log = folder.with_suffix(".log")
    for _ in range(5):
        port = free_ports()
        options = ["--data-dir", str(folder), "--port", str(port), "--workers", str(workers), "--no-hosts"]
        child = Child([sys.executable, "-P", "-m", "hsmvault", "dev", *options], log=log)
        ready = folder / "dev.env"
        ends = time.monotonic() + _START_SECONDS
        try:
            while time.monotonic() < ends and child.is_alive():
                if ready.exists():
                    lines = shlex.split(ready.read_text())
                    return child, dict(line.split("=", 1) for line in lines)
                time.sleep(0.05)
        except BaseException:
            child.stop()
            raise
        child.stop()
        if child.process.returncode != _PORT_TAKEN:
            break
    raise BenchError(f"the instance did not start (exit code {child.process.returncode})")
