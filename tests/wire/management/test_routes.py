"""From a path to an operation of the management plane, and what the permission is asked for."""

import pytest

from hsmvault.errors import BadRequest
from hsmvault.model.management import BY_NAME, OPERATIONS, Asks
from hsmvault.wire.management.routes import ManagementRouter
from hsmvault.wire.management.versions import KEY_VAULT_STABLE, ManagementVersions

SUBSCRIPTION = "00000000-0000-0000-0000-0000000000aa"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
VAULT = f"{GROUP}/providers/Microsoft.KeyVault/vaults/North"
ROUTER = ManagementRouter()
FILLED = {
    "subscription": SUBSCRIPTION,
    "group": "rg",
    "vault": "North",
    "pool": "Deep",
    "location": "local",
    "name": "k1",
    "version": "0123",
    "kind": "add",
    "id": "11111111-0000-0000-0000-000000000000",
    "scope": VAULT,
}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
@pytest.mark.parametrize("spelled", [str, str.lower, lambda path: path.replace("/", "//") + "/"])
def test_every_operation_is_found_at_its_path_however_it_is_spelled(operation, spelled) -> None:  # type: ignore[no-untyped-def]  # the parameters are told above
    path = operation.path
    for name, value in FILLED.items():
        path = path.replace("{" + name + "}", value)
    found = ROUTER.find(operation.method, spelled(path))
    assert found is not None
    assert found.operation is operation
    for name, value in found.names.items():
        assert value.lower() == FILLED[name].lower()


@pytest.mark.parametrize(
    ("name", "scope"),
    [
        ("vaults_get", VAULT),
        ("vaults_update_access_policy", VAULT),
        ("vaults_list_by_resource_group", GROUP),
        ("vaults_list_deleted", f"/subscriptions/{SUBSCRIPTION}"),
        (
            "vaults_purge_deleted",
            f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.KeyVault/locations/local/deletedVaults/North",
        ),
        ("keys_list", VAULT),
        ("keys_list_versions", f"{VAULT}/keys/k1"),
        ("role_assignments_list", VAULT),
        ("role_assignments_create", VAULT),
        ("diagnostic_settings_get", VAULT),
        ("resource_groups_put", GROUP),
        ("resources_list_by_group", GROUP),
        ("providers_register", f"/subscriptions/{SUBSCRIPTION}"),
    ],
)
def test_the_permission_is_asked_for_at_the_resource_that_is_meant(name: str, scope: str) -> None:
    operation = BY_NAME[name]
    path = operation.path
    for variable, value in FILLED.items():
        path = path.replace("{" + variable + "}", value)
    found = ROUTER.find(operation.method, path)
    assert found is not None
    assert found.scope == scope


def test_a_name_that_looks_like_a_variable_is_asked_about_as_it_stands() -> None:
    """Else the permission would be asked for at one group, and the work be done in another."""
    path = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{{vault}}/providers/Microsoft.KeyVault/vaults/rg"
    found = ROUTER.find("GET", path)
    assert found is not None
    assert (found.names["group"], found.scope) == ("{vault}", path)


@pytest.mark.parametrize("name", ["x" * 261, "%41" * 261])
def test_a_name_that_nothing_can_have_has_no_route(name: str) -> None:
    assert ROUTER.find("GET", f"{GROUP}/providers/Microsoft.KeyVault/vaults/{name}") is None
    assert ROUTER.find("GET", f"{GROUP}/{name}/providers/Microsoft.Authorization/roleAssignments") is None
    assert ROUTER.find("GET", f"{GROUP}/providers/Microsoft.KeyVault/vaults/{name[:260]}") is not None or "%" in name


def test_a_role_of_the_whole_tenant_stands_at_the_empty_scope() -> None:
    found = ROUTER.find("GET", "/providers/Microsoft.Authorization/roleDefinitions")
    assert found is not None
    assert (found.operation.name, found.scope) == ("role_definitions_list", "")


def test_the_last_extension_of_a_path_counts() -> None:
    assignment = f"{VAULT}/providers/Microsoft.Authorization/roleAssignments/{FILLED['id']}"
    found = ROUTER.find("GET", f"{assignment}/providers/Microsoft.Insights/diagnosticSettings")
    assert found is not None
    assert (found.operation.name, found.scope) == ("diagnostic_settings_list", assignment)


@pytest.mark.parametrize(
    "path",
    [
        VAULT.replace("North", "a%2Fb"),
        VAULT.replace("North", "a%5Cb"),
        VAULT.replace("North", "%2e%2e"),
        VAULT.replace("North", ".."),
        VAULT.replace("North", "a%00"),
        VAULT.replace("North", "a%0Ab"),
        VAULT.replace("North", "%ff"),
        VAULT.replace("Microsoft.KeyVault", "Microsoft.Keyvaults"),
        VAULT + "/else",
        "/" + "a" * 5000,
        "/a" * 100,
        "",
    ],
)
def test_what_could_mean_something_else_has_no_route(path: str) -> None:
    assert ROUTER.find("GET", path) is None


def test_a_path_knows_its_methods() -> None:
    assert ROUTER.methods(VAULT) == ["DELETE", "GET", "PATCH", "PUT"]
    assert ROUTER.methods("/nowhere") == []


def test_only_what_is_public_asks_for_no_token() -> None:
    assert [operation.name for operation in OPERATIONS if operation.asks is Asks.NOTHING] == ["metadata_endpoints"]


@pytest.mark.parametrize("version", [*KEY_VAULT_STABLE, "2026-03-01-preview"])
def test_every_known_version_is_served_as_itself(version: str) -> None:
    assert ManagementVersions().check(BY_NAME["vaults_get"], version) == version


def test_a_version_after_the_newest_is_served_as_the_newest_unless_refused() -> None:
    assert ManagementVersions().check(BY_NAME["vaults_get"], "2031-01-01") == KEY_VAULT_STABLE[-1]
    with pytest.raises(BadRequest) as caught:
        ManagementVersions(serve_newer=False).check(BY_NAME["vaults_get"], "2031-01-01")
    assert caught.value.code == "InvalidApiVersionParameter"


@pytest.mark.parametrize(
    ("name", "version", "code"),
    [
        ("vaults_get", "", "MissingApiVersionParameter"),
        ("vaults_get", "7.4", "InvalidApiVersionParameter"),
        ("vaults_get", "2017-01-01", "InvalidApiVersionParameter"),
        ("managed_hsms_get", "2019-09-01", "InvalidApiVersionParameter"),
        ("tenants_list", "yesterday", "InvalidApiVersionParameter"),
    ],
)
def test_other_versions_are_refused(name: str, version: str, code: str) -> None:
    with pytest.raises(BadRequest) as caught:
        ManagementVersions().check(BY_NAME[name], version)
    assert caught.value.code == code
