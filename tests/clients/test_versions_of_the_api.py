"""Every stable api-version of the client library, and what is none."""

from collections.abc import AsyncIterator

import pytest
from azure.keyvault.keys import ApiVersion

from tests.clients import reference
from tests.clients.keys import digest_for, import_pair
from tests.clients.kinds import Kind
from tests.clients.vault import OpenAsOwner, Vault

DIGEST = digest_for("PS256")
QUICK = {ApiVersion.V2016_10_01, ApiVersion.V7_4, ApiVersion.V2025_07_01}
VERSIONS = [
    pytest.param(
        (flavour, version),
        id=f"{flavour}-{version.value}",
        marks=() if flavour == "sync" and version in QUICK else pytest.mark.slow,
    )
    for flavour in ("sync", "pool-async")
    for version in ApiVersion
]


@pytest.fixture(params=VERSIONS)
async def versioned(request: pytest.FixtureRequest, open_as_owner: OpenAsOwner) -> AsyncIterator[Vault]:
    flavour, version = request.param
    async with open_as_owner(flavour, api_version=version) as opened:
        yield opened


async def test_a_key_lives_and_works_in_every_api_version(versioned: Vault, name: str) -> None:
    key = await import_pair(versioned, name, Kind("RSA-HSM", 2048), tags={"a": "b"})
    assert (await versioned.get_key(name, key.properties.version)).id == key.id
    assert (await versioned.update_key_properties(name, tags={"c": "d"})).properties.tags == {"c": "d"}
    assert name in [item.name for item in await versioned.items("list_properties_of_keys", max_page_size=3)]
    assert len(await versioned.items("list_properties_of_key_versions", name)) == 1

    remote = versioned.remote(key)
    signature = (await remote.sign("PS256", DIGEST)).signature
    assert reference.verifies(reference.public_key(key.key), "PS256", DIGEST, signature)
    assert (await remote.verify("PS256", DIGEST, signature)).is_valid
    ciphertext = (await remote.encrypt("RSA-OAEP", b"data")).ciphertext
    assert (await remote.decrypt("RSA-OAEP", ciphertext)).plaintext == b"data"
    wrapped = (await remote.wrap_key("RSA-OAEP-256", b"data")).encrypted_key
    assert (await remote.unwrap_key("RSA-OAEP-256", wrapped)).key == b"data"

    blob = await versioned.backup_key(name)
    deleted = await versioned.delete(name)
    assert deleted.recovery_id == f"{versioned.url}/deletedkeys/{name}"
    assert (await versioned.recover(name)).id == key.id
    await versioned.delete(name)
    await versioned.purge_deleted_key(name)
    assert (await versioned.restore_key_backup(blob)).id == key.id
    await versioned.delete(name)
    await versioned.purge_deleted_key(name)


@pytest.mark.parametrize("version", ["7.9", "2014-01-01", "1.0", "latest", "2015-06-01-preview", "7.3 "])
async def test_an_api_version_that_nobody_knows_is_refused(sync_owner: Vault, version: str) -> None:
    response = await sync_owner.send("GET", "/keys", **{"api-version": version})
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["code"] == "BadParameter"
    assert error["message"].startswith(
        f"The specified version ({version}) is not recognized. Consider using the latest"
    )
