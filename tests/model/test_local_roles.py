"""Scopes of a pool's local RBAC, and its built-in roles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsmvault.errors import BadRequest
from hsmvault.model import builtin_roles, local_roles, pool_roles
from hsmvault.model.operations import OPERATIONS, POOL_PREFIX

POOL_ID = "11111111-0000-0000-0000-000000000001"
NAMES = st.from_regex(r"[0-9a-zA-Z-]{1,127}", fullmatch=True)


@given(NAMES)
def test_what_is_written_is_read_back(name: str) -> None:
    for scope in ("/", "/keys", f"/keys/{name}"):
        stored = local_roles.stored_scope(POOL_ID, scope)
        assert local_roles.shown_scope(POOL_ID, stored) == scope


@given(NAMES, NAMES)
def test_the_whole_pool_and_all_keys_reach_everything_and_one_key_itself(name: str, other: str) -> None:
    for scope in ("/", "/keys"):
        stored = local_roles.stored_scope(POOL_ID, scope)
        assert local_roles.reaches(stored, POOL_ID, name)
        assert local_roles.reaches(stored, POOL_ID, "")
        assert not local_roles.reaches(stored, POOL_ID[:-1] + "2", name)
    one = local_roles.stored_scope(POOL_ID, f"/keys/{name}")
    assert local_roles.reaches(one, POOL_ID, name.swapcase())
    assert not local_roles.reaches(one, POOL_ID, "")
    assert local_roles.reaches(one, POOL_ID, other) is (name.lower() == other.lower())


@pytest.mark.parametrize(
    "scope", ["", "keys", "/keys/", "/Keys", "/keys/a/b", "/keys/a_b", "/keys/ä", "/secrets", "//"]
)
def test_other_scopes_are_refused(scope: str) -> None:
    with pytest.raises(BadRequest):
        local_roles.stored_scope(POOL_ID, scope)


@pytest.mark.parametrize("scope", ["/", "", "/local", "/subscriptions/s/resourceGroups/g", f"/local/{POOL_ID}x"])
def test_scopes_of_azure_rbac_reach_nothing_in_a_pool(scope: str) -> None:
    assert not local_roles.reaches(scope, POOL_ID, "key")
    assert not local_roles.reaches(scope, POOL_ID, "")


def test_every_data_action_of_a_pool_belongs_to_a_built_in_role() -> None:
    for row in OPERATIONS:
        if row.pool_action is not None:
            assert any(role.allows_data(POOL_PREFIX + row.pool_action) for role in pool_roles.BUILT_IN), row.name


def test_roles_have_ids_of_their_own_and_give_nothing_elsewhere() -> None:
    assert len(pool_roles.BY_ID) == len(pool_roles.BY_NAME) == len(pool_roles.BUILT_IN) == 10
    assert not set(pool_roles.BY_ID) & set(builtin_roles.BY_ID)
    for role in pool_roles.BUILT_IN:
        (block,) = role.permissions
        assert not block.actions
        assert all(action.startswith(POOL_PREFIX) and "*" not in action for action in block.data_actions)
