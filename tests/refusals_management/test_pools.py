"""Managed HSM pools: names, and what their properties may not be, by themselves and against what is there.

There is no security world left for another pool here: what would make one is refused as well, and changes nothing.
"""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.pipeline.world import OTHER_TENANT
from tests.refusals_management import words
from tests.refusals_management.models import MODELS, SUBNET, with_member, without_member
from tests.refusals_management.rig import Rig
from tests.refusals_management.table import ROWS
from tests.refusals_management.test_vaults import NAMES, TAGS
from tests.refusals_management.words import Refusal

pytestmark = pytest.mark.asyncio(loop_scope="package")

PUT, PATCH = ROWS["managed_hsms_create_or_update"], ROWS["managed_hsms_update"]
GOOD: Mapping[str, Any] = MODELS["Pool"].good
NO_WORLD = Refusal(409, "QuotaExceeded")
IN_USE = Refusal(409, "ConflictError")
TAKEN = Refusal(409, "ManagedHsmAlreadyExists")
RETENTION_SET = words.bad('The property "softDeleteRetentionInDays" has been set already and it can\'t be modified.')
NEW = PUT.target(pool="coming-in")
OLD = PUT.target()


def body(**properties: object) -> dict[str, Any]:
    return {**GOOD, "properties": {**GOOD["properties"], **properties}}


async def test_without_a_world_there_is_no_pool(rig: Rig) -> None:
    for given in (GOOD, body(enablePurgeProtection=True), body(softDeleteRetentionInDays="7")):
        await rig.refused(NO_WORLD, PUT, NEW, body=given)


@pytest.mark.parametrize("name", NAMES)
async def test_what_cannot_be_a_name_is_refused(rig: Rig, name: str) -> None:
    for given in (GOOD, body(createMode="recover")):
        await rig.refused(Refusal(400, "ManagedHsmNameNotValid"), PUT, PUT.target(pool=name), body=given)
    target = ROWS["managed_hsms_check_mhsm_name_availability"].target()
    answer = await rig.done("POST", target, {"name": NAMES[name]})
    assert (answer["nameAvailable"], answer["reason"]) == (False, "AccountNameInvalid")


async def test_a_name_in_use_is_nobody_elses(rig: Rig) -> None:
    """In whatever case, group, subscription and tenant it is in use."""
    target = ROWS["managed_hsms_check_mhsm_name_availability"].target()
    for name in ("theirshsm", "THEIRSHSM", "elsewherehsm", "theirs-gonehsm"):
        for given in (GOOD, body(createMode="recover")):
            await rig.refused(TAKEN, PUT, PUT.target(pool=name), body=given)
    for name in ("goodhsm", "GOODHSM"):
        await rig.refused(TAKEN, PUT, PUT.target(pool=name, group="rg2"), body=GOOD)
    for name in ("gonehsm", "kepthsm", "leavinghsm", "GONEHSM"):
        await rig.refused(IN_USE, PUT, PUT.target(pool=name), body=GOOD)
    for name in ("goodhsm", "GOODHSM", "gonehsm", "leavinghsm", "theirshsm", "theirs-gonehsm"):
        with rig.unchanged():
            answer = await rig.done("POST", target, {"name": name})
        assert (answer["nameAvailable"], answer["reason"]) == (False, "AlreadyExists")


async def test_only_what_is_deleted_is_recovered_where_it_was(rig: Rig) -> None:
    recover = body(createMode="recover")
    await rig.refused(Refusal(404, "DeletedManagedHsmNotFound"), PUT, NEW, body=recover)
    await rig.refused(IN_USE, PUT, PUT.target(pool="leavinghsm"), body=recover)
    gone = PUT.target(pool="gonehsm")
    await rig.refused(Refusal(409, "InvalidResourceLocation"), PUT, gone, body=recover | {"location": "westeurope"})
    foreign = body(createMode="recover", tenantId=OTHER_TENANT)
    await rig.refused(words.foreign_tenant("managed HSM", OTHER_TENANT), PUT, gone, body=foreign)
    await rig.refused(IN_USE, PUT, PUT.target(pool="gonehsm", group="rg2"), body=recover)


