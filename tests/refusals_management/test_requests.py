"""The address: api-versions, methods, routes, subscriptions, groups, names, pages."""

import pytest

from tests.refusals_management import words
from tests.refusals_management.grounds import OPERATION, THEIR_OPERATION
from tests.refusals_management.key_vault_rows import PROVIDER
from tests.refusals_management.models import MODELS
from tests.refusals_management.other_rows import PUBLIC
from tests.refusals_management.rig import NONSENSE, Rig, check
from tests.refusals_management.rows import IN_GROUP, NAMES, Row, filled
from tests.refusals_management.table import NEWEST, PREVIEW, ROWS, STABLE, every, of_each, some_of
from tests.refusals_management.words import Refusal
from tests.wire.management.stage import SUBSCRIPTION

pytestmark = pytest.mark.asyncio(loop_scope="package")

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "MERGE")
GONE = "33333333-0000-0000-0000-000000000404"
VAULT, GROUP = NAMES["scope"], filled(IN_GROUP)


def body_of(row: Row) -> object:
    return MODELS[row.body].good if row.body else None


# api-version


@every()
async def test_an_api_version_that_is_none_is_refused(rig: Rig, name: str) -> None:
    row = ROWS[name]
    versions = ("1.0", "latest", "2026-02", "2026-02-01-other", "2026-2-1", "20260201", "2026-20-01", "2026-02-41")
    for version in some_of(versions, name, 3):
        expected = words.invalid_version(version)
        await rig.refused(expected, row, f"{row.target()}?api-version={version}", body=body_of(row))


@every()
async def test_without_an_api_version_nothing_is_served(rig: Rig, name: str) -> None:
    row = ROWS[name]
    for query in some_of(("?", "?api-version=", "?version=2026-02-01", "?$top=1"), name, 2):
        await rig.refused(words.NO_VERSION, row, row.target() + query, body=body_of(row))
    unreadable = ("&api-version={0}", "&API-Version={0}", "&a=1&a=2", "&a=%ff")
    for query in some_of(unreadable, name, 2):
        target = f"{row.target()}?api-version={NEWEST}{query.format(NEWEST)}"
        await rig.refused(words.BAD, row, target, body=body_of(row))


@every(lambda row: row.since)
async def test_a_version_of_key_vault_is_known_or_later_than_all(rig: Rig, name: str) -> None:
    row = ROWS[name]
    before = STABLE[: STABLE.index(row.since)]
    unknown = ("2014-01-01", "2017-02-28", "2026-02-02", "2026-02-01-preview")
    for version in (*before[-1:], *some_of((*before, *unknown), name, 2)):
        expected = words.invalid_version(version)
        await rig.refused(expected, row, f"{row.target()}?api-version={version}", body=body_of(row))


@every(lambda row: row.method == "GET")
async def test_an_operation_is_part_of_every_version_from_its_own_on(rig: Rig, name: str) -> None:
    row = ROWS[name]
    since = STABLE[STABLE.index(row.since) :] if row.since else ("2010-01-01", "2020-05-01")
    for version in (since[0], *some_of((*since, *PREVIEW, "2099-12-31"), name, 2)):
        answer = await rig.ask(row.method, f"{row.target()}?api-version={version}")
        assert answer.status in (200, 404), answer.body


# methods and routes


@every()
async def test_another_method_is_not_allowed(rig: Rig, name: str) -> None:
    row = ROWS[name]
    target = row.target()
    others = [one for one in METHODS if not any(other.answers(one, target) for other in ROWS.values())]
    for method in some_of(others, name, 2):
        await rig.refused(words.no_method(method), None, target, method=method)


async def test_what_is_public_has_no_other_methods_and_no_older_versions(rig: Rig) -> None:
    for target in PUBLIC.values():
        for method in METHODS[1:]:
            await rig.refused(words.no_method(method), None, target, method=method)
        with rig.unchanged():
            for query, expected in (("", words.NO_VERSION), ("?api-version=1", words.invalid_version("1"))):
                answer = await rig.ask("GET", target + (query or "?"), token=None)
                check(answer, expected)


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("/", "NotFound"),
        ("/nowhere", "NotFound"),
        ("/subscriptions/{subscription}/nowhere", "NotFound"),
        ("/subscriptions/{subscription}/resourceGroups/rg/nowhere", "NotFound"),
        ("/metadata", "NotFound"),
        ("/metadata/endpoints/more", "NotFound"),
        ("/subscriptions/{subscription}/resourceGroups/rg/providers/Microsoft.Web/sites/s", "InvalidResourceNamespace"),
        ("/subscriptions/{subscription}/resourceGroups/rg/providers", "InvalidResourceNamespace"),
        ("/providers/Microsoft.KeyVaults/operations", "InvalidResourceNamespace"),
        ("/providers/Microsoft.KeyVault", "InvalidResourceType"),
        ("/providers/Microsoft.KeyVault/vaults", "InvalidResourceType"),
        ("{scope}/nowhere", "InvalidResourceType"),
        ("{scope}/secrets/s/versions/1/more", "InvalidResourceType"),
        ("{scope}/certificates/c", "InvalidResourceType"),
        ("{scope}/providers/Microsoft.Authorization/nothing", "InvalidResourceType"),
        ("{scope}/providers/Microsoft.Insights/metrics", "InvalidResourceType"),
        ("/providers/Microsoft.Management/getEntities", "InvalidResourceType"),
        ("{scope}/%2e%2e/policies", "NotFound"),
        ("{scope}/..", "NotFound"),
        ("{scope}%00", "NotFound"),
        ("{scope}%2fsecrets", "NotFound"),
        ("{scope}%5csecrets", "NotFound"),
        ("{scope}%0d%0a", "NotFound"),
        ("{scope}%c3", "NotFound"),
        ("{scope}" + "/a" * 80, "NotFound"),
        ("/" + "a" * 5000, "NotFound"),
        ("{scope}" + "d" * 260, "NotFound"),
    ],
)
async def test_an_unknown_route_is_not_found(rig: Rig, target: str, code: str) -> None:
    for method, more in (("GET", ""), ("PUT", "?api-version=1")):
        await rig.refused(Refusal(404, code), None, filled(target) + more, method=method, body=NONSENSE)


