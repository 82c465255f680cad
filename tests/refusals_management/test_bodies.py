"""The body: one JSON object with the members of its model, or 400; an operation without a body reads none."""

import json

import pytest

from tests.refusals_management import words
from tests.refusals_management.grounds import AT
from tests.refusals_management.models import MODELS, ill_typed, with_member, without_member
from tests.refusals_management.rig import NONSENSE, Rig
from tests.refusals_management.rows import Row, filled
from tests.refusals_management.table import ROWS, every, some_of
from tests.refusals_management.words import Refusal

pytestmark = pytest.mark.asyncio(loop_scope="package")

MALFORMED = (
    NONSENSE,
    b"{",
    b'{"a":}',
    b"{'a':1}",
    b"null",
    b"1",
    b"[]",
    b'"text"',
    b'{"a":1}x',
    b'{"a":1,"a":1}',
    b'{"properties":{"a":1,"a":1}}',
    b'{"a":NaN}',
    b'{"a":1e999}',
    b'{"a":"\\ud800"}',
    b'{"a":"\\u0000"}',
    b'{"a":"\xff"}',
    b'{"a":' * 5000,
    b"[" * 5000,
    "\ufeff{}".encode(),
    "{}".encode("utf-16"),
    b'{"a":' + b"1" * 5000 + b"}",
)
NEVER = "aaaaaaaa-0000-0000-0000-00000000ffff"


bodied = every(lambda row: row.body)


def targets(row: Row) -> list[str]:
    """What is there, and a name that is free for an operation that makes something."""
    found = [row.target()]
    if row.method == "PUT":
        new = {one: "coming-in" for one in ("vault", "pool", "group") if row.path.endswith("{" + one + "}")}
        if row.path.endswith(("{name}", "{id}")):
            new = {"name": "coming-in", "id": NEVER}
        found.append(row.target(**new))
    return list(dict.fromkeys(found))


@bodied
async def test_a_body_is_one_json_object(rig: Rig, name: str) -> None:
    row = ROWS[name]
    for target in targets(row)[-1:]:
        for body in MALFORMED[len(name) % 3 :: 3]:
            await rig.refused(words.UNREADABLE, row, target, body=body)


@bodied
async def test_no_body_at_all_is_refused_or_changes_nothing(rig: Rig, name: str) -> None:
    row = ROWS[name]
    for target in targets(row):
        if MODELS[row.body].empty:
            with rig.unchanged():
                assert (await rig.ask(row.method, target, b"")).status == 200
        else:
            await rig.refused(words.UNREADABLE, row, target, body=b"")


async def refused_for_types(rig: Rig, name: str, target: str) -> None:
    row = ROWS[name]
    model = MODELS[row.body]
    for place, value in ill_typed(model):
        await rig.refused(words.UNREADABLE, row, target, body=with_member(model.good, place, value))


@bodied
async def test_every_member_is_of_its_type(rig: Rig, name: str) -> None:
    row = ROWS[name]
    model = MODELS[row.body]
    target = targets(row)[-1]
    wrong = list(ill_typed(model))
    for place, value in wrong if len(wrong) < 40 else wrong[len(name) % 6 :: 6]:
        await rig.refused(words.UNREADABLE, row, target, body=with_member(model.good, place, value))


@pytest.mark.slow
@bodied
async def test_every_member_is_of_its_type_wherever_it_stands(rig: Rig, name: str) -> None:
    for target in targets(ROWS[name]):
        await refused_for_types(rig, name, target)


@bodied
async def test_what_a_body_cannot_be_read_without_is_required(rig: Rig, name: str) -> None:
    row = ROWS[name]
    model = MODELS[row.body]
    for target in targets(row):
        for place in model.required:
            there = with_member(model.good, place, "x") if place.startswith("identity") else model.good
            await rig.refused(words.UNREADABLE, row, target, body=without_member(there, place))
            await rig.refused(words.UNREADABLE, row, target, body=with_member(there, place, None))


@bodied
async def test_a_body_has_a_size(rig: Rig, name: str) -> None:
    row = ROWS[name]
    target = targets(row)[-1]
    many = b'{"a":[' + b"1," * 200_000 + b"1]}"
    await rig.refused(words.UNREADABLE, row, target, body=many)


