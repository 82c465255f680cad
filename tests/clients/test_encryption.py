"""encrypt, decrypt, wrapkey and unwrapkey with every RSA algorithm, each result judged by a second implementation."""

import os

import pytest

from tests.clients import reference
from tests.clients.keys import KeyRing
from tests.clients.kinds import RSA_ENCRYPTIONS, Kind, each, each_encryption
from tests.clients.refusals import message, refused
from tests.clients.vault import Vault

RSA_KINDS = tuple(Kind(kty, size=size) for kty in ("RSA", "RSA-HSM") for size in (2048, 3072, 4096))


def plaintexts(kind: Kind, algorithm: str) -> tuple[bytes, ...]:
    """A data key, a single zero byte, and as much as fits."""
    return b"\x01" * 32, b"\0", os.urandom(reference.longest_plaintext(kind, algorithm))


@pytest.mark.parametrize(("kind", "algorithm"), each_encryption())
async def test_what_anybody_encrypts_the_service_decrypts(
    matrix_vault: Vault, ring: KeyRing, kind: Kind, algorithm: str
) -> None:
    key = await ring.get(matrix_vault, kind)
    public = reference.public_key(key.key)
    client, remote = matrix_vault.crypto(key), matrix_vault.remote(key)
    for plaintext in plaintexts(kind, algorithm):
        outside = public.encrypt(plaintext, reference.encryption_padding(algorithm))
        local = await client.encrypt(algorithm, plaintext)
        service = await remote.encrypt(algorithm, plaintext)
        wrapped_locally = await client.wrap_key(algorithm, plaintext)
        wrapped = await remote.wrap_key(algorithm, plaintext)

        assert service.key_id == wrapped.key_id == key.id
        assert len(service.ciphertext) == len(wrapped.encrypted_key) == kind.size // 8
        for ciphertext in (outside, local.ciphertext, service.ciphertext):
            assert (await client.decrypt(algorithm, ciphertext)).plaintext == plaintext
        for ciphertext in (outside, wrapped_locally.encrypted_key, wrapped.encrypted_key):
            assert (await client.unwrap_key(algorithm, ciphertext)).key == plaintext


@pytest.mark.parametrize("kind", each(RSA_KINDS))
async def test_what_the_service_encrypts_the_owner_of_an_imported_key_decrypts(
    matrix_vault: Vault, name: str, kind: Kind
) -> None:
    private, jwk = reference.key_pair(kind)
    key = await matrix_vault.import_key(name, jwk)
    remote = matrix_vault.remote(key)
    for algorithm in RSA_ENCRYPTIONS:
        padding = reference.encryption_padding(algorithm)
        for plaintext in plaintexts(kind, algorithm):
            service = (await remote.encrypt(algorithm, plaintext)).ciphertext
            wrapped = (await remote.wrap_key(algorithm, plaintext)).encrypted_key
            outside = private.public_key().encrypt(plaintext, padding)

            assert private.decrypt(service, padding) == plaintext
            assert private.decrypt(wrapped, padding) == plaintext
            assert (await remote.decrypt(algorithm, outside)).plaintext == plaintext


@pytest.mark.parametrize("kind", each(RSA_KINDS))
@pytest.mark.parametrize("algorithm", RSA_ENCRYPTIONS)
async def test_one_byte_too_many_is_refused_before_it_is_encrypted(
    matrix_vault: Vault, ring: KeyRing, kind: Kind, algorithm: str
) -> None:
    key = await ring.get(matrix_vault, kind)
    too_long = bytes(reference.longest_plaintext(kind, algorithm) + 1)
    for method in ("encrypt", "wrap_key"):
        with refused(400, "BadParameter"):
            await getattr(matrix_vault.remote(key), method)(algorithm, too_long)


@pytest.mark.parametrize("kind", each(RSA_KINDS))
@pytest.mark.parametrize("algorithm", RSA_ENCRYPTIONS)
async def test_every_ciphertext_that_does_not_decrypt_gets_one_answer(
    matrix_vault: Vault, ring: KeyRing, kind: Kind, algorithm: str
) -> None:
    key = await ring.get(matrix_vault, kind)
    public = reference.public_key(key.key)
    width = kind.size // 8
    good = public.encrypt(b"data", reference.encryption_padding(algorithm))
    # Block type 1 of PKCS#1: wrong for each algorithm. (What OAEP makes is good for RSA1_5 once in 400 times.)
    numbers, block = public.public_numbers(), b"\x00\x01" + b"\xff" * (width - 7) + b"\x00data"
    wrong_padding = pow(int.from_bytes(block, "big"), numbers.e, numbers.n).to_bytes(width, "big")
    bad = (good[:-1] + bytes([good[-1] ^ 1]), wrong_padding, bytes(width), bytes(width - 1) + b"\x02", b"\xff" * width)
    answers = set()
    for ciphertext in bad:
        for method in ("decrypt", "unwrap_key"):
            with refused(400, "BadParameter") as caught:
                await getattr(matrix_vault.crypto(key), method)(algorithm, ciphertext)
            answers.add(message(caught.value))
    assert len(answers) == 1
