"""What the service refuses of a caller who may: states, times, wrong operations, wrong lengths."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.keyvault.keys import JsonWebKey

from tests.clients import reference
from tests.clients.keys import NEW_DATA, OLD_DATA, KeyRing, create, digest_for, import_pair, use
from tests.clients.kinds import Kind
from tests.clients.refusals import message, refused
from tests.clients.vault import Vault

RSA = Kind("RSA-HSM", 2048)
EC = Kind("EC-HSM", curve="P-256")
DIGEST = digest_for("ES256")


def hours(count: int) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(hours=count)


async def test_a_disabled_key_is_shown_and_used_for_nothing(vault: Vault, name: str) -> None:
    key = await import_pair(vault, name, RSA, enabled=False)
    for operation in (*NEW_DATA, *OLD_DATA):
        with refused(403, "Forbidden", "KeyDisabled") as caught:
            await use(vault, key, operation)
        assert message(caught.value) == f"Operation {operation} is not allowed on a disabled key."
    assert (await vault.get_key(name)).id == key.id
    assert len(await vault.backup_key(name)) > 100
    await vault.update_key_properties(name, enabled=True)
    for operation in (*NEW_DATA, *OLD_DATA):
        await use(vault, key, operation)
    await vault.update_key_properties(name, enabled=False)
    for operation in (*NEW_DATA, *OLD_DATA):  # each on a new connection, whichever worker has it
        with refused(403, "Forbidden", "KeyDisabled"):
            await use(vault, key, operation)
    assert (await vault.delete(name)).id == key.id


@pytest.mark.parametrize(
    ("not_before", "expires", "inner", "text"),
    [
        (hours(1), None, "KeyNotYetValid", "a key that is not yet valid."),
        (None, hours(-1), "KeyExpired", "an expired key."),
        pytest.param(hours(-2), hours(-1), "KeyExpired", "an expired key.", marks=pytest.mark.slow),
        pytest.param(hours(1), hours(2), "KeyNotYetValid", "a key that is not yet valid.", marks=pytest.mark.slow),
    ],
    ids=["early", "late", "past", "future"],
)
async def test_outside_its_times_a_key_makes_nothing_new_but_still_opens_what_there_is(
    vault: Vault, name: str, not_before: datetime | None, expires: datetime | None, inner: str, text: str
) -> None:
    key = await import_pair(vault, name, RSA, not_before=not_before, expires_on=expires)
    for operation in NEW_DATA:
        with refused(403, "Forbidden", inner) as caught:
            await use(vault, key, operation)
        assert message(caught.value) == f"Operation {operation} is not allowed on {text}"
    for operation in OLD_DATA:
        await use(vault, key, operation)


@pytest.mark.parametrize(
    "allowed",
    [
        ("sign",),
        ("import",),
        pytest.param(("verify", "decrypt"), marks=pytest.mark.slow),
        pytest.param(("wrapKey", "unwrapKey", "encrypt"), marks=pytest.mark.slow),
    ],
)
async def test_a_key_does_what_its_key_ops_say_and_nothing_else(
    vault: Vault, name: str, allowed: Sequence[str]
) -> None:
    _, jwk = reference.key_pair(RSA)
    jwk.key_ops = list(allowed)
    if "import" in allowed:  # such a key is never imported itself
        key = await create(vault, name, RSA, key_operations=["import"])
    else:
        key = await vault.import_key(name, jwk)
    for operation in (*NEW_DATA, *OLD_DATA):
        if operation in allowed:
            await use(vault, key, operation)
            continue
        with refused(403, "Forbidden", "KeyOperationForbidden") as caught:
            await use(vault, key, operation)
        assert message(caught.value) == f"Operation {operation} is not permitted on this key."


async def test_an_ec_key_does_not_encrypt(vault: Vault, ring: KeyRing) -> None:
    key = await ring.get(vault, EC)
    for method in ("encrypt", "decrypt", "wrap_key", "unwrap_key"):
        with refused(403, "Forbidden", "KeyOperationForbidden"):
            await getattr(vault.remote(key), method)("RSA-OAEP", bytes(256))


@pytest.mark.parametrize(
    ("kind", "algorithm", "length"),
    [
        (EC, "ES384", 48),
        (EC, "ES256K", 32),
        (EC, "RS256", 32),
        (EC, "HS256", 32),
        (EC, "ES256", 31),
        (EC, "ES256", 33),
        (EC, "ES256", 64),
        (RSA, "ES256", 32),
        (RSA, "RS256", 20),
        (RSA, "PS512", 32),
        (RSA, "RS256", 0),
        (RSA, "RS1", 20),
        (RSA, "none", 32),
        (RSA, "", 32),
    ],
)
async def test_an_algorithm_or_digest_that_does_not_fit_the_key_is_refused(
    sync_owner: Vault, ring: KeyRing, kind: Kind, algorithm: str, length: int
) -> None:
    key = await ring.get(sync_owner, kind)
    remote = sync_owner.remote(key)
    with refused(400, "BadParameter"):
        await remote.sign(algorithm, bytes(length))
    with refused(400, "BadParameter"):
        await remote.verify(algorithm, bytes(length), bytes(kind.signature_bytes))


@pytest.mark.parametrize("length", [0, 255, 257, 512])
async def test_a_ciphertext_of_the_wrong_length_is_refused(sync_owner: Vault, ring: KeyRing, length: int) -> None:
    key = await ring.get(sync_owner, RSA)
    for method in ("decrypt", "unwrap_key"):
        with refused(400, "BadParameter"):
            await getattr(sync_owner.remote(key), method)("RSA-OAEP", bytes(length))


async def test_what_is_not_there_is_not_found(vault: Vault, name: str) -> None:
    key = await create(vault, name, EC)
    unknown = "0" * 32
    for call, shown in (
        (lambda: vault.get_key(f"{name}-no"), f"{name}-no"),
        (lambda: vault.get_key(name, unknown), f"{name}/{unknown}"),
        (lambda: vault.update_key_properties(name, unknown, tags={}), f"{name}/{unknown}"),
        (lambda: vault.delete(f"{name}-no"), f"{name}-no"),
        (lambda: vault.backup_key(f"{name}-no"), f"{name}-no"),
        (lambda: vault.crypto(key.id[:-32] + unknown).sign("ES256", DIGEST), f"{name}/{unknown}"),
    ):
        with refused(404, "KeyNotFound", kind=ResourceNotFoundError) as caught:
            await call()
        assert message(caught.value).startswith(
            f"A key with (name/id) {shown} was not found in this key vault. If you recently deleted this key"
        )
    assert await vault.items("list_properties_of_key_versions", f"{name}-no") == []


async def test_what_cannot_be_a_version_is_not_found_in_a_vault_and_no_key_of_a_pool(vault: Vault, name: str) -> None:
    await create(vault, name, EC)
    if vault.is_pool:
        with refused(400, "Invalidkeyidentifier") as caught:
            await vault.get_key(name, "latest")
        assert message(caught.value) == "Invalid key identifier"
    else:
        with refused(404, "KeyNotFound", kind=ResourceNotFoundError) as caught:
            await vault.get_key(name, "latest")
        assert message(caught.value).startswith(f"A key with (name/id) {name}/latest was not found in this key vault.")


@pytest.mark.parametrize("bad", ["under_score", "dot.ted", "a" * 128, "sp%20ace", "%C3%A4"])
async def test_a_name_outside_the_pattern_is_refused(sync_owner: Vault, bad: str) -> None:
    for method, path, body in (
        ("POST", f"/keys/{bad}/create", {"kty": "EC"}),
        ("GET", f"/keys/{bad}/", None),
        ("DELETE", f"/keys/{bad}", None),
        ("GET", f"/deletedkeys/{bad}", None),
    ):
        response = await sync_owner.send(method, path, body)
        error = response.json()["error"]
        assert (response.status_code, error["code"]) == (400, "BadParameter")
        assert error["message"] == f"The request URI contains an invalid name: {bad}"


async def test_a_private_key_that_contradicts_itself_is_not_imported(sync_owner: Vault, name: str) -> None:
    _, ec = reference.key_pair(Kind("EC", curve="P-256"))
    _, rsa = reference.key_pair(Kind("RSA", 2048))
    other = reference.private_key(0, "P-384").private_numbers().private_value.to_bytes(48)[-32:]
    for members in (
        {**vars(ec), "d": other},
        {**vars(ec), "x": ec.y, "y": ec.x},
        {**vars(ec), "d": None},
        {**vars(ec), "crv": "P-256K"},
        {**vars(rsa), "n": rsa.n[:-1] + bytes([rsa.n[-1] ^ 2])},
        {**vars(rsa), "d": rsa.d[:-1] + bytes([rsa.d[-1] ^ 1])},
        {**vars(rsa), "p": rsa.q},
        {**vars(rsa), "kty": "EC"},
    ):
        for hardware in (False, True):
            with refused(400, "BadParameter"):
                await sync_owner.import_key(name, JsonWebKey(**members), hardware_protected=hardware)
    with refused(404, "KeyNotFound", kind=ResourceNotFoundError):
        await sync_owner.get_key(name)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"kty": "oct"},
        {"kty": "DSA"},
        {"kty": "RSA", "key_size": 1024},
        {"kty": "RSA", "key_size": 2049},
        {"kty": "RSA", "key_size": "2048"},
        {"kty": "EC", "crv": "P-192"},
        {"kty": "EC", "key_ops": ["sing"]},
        {"kty": "EC", "key_ops": ["import", "sign"]},
        {"kty": "EC", "attributes": {"exp": 100, "nbf": 200}},
        {"kty": "EC", "attributes": {"exp": -1}},
        {"kty": "EC", "attributes": {"exportable": True}},
        {"kty": "EC", "tags": {str(number): "" for number in range(16)}},
        {"kty": "EC", "tags": {"a": "b" * 257}},
        {"kty": "EC", "tags": {"a": 1}},
        ["kty"],
        "EC",
    ],
    ids=lambda body: str(body)[:60],
)
async def test_a_key_that_cannot_be_is_not_created(sync_owner: Vault, name: str, body: object) -> None:
    response = await sync_owner.send("POST", f"/keys/{name}/create", body)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "BadParameter")
    assert (await sync_owner.send("GET", f"/keys/{name}/")).status_code == 404