@bodied
async def test_a_body_that_is_coded_is_not_read(rig: Rig, name: str) -> None:
    row = ROWS[name]
    for coding in some_of(("gzip", "deflate", "br", "identity, gzip"), name, 1):
        more = [f"Content-Encoding: {coding}"]
        await rig.refused(words.BAD, row, row.target(), body=MODELS[row.body].good, more=more)


@pytest.mark.slow
@bodied
async def test_a_body_that_is_too_large_is_not_read(rig: Rig, name: str) -> None:
    row = ROWS[name]
    large = json.dumps({"a": "x" * 26_000_000}).encode()
    await rig.refused(Refusal(413, "RequestEntityTooLarge"), row, targets(row)[-1], body=large)


@every(lambda row: not row.body and row.method != "HEAD")
async def test_what_needs_no_body_reads_none(rig: Rig, name: str) -> None:
    """On names that nothing has."""
    row = ROWS[name]
    never = {one: "never-was" for one in ("vault", "pool", "name", "group") if row.has(one)}
    target = row.target(**never, id=NEVER, scope=filled("{scope}").replace("/good", "/never-was"))
    with rig.unchanged():
        without = await rig.ask(row.method, target)
        for body in some_of(MALFORMED, name, 2):
            answer = await rig.ask(row.method, target, body)
            assert (answer.status, answer.body) == (without.status, without.body)


@every(lambda row: row.body and row.method == "PATCH" and row.body != "ManagementGroupPatch")
async def test_members_that_nobody_knows_are_ignored(rig: Rig, name: str) -> None:
    row = ROWS[name]
    unknown = {"etag": 1, "nothing": {"of": [{"it": None}]}, "Properties": [], "TAGS": 1}
    inner = {} if row.body == "ResourceGroupPatch" else {"properties": {**unknown, "properties": 1}}
    before = await rig.done("GET", row.target())
    if row.body == "SecretPatch":
        assert (await rig.done("PATCH", row.target(), unknown | inner))["id"] == before["id"]
        return
    with rig.unchanged():
        assert await rig.done("PATCH", row.target(), unknown | inner) == before


# words

_WORDS: dict[str, tuple[tuple[str, ...], str]] = {
    "sku.family": (("B", "", "AA"), "SkuNotSupported"),
    "sku.name": (("basic", "", "standard "), "SkuNotSupported"),
    "createMode": (("restore", "recover "), "BadRequest"),
    "publicNetworkAccess": (("", "On", "enabled "), "BadRequest"),
    "networkAcls.bypass": (("", "All", "AzureServices,Metrics"), "BadRequest"),
    "networkAcls.defaultAction": (("", "Refuse"), "BadRequest"),
    "accessPolicies.0.permissions.keys.0": (("", "read", "get,list", "getissuers"), "BadRequest"),
    "accessPolicies.0.permissions.secrets.0": (("", "read", "sign"), "BadRequest"),
    "accessPolicies.0.permissions.certificates.0": (("", "read", "sign"), "BadRequest"),
    "accessPolicies.0.permissions.storage.0": (("", "read", "sign"), "BadRequest"),
    "softDeleteRetentionInDays": (("", "x", "7.0", "-7", "seven", "10000", "\u0667"), "BadRequest"),
    "privateLinkServiceConnectionState.status": (("", "Allowed"), "BadRequest"),
    "type": (("", "Owner"), "BadRequestFormat"),
}


@pytest.mark.parametrize("member", _WORDS)
async def test_a_word_that_is_none_is_refused(rig: Rig, member: str) -> None:
    values, code = _WORDS[member]
    place = f"properties.{member}"
    for name in (
        *("vaults_create_or_update", "vaults_update", "vaults_update_access_policy", "managed_hsms_create_or_update"),
        *("managed_hsms_update", "private_endpoint_connections_put", "mhsm_private_endpoint_connections_put"),
    ):
        row = ROWS[name]
        model = MODELS[row.body]
        at = member if member in model.members else place
        if at not in model.members:
            continue
        for value in values:
            body = with_member(model.good, at, value)
            if member.startswith("sku"):
                other, good = ("name", "standard") if member.endswith("family") else ("family", "A")
                if row.body.startswith("Pool"):
                    good = {"name": "Standard_B1", "family": "B"}[other]
                    value = "A" if value == "B" else value
                    body = with_member(model.good, at, value)
                body = with_member(body, at.rpartition(".")[0] + f".{other}", good)
            for target in targets(row):
                await rig.refused(Refusal(400, code), row, target, body=body)


