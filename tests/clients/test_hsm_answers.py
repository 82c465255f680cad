"""Random bytes and attestations of a pool, through the clients."""

import pytest
from azure.core.exceptions import ResourceNotFoundError
from cryptography import x509

from tests.clients.keys import create
from tests.clients.kinds import Kind
from tests.clients.refusals import message, refused
from tests.clients.vault import Vault


async def test_random_bytes_are_as_many_as_were_asked_for(pool: Vault) -> None:
    for count in (1, 32, 128):
        assert len(await pool.get_random_bytes(count)) == count
    assert len({await pool.get_random_bytes(16) for _ in range(10)}) == 10


@pytest.mark.parametrize("count", [0, 129, -1, 2**70])
async def test_more_random_bytes_than_there_are_at_once_are_refused(pool: Vault, count: int) -> None:
    response = await pool.send("POST", "/rng", {"count": count})
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, "BadParameter")
    assert error["message"].startswith(
        "GetRandomBytesRequest: count cannot be greater than 128 or less than 1 (Activity ID: "
    )


@pytest.mark.parametrize("body", [{}, {"count": "1"}, {"count": 1.5}, {"count": None}, [1]])
async def test_a_count_that_is_no_number_is_refused(pool: Vault, body: object) -> None:
    response = await pool.send("POST", "/rng", body)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "BadParameter")


async def test_a_vault_gives_no_random_bytes(sync_owner: Vault) -> None:
    assert (await sync_owner.send("POST", "/rng", {"count": 1})).status_code == 404


@pytest.mark.parametrize("kind", [Kind("RSA-HSM", 2048), Kind("EC-HSM", curve="P-384")], ids=lambda kind: kind.id)
async def test_a_key_comes_with_its_attestation(pool: Vault, name: str, kind: Kind) -> None:
    key = await create(pool, name, kind, enabled=False)
    for version in (None, key.properties.version):
        attested = await pool.get_key_attestation(name, version)
        assert (attested.id, vars(attested.key)) == (key.id, vars(key.key))
        evidence = attested.properties.attestation
        assert x509.load_pem_x509_certificates(evidence.certificate_pem_file)
        assert evidence.private_key_attestation.count(b".") == evidence.public_key_attestation.count(b".") == 2
        assert evidence.version
    assert (await pool.get_key(name)).properties.attestation is None


async def test_a_symmetric_key_has_no_public_part_to_attest(pool: Vault, name: str) -> None:
    await pool.create_oct_key(name, hardware_protected=True)
    evidence = (await pool.get_key_attestation(name)).properties.attestation
    assert evidence.private_key_attestation and evidence.public_key_attestation is None


async def test_what_is_not_there_is_not_attested(pool: Vault, name: str) -> None:
    with refused(404, "KeyNotFound", kind=ResourceNotFoundError) as caught:
        await pool.get_key_attestation(name)
    assert f"(name/id) {name} was not found" in message(caught.value)
