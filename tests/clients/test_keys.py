"""Keys as they are made, imported, read and changed: every member of the answers."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from azure.keyvault.keys import KeyVaultKey

from tests.clients import reference
from tests.clients.keys import create, described, digest_for
from tests.clients.kinds import CURVES, Kind, each, representatives
from tests.clients.vault import Vault

CLOCK_SECONDS = 2  # what may lie between our look at the clock and the service's, which cuts to whole seconds
TOMORROW = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
YEAR = TOMORROW + timedelta(days=365)
_PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "k", "t")


def assert_is_of(key: KeyVaultKey, kind: Kind) -> None:
    """Type, public members in their width, and no private one."""
    assert key.key_type == key.key.kty == kind.kty
    if kind.is_rsa:
        assert (len(key.key.n), key.key.n[0] & 0x80, key.key.e) == (kind.size // 8, 0x80, b"\x01\x00\x01")
        assert (key.key.crv, key.key.x, key.key.y) == (None, None, None)
    else:
        width = CURVES[kind.curve][1]
        assert (key.key.crv, len(key.key.x), len(key.key.y)) == (kind.curve, width, width)
        assert (key.key.n, key.key.e) == (None, None)
    assert [getattr(key.key, member) for member in _PRIVATE] == [None] * len(_PRIVATE)
    reference.public_key(key.key)  # raises when it is no point of the curve


@pytest.mark.parametrize("kind", each())
async def test_a_created_key_is_what_was_asked_for(vault: Vault, name: str, kind: Kind) -> None:
    before = time.time()
    key = await create(vault, name, kind)

    assert_is_of(key, vault.made(kind))
    properties = key.properties
    assert key.id == f"{vault.url}/keys/{name}/{properties.version}"
    assert (key.name, properties.vault_url, len(properties.version)) == (name, vault.url, 32)
    assert key.key_operations == kind.operations
    assert (properties.enabled, properties.not_before, properties.expires_on) == (True, None, None)
    assert (properties.recovery_level, properties.recoverable_days) == ("Recoverable+Purgeable", 90)
    assert properties.created_on == properties.updated_on
    assert abs(properties.created_on.timestamp() - before) <= CLOCK_SECONDS + 30  # making RSA keys takes a while
    assert not properties.tags
    assert not properties.managed
    assert properties.exportable is False
    assert properties.release_policy is None
    for version in (None, "", properties.version, properties.version.upper()):
        assert described(await vault.get_key(name, version)) == described(key)


@pytest.mark.parametrize("kind", each())
async def test_an_imported_key_keeps_its_public_members(vault: Vault, name: str, kind: Kind) -> None:
    _, jwk = reference.key_pair(kind)
    key = await vault.import_key(name, jwk, tags={"from": "outside"}, not_before=TOMORROW, expires_on=YEAR)

    assert_is_of(key, vault.made(kind))
    for member in ("n", "e", "x", "y", "crv"):
        assert getattr(key.key, member) == getattr(jwk, member)
    assert (key.properties.tags, key.properties.enabled) == ({"from": "outside"}, True)
    assert (key.properties.not_before, key.properties.expires_on) == (TOMORROW, YEAR)
    assert described(await vault.get_key(name)) == described(key)


@pytest.mark.parametrize("kind", [Kind("RSA", 2048), Kind("EC", curve="P-256")], ids=lambda kind: kind.id)
async def test_hardware_protection_on_import_makes_it_a_hardware_key(vault: Vault, name: str, kind: Kind) -> None:
    key = await vault.import_key(name, reference.key_pair(kind)[1], hardware_protected=True)
    assert_is_of(key, Kind(f"{kind.kty}-HSM", kind.size, kind.curve))


async def test_a_modulus_that_came_with_a_leading_zero_goes_back_with_it(vault: Vault, name: str) -> None:
    private, jwk = reference.key_pair(Kind("RSA", 2048))
    jwk.n = b"\0" + jwk.n
    key = await vault.import_key(name, jwk)
    assert key.key.n == jwk.n
    assert (await vault.get_key(name)).key.n == jwk.n
    signed = await vault.crypto(key).sign("RS256", bytes(32))
    assert reference.verifies(private.public_key(), "RS256", bytes(32), signed.signature)


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("kty", ["EC", "EC-HSM"])
async def test_coordinates_that_begin_with_zeros_keep_their_width(
    sync_owner: Vault, name: str, kty: str, curve: str
) -> None:
    kind = Kind(kty, curve=curve)
    private, jwk = reference.key_pair_with_short_coordinate(kind)
    assert b"\0" in (jwk.x[:1], jwk.y[:1])
    key = await sync_owner.import_key(name, jwk)
    assert_is_of(key, kind)
    assert (key.key.x, key.key.y) == (jwk.x, jwk.y)
    algorithm = kind.signatures[0]
    signed = await sync_owner.crypto(key).sign(algorithm, digest_for(algorithm))
    assert reference.verifies(private.public_key(), algorithm, digest_for(algorithm), signed.signature)


@pytest.mark.parametrize("kty", ["RSA", "RSA-HSM"])
async def test_an_imported_key_may_have_the_exponent_3(sync_owner: Vault, name: str, kty: str) -> None:
    private, jwk = reference.key_pair(Kind(kty, 2048), exponent=3)
    key = await sync_owner.import_key(name, jwk)
    assert (key.key.e, key.key.n) == (b"\x03", jwk.n)
    signed = await sync_owner.crypto(key).sign("PS256", digest_for("PS256"))
    assert reference.verifies(private.public_key(), "PS256", digest_for("PS256"), signed.signature)


@pytest.mark.parametrize("kind", representatives())
async def test_what_is_said_at_creation_is_kept(vault: Vault, name: str, kind: Kind) -> None:
    key = await create(
        vault,
        name,
        kind,
        key_operations=["sign", "verify"],
        enabled=False,
        not_before=TOMORROW,
        expires_on=YEAR,
        tags={"purpose": "test", "größe": "ünï"},
    )
    for found in (key, await vault.get_key(name)):
        assert found.key_operations == ["sign", "verify"]
        assert (found.properties.enabled, found.properties.not_before) == (False, TOMORROW)
        assert found.properties.expires_on == YEAR
        assert found.properties.tags == {"purpose": "test", "größe": "ünï"}


async def test_an_update_changes_what_it_names_and_nothing_else(vault: Vault, name: str) -> None:
    key = await create(vault, name, Kind("EC-HSM", curve="P-256"), tags={"old": "1"}, expires_on=YEAR)

    tagged = await vault.update_key_properties(name, tags={"new": "2"})
    assert (tagged.properties.tags, tagged.properties.expires_on, tagged.key_operations) == (
        {"new": "2"},
        YEAR,
        ["sign", "verify"],
    )
    disabled = await vault.update_key_properties(name, key.properties.version, enabled=False)
    assert (disabled.properties.enabled, disabled.properties.tags) == (False, {"new": "2"})
    changed = await vault.update_key_properties(
        name, enabled=True, not_before=TOMORROW, expires_on=YEAR, key_operations=["sign"], tags={}
    )
    assert changed.key_operations == ["sign"]
    assert (changed.properties.not_before, changed.properties.enabled) == (TOMORROW, True)
    assert not changed.properties.tags
    assert changed.properties.created_on == key.properties.created_on
    assert changed.properties.updated_on >= key.properties.updated_on
    assert (changed.id, changed.key.x, changed.key.y) == (key.id, key.key.x, key.key.y)
    assert described(await vault.get_key(name)) == described(changed)


async def test_a_name_carries_versions_and_the_newest_is_meant_without_one(vault: Vault, name: str) -> None:
    first = await create(vault, name, Kind("RSA", 2048), tags={"version": "1"})
    second = await create(vault, name, Kind("EC-HSM", curve="P-521"))
    third = await vault.import_key(name, reference.key_pair(Kind("EC", curve="P-256K"))[1], enabled=False)

    assert described(await vault.get_key(name)) == described(third)
    assert described(await vault.get_key(name, first.properties.version)) == described(first)
    assert not second.properties.tags
    listed = await vault.items("list_properties_of_key_versions", name)
    assert [each.id for each in listed] == [first.id, second.id, third.id]
    assert [each.enabled for each in listed] == [True, True, False]
    updated = await vault.update_key_properties(name, first.properties.version, tags={"version": "one"})
    assert (updated.id, updated.properties.tags) == (first.id, {"version": "one"})
    assert described(await vault.get_key(name)) == described(third)


async def test_a_name_is_found_however_it_is_written(vault: Vault, name: str) -> None:
    key = await create(vault, name, Kind("EC", curve="P-256"))
    assert (await vault.get_key(name.upper())).id == key.id
    assert (await create(vault, name.upper(), Kind("EC", curve="P-256"))).name == name
    assert len(await vault.items("list_properties_of_key_versions", name.swapcase())) == 2
