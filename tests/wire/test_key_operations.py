"""The key operations on the wire: each is served, and what the bodies of the newer ones may say."""

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from hsmvault.model.containers import ContainerKind
from hsmvault.model.operations import OPERATIONS, Kind, Operation
from hsmvault.wire.answers import WireAnswer
from hsmvault.wire.handlers import Handlers
from hsmvault.wire.requests import Handler, Request
from tests.pipeline.world import b64
from tests.wire.service import Service

NEWEST = "?api-version=2026-04-01"
KEY_ROWS = [
    row for row in OPERATIONS if row.kind is Kind.KEYS and row.path.startswith(("/keys", "/deletedkeys", "/rng"))
]
HOSTS = {ContainerKind.VAULT: "dev.vault.localhost:8443", ContainerKind.POOL: "devhsm.managedhsm.localhost:8443"}
POLICY = {"data": b64(b'{"version":"1.0.0","anyOf":[{"authority":"https://a/","allOf":[{"claim":"a","equals":1}]}]}')}
ASSERTION = "e30.e30.AAAA"


def invalid(name: str) -> str:
    return f"Property {name} has invalid value\r\n"


def target(row: Operation) -> str:
    return row.path.replace("{name}", "gone").replace("{version}", "0" * 32) + NEWEST


@pytest.mark.parametrize("kind", ContainerKind)
async def test_every_key_operation_is_served_in_vaults_and_in_pools(service: Service, kind: ContainerKind) -> None:
    rows = [row for row in KEY_ROWS if kind in row.served_by and row.name != "selective_key_restore_operation"]
    assert len(rows) == {ContainerKind.VAULT: 25, ContainerKind.POOL: 27}[kind]
    for row in rows:
        answer = await service.ask(row.method, target(row), {}, host=HOSTS[kind])
        assert answer.status in (200, 400, 404), (row.name, answer.status, answer.body)


def test_an_operation_has_one_handler() -> None:
    async def sign(_: Request) -> WireAnswer:
        return WireAnswer(200)

    class Group:
        table: ClassVar[Mapping[str, Handler]] = {"sign": sign}

    one = Group()
    with pytest.raises(ValueError, match="two handlers"):
        Handlers(one, one)


async def test_rsa_takes_no_iv_no_aad_and_no_tag(service: Service) -> None:
    await service.import_rsa("rsa")
    sealed = (await service.ask("POST", "/keys/rsa//encrypt", {"alg": "RSA-OAEP", "value": "AAAA"})).json["value"]
    for operation, value in (("encrypt", "AAAA"), ("wrapkey", "AAAA"), ("decrypt", sealed), ("unwrapkey", sealed)):
        for member in ("iv", "aad", "tag"):
            body = {"alg": "RSA-OAEP", "value": value, member: b64(bytes(12))}
            answer = await service.ask("POST", f"/keys/rsa//{operation}", body)
            assert (answer.status, answer.message) == (400, invalid(member))
            answer = await service.ask("POST", f"/keys/rsa//{operation}", body | {member: "!"})
            assert (answer.status, answer.message) == (400, invalid(member))
            for nothing in ("", None):
                answer = await service.ask("POST", f"/keys/rsa//{operation}", body | {member: nothing})
                assert (answer.status, set(answer.json)) == (200, {"kid", "value"})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"kty": "RSA", "key_ops": ["import"]}, invalid("key_ops")),
        ({"kty": "EC", "key_ops": ["import"]}, invalid("key_ops")),
        ({"kty": "RSA", "key_ops": ["sign", "export"]}, invalid("key_ops")),
        ({"kty": "RSA", "public_exponent": 3}, invalid("public_exponent")),
        ({"kty": "RSA", "public_exponent": 17}, invalid("public_exponent")),
        ({"kty": "oct"}, "The key type 'oct' is not supported by this container."),
        ({"kty": "oct-HSM"}, "The key type 'oct' is not supported by this container."),
        ({"kty": "oct-HSM", "key_size": 100}, "The key type 'oct' is not supported by this container."),
        (
            {"kty": "EC", "attributes": {"exportable": True}, "release_policy": POLICY},
            "Exportable keys must be HSM-backed.",
        ),
        ({"kty": "EC", "attributes": {"exportable": True}, "release_policy": {}}, invalid("data")),
        (
            {"kty": "EC", "attributes": {"exportable": True}, "release_policy": {**POLICY, "contentType": "text/html"}},
            invalid("contentType"),
        ),
        ({"kty": "EC", "key_ops": ["secureWrapKey", "wrapKey"]}, invalid("key_ops")),
    ],
)
async def test_a_vault_does_not_make_it(service: Service, body: dict[str, Any], message: str) -> None:
    answer = await service.ask("POST", "/keys/k/create", body)
    assert (answer.status, answer.code, answer.message) == (400, "BadParameter", message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"kty": "oct", "key_size": 100}, "Unsupported key size (100). Supported sizes are [128, 192, 256]"),
        ({"kty": "oct", "key_size": 512}, "Unsupported key size (512). Supported sizes are [128, 192, 256]"),
        ({"kty": "oct", "crv": "P-256"}, invalid("crv")),
        ({"kty": "oct", "public_exponent": 3}, invalid("public_exponent")),
        ({"kty": "oct-HSM", "key_ops": ["import"]}, invalid("key_ops")),
        ({"kty": "RSA", "public_exponent": 5}, invalid("public_exponent")),
    ],
)
async def test_a_pool_does_not_make_it(service: Service, body: dict[str, Any], message: str) -> None:
    answer = await service.ask("POST", "/keys/k/create", body, host=HOSTS[ContainerKind.POOL])
    assert (answer.status, answer.code) == (400, "BadParameter")
    assert answer.message.partition(" (Activity ID: ")[0].strip() == message.strip()


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ({"kty": "oct"}, invalid("k")),
        ({"kty": "oct", "k": "!"}, invalid("k")),
        ({"kty": "oct", "k": b64(bytes(16)), "n": "AQAB"}, invalid("k")),
        ({"kty": "EC", "k": b64(bytes(16)), "crv": "P-256"}, invalid("k")),
        ({"kty": "RSA", "key_hsm": "e30"}, invalid("key_hsm")),
        ({"kty": "RSA", "key_hsm": "e30", "d": "AQAB"}, invalid("key_hsm")),
        ({"kty": "EC", "key_hsm": "e30", "crv": "P-224"}, invalid("crv")),
    ],
)
async def test_a_pool_does_not_take_it_in(service: Service, key: dict[str, str], message: str) -> None:
    answer = await service.ask("PUT", "/keys/k", {"key": key}, host=HOSTS[ContainerKind.POOL])
    assert (answer.status, answer.code) == (400, "BadParameter")
    assert answer.message.partition(" (Activity ID: ")[0].strip() == message.strip()


