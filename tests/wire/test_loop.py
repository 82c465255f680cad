"""What would hold up the event loop is refused or done elsewhere; and what a container takes, made or restored."""

import threading
from dataclasses import replace

import pytest

from hsmvault.custody.public import PublicKey
from hsmvault.errors import BadRequest
from hsmvault.model.algorithms import SignatureAlgorithm
from hsmvault.model.strict_json import parse_object
from hsmvault.resources.refusals import check_key_class
from hsmvault.wire.codec import Restore, decode_body
from tests.pipeline.world import b64
from tests.wire.service import Service, vault

# large bodies


def crowded(size: int) -> list[bytes]:
    """Bodies of this size whose parts are many: members, numbers, escapes."""
    members = b",".join(b'"%x":1' % number for number in range(size // 10))
    return [
        b"{" + members + b" " * (size - len(members) - 2) + b"}",
        b'{"value":[' + b"1," * (size // 2) + b"1]}",
        b'{"value":"' + b"\\n" * (size // 2) + b'"}',
    ]


@pytest.mark.parametrize("content", crowded(100_000), ids=["members", "numbers", "escapes"])
def test_a_large_body_of_many_parts_is_refused_before_it_is_read(
    monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setattr("hsmvault.wire.codec.parse_object", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(BadRequest, match="too many members"):
        decode_body(content, Restore)


def test_a_large_body_of_one_long_text_is_read() -> None:
    text = "A" * 8_000_000
    assert decode_body(b'{"value":"%s"}' % text.encode(), Restore).value == text


async def test_a_large_backup_is_read_outside_of_the_event_loop(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []

    def noted(content: bytes, **strictness: bool) -> dict[str, object]:
        threads.append(threading.get_ident())
        return parse_object(content, **strictness)

    monkeypatch.setattr("hsmvault.wire.codec.parse_object", noted)
    for size in (100, 1_500_000):
        answer = await service.ask("POST", "/keys/restore", {"value": "A" * size})
        assert answer.status == 400
    assert threads[0] == threading.get_ident() != threads[1]


# verification


@pytest.mark.parametrize(("curve", "alg", "length"), [
    ("P-256", "ES256", 32), ("P-384", "ES384", 48), ("P-521", "ES512", 64), ("P-256K", "ES256K", 32),
])  # fmt: skip
async def test_slow_curves_are_verified_outside_of_the_event_loop(
    service: Service, monkeypatch: pytest.MonkeyPatch, curve: str, alg: str, length: int
) -> None:
    await service.create_ec("k", crv=curve)
    digest = b64(bytes(length))
    signed = (await service.ask("POST", "/keys/k//sign", {"alg": alg, "value": digest})).json["value"]
    names: list[str] = []
    verify = PublicKey.verify

    def noted(self: PublicKey, algorithm: SignatureAlgorithm, digest: bytes, signature: bytes) -> bool:
        names.append(threading.current_thread().name)
        return verify(self, algorithm, digest, signature)

    monkeypatch.setattr(PublicKey, "verify", noted)
    for value, is_good in ((signed, True), (b64(bytes(2 * 66)), False)):
        answer = await service.ask("POST", "/keys/k//verify", {"alg": alg, "digest": digest, "value": value})
        assert (answer.status, answer.json) == (200, {"value": is_good})
    assert {name == "verification" for name in names} == {alg != "ES256"}


# what a container takes


async def test_a_backup_is_not_restored_into_a_container_that_would_not_make_its_keys(service: Service) -> None:
    await service.create_ec("k")
    blob = (await service.ask("POST", "/keys/k/backup", {})).json
    into = {"host": "hardware.vault.localhost:8443"}
    made = await service.ask("POST", "/keys/k/create", {"kty": "EC"}, **into)
    restored = await service.ask("POST", "/keys/restore", blob, **into)
    assert (made.status, made.code) == (restored.status, restored.code) == (400, "BadParameter")
    assert restored.message == made.message
    assert (await service.ask("GET", "/keys", **into)).json["value"] == []
    assert (await service.ask("POST", "/keys/restore", blob, host="protected.vault.localhost:8443")).status == 200


def test_hardware_keys_need_a_premium_vault() -> None:
    standard, premium = vault("dev"), replace(vault("dev"), premium=True)
    check_key_class(premium, hardware=True)
    check_key_class(standard, hardware=False)
    with pytest.raises(BadRequest, match="need a premium vault"):
        check_key_class(standard, hardware=True)