# subscriptions


@every(lambda row: row.has("subscription"))
async def test_a_subscription_that_is_not_there_is_not_found(rig: Rig, name: str) -> None:
    row = ROWS[name]
    for subscription in some_of((GONE, GONE.upper()), name, 1):
        await rig.refused(words.no_subscription(GONE), row, row.target(subscription=subscription), body=NONSENSE)
    malformed = ("mine", GONE[:-1], f"{{{GONE}}}", GONE.replace("-", ""), "%20")
    for subscription in some_of(malformed, name, 1):
        shown = subscription.replace("%20", " ")
        expected = words.malformed_subscription(shown)
        await rig.refused(expected, row, row.target(subscription=subscription), body=NONSENSE)


@every(lambda row: row.has("scope"))
async def test_a_scope_in_no_subscription_is_not_found(rig: Rig, name: str) -> None:
    row = ROWS[name]
    for scope in (f"/subscriptions/{GONE}", VAULT.replace(SUBSCRIPTION, GONE)):
        await rig.refused(words.no_subscription(GONE), row, row.target(scope=scope), body=NONSENSE)


# resource groups, and what stands in them

LENIENT = ("vaults_delete", "managed_hsms_delete")
"""204: what is not there need not be deleted."""


def in_group(row: Row) -> bool:
    return row.has("group")


@every(in_group)
async def test_a_resource_group_that_is_not_there_is_not_found(rig: Rig, name: str) -> None:
    row = ROWS[name]
    target = row.target(group="never-was", location="local")
    if name in LENIENT:
        with rig.unchanged():
            assert (await rig.ask(row.method, target)).status == 204
        return
    if name == "resource_groups_put":
        return  # makes it
    if row.method == "HEAD":
        with rig.unchanged():
            assert (await rig.ask(row.method, target)).status == 404
        return
    await rig.refused(words.no_group("never-was"), row, target, body=body_of(row))


def container_word(row: Row) -> str:
    return "vault" if row.has("vault") else "pool"


def in_container(row: Row) -> bool:
    return in_group(row) and (row.has("vault") or row.has("pool"))


@every(lambda row: in_container(row) and not row.path.endswith(("{vault}", "{pool}")))
async def test_a_part_of_what_is_not_there_is_not_found(rig: Rig, name: str) -> None:
    """What never was, is deleted, stands in another group, or is another tenant's."""
    row, word = ROWS[name], container_word(ROWS[name])
    kind = "vaults" if word == "vault" else "managedHSMs"
    ending = "" if word == "vault" else "hsm"
    absent = ("never-was", f"gone{ending}", f"leaving{ending}", f"elsewhere{ending}", f"theirs{ending}")
    for gone in some_of(absent, name, 3):
        await rig.refused(words.no_resource(kind, gone), row, row.target(**{word: gone}), body=body_of(row))


@of_each(["vaults_get", "vaults_update", "managed_hsms_get", "managed_hsms_update"])
async def test_what_is_not_there_is_neither_read_nor_changed(rig: Rig, name: str) -> None:
    row, word = ROWS[name], container_word(ROWS[name])
    kind = "vaults" if word == "vault" else "managedHSMs"
    ending = "" if word == "vault" else "hsm"
    for gone in ("never-was", f"gone{ending}", f"elsewhere{ending}", f"theirs{ending}", "a_b", "x" * 200):
        await rig.refused(words.no_resource(kind, gone[:128]), row, row.target(**{word: gone}), body=body_of(row))


@of_each(LENIENT)
async def test_what_is_not_there_need_not_be_deleted(rig: Rig, name: str) -> None:
    row, word = ROWS[name], container_word(ROWS[name])
    ending = "" if word == "vault" else "hsm"
    for gone in ("never-was", f"gone{ending}", f"kept{ending}", f"elsewhere{ending}", f"theirs{ending}", "a_b"):
        with rig.unchanged():
            assert (await rig.ask(row.method, row.target(**{word: gone}))).status == 204


