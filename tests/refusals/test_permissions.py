"""From where, and what for: firewall before permission, permission before everything that the request says."""

import pytest

from tests.pipeline.world import VAULT
from tests.refusals import words
from tests.refusals.places import HARD, KINDS, NOBODY, POOL, Place
from tests.refusals.rig import NONSENSE, Rig, caller
from tests.refusals.table import NEWEST, PERMISSIONS, ROWS, Row
from tests.refusals.words import Refusal

pytestmark = pytest.mark.asyncio(loop_scope="package")

IN_VAULTS = [name for name, row in ROWS.items() if row.in_vaults]
NAMES = ("good", "gone", "never-was")
"""A key, a deleted one, and none: who may not learns nothing about which it is."""


async def refused_whatever_it_says(rig: Rig, place: Place, row: Row, expected: Refusal, name: str, token: str) -> None:
    """Body, version and api-version of a request do not matter to who may not."""
    for target in (f"{row.target(name)}?api-version={NEWEST}", f"{row.target(name, 'x')}?api-version=1.0"):
        await rig.refused(place, row, expected, target, body=NONSENSE, token=token)


# addresses

BLOCKED = (Place("blocked"), Place("blockedhsm", is_pool=True))
CLOSED = (Place("closed"), Place("closedhsm", is_pool=True))


@pytest.mark.parametrize("operation", ROWS)
@pytest.mark.parametrize("place", BLOCKED, ids=str)
async def test_from_a_blocked_address_nothing_is_allowed(rig: Rig, place: Place, operation: str) -> None:
    row = ROWS[operation]
    expected = words.firewall("127.0.0.1", caller(), place.shown)
    await refused_whatever_it_says(rig, place, row, expected, "good", rig.token(place))


@pytest.mark.parametrize("operation", ROWS)
@pytest.mark.parametrize("place", BLOCKED, ids=str)
async def test_the_firewall_stands_before_the_token_and_names_no_unproved_caller(
    rig: Rig, place: Place, operation: str
) -> None:
    row, token = ROWS[operation], rig.token(place, exp=rig.now - 60)
    await rig.refused(
        place, row, words.firewall("127.0.0.1", "", place.shown), row.target("good"), body=NONSENSE, token=token
    )


@pytest.mark.parametrize("operation", ROWS)
@pytest.mark.parametrize("place", CLOSED, ids=str)
async def test_without_public_access_nothing_is_allowed(rig: Rig, place: Place, operation: str) -> None:
    row = ROWS[operation]
    expected = words.no_public_access(caller(), place.shown)
    await refused_whatever_it_says(rig, place, row, expected, "good", rig.token(place))


@pytest.mark.parametrize("operation", ROWS)
@pytest.mark.parametrize("place", (*BLOCKED, *CLOSED), ids=str)
async def test_a_blocked_address_gets_the_challenge_as_everybody_does(rig: Rig, place: Place, operation: str) -> None:
    """Clients cannot begin without it, and it gives nothing away."""
    row = ROWS[operation]
    await rig.refused(place, row, words.NO_TOKEN, row.target("good"), token=None)


# permissions


@pytest.mark.parametrize("operation", IN_VAULTS)
async def test_without_a_role_nothing_is_allowed_in_a_vault(rig: Rig, operation: str) -> None:
    row = ROWS[operation]
    assert row.vault_action is not None
    scope = f"/subscriptions/{VAULT.subscription_id}/resourcegroups/group/providers/microsoft.keyvault/vaults/premium"
    for name in NAMES:
        resource = f"{scope}/keys/{name}" if row.has_name else scope
        expected = words.no_role(caller(NOBODY), row.vault_action, resource, HARD.shown)
        await refused_whatever_it_says(rig, HARD, row, expected, name, rig.nobody(HARD))


@pytest.mark.parametrize("operation", ROWS)
async def test_without_a_local_role_nothing_is_allowed_in_a_pool(rig: Rig, operation: str) -> None:
    row = ROWS[operation]
    for name in NAMES:
        scope = f"/keys/{name}" if row.has_name else "/" if row.path == "/rng" else "/keys"
        expected = words.no_local_role(row.pool_action, scope)
        await refused_whatever_it_says(rig, POOL, row, expected, name, rig.nobody(POOL))


@pytest.mark.parametrize("operation", IN_VAULTS)
async def test_every_other_permission_together_is_not_enough(rig: Rig, operation: str) -> None:
    row = ROWS[operation]
    assert row.permission is not None
    place = Place(f"but-{row.permission}")
    expected = words.no_policy(caller(NOBODY), row.permission, place.shown)
    await refused_whatever_it_says(rig, place, row, expected, "never-was", rig.nobody(place))


@pytest.mark.parametrize("permission", sorted(PERMISSIONS))
async def test_a_permission_alone_opens_its_own_operations_and_no_other(rig: Rig, permission: str) -> None:
    place = Place(f"only-{permission}")
    allowed = set()
    for name, row in place.rows.items():
        answer = await rig.ask(place, row.method, row.target("never-was"), NONSENSE, token=rig.nobody(place))
        if (answer.status, answer.inner if answer.status == 403 else None) != (403, "ForbiddenByPolicy"):
            allowed.add(name)
    assert allowed == {name for name, row in place.rows.items() if row.permission == permission}


@pytest.mark.parametrize("place", KINDS, ids=str)
async def test_a_name_that_cannot_be_one_is_not_repeated_to_who_may_not(rig: Rig, place: Place) -> None:
    for row in place.rows.values():
        if row.has_name:
            answer = await rig.ask(place, row.method, row.target("a_b"), NONSENSE, token=rig.nobody(place))
            assert answer.status == 403
            assert "a_b" not in answer.message
