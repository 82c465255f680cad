"""Secure key release with the unmodified client, as its own tests do it, and with an environment that opens the key."""

import hmac
import json
import os
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline import Pipeline
from azure.core.pipeline.transport import HttpRequest, RequestsTransport
from azure.keyvault.keys import (
    JsonWebKey,
    KeyExportEncryptionAlgorithm,
    KeyReleasePolicy,
    KeyRotationLifetimeAction,
    KeyRotationPolicy,
)
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from tests.clients import reference
from tests.clients.keys import digest_for, import_pair, unique
from tests.clients.kinds import KINDS, Kind
from tests.clients.releases import HASHES, material, policy_of, private_key, statement, unbase64
from tests.clients.test_byok import pkcs8
from tests.clients.vault import Vault
from tests.resources.attesting import environment, jwk

RSA_256 = KeyExportEncryptionAlgorithm.rsa_aes_key_wrap_256
ENOUGH = {(Kind("RSA-HSM", 2048), RSA_256), *((Kind("EC-HSM", curve="P-256"), algorithm) for algorithm in HASHES)}
"""Of keys and algorithms, for the fast tests."""


def authority() -> str:
    return os.environ["AZURE_KEYVAULT_ATTESTATION_URL"]


def asked(method: str, body: object = None) -> Any:
    """As the client's own tests ask the authority: through its pipeline and transport."""
    request = HttpRequest(method, f"{authority()}/generate-test-token")
    if body is not None:
        request.set_json_body(body)
    with Pipeline(transport=RequestsTransport()) as pipeline:
        response = pipeline.run(request).http_response
        assert response.status_code == 200, response.text()
        return json.loads(response.text())["token"]


def asked_for_environment(number: int = 3) -> Any:
    """The authority's word for an environment whose private key is ours."""
    return asked("POST", {"key": jwk(environment(number).public_key())})


def policy(claim: str = "sdk-test", value: object = True, **more: Any) -> KeyReleasePolicy:
    return policy_of(authority().rstrip("/") + "/", {"anyOf": [{"claim": claim, "equals": value}]}, **more)


async def test_the_flow_of_the_clients_own_test(vault: Vault) -> None:
    key = await vault.create_rsa_key(
        unique("release"), hardware_protected=True, exportable=True, release_policy=policy()
    )
    assert key.properties.exportable
    assert key.properties.release_policy.encoded_policy
    result = await vault.release_key(key.name, asked("GET"))
    assert result.value


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [
        pytest.param(
            kind,
            algorithm,
            id=f"{kind.id}-{getattr(algorithm, 'value', None)}",
            marks=() if (kind, algorithm) in ENOUGH else pytest.mark.slow,
        )
        for kind in KINDS
        if kind.hardware
        for algorithm in HASHES
    ],
)
async def test_the_environment_opens_what_was_released(
    vault_and_pool: Vault, kind: Kind, algorithm: KeyExportEncryptionAlgorithm | None
) -> None:
    vault = vault_and_pool
    key = await import_pair(vault, unique("release"), kind, exportable=True, release_policy=policy())
    result = await vault.release_key(
        key.name, asked_for_environment(), version=key.properties.version, algorithm=algorithm, nonce="a nonce"
    )
    payload = statement(result.value)
    assert payload["request"]["nonce"] == "a nonce"
    released = payload["response"]["key"]
    assert released["key"]["kid"] == key.id
    assert released["attributes"]["exportable"] is True
    assert unbase64(released["release_policy"]["data"]) == key.properties.release_policy.encoded_policy
    opened = private_key(material(payload, algorithm, environment()))
    assert pkcs8(opened) == pkcs8(reference.private_key(kind.size, kind.curve))


@pytest.mark.parametrize("algorithm", HASHES, ids=str)
@pytest.mark.parametrize("length", [32, *(pytest.param(each, marks=pytest.mark.slow) for each in (16, 24, 48, 64))])
async def test_a_released_secret_is_the_secret(
    pool: Vault, name: str, length: int, algorithm: KeyExportEncryptionAlgorithm | None
) -> None:
    secret = os.urandom(length)
    given = JsonWebKey(kty="oct-HSM", k=secret)
    await pool.import_key(name, given, exportable=True, release_policy=policy())
    result = await pool.release_key(name, asked_for_environment(), algorithm=algorithm)
    assert material(statement(result.value), algorithm, environment()) == secret


