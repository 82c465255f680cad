"""Subscriptions, resource groups, resources, providers and cloud metadata on the wire."""

from urllib.parse import quote

from hsmvault.model import builtin_roles, key_vault_actions
from hsmvault.model.containers import ContainerKind
from hsmvault.model.roles import Permission, RoleDefinition
from hsmvault.store import containers, resource_groups, role_definitions, roles
from tests.pipeline.world import OTHER_TENANT, TENANT
from tests.wire.management.conftest import Govern
from tests.wire.management.stage import GROUP, NOBODY, READER, SUBSCRIPTION, THEIRS
from tests.wire.management.surroundings import give, have, surroundings

KEY_VAULT_READER = builtin_roles.BY_NAME["Key Vault Reader"].id
CONTRIBUTOR = builtin_roles.BY_NAME["Contributor"].id
HERE = f"/subscriptions/{SUBSCRIPTION}"


async def test_a_caller_sees_the_own_tenant(govern: Govern) -> None:
    async with govern(surroundings) as service:
        answer = await service.ask("GET", "/tenants?api-version=2022-12-01")
        (tenant,) = answer.json["value"]
        assert (tenant["tenantId"], tenant["id"]) == (TENANT, f"/tenants/{TENANT}")


async def test_a_subscription_is_shown_to_whoever_has_a_role_in_it_or_below(govern: Govern) -> None:
    async with govern(surroundings) as service:
        await have(service, "north")
        owner = await service.ask("GET", "/subscriptions?api-version=2022-12-01")
        assert [(one["subscriptionId"], one["displayName"], one["state"]) for one in owner.json["value"]] == [
            (SUBSCRIPTION, "Ours", "Enabled")
        ]
        nobody = service.of(NOBODY)
        assert (await service.ask("GET", "/subscriptions", token=nobody)).json["value"] == []
        hidden = await service.ask("GET", HERE, token=nobody)
        assert (hidden.status, hidden.code) == (403, "AuthorizationFailed")
        await give(service, NOBODY, KEY_VAULT_READER, f"{GROUP}/providers/Microsoft.KeyVault/vaults/north")
        assert len((await service.ask("GET", "/subscriptions", token=nobody)).json["value"]) == 1
        assert (await service.ask("GET", HERE.upper(), token=nobody)).json["tenantId"] == TENANT


async def test_a_role_at_the_root_management_group_shows_every_subscription_of_the_tenant(govern: Govern) -> None:
    async with govern(surroundings) as service:
        reader = builtin_roles.BY_NAME["Reader"].id
        await give(service, NOBODY, reader, f"/providers/Microsoft.Management/managementGroups/{TENANT}")
        shown = await service.ask("GET", "/subscriptions", token=service.of(NOBODY))
        assert [one["subscriptionId"] for one in shown.json["value"]] == [SUBSCRIPTION]


async def test_the_regions_are_the_configured_ones(govern: Govern) -> None:
    async with govern(surroundings) as service:
        answer = await service.ask("GET", f"{HERE}/locations")
        assert [one["name"] for one in answer.json["value"]] == ["local", "westeurope"]


async def test_a_group_is_made_tagged_found_and_deleted(govern: Govern) -> None:
    async with govern(surroundings) as service:
        path = f"{HERE}/resourcegroups/Team.1"
        made = await service.ask("PUT", path, {"location": "West Europe", "tags": {"a": "b"}})
        assert (made.status, made.json["location"], made.json["tags"]) == (201, "westeurope", {"a": "b"})
        assert made.json["id"] == f"{HERE}/resourceGroups/Team.1"
        assert made.json["properties"] == {"provisioningState": "Succeeded"}
        again = await service.ask("PUT", path.upper(), {"location": "westeurope"})
        assert (again.status, again.json["name"], again.json["tags"]) == (200, "Team.1", {})
        patched = await service.ask("PATCH", path, {"tags": {"c": "d"}})
        assert (patched.status, patched.json["tags"]) == (200, {"c": "d"})
        head = await service.ask("HEAD", path)
        assert (head.status, head.body) == (204, b"")
        assert (await service.ask("DELETE", path)).status == 200
        gone = await service.ask("GET", path)
        assert (gone.status, gone.code) == (404, "ResourceGroupNotFound")
        assert (await service.ask("HEAD", path)).status == 404
        assert (await service.ask("DELETE", path)).code == "ResourceGroupNotFound"