@every(lambda row: row.path.endswith(("{name}", "/versions", "{version}")) and in_container(row) and not row.body)
async def test_an_object_that_is_not_there_is_not_found(rig: Rig, name: str) -> None:
    row = ROWS[name]
    target = row.target(name="never-was")
    if row.method == "DELETE":
        with rig.unchanged():
            assert (await rig.ask(row.method, target)).status == 204
        return
    code = "KeyNotFound" if "keys" in name else "SecretNotFound" if "secrets" in name else "ResourceNotFound"
    await rig.refused(Refusal(404, code), row, target)


@every(lambda row: "operationResults" in row.path)
async def test_an_operation_of_another_tenant_is_none(rig: Rig, name: str) -> None:
    row = ROWS[name]
    for id in (THEIR_OPERATION, "never-was", "%20", OPERATION[:-1]):
        await rig.refused(Refusal(404, "OperationNotFound"), row, row.target(id=id))


async def test_nothing_of_resource_groups_takes_so_long_that_one_polls(rig: Rig) -> None:
    row = ROWS["group_operation_results_get"]
    for id in (OPERATION, "never-was"):
        await rig.refused(Refusal(404, "OperationResultNotFound"), row, row.target(id=id))


# pages

PAGED = [
    *("vaults_list_by_resource_group", "vaults_list_by_subscription", "vaults_list_deleted"),
    *("managed_hsms_list_by_resource_group", "managed_hsms_list_by_subscription", "managed_hsms_list_deleted"),
    *("secrets_list", "keys_list", "keys_list_versions", "managed_hsm_keys_list"),
    *("role_assignments_list", "resource_groups_list", "resources_list", "resources_list_by_group"),
]
SEALED = [name for name in PAGED if ROWS[name].provider == PROVIDER]


@of_each(PAGED)
async def test_a_page_has_a_size_and_begins_where_another_one_ended(rig: Rig, name: str) -> None:
    row = ROWS[name]
    for size in ("0", "-1", "x", "1.5", "+1", "%d9%a1", "1000000"):
        target = f"{row.target()}?api-version={NEWEST}&$top={size}"
        await rig.refused(Refusal(400, "InvalidTopParameter"), row, target)
    for token in ("!", "AA=A", "a", "_w"):
        target = f"{row.target()}?api-version={NEWEST}&$skiptoken={token}"
        await rig.refused(Refusal(400, "InvalidSkipToken"), row, target)


@of_each(SEALED)
async def test_a_skip_token_is_made_by_nobody_else_and_leads_to_one_list(rig: Rig, name: str) -> None:
    row = ROWS[name]
    first = await rig.done("GET", f"{ROWS['vaults_list_by_subscription'].target()}?api-version={NEWEST}&$top=1")
    taken = str(first["nextLink"]).rpartition("$skiptoken=")[2]
    tokens = ["", "AAAA", "A" * 4000, taken[:-4]]
    for token in tokens if name == "vaults_list_by_subscription" else [*tokens, taken]:
        target = f"{row.target()}?api-version={NEWEST}&$skiptoken={token}"
        await rig.refused(Refusal(400, "InvalidSkipToken"), row, target)


@pytest.mark.parametrize("name", ["resource_groups_list", "resources_list", "resources_list_by_group"])
@pytest.mark.parametrize(
    "text",
    [
        *(
            "name",
            "name eq",
            "name eq x",
            "name eq 'x",
            "name gt 'x'",
            "name eq 'x' and",
            "(name eq 'x'",
        ),
        *(
            "name eq 'x' xor name eq 'y'",
            "'x' eq name",
            "(" * 200 + "name eq 'x'" + ")" * 200,
            "name eq '" + "x" * 9000,
        ),
        *("startswith(name)", "not", "name eq 'x' name eq 'y'"),
    ],
)
async def test_a_filter_that_cannot_be_read_is_refused(rig: Rig, name: str, text: str) -> None:
    row = ROWS[name]
    target = f"{row.target()}?api-version={NEWEST}&$filter={text.replace(' ', '%20')}"
    await rig.refused(Refusal(400, "InvalidFilterInQueryString"), row, target)


@pytest.mark.parametrize("name", ["role_assignments_list", "role_definitions_list"])
@pytest.mark.parametrize(
    "text",
    [
        *("atScope", "atScope() or atScope()", "atScope() and", "atScope() and atScope()", "roleName eq x", "x eq 'y'"),
        *("principalId eq 'x' and type eq 'BuiltInRole'", "assignedTo()", "atScope() " * 300, "type eq 'Other'"),
    ],
)
async def test_a_filter_of_roles_that_cannot_be_read_is_refused(rig: Rig, name: str, text: str) -> None:
    row = ROWS[name]
    target = f"{row.target()}?api-version={NEWEST}&$filter={text.replace(' ', '%20')}"
    await rig.refused(Refusal(400, "InvalidFilter"), row, target)
