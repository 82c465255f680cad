"""Vaults: names, and what their properties may not be, by themselves and against what is there."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.pipeline.world import OTHER_TENANT, TENANT
from tests.refusals_management import words
from tests.refusals_management.grounds import AT, only
from tests.refusals_management.models import GUID, MODELS, SUBNET, with_member, without_member
from tests.refusals_management.rig import Rig
from tests.refusals_management.table import NEWEST, ROWS
from tests.refusals_management.words import Refusal

pytestmark = pytest.mark.asyncio(loop_scope="package")

PUT, PATCH, GET = ROWS["vaults_create_or_update"], ROWS["vaults_update"], ROWS["vaults_get"]
GOOD: Mapping[str, Any] = MODELS["Vault"].good
PROTECTION = words.bad(
    'The property "enablePurgeProtection" cannot be set to false. Enabling the purge protection for a vault is an '
    "irreversible action."
)
SOFT_DELETE = words.bad(
    'The property "enableSoftDelete" cannot be set to false. Soft delete is enabled for every vault, and enabling it '
    "is an irreversible action."
)
RETENTION_SET = words.bad('The property "softDeleteRetentionInDays" has been set already and it can\'t be modified.')
RETENTION = words.bad('The property "softDeleteRetentionInDays" must be between 7 and 90.')
IN_USE = Refusal(
    409,
    "ConflictError",
    "A vault with the same name already exists in deleted state. You need to either recover or purge existing key "
    "vault. Follow this link https://go.microsoft.com/fwlink/?linkid=2149745 for more information on soft delete.",
)
PROTECTED = Refusal(405, "MethodNotAllowed", "Operation 'DeletedVaultPurge' is not allowed.")


def taken(name: str) -> Refusal:
    return Refusal(
        409,
        "VaultAlreadyExists",
        f"The vault name '{name}' is already in use. Vault names are globaly unique so it is possible that the name is "
        "already taken. If you are sure that the vault name was not taken then it is possible that a vault with the "
        "same name was recently deleted but not purged after being placed in a recoverable state. If the vault is in a "
        "recoverable state then the vault will need to be purged before reusing the name. For more information about "
        "VaultAlreadyExists, soft delete and purging a vault follow this link "
        "https://go.microsoft.com/fwlink/?linkid=2147740.",
    )


def body(**properties: object) -> dict[str, Any]:
    return {**GOOD, "properties": {**GOOD["properties"], **properties}}


def patch(**properties: object) -> dict[str, Any]:
    return {"properties": properties}


def invalid(name: str) -> Refusal:
    return Refusal(
        400,
        "VaultNameNotValid",
        f"The vault name '{name}' is invalid. A vault's name must be between 3-24 alphanumeric characters. The name "
        "must begin with a letter, end with a letter or digit, and not contain consecutive hyphens. Follow this link "
        "for more information: https://go.microsoft.com/fwlink/?linkid=2147742",
    )


# names

NAMES = {
    "ab": "ab",
    "a" * 25: "a" * 25,
    "a" * 260: "a" * 128,
    "1abc": "1abc",
    "-abc": "-abc",
    "abc-": "abc-",
    "a--b": "a--b",
    "a_b": "a_b",
    "a.b": "a.b",
    "abc%20": "abc ",
    "a%c3%a4b": "a\u00e4b",
    "%c4%b0abc": "\u0130abc",
    "a%e2%84%aabc": "a\u212abc",
    "abc%25": "abc%",
    "%d9%a1abc": "\u0661abc",
}


@pytest.mark.parametrize("name", NAMES)
async def test_what_cannot_be_a_name_is_refused(rig: Rig, name: str) -> None:
    for given in (GOOD, {}, body(createMode="recover")):
        expected = invalid(NAMES[name]) if given else words.UNREADABLE
        await rig.refused(expected, PUT, PUT.target(vault=name), body=given)
    answer = await rig.done(
        "POST",
        ROWS["vaults_check_name_availability"].target(),
        {"name": NAMES[name], "type": "Microsoft.KeyVault/vaults"},
    )
    assert (answer["nameAvailable"], answer["reason"]) == (False, "AccountNameInvalid")


async def test_a_name_in_use_is_nobody_elses(rig: Rig) -> None:
    """In whatever case, group, subscription and tenant it is in use."""
    for name in ("theirs", "THEIRS", "elsewhere", "theirs-gone"):
        for given in (GOOD, body(createMode="recover")):
            await rig.refused(taken(name), PUT, PUT.target(vault=name), body=given)
    for name in ("good", "gone-elsewhere"):
        expected = taken(name) if name == "good" else IN_USE
        for group in ("rg2", "RG2") if name == "good" else ("rg",):
            await rig.refused(expected, PUT, PUT.target(vault=name, group=group), body=GOOD)


async def test_a_name_is_checked_over_all_tenants(rig: Rig) -> None:
    target = ROWS["vaults_check_name_availability"].target()
    for name in ("good", "GOOD", "gone", "kept", "leaving", "theirs", "theirs-gone"):
        with rig.unchanged():
            answer = await rig.done("POST", target, {"name": name, "type": "microsoft.keyvault/VAULTS"})
        assert answer == {
            "nameAvailable": False,
            "reason": "AlreadyExists",
            "message": f"The name '{name}' is already in use.",
        }
    for kind in ("", "Microsoft.KeyVault/managedHSMs", "vaults", "Microsoft.KeyVault/hsmPools"):
        row = ROWS["vaults_check_name_availability"]
        await rig.refused(words.BAD, row, target, body={"name": "something", "type": kind})


async def test_a_deleted_vault_holds_its_name_until_it_is_recovered_or_purged(rig: Rig) -> None:
    for name in ("gone", "kept", "leaving", "GONE"):
        for given in (GOOD, body(createMode="default"), body(createMode="Default")):
            await rig.refused(IN_USE, PUT, PUT.target(vault=name), body=given)


# recover


async def test_only_what_is_deleted_is_recovered_where_it_was(rig: Rig) -> None:
    recover = body(createMode="recover")
    missing = Refusal(404, "DeletedVaultNotFound", "The specified deleted vault 'never-was' does not exist.")
    await rig.refused(missing, PUT, PUT.target(vault="never-was"), body=recover)
    being = Refusal(409, "ConflictError", "The vault 'leaving' is being purged and cannot be recovered any more.")
    await rig.refused(being, PUT, PUT.target(vault="leaving"), body=recover)
    await rig.refused(taken("theirs-gone"), PUT, PUT.target(vault="theirs-gone"), body=recover)
    await rig.refused(IN_USE, PUT, PUT.target(vault="gone-elsewhere"), body=recover)
    elsewhere = body(createMode="recover") | {"location": "westeurope"}
    await rig.refused(Refusal(409, "InvalidResourceLocation"), PUT, PUT.target(vault="gone"), body=elsewhere)
    foreign = body(createMode="recover", tenantId=OTHER_TENANT)
    await rig.refused(words.foreign_tenant("vault", OTHER_TENANT), PUT, PUT.target(vault="gone"), body=foreign)
    with rig.unchanged():
        await rig.done("PUT", AT["good"], recover)


# purge


async def test_what_is_protected_is_not_purged_and_what_is_not_deleted_is_not_found(rig: Rig) -> None:
    purge, read = ROWS["vaults_purge_deleted"], ROWS["vaults_get_deleted"]
    await rig.refused(PROTECTED, purge, purge.target(vault="kept"))
    for name in ("good", "never-was", "theirs-gone", "theirs", "a_b", "x" * 260):
        expected = Refusal(404, "DeletedVaultNotFound", f"The specified deleted vault '{name[:128]}' does not exist.")
        for row in (purge, read):
            await rig.refused(expected, row, row.target(vault=name))
    for location in ("westeurope", "nowhere", "%20"):
        expected = Refusal(404, "DeletedVaultNotFound", "The specified deleted vault 'gone' does not exist.")
        for row in (purge, read):
            await rig.refused(expected, row, row.target(vault="gone", location=location))


# properties


@pytest.mark.parametrize("vault", ["good", "protected", "coming-in"])
async def test_what_cannot_be_undone_is_not_switched_off_from_the_first_moment_on(rig: Rig, vault: str) -> None:
    for expected, said in (
        (PROTECTION, {"enablePurgeProtection": False}),
        (SOFT_DELETE, {"enableSoftDelete": False}),
        (SOFT_DELETE, {"enableSoftDelete": False, "enablePurgeProtection": True}),
    ):
        await rig.refused(expected, PUT, PUT.target(vault=vault), body=body(**said))
        if vault != "coming-in":
            await rig.refused(expected, PATCH, PATCH.target(vault=vault), body=patch(**said))


async def test_the_retention_is_given_once_and_has_limits(rig: Rig) -> None:
    for days in (0, 6, 91, -7, 1000, 2**31, 2**63, 2**70, "6", "91"):
        await rig.refused(RETENTION, PUT, PUT.target(vault="coming-in"), body=body(softDeleteRetentionInDays=days))
    for days in (0, 8, 90, -7, 2**70, "8"):
        await rig.refused(RETENTION_SET, PUT, PUT.target(), body=body(softDeleteRetentionInDays=days))
        await rig.refused(RETENTION_SET, PATCH, PATCH.target(), body=patch(softDeleteRetentionInDays=days))


async def test_a_vault_is_of_the_tenant_of_its_subscription(rig: Rig) -> None:
    for tenant in (OTHER_TENANT, GUID, OTHER_TENANT.upper()):
        expected = words.foreign_tenant("vault", tenant.lower())
        for vault in ("good", "coming-in"):
            await rig.refused(expected, PUT, PUT.target(vault=vault), body=body(tenantId=tenant))
        await rig.refused(expected, PATCH, PATCH.target(), body=patch(tenantId=tenant))
        policy = {"tenantId": tenant, "objectId": GUID, "permissions": {}}
        theirs = words.bad(
            f"An access policy has the tenant '{tenant.lower()}'; every one must have the tenant of the vault, "
            f"'{TENANT}'."
        )
        for vault in ("good", "coming-in"):
            await rig.refused(theirs, PUT, PUT.target(vault=vault), body=body(accessPolicies=[policy]))
        await rig.refused(theirs, PATCH, PATCH.target(), body=patch(accessPolicies=[policy]))
        row = ROWS["vaults_update_access_policy"]
        for kind in ("add", "replace", "remove"):
            await rig.refused(theirs, row, row.target(kind=kind), body=patch(accessPolicies=[policy]))


@pytest.mark.parametrize("member", ["tenantId", "sku"])
async def test_a_vault_is_not_made_or_replaced_without_what_it_needs(rig: Rig, member: str) -> None:
    for vault in ("good", "coming-in"):
        for given in (without_member(GOOD, f"properties.{member}"), body(**{member: None})):
            expected = words.bad(f'The property "{member}" is required.')
            await rig.refused(expected, PUT, PUT.target(vault=vault), body=given)


async def test_policies_are_required_where_they_decide(rig: Rig) -> None:
    expected = words.bad(
        'The property "accessPolicies" is required for a vault whose permission model is access policies.'
    )
    without = without_member(GOOD, "properties.accessPolicies")
    new, old = PUT.target(vault="coming-in"), PUT.target(vault="policies")
    for target in (f"{new}?api-version=2025-05-01", f"{old}?api-version={NEWEST}"):
        await rig.refused(expected, PUT, target, body=without)
    for target in (f"{new}?api-version={NEWEST}", PUT.target(vault="good")):
        given = with_member(without, "properties.enableRbacAuthorization", False)
        await rig.refused(expected, PUT, target, body=given)


async def test_a_place_is_a_known_one_and_stays(rig: Rig) -> None:
    target = PUT.target(vault="coming-in")
    required = Refusal(400, "LocationRequired", "The location property is required for this definition.")
    for given in (without_member(GOOD, "location"), {**GOOD, "location": None}):
        await rig.refused(required, PUT, target, body=given)
    for location in ("", " ", "nowhere", "local;", "\u200blocal", "x" * 500):
        expected = Refusal(
            400,
            "LocationNotAvailableForResourceType",
            f"The provided location '{location[:64]}' is not available for resource type 'Microsoft.KeyVault/vaults'. "
            "List of available regions for the resource type is 'local,westeurope'.",
        )
        await rig.refused(expected, PUT, target, body={**GOOD, "location": location})
        moved = Refusal(
            409,
            "InvalidResourceLocation",
            "The resource 'good' already exists in location 'local' in resource group 'rg'. A resource with the same "
            f"name cannot be created in location '{location[:64]}'. Please select a new resource name.",
        )
        await rig.refused(moved, PUT, PUT.target(), body={**GOOD, "location": location})


async def test_a_premium_vault_stays_one(rig: Rig) -> None:
    expected = words.bad("The SKU of a vault cannot be changed from premium to standard.")
    sku = {"family": "A", "name": "Standard"}
    await rig.refused(expected, PUT, PUT.target(), body=body(sku=sku))
    await rig.refused(expected, PATCH, PATCH.target(), body=patch(sku=sku))
    for half in ({}, {"family": "A"}, {"name": "premium"}, {"family": None, "name": None}):
        for vault in ("good", "coming-in"):
            await rig.refused(Refusal(400, "SkuNotSupported"), PUT, PUT.target(vault=vault), body=body(sku=half))
        await rig.refused(Refusal(400, "SkuNotSupported"), PATCH, PATCH.target(), body=patch(sku=half))


async def test_the_permission_model_is_for_those_to_choose_who_may_assign_roles(rig: Rig) -> None:
    writer = rig.token(only("Microsoft.KeyVault/vaults/write"))
    expected = Refusal(400, "InsufficientPermissions")
    for vault, wanted in (("good", False), ("policies", True)):
        said = {"enableRbacAuthorization": wanted}
        await rig.refused(expected, PUT, PUT.target(vault=vault), body=body(**said), token=writer)
        await rig.refused(expected, PATCH, PATCH.target(vault=vault), body=patch(**said), token=writer)
        with rig.unchanged():
            same = patch(enableRbacAuthorization=not wanted)
            await rig.done("PATCH", PATCH.target(vault=vault), same, token=writer)
            await rig.done("PATCH", PATCH.target(vault=vault), {}, token=writer)


TAGS = (
    ({f"t{number}": "" for number in range(51)}, "BadRequest"),
    ({"": "x"}, "BadRequest"),
    ({"x" * 513: "x"}, "BadRequest"),
    ({"x": "x" * 257}, "BadRequest"),
    ({"Team": "a", "team": "b"}, "BadRequest"),
    *(({f"a{character}b": "x"}, "InvalidTagNameCharacters") for character in "<>%&\\?/\n\x7f\u2028"),
)


@pytest.mark.parametrize(("tags", "code"), TAGS)
async def test_tags_have_limits(rig: Rig, tags: dict[str, str], code: str) -> None:
    for vault in ("good", "coming-in"):
        await rig.refused(Refusal(400, code), PUT, PUT.target(vault=vault), body={**GOOD, "tags": tags})
    await rig.refused(Refusal(400, code), PATCH, PATCH.target(), body={"tags": tags})


# access policies


def policies(number: int, **permissions: object) -> list[dict[str, object]]:
    return [
        {"tenantId": TENANT, "objectId": f"44444444-0000-0000-0001-{one:012}", "permissions": permissions}
        for one in range(number)
    ]


async def test_a_vault_has_at_most_1024_policies(rig: Rig) -> None:
    expected = words.bad("The property 'accessPolicies' has 1025 entries; at most 1024 are allowed.")
    many = policies(1025, keys=["get"])
    for vault in ("good", "coming-in"):
        await rig.refused(expected, PUT, PUT.target(vault=vault), body=body(accessPolicies=many))
    await rig.refused(expected, PATCH, PATCH.target(), body=patch(accessPolicies=many))
    row = ROWS["vaults_update_access_policy"]
    for kind in ("add", "replace", "remove"):
        await rig.refused(expected, row, row.target(kind=kind), body=patch(accessPolicies=many))
    full = PUT.target(vault="full-of-them")
    everything = {"keys": ["all"], "secrets": ["Get", "LIST"], "certificates": ["all"], "storage": ["all"]}
    await rig.done("PUT", full, body(accessPolicies=policies(1024, **everything)))
    one_more = [{"tenantId": TENANT, "objectId": GUID, "permissions": {"keys": ["get"]}}]
    for kind in ("add", "replace"):
        target = row.target(vault="full-of-them", kind=kind)
        await rig.refused(expected, row, target, body=patch(accessPolicies=one_more))


@pytest.mark.parametrize("kind", ["adds", "a", "set", "%20", "delete"])
async def test_policies_are_changed_in_three_ways(rig: Rig, kind: str) -> None:
    row = ROWS["vaults_update_access_policy"]
    expected = words.bad("The access policies of a vault are changed by add, replace or remove.")
    for given in (MODELS["Policies"].good, b"{not json"):
        await rig.refused(expected, row, row.target(kind=kind), body=given)


# the firewall

UNREADABLE_RANGES = (
    *("", "x", "1.2.3", "1.2.3.4.5", "256.0.0.1", "1.2.3.4/33", "1.2.3.4/-1", "1.2.3.4/", "1.2.3.4/24", "1.2.3.0/024"),
    *("1.2.3.0/255.255.255.0", "0x7f000001", "2130706433", "::1", "::ffff:1.2.3.4", "2001:db8::/32", "fe80::1%eth0"),
    *(" 1.2.3.4", "1.2.3.4 ", "1.2.3.4,1.2.3.5", "1.2.3.4-1.2.3.5", "01.2.3.4", "\u0661.2.3.4", "*", "x" * 5000),
)


@pytest.mark.parametrize("name", ["vaults_create_or_update", "vaults_update"])
async def test_rules_that_cannot_be_read_are_refused(rig: Rig, name: str) -> None:
    row = ROWS[name]
    good = MODELS[row.body].good
    for value in UNREADABLE_RANGES:
        given = with_member(good, "properties.networkAcls.ipRules.0", {"value": value})
        await rig.refused(words.BAD, row, row.target(), body=given)
    for value in ("", "x", SUBNET + "/x", SUBNET.replace("/subnets/inner", ""), f"/{SUBNET}", SUBNET + " "):
        rule = {"id": value, "ignoreMissingVnetServiceEndpoint": True}
        given = with_member(good, "properties.networkAcls.virtualNetworkRules.0", rule)
        await rig.refused(words.BAD, row, row.target(), body=given)
    for rule in ({"id": SUBNET}, {"id": SUBNET, "ignoreMissingVnetServiceEndpoint": False}):
        given = with_member(good, "properties.networkAcls.virtualNetworkRules.0", rule)
        await rig.refused(Refusal(400, "SubnetsHaveNoServiceEndpointsConfigured"), row, row.target(), body=given)


@pytest.mark.parametrize("name", ["vaults_create_or_update", "vaults_update"])
async def test_there_are_only_so_many_rules(rig: Rig, name: str) -> None:
    row = ROWS[name]
    good = MODELS[row.body].good
    addresses = [{"value": f"192.{one >> 8}.{one & 255}.1"} for one in range(1001)]
    given = with_member(good, "properties.networkAcls.ipRules", addresses)
    expected = words.bad("The property 'networkAcls.ipRules' has 1001 rules; at most 1000 are allowed.")
    await rig.refused(expected, row, row.target(), body=given)
    subnets = [{"id": f"{SUBNET}{one}", "ignoreMissingVnetServiceEndpoint": True} for one in range(201)]
    given = with_member(good, "properties.networkAcls.virtualNetworkRules", subnets)
    expected = words.bad("The property 'networkAcls.virtualNetworkRules' has 201 rules; at most 200 are allowed.")
    await rig.refused(expected, row, row.target(), body=given)


# the subscription of another tenant, from the other side


async def test_a_vault_is_not_reached_through_another_subscription(rig: Rig) -> None:
    """Nor one of another tenant through ours."""
    for name, row in ROWS.items():
        if row.has("vault") and row.method == "GET" and "deleted" not in name:
            answer = await rig.ask("GET", row.target(vault="theirs"))
            assert (answer.status, answer.code) == (404, "ResourceNotFound")