REFUSED: list[tuple[str, object, int, str]] = [
    ("new", {}, 400, "LocationRequired"),
    ("new", {"location": "moon"}, 400, "LocationNotAvailableForResourceGroup"),
    ("rg", {"location": "westeurope"}, 409, "InvalidResourceGroupLocation"),
    ("new.", {"location": "local"}, 400, "InvalidResourceGroup"),
    ("a%20b", {"location": "local"}, 400, "InvalidResourceGroup"),
    ("a" * 91, {"location": "local"}, 400, "InvalidResourceGroup"),
    ("new", {"location": "local", "tags": {"a": "b" * 257}}, 400, "InvalidTag"),
    ("new", {"location": "local", "tags": {"a": "1", "A": "2"}}, 400, "InvalidTag"),
    ("new", {"location": "local", "tags": {str(n): "" for n in range(51)}}, 400, "TooManyTags"),
    ("new", b"{", 400, "InvalidRequestContent"),
    ("new", {"location": 1}, 400, "InvalidRequestContent"),
]


async def test_a_group_that_cannot_be_is_refused(govern: Govern) -> None:
    async with govern(surroundings) as service:
        for name, body, status, code in REFUSED:
            refused = await service.ask("PUT", f"{HERE}/resourcegroups/{name}", body)
            assert (refused.status, refused.code) == (status, code), (name, body)
        async with service.parts.database.read() as tx:
            assert len(await resource_groups.of_subscription(tx, SUBSCRIPTION, after="", most=10)) == 1


async def test_whoever_may_only_read_changes_no_group(govern: Govern) -> None:
    async with govern(surroundings) as service:
        reader = service.of(READER)
        for method, body in (("PUT", {"location": "local"}), ("PATCH", {}), ("DELETE", None)):
            refused = await service.ask(method, f"{HERE}/resourcegroups/rg", body, token=reader)
            assert (refused.status, refused.code) == (403, "AuthorizationFailed")
        assert (await service.ask("GET", f"{HERE}/resourcegroups/rg", token=reader)).status == 200


async def test_a_deleted_group_takes_its_vaults_and_pools_and_its_roles_along(govern: Govern) -> None:
    async with govern(surroundings) as service:
        (vault,) = await have(service, "north")
        (pool,) = await have(service, "north", kind=ContainerKind.POOL)
        await give(service, NOBODY, KEY_VAULT_READER, GROUP)
        assert (await service.ask("DELETE", f"{HERE}/resourcegroups/RG")).status == 200
        async with service.parts.database.read() as tx:
            for one in (vault, pool):
                deleted = await containers.by_id(tx, one.id)
                assert deleted is not None and deleted.deleted_at is not None and deleted.purge_at is not None
            assert await roles.assignments_of(tx, [NOBODY]) == []
        assert (await service.ask("GET", f"{HERE}/resources")).json["value"] == []


async def test_a_group_with_something_that_the_caller_may_not_delete_stays(govern: Govern) -> None:
    async with govern(surroundings) as service:
        (vault,) = await have(service, "north")
        role = "00000000-0000-0000-0000-0000000000aa"
        async with service.parts.database.write() as tx:
            permission = Permission(actions=("Microsoft.Resources/subscriptions/resourceGroups/delete",))
            await role_definitions.insert(
                tx, RoleDefinition(role, "Deleter", (permission,), "", (HERE,), tenant_id=TENANT)
            )
        await give(service, NOBODY, role, GROUP)
        refused = await service.ask("DELETE", f"{HERE}/resourcegroups/rg", token=service.of(NOBODY))
        assert (refused.status, refused.code) == (409, "ResourceGroupDeletionBlocked")
        async with service.parts.database.read() as tx:
            assert await containers.by_id(tx, vault.id) == vault