async def test_a_vault_wants_a_wrapped_key_to_be_for_hardware(service: Service) -> None:
    answer = await service.ask("PUT", "/keys/k", {"key": {"kty": "RSA", "key_hsm": "e30"}})
    assert (answer.status, answer.message) == (400, invalid("kty"))


async def test_a_key_that_is_not_exportable_is_not_released(service: Service) -> None:
    await service.create_ec("k")
    answer = await service.ask("POST", "/keys/k//release", {"target": ASSERTION})
    assert (answer.status, answer.inner) == (403, "KeyOperationForbidden")
    await service.ask("PATCH", "/keys/k/", {"attributes": {"enabled": False}})
    answer = await service.ask("POST", "/keys/k//release", {"target": ASSERTION})
    assert (answer.status, answer.inner) == (403, "KeyDisabled")
    for body in ({}, {"target": 1}, {"target": ASSERTION, "nonce": 1}, {"target": ASSERTION, "enc": []}):
        answer = await service.ask("POST", "/keys/k//release", body)
        assert (answer.status, answer.message) == (400, invalid(""))


async def test_secure_wrapping_needs_its_own_operations_and_a_version_that_knows_it(service: Service) -> None:
    await service.import_rsa("rsa")
    wrap, unwrap = {"alg": "RSA-OAEP-256"}, {"alg": "RSA-OAEP-256", "value": "AAAA", "target": ASSERTION}
    for path, body in (("securewrapkey", wrap), ("secureunwrapkey", unwrap)):
        answer = await service.ask("POST", f"/keys/rsa//{path}{NEWEST}", body)
        assert (answer.status, answer.inner) == (403, "KeyOperationForbidden")
        answer = await service.ask("POST", f"/keys/rsa//{path}{NEWEST}", body | {"alg": "RSA1_5"})
        assert (answer.status, answer.message) == (400, invalid("alg"))
        answer = await service.ask("POST", f"/keys/rsa//{path}?api-version=2025-07-01", body)
        assert (answer.status, answer.code) == (404, "NotFound")
    answer = await service.ask("PUT", "/keys/wrapping", {"key": {"kty": "EC"}, "release_policy": POLICY})
    assert answer.message == "Non-exportable keys must not have release policy"


async def test_a_key_for_secure_wrapping_is_in_hardware(service: Service) -> None:
    for kty in ("RSA", "EC"):
        body = {"kty": kty, "key_ops": ["secureWrapKey", "secureUnwrapKey"], "release_policy": POLICY}
        answer = await service.ask("POST", "/keys/w/create", body)
        assert (answer.status, answer.message) == (400, invalid("key_ops"))


async def test_a_key_in_software_has_no_attestation_and_a_vault_no_random_bytes(service: Service) -> None:
    await service.create_ec("k")
    assert (await service.ask("GET", "/keys/k//attestation" + NEWEST)).status in (400, 404)
    assert (await service.ask("POST", "/rng" + NEWEST, {"count": 1})).status in (404, 405)
    for count in (1, 128):
        answer = await service.ask("POST", "/rng" + NEWEST, {"count": count}, host=HOSTS[ContainerKind.POOL])
        assert (answer.status, len(answer.json["value"])) == (200, -(-count * 4 // 3))


async def test_a_rotation_policy_is_answered_as_it_was_said(service: Service) -> None:
    await service.create_ec("Key")
    sent = {
        "id": "ignored",
        "lifetimeActions": [
            {"trigger": {"timeAfterCreate": "P18M", "timeBeforeExpiry": None}, "action": {"type": "rotate"}},
            {"trigger": {"timeBeforeExpiry": "P30D"}, "action": {"type": "NOTIFY"}},
        ],
        "attributes": {"expiryTime": "P2Y", "created": 1, "updated": 2},
    }
    now = int(service.clock.now())
    put = await service.ask("PUT", "/keys/key/rotationpolicy", sent)
    assert put.status == 200, put.body
    assert put.json["id"].lower() == "https://dev.vault.localhost:8443/keys/key/rotationpolicy"
    assert put.json["lifetimeActions"] == [
        {"trigger": {"timeAfterCreate": "P18M"}, "action": {"type": "Rotate"}},
        {"trigger": {"timeBeforeExpiry": "P30D"}, "action": {"type": "Notify"}},
    ]
    assert put.json["attributes"] == {"created": now, "updated": now, "expiryTime": "P2Y"}
    assert (await service.ask("GET", "/keys/key/rotationpolicy")).json == put.json
    rotated = await service.ask("POST", "/keys/key/rotate", None)
    assert (rotated.status, rotated.json["key"]["kid"].split("/")[4]) == (200, "Key")
    assert rotated.json["attributes"]["exp"] > now
