"""From where, and what for: firewall before permission, permission before everything that the request says."""

from fnmatch import fnmatchcase
from uuid import NAMESPACE_URL, uuid5

import pytest

from hsmvault.model import builtin_roles
from hsmvault.model.roles import RoleAssignment
from tests.pipeline.world import VAULT
from tests.refusals import words
from tests.refusals.cases import served
from tests.refusals.places import CERTIFIED, HARD, KINDS, NOBODY, POOL, SECRETS, Place, but, only
from tests.refusals.rig import NONSENSE, Rig, caller
from tests.refusals.rows import Row
from tests.refusals.table import NEWEST, PERMISSIONS, ROWS
from tests.refusals.words import Objects, Refusal

pytestmark = pytest.mark.asyncio(loop_scope="package")

VAULTS = (HARD, SECRETS, CERTIFIED)
NAMES = ("good", "gone", "never-was")
"""An object, a deleted one, and none: who may not learns nothing about which it is."""


async def refused_whatever_it_says(rig: Rig, place: Place, row: Row, expected: Refusal, name: str, token: str) -> None:
    """Body, version and api-version of a request do not matter to who may not."""
    for target in (f"{row.target(name)}?api-version={NEWEST}", f"{row.target(name, 'x')}?api-version=1.0"):
        await rig.refused(place, row, expected, target, body=NONSENSE, token=token)


# addresses

BLOCKED = (Place("blocked"), Place("blockedhsm", is_pool=True))
CLOSED = (Place("closed"), Place("closedhsm", is_pool=True))


@served(places=BLOCKED)
async def test_from_a_blocked_address_nothing_is_allowed(rig: Rig, place: Place, operation: str) -> None:
    row = ROWS[operation]
    expected = words.firewall("127.0.0.1", caller(), place.shown)
    await refused_whatever_it_says(rig, place, row, expected, "good", rig.token(place))


@served(places=BLOCKED)
async def test_the_firewall_stands_before_the_token_and_names_no_unproved_caller(
    rig: Rig, place: Place, operation: str
) -> None:
    row, token = ROWS[operation], rig.token(place, exp=rig.now - 60)
    await rig.refused(
        place, row, words.firewall("127.0.0.1", "", place.shown), row.target("good"), body=NONSENSE, token=token
    )


@served(places=CLOSED)
async def test_without_public_access_nothing_is_allowed(rig: Rig, place: Place, operation: str) -> None:
    row = ROWS[operation]
    expected = words.no_public_access(caller(), place.shown)
    await refused_whatever_it_says(rig, place, row, expected, "good", rig.token(place))


@served(places=(*BLOCKED, *CLOSED))
async def test_a_blocked_address_gets_the_challenge_as_everybody_does(rig: Rig, place: Place, operation: str) -> None:
    """Clients cannot begin without it, and it gives nothing away."""
    row = ROWS[operation]
    await rig.refused(place, row, words.NO_TOKEN, row.target("good"), token=None)


# permissions


@served(places=VAULTS)
async def test_without_a_role_nothing_is_allowed_in_a_vault(rig: Rig, place: Place, operation: str) -> None:
    row = ROWS[operation]
    assert row.vault_action is not None
    group = f"/subscriptions/{VAULT.subscription_id}/resourcegroups/group"
    scope = f"{group}/providers/microsoft.keyvault/vaults/{place}"
    for name in NAMES:
        resource = f"{scope}/{row.kind}/{name}" if row.names_object else scope
        expected = words.no_role(caller(NOBODY), row.vault_action, resource, place.shown)
        await refused_whatever_it_says(rig, place, row, expected, name, rig.nobody(place))


@served(places=(POOL,))
async def test_without_a_local_role_nothing_is_allowed_in_a_pool(rig: Rig, place: Place, operation: str) -> None:
    row = ROWS[operation]
    assert row.pool_action is not None
    for name in NAMES:
        scope = f"/keys/{name}" if row.has_name else "/" if row.path == "/rng" else "/keys"
        expected = words.no_local_role(row.pool_action, scope)
        await refused_whatever_it_says(rig, place, row, expected, name, rig.nobody(place))