async def test_groups_are_listed_in_pages_and_by_tag(govern: Govern) -> None:
    async with govern(surroundings) as service:
        for name, tags in (("b", {"team": "red"}), ("A", {"team": "blue"}), ("c", {"other": "red", "team": "x"})):
            await service.ask("PUT", f"{HERE}/resourcegroups/{name}", {"location": "local", "tags": tags})
        found: list[str] = []
        target = f"{HERE}/resourcegroups?$top=3"
        while target:
            page = (await service.ask("GET", target)).json
            assert len(page["value"]) <= 3
            found += [one["name"] for one in page["value"]]
            target = page.get("nextLink", "").removeprefix("https://management.localhost:8443")
        assert found == ["A", "b", "c", "rg"]
        wanted = quote("tagName eq 'team' and tagValue eq 'red'")
        by_tag = await service.ask("GET", f"{HERE}/resourcegroups?$filter={wanted}")
        assert [one["name"] for one in by_tag.json["value"]] == ["b"]


FILTERS = [
    ("", ["north", "south-test", "north"]),
    ("resourceType eq 'Microsoft.KeyVault/vaults'", ["north", "south-test"]),
    ("resourcetype EQ 'microsoft.keyvault/VAULTS' and name eq 'NORTH'", ["north"]),
    ("resourceType eq 'Microsoft.KeyVault/managedHSMs'", ["north"]),
    ("resourceType ne 'Microsoft.KeyVault/vaults' or name eq 'south-test'", ["south-test", "north"]),
    ("not (name eq 'north')", ["south-test"]),
    ("tagName eq 'stage' and tagValue eq 'test'", ["south-test"]),
    ("substringof('out', name)", ["south-test"]),
    ("startswith(name, 'nor') and location eq 'local'", ["north", "north"]),
    ("nothing eq 'x'", []),
]


async def test_resources_are_found_by_filter(govern: Govern) -> None:
    async with govern(surroundings) as service:
        await have(service, "north", "south-test")
        await have(service, "north", kind=ContainerKind.POOL)
        for wanted, found in FILTERS:
            for path in (f"{HERE}/resources", f"{GROUP}/resources"):
                answer = await service.ask("GET", f"{path}?$filter={quote(wanted)}&$expand=createdTime")
                assert [one["name"] for one in answer.json["value"]] == found, wanted


async def test_a_filter_that_cannot_be_read_is_refused(govern: Govern) -> None:
    async with govern(surroundings) as service:
        nested = "(" * 40 + "name eq 'a'" + ")" * 40
        for wanted in ("name", "name eq", "name eq x", "name lt 'a'", "(name eq 'a'", "'a' eq name", "a\x01", nested):
            refused = await service.ask("GET", f"{HERE}/resources?$filter={quote(wanted)}")
            assert (refused.status, refused.code) == (400, "InvalidFilterInQueryString"), wanted


async def test_resources_come_in_pages_without_what_the_caller_may_not_read(govern: Govern) -> None:
    async with govern(surroundings) as service:
        names = [f"vault{number:02}" for number in range(7)]
        await have(service, *names)
        await have(service, "pool1", kind=ContainerKind.POOL)
        for number in (1, 3, 5):
            await give(service, NOBODY, CONTRIBUTOR, f"{GROUP}/providers/Microsoft.KeyVault/vaults/vault{number:02}")
        for token, expected in (
            (service.of(NOBODY), ["vault01", "vault03", "vault05"]),
            (service.of(READER), [*names, "pool1"]),
        ):
            found: list[str] = []
            target = f"{HERE}/resources?$top=2"
            while target:
                page = (await service.ask("GET", target, token=token)).json
                assert len(page["value"]) <= 2
                found += [one["name"] for one in page["value"]]
                target = page.get("nextLink", "").removeprefix("https://management.localhost:8443")
            assert found == expected