async def test_what_is_protected_is_not_purged_and_what_is_not_deleted_is_not_found(rig: Rig) -> None:
    purge, read = ROWS["managed_hsms_purge_deleted"], ROWS["managed_hsms_get_deleted"]
    protected = Refusal(405, "MethodNotAllowed", "Operation 'DeletedManagedHsmPurge' is not allowed.")
    await rig.refused(protected, purge, purge.target(pool="kepthsm"))
    for name in ("goodhsm", "never-was", "theirs-gonehsm", "theirshsm", "gone", "a_b", "x" * 260):
        for row in (purge, read):
            await rig.refused(Refusal(404, "DeletedManagedHsmNotFound"), row, row.target(pool=name))
    for row in (purge, read):
        target = row.target(pool="gonehsm", location="westeurope")
        await rig.refused(Refusal(404, "DeletedManagedHsmNotFound"), row, target)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"enablePurgeProtection": False}, "BadRequest"),
        ({"enableSoftDelete": False}, "BadRequest"),
        ({"tenantId": OTHER_TENANT}, "BadRequest"),
        ({"tenantId": "x"}, "BadRequest"),
        ({"tenantId": ""}, "BadRequest"),
        ({"regions": [{"name": "local"}, {"name": "westeurope"}]}, "RegionNotSupported"),
        ({"regions": [{"name": "westeurope", "isPrimary": True}]}, "RegionNotSupported"),
        ({"regions": [{}]}, "RegionNotSupported"),
        ({"publicNetworkAccess": "SecuredByPerimeter"}, "BadRequest"),
        ({"initialAdminObjectIds": ["x"]}, "BadRequest"),
        ({"initialAdminObjectIds": [f"44444444-0000-0000-0000-{one:012}" for one in range(51)]}, "BadRequest"),
        ({"initialAdminObjectIds": ["44444444-0000-0000-0000-0000000000ab"]}, ""),
        ({"initialAdminObjectIds": []}, "new"),
        ({"initialAdminObjectIds": None}, "new"),
        ({"softDeleteRetentionInDays": 6}, "BadRequest"),
        ({"softDeleteRetentionInDays": 91}, "BadRequest"),
        ({"softDeleteRetentionInDays": 2**70}, "BadRequest"),
        ({"softDeleteRetentionInDays": 8}, ""),
    ],
)
async def test_properties_have_rules(rig: Rig, said: dict[str, object], code: str) -> None:
    """'' where it is refused for what is there alone, 'new' where it is not refused for what is there."""
    if code:
        await rig.refused(Refusal(400, "BadRequest" if code == "new" else code), PUT, NEW, body=body(**said))
    if code != "new":
        await rig.refused(Refusal(400, code or "BadRequest"), PUT, OLD, body=body(**said))
        await rig.refused(Refusal(400, code or "BadRequest"), PATCH, OLD, body={"properties": said})


@pytest.mark.parametrize(
    ("member", "value", "code"),
    [
        ("sku", {"family": "B", "name": "Standard_B2"}, "SkuNotSupported"),
        ("sku", {"family": "C", "name": "Standard_B1"}, "SkuNotSupported"),
        ("sku", {"family": "A", "name": "premium"}, "SkuNotSupported"),
        ("sku", {"name": "Standard_B1"}, "SkuNotSupported"),
        ("sku", {}, "SkuNotSupported"),
        ("identity", {"type": "SystemAssigned"}, "BadRequest"),
        ("identity", {"type": "SystemAssigned,UserAssigned"}, "BadRequest"),
        ("identity", {"type": "UserAssigned"}, "BadRequest"),
        ("identity", {"type": "UserAssigned", "userAssignedIdentities": {"x": {}}}, "BadRequest"),
        ("identity", {"type": "UserAssigned", "userAssignedIdentities": {f"{SUBNET}": {}}}, "BadRequest"),
    ],
)
async def test_the_sku_and_the_identity_have_rules(rig: Rig, member: str, value: object, code: str) -> None:
    for target in (NEW, OLD):
        await rig.refused(Refusal(400, code), PUT, target, body={**GOOD, member: value})
    await rig.refused(Refusal(400, code), PATCH, OLD, body={member: value})


