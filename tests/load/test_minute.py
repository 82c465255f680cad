"""Four clients and two workers under mixed load on SoftHSM: no crash, no error, no wrong answer."""

import hashlib
import itertools
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1

from tests.caller import Answer, Caller, from_base64url, is_signature, owner_of, to_base64url
from tests.faults.crowd import crowd
from tests.faults.trail import metric, workers_of
from tests.instance import DevInstance, folder_for_data, running

CLIENTS = 4
JUDGED_EVERY = 5  # answers of a kind, by `cryptography`


@dataclass(frozen=True)
class Key:
    """jwk: as it was created."""

    jwk: dict[str, Any]
    algorithm: str

    @property
    def path(self) -> str:
        return "/keys/" + "/".join(self.jwk["kid"].split("/")[-2:])

    def public(self) -> rsa.RSAPublicKey:
        n, e = (int.from_bytes(from_base64url(self.jwk[name]), "big") for name in ("n", "e"))
        return rsa.RSAPublicNumbers(e, n).public_key()


class Mix:
    """Every operation in turn, on each key; what comes back is compared with what was to come."""

    def __init__(self, caller: Caller) -> None:
        self.keys = [self._create(caller, f"load-{kty}", kty) for kty in ("EC-HSM", "EC", "RSA-HSM", "RSA")]
        self.judged = 0

    def run(self, caller: Caller, number: int) -> Answer:
        key = self.keys[number // 8 % len(self.keys)]
        digest = hashlib.sha256(str(number).encode()).digest()
        operation = number % 8
        if operation == 0:
            return caller.call("GET", f"/keys/load-{key.jwk['kty']}")
        if operation == 1:
            kty = ("EC-HSM", "EC")[number // 8 % 2]
            created = self._create(caller, f"new-{number}", kty)
            signed = self._sign(caller, created, digest)
            assert is_signature(created.jwk, digest, from_base64url(signed.body["value"]))
            return signed
        if operation == 2 and key.jwk["kty"].startswith("RSA"):
            return self._decrypt(caller, key, number)
        signed = self._sign(caller, key, digest)
        signature = from_base64url(signed.body["value"])
        if number % JUDGED_EVERY == 0:
            assert is_signature(key.jwk, digest, signature)
            self.judged += 1
        if operation == 3:
            body = {"alg": key.algorithm, "digest": to_base64url(digest), "value": to_base64url(signature)}
            verified = caller.call("POST", f"{key.path}/verify", body)
            assert verified.body == {"value": True}, verified
            changed = {**body, "digest": to_base64url(hashlib.sha256(digest).digest())}
            assert caller.call("POST", f"{key.path}/verify", changed).body == {"value": False}
            return verified
        return signed

    def _sign(self, caller: Caller, key: Key, digest: bytes) -> Answer:
        signed = caller.call("POST", f"{key.path}/sign", {"alg": key.algorithm, "value": to_base64url(digest)})
        assert signed.status == 200, signed
        return signed

    def _decrypt(self, caller: Caller, key: Key, number: int) -> Answer:
        plaintext = os.urandom(32)
        if number // 32 % 2:
            answer = caller.call(
                "POST", f"{key.path}/wrapkey", {"alg": "RSA-OAEP-256", "value": to_base64url(plaintext)}
            )
            ciphertext, algorithm, operation = answer.body["value"], "RSA-OAEP-256", "unwrapkey"
        else:
            oaep = padding.OAEP(padding.MGF1(SHA1()), SHA1(), None)  # noqa: S303  # RSA-OAEP is with SHA-1
            ciphertext = to_base64url(key.public().encrypt(plaintext, oaep))
            algorithm, operation = "RSA-OAEP", "decrypt"
        opened = caller.call("POST", f"{key.path}/{operation}", {"alg": algorithm, "value": ciphertext})
        assert from_base64url(opened.body["value"]) == plaintext, opened
        return opened

    def _create(self, caller: Caller, name: str, kty: str) -> Key:
        body = {"kty": kty, "crv": "P-256"} if kty.startswith("EC") else {"kty": kty, "key_size": 2048}
        created = caller.call("POST", f"/keys/{name}/create", body)
        assert created.status == 200, created
        return Key(created.body["key"], "ES256" if kty.startswith("EC") else "RS256")


SECONDS = 60


@pytest.fixture
def instance() -> Iterator[DevInstance]:
    with folder_for_data() as folder, running(folder / "data", workers=2) as started:
        yield started


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_mixed_load_meets_no_crash_no_error_and_no_wrong_answer(instance: DevInstance) -> None:
    before = workers_of(instance)
    assert len(before) == 2
    with owner_of(instance) as owner:
        mix = Mix(owner())
        with crowd(owner, [mix.run] * CLIENTS) as clients:
            end = time.monotonic() + SECONDS
            for _ in itertools.takewhile(lambda _: time.monotonic() < end, itertools.count()):
                clients.wait_for_more(20)
    assert clients.lost == 0
    assert clients.answers.keys() == {200}
    assert clients.answers[200] > 20 * SECONDS
    assert mix.judged > 2 * SECONDS
    assert workers_of(instance) == before
    assert metric(instance, "hsmvault_worker_starts_total") == 2
    assert instance.failures() == []