@pytest.mark.parametrize("size", [256, 384, 512])
async def test_a_secret_that_a_rotation_made_is_released_as_the_one_in_use(pool: Vault, name: str, size: int) -> None:
    given = JsonWebKey(kty="oct-HSM", k=os.urandom(size // 8), key_ops=["sign", "verify"])
    await pool.import_key(name, given, exportable=True, release_policy=policy())
    actions = [KeyRotationLifetimeAction("Rotate", time_after_create="P90D")]
    await pool.update_key_rotation_policy(name, KeyRotationPolicy(lifetime_actions=actions))
    rotated = await pool.rotate_key(name)
    result = await pool.release_key(name, asked_for_environment())
    secret = material(statement(result.value), None, environment())
    assert (len(secret), secret == given.k) == (size // 8, False)
    algorithm = f"HS{size}"
    mac = await pool.crypto(rotated).sign(algorithm, digest_for(algorithm))
    assert mac.signature == hmac.digest(secret, digest_for(algorithm), f"sha{size}")


async def test_a_made_key_is_released_too_and_each_version_by_itself(vault: Vault, name: str) -> None:
    settings = {"hardware_protected": True, "exportable": True, "release_policy": policy()}
    first = await vault.create_ec_key(name, **settings)
    second = await vault.create_ec_key(name, **settings)
    for key, version in ((first, first.properties.version), (second, None), (second, second.properties.version)):
        result = await vault.release_key(name, asked_for_environment(), version=version)
        opened = private_key(material(statement(result.value), None, environment()))
        assert opened.public_key().public_numbers() == reference.public_key(key.key).public_numbers()


async def test_two_environments_get_one_key_and_cannot_read_each_others(vault: Vault, name: str) -> None:
    await vault.create_ec_key(name, hardware_protected=True, exportable=True, release_policy=policy())
    payloads = [statement((await vault.release_key(name, asked_for_environment(number))).value) for number in (3, 4)]
    first, second = (
        private_key(material(payload, None, environment(number)))
        for payload, number in zip(payloads, (3, 4), strict=True)
    )
    assert pkcs8(first) == pkcs8(second)
    with pytest.raises(ValueError, match="ecryption failed"):
        material(payloads[0], None, environment(4))


async def test_a_policy_that_is_not_met_is_told_as_the_service_tells_it(vault: Vault) -> None:
    key = await vault.create_ec_key(
        unique("release"), hardware_protected=True, exportable=True, release_policy=policy(value=False)
    )
    with pytest.raises(HttpResponseError) as caught:
        await vault.release_key(key.name, asked("GET"))
    assert caught.value.status_code == 403
    assert "does not meet key release policy requirements" in str(caught.value)
    with pytest.raises(HttpResponseError) as caught:
        await vault.release_key(key.name, asked("GET")[:-4] + "AAAA")
    assert caught.value.status_code == 403
    assert "Target environment attestation statement cannot be verified." in str(caught.value)


async def test_a_policy_changes_until_it_is_immutable(vault: Vault) -> None:
    key = await vault.create_ec_key(
        unique("release"), hardware_protected=True, exportable=True, release_policy=policy(value=False)
    )
    changed = await vault.update_key_properties(key.name, release_policy=policy(value="true", immutable=True))
    assert changed.properties.release_policy.immutable
    assert (await vault.release_key(key.name, asked("GET"))).value
    with pytest.raises(HttpResponseError, match=r"AKV\.SKR\.1020"):
        await vault.update_key_properties(key.name, release_policy=policy(value=False))


async def test_a_policy_that_cannot_be_evaluated_is_refused(vault: Vault) -> None:
    for bad in (KeyReleasePolicy(b"{}"), KeyReleasePolicy(b"not JSON"), policy(claim="")):
        with pytest.raises(HttpResponseError) as caught:
            await vault.create_ec_key(unique("release"), hardware_protected=True, exportable=True, release_policy=bad)
        assert caught.value.status_code == 400
        assert "release policy is not valid" in str(caught.value)


async def test_secure_wrap_and_unwrap_end_in_the_environment(pool: Vault) -> None:
    """The client has no method for them yet: the requests are those of its models."""
    key = await pool.create_rsa_key(
        unique("release"), key_operations=["secureWrapKey", "secureUnwrapKey"], release_policy=policy()
    )
    version = {"api-version": "2026-04-01"}
    base = f"{pool.url}/keys/{key.name}/{key.properties.version}"
    response = await pool.send("POST", f"{base}/securewrapkey", {"alg": "RSA-OAEP-256"}, **version)
    assert response.status_code == 200, response.text()
    wrapped = response.json()
    target = asked("POST", {"key": jwk(environment().public_key())})
    body = {"alg": "RSA-OAEP-256", "value": wrapped["value"], "target": target}
    response = await pool.send("POST", f"{base}/secureunwrapkey", body, **version)
    assert response.status_code == 200, response.text()
    answer = response.json()
    assert (answer["kid"], answer["alg"]) == (key.id, "RSA-OAEP-256")
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    assert len(environment().decrypt(unbase64(answer["value"]), oaep)) == 32
