"""sign and verify with every algorithm on every key type, each result judged by a second implementation."""

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

from tests.clients import reference
from tests.clients.keys import KeyRing, digest_for
from tests.clients.kinds import Kind, each, each_signature
from tests.clients.vault import Vault


def changed(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize(("kind", "algorithm"), each_signature())
async def test_a_signature_of_the_service_is_good_to_everybody(
    matrix_vault: Vault, ring: KeyRing, kind: Kind, algorithm: str
) -> None:
    key = await ring.get(matrix_vault, kind)
    digest = digest_for(algorithm)

    signed = await matrix_vault.crypto(key).sign(algorithm, digest)

    assert signed.key_id == key.id
    assert len(signed.signature) == kind.signature_bytes
    assert reference.verifies(reference.public_key(key.key), algorithm, digest, signed.signature)
    for client in (matrix_vault.crypto(key), matrix_vault.remote(key)):
        assert (await client.verify(algorithm, digest, signed.signature)).is_valid
        assert not (await client.verify(algorithm, digest_for(algorithm, b"another"), signed.signature)).is_valid
        assert not (await client.verify(algorithm, digest, changed(signed.signature))).is_valid


@pytest.mark.parametrize("kind", each())
async def test_an_imported_key_and_its_owner_sign_for_each_other(matrix_vault: Vault, name: str, kind: Kind) -> None:
    private, jwk = reference.key_pair(kind)
    key = await matrix_vault.import_key(name, jwk)
    for algorithm in kind.signatures:
        digest = digest_for(algorithm)

        by_service = (await matrix_vault.crypto(key).sign(algorithm, digest)).signature
        by_owner = reference.sign(private, algorithm, digest)

        assert reference.verifies(private.public_key(), algorithm, digest, by_service)
        assert (await matrix_vault.remote(key).verify(algorithm, digest, by_owner)).is_valid
        assert not (await matrix_vault.remote(key).verify(algorithm, digest, changed(by_owner))).is_valid
        if algorithm.startswith("RS"):
            assert by_service == by_owner  # PKCS#1 v1.5 leaves nothing to chance


@pytest.mark.parametrize("kind", each())
async def test_what_is_no_signature_at_all_is_false_and_not_an_error(
    matrix_vault: Vault, ring: KeyRing, kind: Kind
) -> None:
    key = await ring.get(matrix_vault, kind)
    algorithm = kind.signatures[0]
    for signature in (b"", b"\0", bytes(kind.signature_bytes), b"\xff" * kind.signature_bytes, bytes(1000)):
        assert not (await matrix_vault.remote(key).verify(algorithm, digest_for(algorithm), signature)).is_valid


async def test_a_key_is_signed_with_by_its_name_alone(vault: Vault, ring: KeyRing) -> None:
    key = await ring.get(vault, Kind("EC-HSM", curve="P-256"))
    client = vault.crypto(f"{vault.url}/keys/{key.name}")

    signed = await client.sign("ES256", digest_for("ES256"))

    assert reference.verifies(reference.public_key(key.key), "ES256", digest_for("ES256"), signed.signature)
    assert (await client.verify("ES256", digest_for("ES256"), signed.signature)).is_valid


async def test_the_private_key_object_of_the_client_signs_for_pyca(sync_owner: Vault, ring: KeyRing) -> None:
    key = await ring.get(sync_owner, Kind("RSA-HSM", size=2048))
    private = sync_owner.crypto(key).client.create_rsa_private_key()

    signature = private.sign(b"a message", PKCS1v15(), hashes.SHA256())

    private.public_key().verify(signature, b"a message", PKCS1v15(), hashes.SHA256())
    assert reference.verifies(reference.public_key(key.key), "RS256", digest_for("RS256"), signature)
