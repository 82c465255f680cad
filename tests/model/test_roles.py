"""Scopes reach by whole segments, patterns match whole actions, and the built-in roles are those of Azure."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsmvault.model.builtin_roles import BUILT_IN, BY_ID, BY_NAME
from hsmvault.model.operations import OPERATIONS, VAULT_PREFIX
from hsmvault.model.roles import Permission, RoleDefinition, covers, folded, is_within, matches, scopes_above
from hsmvault.model.scopes import ScopeKind, read_scope

SEGMENT = st.text("abAB01-.", min_size=1, max_size=6)
SEGMENTS = st.lists(SEGMENT, max_size=6)


def path(segments: list[str]) -> str:
    return "".join("/" + segment for segment in segments) or "/"


@given(scope=SEGMENTS, more=SEGMENTS)
def test_a_scope_covers_itself_and_everything_below_in_any_case(scope: list[str], more: list[str]) -> None:
    assert covers(path(scope), path(scope + more))
    assert covers(path(scope).upper(), path(scope + more).lower())
    assert covers(path(scope) + "/", path(scope + more))


@given(scope=SEGMENTS, resource=SEGMENTS)
def test_a_scope_covers_nothing_else(scope: list[str], resource: list[str]) -> None:
    below = [one.lower() for one in resource[: len(scope)]] == [one.lower() for one in scope]
    assert covers(path(scope), path(resource)) is below


@given(scope=st.lists(SEGMENT, min_size=1, max_size=5), tail=SEGMENT)
def test_a_longer_last_segment_is_another_place(scope: list[str], tail: str) -> None:
    longer = [*scope[:-1], scope[-1] + tail]
    assert not covers(path(scope), path(longer))
    assert not covers(path(longer), path(scope))


@pytest.mark.parametrize(
    ("pattern", "action", "matched"),
    [
        ("*", "Microsoft.KeyVault/vaults/keys/read", True),
        ("Microsoft.KeyVault/vaults/*", "microsoft.keyvault/VAULTS/keys/sign/action", True),
        ("Microsoft.KeyVault/vaults/*/read", "Microsoft.KeyVault/vaults/keys/read", True),
        ("Microsoft.KeyVault/vaults/*/read", "Microsoft.KeyVault/vaults/a/b/c/read", True),
        ("Microsoft.KeyVault/vaults/*/read", "Microsoft.KeyVault/vaults/keys/read/action", False),
        ("Microsoft.KeyVault/vaults/*/read", "Microsoft.KeyVault/vaults/read", True),
        ("Microsoft.KeyVault/*/keys/*/read", "Microsoft.KeyVault/vaults/keys/read", True),
        ("Microsoft.KeyVault/vaults*/read", "Microsoft.KeyVault/vaults/read", True),
        ("Microsoft.KeyVault/vaults/*read", "Microsoft.KeyVault/vaultsread", False),
        ("Microsoft.KeyVault/vaults/*/read", "Microsoft.KeyVault/vaultsread", False),
        ("*/read", "read", False),
        ("Microsoft.KeyVault/vaults/keys/*", "Microsoft.KeyVault/vaults/keyrotationpolicies/read", False),
        ("Microsoft.KeyVault/vaults/keys/read", "Microsoft.KeyVault/vaults/keys/readX", False),
        ("Microsoft.KeyVault/vaults/keys/read", "XMicrosoft.KeyVault/vaults/keys/read", False),
        ("Microsoft.KeyVault/vaults/keys/read", "MicrosoftXKeyVault/vaults/keys/read", False),
        ("Microsoft.KeyVault/vaults/keys/.*", "Microsoft.KeyVault/vaults/keys/read", False),
        ("", "Microsoft.KeyVault/vaults/keys/read", False),
    ],
)
def test_a_star_stands_for_any_characters_and_nothing_else_is_special(pattern: str, action: str, matched: bool) -> None:
    assert RoleDefinition("r", "R", (Permission(data_actions=(pattern,)),)).allows_data(action) is matched


def test_what_is_taken_away_wins_and_actions_are_not_data_actions() -> None:
    role = RoleDefinition("r", "R", (Permission(("a/*",), ("a/b",), ("d/*",), ("d/*/delete",)),))
    assert role.allows("a/c") and not role.allows("a/b") and not role.allows("d/x")
    assert role.allows_data("d/x") and not role.allows_data("d/x/delete") and not role.allows_data("a/c")


PATTERN = st.text("ab/*", min_size=1, max_size=6)
PATTERNS = st.lists(PATTERN, max_size=3).map(tuple)
BLOCK = st.builds(Permission, PATTERNS, PATTERNS, PATTERNS, PATTERNS)
ACTION = st.text("ab/", max_size=7)


@given(pattern=PATTERN, action=ACTION)
def test_patterns_match_as_regular_expressions_would(pattern: str, action: str) -> None:
    text = re.sub(r"\*+", "*", pattern)
    text = re.sub(r"(?<=/)\*/", "?/", text)  # what may be left out
    expected = re.fullmatch(re.escape(text).replace(r"\?/", "(.*/)?").replace(r"\*", ".*"), action) is not None
    assert matches(action, pattern) is expected
    assert matches(action.upper(), pattern) is expected


def test_a_pattern_with_many_stars_takes_no_time() -> None:
    assert not matches("a" * 5000, "*a" * 1000 + "*b")


@given(block=BLOCK, own=st.lists(BLOCK, max_size=3), action=ACTION, data=st.booleans())
def test_what_is_within_gives_nothing_more(block: Permission, own: list[Permission], action: str, data: bool) -> None:
    if is_within(block, own) and block.gives(action, data=data):
        assert any(one.gives(action, data=data) for one in own)


def test_a_block_is_within_itself_and_a_wider_one_and_not_within_one_with_a_condition() -> None:
    block = Permission(("Microsoft.KeyVault/vaults/*",), ("Microsoft.KeyVault/vaults/delete",), ("a/b",))
    assert is_within(block, [block]) and is_within(block, [Permission(("*",), (), ("*",))])
    assert is_within(Permission(), [])
    assert not is_within(block, [replace(block, condition="ActionMatches{'*'}")])
    assert not is_within(replace(block, not_actions=()), [block])
    assert is_within(Permission(("Microsoft.KeyVault/vaults/read",)), [block])
    assert not is_within(Permission(("Microsoft.KeyVault/vaults/delete",)), [block])


@given(segments=SEGMENTS)
def test_the_scopes_above_a_resource_are_those_that_cover_it(segments: list[str]) -> None:
    above = scopes_above(path(segments))
    assert len(above) == len(segments) + 1 and above[-1] == folded(path(segments))
    assert all(covers(one, path(segments)) for one in above)


SUBSCRIPTION = "/subscriptions/33333333-0000-0000-0000-000000000001"
IN_GROUP = f"{SUBSCRIPTION}/resourceGroups/g/providers/Microsoft.KeyVault"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", ScopeKind.TENANT),
        ("/", ScopeKind.TENANT),
        ("/providers/Microsoft.Management/managementGroups/m", ScopeKind.MANAGEMENT_GROUP),
        (SUBSCRIPTION.upper(), ScopeKind.SUBSCRIPTION),
        (SUBSCRIPTION + "/", ScopeKind.SUBSCRIPTION),
        (f"{SUBSCRIPTION}/resourcegroups/g", ScopeKind.GROUP),
        (f"{IN_GROUP}/vaults/v", ScopeKind.RESOURCE),
        (f"{IN_GROUP}/managedHSMs/p", ScopeKind.RESOURCE),
        (f"{IN_GROUP}/vaults/v/secrets/s", ScopeKind.OBJECT),
        (f"{IN_GROUP}/VAULTS/v/Keys/k", ScopeKind.OBJECT),
        (f"{IN_GROUP}/vaults/v/certificates/c", ScopeKind.OBJECT),
        ("/local/11111111-0000-0000-0000-000000000001", None),
        ("/subscriptions", None),
        ("/subscriptions/s", None),
        ("/tenants/t", None),
        (f"{SUBSCRIPTION}/providers/Microsoft.KeyVault/locations/l/deletedVaults/v", None),
        (f"{SUBSCRIPTION}/resourceGroups", None),
        (f"{SUBSCRIPTION}/resourceGroups/g/vaults/v", None),
        (f"{IN_GROUP}/vaults", None),
        (f"{IN_GROUP}/vaults/v/secrets", None),
        (f"{IN_GROUP}/vaults/v/secrets/s/versions/x", None),
        (f"{IN_GROUP}/vaults/v/secrets/a_b", None),
        (f"{IN_GROUP}/vaults/v/storage/s", None),
        (f"{IN_GROUP}/managedHSMs/p/keys/k", None),
        (f"{SUBSCRIPTION}/resourceGroups/g\n", None),
        (f"{SUBSCRIPTION}/resourceGroups/" + "g" * 2048, None),
    ],
)
def test_a_scope_is_what_can_carry_an_assignment_and_nothing_else(text: str, kind: ScopeKind | None) -> None:
    found = read_scope(text)
    assert (None if found is None else found.kind) is kind


# The roles of the documentation page "Azure built-in roles", section Security: data actions, without the prefix of
# Microsoft.KeyVault/vaults/.
DATA_ACTIONS = {
    ("00482a5a-887f-4fb3-b363-3b7fe8e74483", "Key Vault Administrator"): {"*"},
    ("21090545-7ca7-4776-b22c-e363652d74d2", "Key Vault Reader"): {"*/read", "secrets/readMetadata/action"},
    ("a4417e6f-fecd-4de8-b567-7b0420556985", "Key Vault Certificates Officer"): {
        "certificatecas/*", "certificates/*", "certificatecontacts/write",
    },
    ("db79e9a7-68ee-4b58-9aeb-b90e7c24fcba", "Key Vault Certificate User"): {
        "certificates/read", "secrets/getSecret/action", "secrets/readMetadata/action", "keys/read",
    },
    ("14b46e9e-c2b7-41b4-b07b-48a6ebf60603", "Key Vault Crypto Officer"): {"keys/*", "keyrotationpolicies/*"},
    ("e147488a-f6f5-4113-8e2d-b22465e65bf6", "Key Vault Crypto Service Encryption User"): {
        "keys/read", "keys/wrap/action", "keys/unwrap/action",
    },
    ("08bbd89e-9f13-488c-ac41-acfcb10c90ab", "Key Vault Crypto Service Release User"): {"keys/release/action"},
    ("12338af0-0e69-4776-bea7-57ae8d297424", "Key Vault Crypto User"): {
        "keys/read", "keys/update/action", "keys/backup/action", "keys/encrypt/action", "keys/decrypt/action",
        "keys/wrap/action", "keys/unwrap/action", "keys/sign/action", "keys/verify/action",
    },
    ("b86a8fe4-44ce-4948-aee5-eccb2c155cd7", "Key Vault Secrets Officer"): {"secrets/*"},
    ("4633458b-17de-408a-b874-0445c86b69e6", "Key Vault Secrets User"): {
        "secrets/getSecret/action", "secrets/readMetadata/action",
    },
    ("a68e7c17-0ab2-4c09-9a58-125dae29748c", "Key Vault Purge Operator"): set(),
    ("8b54135c-b56d-4d72-a534-26097cfdc8d8", "Key Vault Data Access Administrator"): set(),
    ("f25e0fa2-a7c8-4377-a976-54943a77a395", "Key Vault Contributor"): set(),
    ("18500a29-7fe2-46b2-a342-b16a415e101d", "Managed HSM contributor"): set(),
    ("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "Owner"): set(),
    ("b24988ac-6180-42a0-ab88-20f7382dd24c", "Contributor"): set(),
    ("acdd72a7-3385-48ef-bd42-f606fba81ae7", "Reader"): set(),
    ("18d7d88d-d35e-4fb5-a5c3-7773c20a72d9", "User Access Administrator"): set(),
}  # fmt: skip


def test_the_built_in_roles_have_the_ids_and_data_actions_of_the_documentation() -> None:
    listed = {(role.id, role.name): [a for block in role.permissions for a in block.data_actions] for role in BUILT_IN}
    assert all(action.startswith(VAULT_PREFIX) for actions in listed.values() for action in actions)
    found = {role: {action.removeprefix(VAULT_PREFIX) for action in actions} for role, actions in listed.items()}
    assert found == DATA_ACTIONS
    assert not any(block.not_data_actions for role in BUILT_IN for block in role.permissions)
    assert len(BY_ID) == len(BY_NAME) == len(BUILT_IN)


def test_the_roles_that_manage_without_reaching_data_may_what_they_are_for() -> None:
    contributor = BY_NAME["Key Vault Contributor"]
    assert contributor.allows("Microsoft.KeyVault/vaults/write")
    assert not contributor.allows("Microsoft.KeyVault/locations/deletedVaults/purge/action")
    assert not contributor.allows("Microsoft.KeyVault/managedHSMs/write")
    assert not contributor.allows("Microsoft.Authorization/roleAssignments/write")
    assert not BY_NAME["Contributor"].allows("Microsoft.Authorization/roleAssignments/write")
    assert BY_NAME["Owner"].allows("Microsoft.Authorization/roleAssignments/write")
    assert BY_NAME["User Access Administrator"].allows("Microsoft.Authorization/roleAssignments/write")
    assert not BY_NAME["Reader"].allows("Microsoft.KeyVault/vaults/write")
    assert BY_NAME["Key Vault Purge Operator"].allows("Microsoft.KeyVault/locations/deletedVaults/purge/action")


def test_every_action_of_an_operation_is_one_that_a_role_can_give() -> None:
    administrator = BY_NAME["Key Vault Administrator"]
    for row in OPERATIONS:
        for action in (row.vault_action, row.or_vault_action):
            assert action is None or administrator.allows_data(VAULT_PREFIX + action)
