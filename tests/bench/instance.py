"""The instance under test: `hsmvault dev` in a directory of its own, with a token for its owner."""

import shlex
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.bench.messages import Target
from tests.bench.processes import BenchError, Child, tree
from tests.instance import free_ports

API_VERSION = "7.4"
_START_SECONDS = 60.0
_PORT_TAKEN = 5


class Instance:
    """Started by the constructor, ready when it returns; stop() ends it. Raises BenchError."""

    def __init__(self, folder: Path, workers: int) -> None:
        self._child, self._environment = _started(folder, workers)
        try:
            vault = urlsplit(self._environment["AZURE_KEYVAULT_URL"])
            assert vault.hostname is not None and vault.port is not None
            self.target = Target(
                "hsmvault",
                vault.hostname,
                vault.port,
                Path(self._environment["SSL_CERT_FILE"]),
                tuple(tree(self._child.process.pid)),
            )
            self.certificate = folder / "tls" / "server.pem"
            self.private_key = folder / "tls" / "server.key"
            self.headers = {"Authorization": f"Bearer {self._token()}"}
        except BaseException:
            self._child.stop()
            raise

    def stop(self) -> None:
        self._child.stop()

    def path(self, rest: str) -> str:
        return f"/keys/{rest}?api-version={API_VERSION}"

    def call(self, method: str, rest: str, body: bytes | None = None) -> dict[str, Any]:
        """One call of the key API; the answer's JSON. Raises BenchError."""
        return self.target.call(method, self.path(rest), {**self.headers, "Content-Type": "application/json"}, body)

    def request(self, method: str, rest: str, body: bytes = b"") -> bytes:
        """The same as bytes, for the load generator."""
        return self.target.request(method, self.path(rest), self.headers, body)

    def _token(self) -> str:
        """Fetched once, as a client does: client credentials with a secret."""
        login = urlsplit(self._environment["AZURE_AUTHORITY_HOST"]).hostname
        assert login is not None
        resource = "https://" + self.target.host.partition(".")[2] + f":{self.target.port}"
        form = urlencode(
            {
                "grant_type": "client_credentials",
                "client_id": self._environment["AZURE_CLIENT_ID"],
                "client_secret": self._environment["AZURE_CLIENT_SECRET"],
                "scope": f"{resource}/.default",
            }
        )
        answer = self.target.call(
            "POST",
            f"/{self._environment['AZURE_TENANT_ID']}/oauth2/v2.0/token",
            {"Content-Type": "application/x-www-form-urlencoded"},
            form.encode(),
            host=login,
        )
        return str(answer["access_token"])


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