async def test_a_page_that_cannot_be_is_refused(govern: Govern) -> None:
    async with govern(surroundings) as service:
        for query in ("$top=0", "$top=x", "$skiptoken=!", "$skiptoken=_w"):
            for path in ("resources", "resourcegroups"):
                assert (await service.ask("GET", f"{HERE}/{path}?{query}")).status == 400, query


async def test_every_provider_is_registered(govern: Govern) -> None:
    async with govern(surroundings) as service:
        listed = await service.ask("GET", f"{HERE}/providers")
        known = {"Microsoft.KeyVault", "Microsoft.Authorization", "Microsoft.Insights"}
        assert known <= {one["namespace"] for one in listed.json["value"]}
        one = await service.ask("GET", f"{HERE}/providers/microsoft.keyvault")
        assert (one.json["namespace"], one.json["registrationState"]) == ("Microsoft.KeyVault", "Registered")
        (vaults,) = [kind for kind in one.json["resourceTypes"] if kind["resourceType"] == "vaults"]
        assert vaults["locations"] == ["local", "westeurope"]
        assert "2026-02-01" in vaults["apiVersions"]
        registered = await service.ask("POST", f"{HERE}/providers/Microsoft.KeyVault/register")
        assert (registered.status, registered.json["registrationState"]) == (200, "Registered")
        assert (await service.ask("POST", f"{HERE}/providers/Microsoft.KeyVault/unregister")).status == 409
        unknown = await service.ask("GET", f"{HERE}/providers/Microsoft.Compute")
        assert (unknown.status, unknown.code) == (404, "InvalidResourceNamespace")
        assert len((await service.ask("GET", "/providers")).json["value"]) == len(listed.json["value"])


async def test_the_operations_are_every_action_of_a_role(govern: Govern) -> None:
    async with govern(surroundings) as service:
        answer = await service.ask("GET", "/providers/Microsoft.KeyVault/operations")
        shown = {(one["name"], one["isDataAction"]) for one in answer.json["value"]}
        assert ("Microsoft.KeyVault/vaults/secrets/getSecret/action", True) in shown
        assert ("Microsoft.KeyVault/vaults/write", False) in shown
        known = (
            key_vault_actions.CONTROL_ACTIONS,
            key_vault_actions.VAULT_DATA_ACTIONS,
            key_vault_actions.POOL_DATA_ACTIONS,
        )
        assert len(answer.json["value"]) == len(shown) == sum(map(len, known))


async def test_the_metadata_needs_no_token_and_is_a_list_for_older_versions(govern: Govern) -> None:
    async with govern(surroundings) as service:
        one = await service.ask("GET", "/metadata/endpoints?api-version=2022-09-01", token=None)
        assert one.status == 200
        assert one.json["resourceManager"] == "https://management.localhost:8443/"
        assert one.json["authentication"]["loginEndpoint"] == "https://login.localhost:8443"
        assert one.json["suffixes"]["keyVaultDns"] == "vault.localhost:8443"
        assert one.json["suffixes"]["mhsmDns"] == "managedhsm.localhost:8443"
        several = await service.ask("GET", "/metadata/endpoints?api-version=2019-05-01", token=None)
        assert several.json == [one.json]


async def test_another_tenant_sees_nothing_of_ours(govern: Govern) -> None:
    async with govern(surroundings) as service:
        for path in (f"/subscriptions/{THEIRS}", f"/subscriptions/{THEIRS}/resources"):
            refused = await service.ask("GET", path)
            assert (refused.status, refused.code) == (401, "InvalidAuthenticationTokenTenant")
        assert OTHER_TENANT not in (await service.ask("GET", "/subscriptions")).body.decode()