@served(places=VAULTS)
async def test_every_other_permission_of_every_kind_together_is_not_enough(
    rig: Rig, place: Place, operation: str
) -> None:
    row = ROWS[operation]
    lacking = but(row)
    expected = words.no_policy(caller(NOBODY), row.kind, row.permissions[0], lacking.shown)
    await refused_whatever_it_says(rig, lacking, row, expected, "never-was", rig.nobody(lacking))


async def allowed(rig: Rig, place: Place, token: str, inner: str) -> set[str]:
    """Operations that are not refused to the bearer of a token. inner: code of the refusal."""
    found = set()
    for name, row in place.rows.items():
        answer = await rig.ask(place, row.method, row.target("never-was"), NONSENSE, token=token)
        if (answer.status, answer.inner if answer.status == 403 else None) != (403, inner):
            found.add(name)
    return found


@pytest.mark.parametrize(
    ("kind", "permission"), [(kind, word) for kind, words in PERMISSIONS.items() for word in sorted(words)]
)
async def test_a_permission_alone_opens_its_own_operations_and_no_other(
    rig: Rig, kind: Objects, permission: str
) -> None:
    place = only(kind, permission)
    expected = {name for name, row in place.rows.items() if permission in row.permissions}
    assert await allowed(rig, place, rig.nobody(place), "ForbiddenByPolicy") == expected


ROLES: dict[str, tuple[str, ...]] = {
    "Key Vault Administrator": ("*",),
    "Key Vault Reader": ("*/read", "secrets/readMetadata/action"),
    "Key Vault Crypto Officer": ("keys/*", "keyrotationpolicies/*"),
    "Key Vault Secrets Officer": ("secrets/*",),
    "Key Vault Certificates Officer": ("certificatecas/*", "certificates/*", "certificatecontacts/write"),
    "Key Vault Secrets User": ("secrets/getSecret/action", "secrets/readMetadata/action"),
    "Key Vault Certificate User": (
        *("certificates/read", "secrets/getSecret/action", "secrets/readMetadata/action", "keys/read"),
    ),
    "Key Vault Contributor": (),
}
"""Built-in roles, with their data actions."""
PUBLIC = ("encrypt", "verify", "wrap_key")
"""For which the right to read a key is enough."""


def opened(actions: tuple[str, ...], row: Row, name: str) -> bool:
    asked = (row.vault_action, "keys/read" if name in PUBLIC else None)
    return any(fnmatchcase(one, pattern) for one in asked if one is not None for pattern in actions)


async def of_role(rig: Rig, place: Place, role: str, scope: str = "") -> set[str]:
    """What a principal may who has this role for the vault, or for what is below it."""
    officer = str(uuid5(NAMESPACE_URL, f"{place}{role}{scope}"))
    rig.service.directory.put(officer)
    at = VAULT.resource_id.replace(VAULT.name, place.name) + scope
    rig.service.assignments.assignments.append(RoleAssignment(officer, at, builtin_roles.BY_NAME[role].id, officer))
    return await allowed(rig, place, rig.token(place, oid=officer, sub=officer), "ForbiddenByRbac")


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_opens_what_its_data_actions_say_and_nothing_else(rig: Rig, role: str) -> None:
    """Who may everything with one kind of object may nothing with another."""
    place = Place("dev")
    expected = {name for name, row in place.rows.items() if opened(ROLES[role], row, name)}
    assert await of_role(rig, place, role) == expected


@pytest.mark.parametrize(("place", "role"), [(SECRETS, "Secrets"), (CERTIFIED, "Certificates")], ids=str)
async def test_a_role_for_one_object_opens_that_alone(rig: Rig, place: Place, role: str) -> None:
    """An issuer of the same name is no object of its own: it belongs to the whole vault."""
    officer = f"Key Vault {role} Officer"
    expected = {name for name, row in place.rows.items() if row.names_object}
    assert await of_role(rig, place, officer, f"/{place.kind}/never-was") == expected
    assert await of_role(rig, place, officer, f"/{place.kind}/never") == set()
    assert await of_role(rig, place, officer, "/keys/never-was") == set()


@pytest.mark.parametrize("place", KINDS, ids=str)
async def test_a_name_that_cannot_be_one_is_not_repeated_to_who_may_not(rig: Rig, place: Place) -> None:
    for row in place.rows.values():
        if row.has_name:
            answer = await rig.ask(place, row.method, row.target("a_b"), NONSENSE, token=rig.nobody(place))
            assert answer.status == 403
            assert "a_b" not in answer.message
