"""A vault whose hardware keys never leave the token: what is different there. That they sign and decrypt like all
others is seen in test_signatures.py and test_encryption.py."""

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.keyvault.keys import KeyReleasePolicy

from tests.clients import reference
from tests.clients.keys import KeyRing, create, digest_for, import_pair
from tests.clients.kinds import CURVES, REPRESENTATIVES, Kind, each
from tests.clients.refusals import message, refused
from tests.clients.releases import policy_of
from tests.clients.test_byok import bring, pkcs8, transfer
from tests.clients.vault import Vault

pytestmark = pytest.mark.slow

EC = Kind("EC-HSM", curve="P-256")
DIGEST = digest_for("ES256")
POLICY: KeyReleasePolicy = policy_of("https://attest.example", {"anyOf": [{"claim": "a", "equals": 1}]})


@pytest.mark.parametrize("kind", each(REPRESENTATIVES))
async def test_a_key_lives_its_life_but_for_the_backup_of_what_cannot_leave(
    resident: Vault, name: str, kind: Kind
) -> None:
    algorithm = kind.signatures[0]
    first = await create(resident, name, kind, tags={"a": "b"})
    rotated = await resident.rotate_key(name)
    assert (rotated.key_type, rotated.properties.tags) == (kind.kty, {"a": "b"})
    assert vars(rotated.key) != vars(first.key)
    for key in (first, rotated):
        signed = await resident.crypto(key).sign(algorithm, digest_for(algorithm))
        assert reference.verifies(reference.public_key(key.key), algorithm, digest_for(algorithm), signed.signature)
    if kind.hardware:
        with refused(400, "BadParameter") as caught:
            await resident.backup_key(name)
        assert "backup" in message(caught.value).lower() or "backed up" in message(caught.value)
    else:
        assert await resident.backup_key(name)
    await resident.delete(name)
    assert (await resident.recover(name)).id == rotated.id
    signed = await resident.crypto(first).sign(algorithm, digest_for(algorithm))
    assert reference.verifies(reference.public_key(first.key), algorithm, digest_for(algorithm), signed.signature)
    await resident.delete(name)
    await resident.purge_deleted_key(name)
    with refused(404, "KeyNotFound", kind=ResourceNotFoundError):
        await resident.get_key(name)


async def test_no_key_that_stays_is_exportable(resident: Vault, name: str) -> None:
    for call in (
        lambda: create(resident, name, EC, exportable=True, release_policy=POLICY),
        lambda: import_pair(resident, name, EC, exportable=True, release_policy=POLICY),
    ):
        with refused(400, "BadParameter"):
            await call()


@pytest.mark.parametrize("size", [2048, 4096])
async def test_keys_come_in_wrapped(resident: Vault, ring: KeyRing, name: str, size: int) -> None:
    exchange = await ring.exchange_key(resident, size)
    for curve, (algorithm, _) in CURVES.items():
        private = reference.private_key(0, curve)
        key = await bring(resident, f"{name}-{curve}", "EC-HSM", transfer(exchange, pkcs8(private)), curve)
        signed = await resident.crypto(key).sign(algorithm, digest_for(algorithm))
        assert reference.verifies(private.public_key(), algorithm, digest_for(algorithm), signed.signature)
    private = reference.private_key(2048, "")
    key = await bring(resident, f"{name}-rsa", "RSA-HSM", transfer(exchange, pkcs8(private)))
    ciphertext = private.public_key().encrypt(b"data", reference.encryption_padding("RSA-OAEP-256"))
    assert (await resident.crypto(key).decrypt("RSA-OAEP-256", ciphertext)).plaintext == b"data"