async def test_the_sku_and_the_place_stay(rig: Rig) -> None:
    other = {"family": "C", "name": "Custom_C10"}
    expected = words.bad("The SKU of a managed HSM cannot be changed.")
    await rig.refused(expected, PUT, OLD, body={**GOOD, "sku": other})
    await rig.refused(expected, PATCH, OLD, body={"sku": other})
    moved = {**GOOD, "location": "westeurope"}
    await rig.refused(Refusal(409, "InvalidResourceLocation"), PUT, OLD, body=moved)
    for location, code in ((None, "LocationRequired"), ("nowhere", "LocationNotAvailableForResourceType")):
        await rig.refused(Refusal(400, code), PUT, NEW, body={**GOOD, "location": location})
    required = words.bad('The property "sku" is required.')
    await rig.refused(required, PUT, NEW, body=without_member(GOOD, "sku"))
    missing = PUT.target(pool="coming-in", group="never-was")
    await rig.refused(words.no_group("never-was"), PUT, missing, body=GOOD)


@pytest.mark.parametrize(("tags", "code"), TAGS)
async def test_tags_have_limits(rig: Rig, tags: dict[str, str], code: str) -> None:
    for target in (NEW, OLD):
        await rig.refused(Refusal(400, code), PUT, target, body={**GOOD, "tags": tags})
    await rig.refused(Refusal(400, code), PATCH, OLD, body={"tags": tags})


@pytest.mark.parametrize(
    ("member", "rules"),
    [
        ("ipRules", [{"value": f"192.0.2.{one}"} for one in range(11)]),
        ("ipRules", [{"value": "10.1.2.3"}]),
        ("ipRules", [{"value": "172.16.0.0/12"}]),
        ("ipRules", [{"value": "192.168.1.0/24"}]),
        ("ipRules", [{"value": "::1"}]),
        ("ipRules", [{"value": "1.2.3.4/24"}]),
        ("serviceTags", [{"tag": ""}]),
        ("serviceTags", [{"tag": "Azure Cloud"}]),
        ("serviceTags", [{"tag": "x" * 129}]),
        ("serviceTags", [{"tag": f"T{one}"} for one in range(201)]),
        ("virtualNetworkRules", [{"id": "x", "ignoreMissingVnetServiceEndpoint": True}]),
    ],
)
async def test_rules_of_the_firewall_have_limits(rig: Rig, member: str, rules: list[object]) -> None:
    for row, target in ((PUT, NEW), (PUT, OLD), (PATCH, OLD)):
        given = with_member(MODELS[row.body].good, f"properties.networkAcls.{member}", rules)
        await rig.refused(words.BAD, row, target, body=given)


@pytest.mark.parametrize("name", [name for name in ROWS if name.startswith("managed_hsm_keys_")])
async def test_keys_of_a_pool_are_its_administrators_own_unless_they_say_otherwise(rig: Rig, name: str) -> None:
    row = ROWS[name]
    given = MODELS[row.body].good if row.body else None
    await rig.refused(Refusal(403, "Forbidden"), row, row.target(pool="closedhsm"), body=given)
    answer = await rig.ask(row.method, row.target(pool="newhsm"), given)
    assert answer.status == 403, answer.body


async def test_a_pool_is_deleted_and_purged_by_itself_alone(rig: Rig) -> None:
    """What another tenant has, and what stands elsewhere, is not there."""
    for name in ("theirshsm", "elsewherehsm"):
        with rig.unchanged():
            assert (await rig.ask("DELETE", PUT.target(pool=name))).status == 204