GUIDS = (
    "",
    "x",
    "44444444000000000000000000000001",
    "{44444444-0000-0000-0000-000000000001}",
    " " * 36,
    "*",
    "\u0664" * 36,
)


@pytest.mark.parametrize("name", ["vaults_create_or_update", "vaults_update", "vaults_update_access_policy"])
async def test_what_is_no_guid_is_refused(rig: Rig, name: str) -> None:
    row = ROWS[name]
    model = MODELS[row.body]
    places = ["accessPolicies.0.tenantId", "accessPolicies.0.objectId"]
    for place in [*places, "tenantId"] if "properties.tenantId" in model.members else places:
        member = place.replace(".0", "")
        for value in GUIDS:
            expected = words.bad(f"The value of the property '{member}' is not a GUID.")
            for target in targets(row):
                await rig.refused(expected, row, target, body=with_member(model.good, f"properties.{place}", value))
    for value in GUIDS[1:]:
        expected = words.bad("The value of the property 'accessPolicies.applicationId' is not a GUID.")
        body = with_member(model.good, "properties.accessPolicies.0.applicationId", value)
        await rig.refused(expected, row, row.target(), body=body)


# what only the server sets


READ_ONLY = {
    "id": 1,
    "name": ["else"],
    "type": {"x": 1},
    "systemData": {"createdBy": 7},
    "etag": 1,
    "managedBy": 5,
}
READ_ONLY_PROPERTIES = {
    "vaultUri": "https://evil.example/",
    "hsmUri": ["https://evil.example/"],
    "hsmPoolResourceId": 5,
    "provisioningState": "Failed",
    "statusMessage": {"a": 1},
    "privateEndpointConnections": [
        {"id": "x", "properties": {"privateLinkServiceConnectionState": {"status": "Approved"}}}
    ],
    "scheduledPurgeDate": "2001-01-01",
    "securityDomainProperties": {"activationStatus": "Active"},
    "deletionDate": 1,
    "secretUri": 1,
    "keyUri": 1,
}


async def test_what_only_the_server_sets_is_ignored_in_a_vault(rig: Rig) -> None:
    good = MODELS["Vault"].good
    target = ROWS["vaults_create_or_update"].target(vault="told-too-much")
    told = {**good, **READ_ONLY, "properties": {**good["properties"], **READ_ONLY_PROPERTIES, "networkAcls": None}}
    shown = await rig.done("PUT", target, told)
    plain = await rig.done(
        "PUT",
        ROWS["vaults_create_or_update"].target(vault="told-enough"),
        {**good, "properties": {**good["properties"], "networkAcls": None}},
    )
    for one in (shown, plain):
        for member in ("id", "name", "systemData"):
            del one[member]
        one["properties"]["vaultUri"] = ""
    assert shown == plain
    assert shown["type"] == "Microsoft.KeyVault/vaults"
    with rig.unchanged():
        again = await rig.done("PATCH", target, {**READ_ONLY, "properties": READ_ONLY_PROPERTIES})
    assert again["properties"]["vaultUri"] == "https://told-too-much.vault.localhost:8443/"


async def test_what_only_the_server_sets_is_ignored_in_a_pool(rig: Rig) -> None:
    with rig.unchanged():
        before = await rig.done("GET", AT["goodhsm"])
        after = await rig.done("PATCH", AT["goodhsm"], {**READ_ONLY, "properties": READ_ONLY_PROPERTIES})
    assert after == before


async def test_what_only_the_server_sets_is_ignored_in_keys_and_secrets(rig: Rig) -> None:
    attributes = {"created": 1, "updated": "never", "recoveryLevel": 5, "recoverableDays": []}
    told = {**READ_ONLY, "location": 5, "properties": {**READ_ONLY_PROPERTIES, "attributes": attributes}}
    told["properties"]["value"] = "something"
    secret = await rig.done("PUT", f"{AT['good']}/secrets/told", told)
    assert secret["properties"].keys() == {"attributes", "secretUri", "secretUriWithVersion"}
    assert secret["properties"]["attributes"]["created"] > 1
    told["properties"] = {**told["properties"], "kty": "EC"}
    key = await rig.done("PUT", f"{AT['good']}/keys/told", told)
    assert key["properties"]["keyUri"] == "https://good.vault.localhost:8443/keys/told"
    assert (key["location"], key["name"]) == ("local", "told")
