"""The keys of the benchmark: each is made through the API when an operation first asks for it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.bench.checking import SECRET, encode
from tests.bench.generator import Work
from tests.bench.instance import Container, Instance

_EC, _RSA = {"kty": "EC-HSM"}, {"kty": "RSA-HSM"}
_CREATED: Mapping[str, Mapping[str, object]] = {
    "p256-hard": {**_EC, "crv": "P-256"},
    "p384-hard": {**_EC, "crv": "P-384"},
    "p521-hard": {**_EC, "crv": "P-521"},
    "p256k-hard": {**_EC, "crv": "P-256K"},
    "p256-soft": {"kty": "EC", "crv": "P-256"},
    "rsa-hard": {**_RSA, "key_size": 2048},
    "rsa3072-hard": {**_RSA, "key_size": 3072},
    "rsa4096-hard": {**_RSA, "key_size": 4096},
    "rsa-soft": {"kty": "RSA", "key_size": 2048},
}
_USES = ["encrypt", "decrypt", "wrapKey", "unwrapKey", "sign", "verify"]
_IN_POOL: Mapping[str, Mapping[str, object]] = {
    # imported, so that its answers can be checked
    "oct-hard": {"Hsm": True, "key": {"kty": "oct-HSM", "k": encode(SECRET), "key_ops": _USES}},
    "p256-pool": {**_EC, "crv": "P-256"},
}


@dataclass(frozen=True, slots=True)
class Key:
    """path: `/keys/name/version`; the version is named, as the SDK's cryptography client does. jwk: its public part."""

    container: Container
    path: str
    jwk: dict[str, Any]

    def post(self, verb: str, **members: str) -> bytes:
        """A request for the load generator."""
        return self.container.request("POST", f"{self.path}/{verb}", members)

    def call(self, verb: str, **members: str) -> dict[str, Any]:
        return self.container.call("POST", f"{self.path}/{verb}", members)


class Keys:
    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._made: dict[str, Key] = {}

    def get(self, name: str) -> Key:
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def made(self, container: Container, name: str, body: Mapping[str, object]) -> Key:
        """Created when the body is that of a creation, else imported."""
        method, path = ("PUT", f"/keys/{name}") if "key" in body else ("POST", f"/keys/{name}/create")
        jwk = container.call(method, path, body)["key"]
        return Key(container, f"/keys/{name}/{jwk['kid'].rpartition('/')[2]}", jwk)

    def _make(self, name: str) -> Key:
        if name in _IN_POOL:
            return self.made(self._instance.pool, f"bench-{name}", _IN_POOL[name])
        return self.made(self._instance.vault, f"bench-{name}", _CREATED[name])


def get_key(name: str, key: Key) -> Work:
    request = key.container.request("GET", key.path)
    return Work(name, key.container.target, (request,), lambda _, body: bool(json.loads(body)["key"] == key.jwk))
