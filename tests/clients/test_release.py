"""Secure key release with the unmodified client, as its own tests do it, and with an environment that opens the key."""

import base64
import json
import os
from typing import Any

import jwt
import pytest
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline import Pipeline
from azure.core.pipeline.transport import HttpRequest, RequestsTransport
from azure.keyvault.keys import KeyExportEncryptionAlgorithm, KeyReleasePolicy
from cryptography import x509
from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import load_der_private_key

from tests.clients.keys import unique
from tests.clients.vault import Vault
from tests.resources.attesting import environment, jwk
from tests.resources.test_key_release import without_filling

HASHES = {
    None: hashes.SHA1(),  # noqa: S303 - RSA-OAEP
    KeyExportEncryptionAlgorithm.ckm_rsa_aes_key_wrap: hashes.SHA1(),  # noqa: S303
    KeyExportEncryptionAlgorithm.rsa_aes_key_wrap_256: hashes.SHA256(),
    KeyExportEncryptionAlgorithm.rsa_aes_key_wrap_384: hashes.SHA384(),
}


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


def policy(claim: str = "sdk-test", value: object = True, **more: Any) -> KeyReleasePolicy:
    document = {
        "anyOf": [{"anyOf": [{"claim": claim, "equals": value}], "authority": authority().rstrip("/") + "/"}],
        "version": "1.0.0",
    }
    return KeyReleasePolicy(json.dumps(document).encode(), **more)


def unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


async def test_the_flow_of_the_clients_own_test(vault: Vault) -> None:
    key = await vault.create_rsa_key(
        unique("release"), hardware_protected=True, exportable=True, release_policy=policy()
    )
    assert key.properties.exportable
    assert key.properties.release_policy.encoded_policy
    result = await vault.release_key(key.name, asked("GET"))
    assert result.value


@pytest.mark.parametrize("algorithm", HASHES, ids=str)
async def test_the_environment_opens_what_was_released(
    vault: Vault, algorithm: KeyExportEncryptionAlgorithm | None
) -> None:
    key = await vault.create_ec_key(
        unique("release"), hardware_protected=True, exportable=True, release_policy=policy()
    )
    target = asked("POST", {"key": jwk(environment().public_key())})
    result = await vault.release_key(
        key.name, target, version=key.properties.version, algorithm=algorithm, nonce="a nonce"
    )
    certificate = x509.load_der_x509_certificate(base64.b64decode(jwt.get_unverified_header(result.value)["x5c"][0]))
    payload = jwt.decode(result.value, certificate.public_key(), algorithms=["RS256"])
    assert payload["request"]["nonce"] == "a nonce"
    released = payload["response"]["key"]
    assert released["key"]["kid"] == key.id
    assert released["attributes"]["exportable"] is True
    assert unbase64(released["release_policy"]["data"]) == key.properties.release_policy.encoded_policy
    ciphertext, function = unbase64(json.loads(unbase64(released["key"]["key_hsm"]))["ciphertext"]), HASHES[algorithm]
    transport = environment().decrypt(ciphertext[:256], padding.OAEP(padding.MGF1(function), function, None))
    private = load_der_private_key(
        without_filling(keywrap.aes_key_unwrap_with_padding(transport, ciphertext[256:])), None
    )
    numbers = private.public_key().public_numbers()
    assert numbers.x.to_bytes(32, "big") == key.key.x


async def test_a_policy_that_is_not_met_is_told_as_the_service_tells_it(vault: Vault) -> None:
    key = await vault.create_rsa_key(
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
    key = await vault.create_rsa_key(
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
            await vault.create_rsa_key(unique("release"), hardware_protected=True, exportable=True, release_policy=bad)
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
