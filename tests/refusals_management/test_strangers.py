"""Who calls: no token, the wrong one, one of another tenant, and a caller without the permission."""

from collections.abc import Callable, Iterable

import pytest

from tests.pipeline.world import LOGIN, MANAGEMENT, OTHER_TENANT, POOL_RESOURCE, RESOURCE, TENANT, rsa_key
from tests.refusals_management import words
from tests.refusals_management.grounds import SIBLING, but, only
from tests.refusals_management.rig import NONSENSE, Rig
from tests.refusals_management.rows import NAMES, filled
from tests.refusals_management.table import ROWS, every, some_of
from tests.refusals_management.words import Refusal
from tests.wire.management.stage import NOBODY, READER, SUBSCRIPTION, THEIRS

pytestmark = pytest.mark.asyncio(loop_scope="package")

OURS = f"{LOGIN}/{TENANT}/"
Stranger = Callable[[Rig], tuple[str | None, Refusal]]


def claims(expected: Refusal, **changes: object) -> Stranger:
    return lambda rig: (rig.token(**changes), expected)


def later(expected: Refusal, **seconds: int) -> Stranger:
    """Claims that are times, from now on."""
    return lambda rig: (
        rig.token(**{name: int(rig.service.clock.now()) + after for name, after in seconds.items()}),
        expected,
    )


def signed_by_another(rig: Rig) -> tuple[str, Refusal]:
    key = "signed by another"
    if key not in rig.tokens:
        good = rig.service.claims(aud=MANAGEMENT)
        rig.tokens[key] = rig.service.token(good, key=rsa_key(2))
    return rig.tokens[key], words.NOT_GOOD


STRANGERS: dict[str, Stranger] = {
    "nobody": lambda _: (None, words.NO_TOKEN),
    "no bearer": lambda _: ("", words.NO_TOKEN),
    "vaults": claims(words.wrong_audience(RESOURCE), aud=RESOURCE),
    "pools": claims(words.wrong_audience(POOL_RESOURCE), aud=POOL_RESOURCE),
    "everywhere": claims(words.wrong_audience(f"['{MANAGEMENT}']"), aud=[MANAGEMENT]),
    "expired": later(words.EXPIRED, exp=-60, nbf=-3660, iat=-3660),
    "not yet valid": later(words.NOT_GOOD, nbf=61, iat=61),
    "without an end": claims(words.NOT_GOOD, exp=None),
    "a principal that is gone": claims(words.NOT_GOOD, oid="44444444-0000-0000-0000-000000000404"),
    "a credential that is gone": claims(words.NOT_GOOD, cred="88888888-0000-0000-0000-000000000404"),
    "another issuer": claims(words.NOT_GOOD, iss="https://sts.example/"),
    "an issuer of one tenant with the id of another": claims(words.NOT_GOOD, tid=OTHER_TENANT),
    "signed by another": signed_by_another,
    "no token at all": lambda _: ("nonsense", words.NOT_GOOD),
}


async def challenged(rig: Rig, name: str, strangers: Iterable[Stranger]) -> None:
    row = ROWS[name]
    for stranger in strangers:
        token, expected = stranger(rig)
        await rig.refused(expected, row, f"{row.target()}?api-version=1", body=NONSENSE, token=token)


@every()
async def test_a_stranger_gets_the_challenge_before_anything_else_is_looked_at(rig: Rig, name: str) -> None:
    nobody, *others = STRANGERS.values()
    await challenged(rig, name, [nobody, *some_of(others, name, 2)])


@pytest.mark.slow
@every()
async def test_every_stranger_gets_the_challenge(rig: Rig, name: str) -> None:
    await challenged(rig, name, STRANGERS.values())


async def test_a_stranger_hears_nothing_about_what_there_is(rig: Rig) -> None:
    for target in ("/nowhere", "/subscriptions/none", f"/subscriptions/{THEIRS}", "/%ff", "/providers/x/y"):
        for method in ("GET", "POST", "TRACE"):
            await rig.refused(words.NO_TOKEN, None, target, method=method, token=None)
            await rig.refused(words.NOT_GOOD, None, target, method=method, token="nonsense")  # it is none


@pytest.mark.parametrize(
    "headers",
    [
        ["Authorization: Basic YTpi"],
        ["Authorization: Bearer"],
        ["Authorization: PoP {good}"],
        ["X-Authorization: Bearer {good}"],
        ["Authorization: Bearer {good}", "Authorization: Bearer {good}"],
    ],
)
async def test_what_is_no_bearer_token_is_none_at_all(rig: Rig, headers: list[str]) -> None:
    row = ROWS["vaults_get"]
    more = [line.replace("{good}", rig.token()) for line in headers]
    await rig.refused(words.NO_TOKEN, row, row.target(), token=None, more=more)


# tenants


@every(lambda row: row.has("subscription"))
async def test_a_subscription_of_another_tenant_names_its_issuer_and_nothing_more(rig: Rig, name: str) -> None:
    row = ROWS[name]
    expected = words.wrong_tenant(OURS, OTHER_TENANT)
    for vault, pool in some_of((("theirs", "theirshsm"), ("never-was", "never-was")), name, 1):
        target = row.target(subscription=THEIRS, vault=vault, pool=pool)
        await rig.refused(expected, row, f"{target}?api-version=1", body=NONSENSE)


@every(lambda row: row.has("scope"))
async def test_a_scope_in_a_subscription_of_another_tenant_is_nobodys(rig: Rig, name: str) -> None:
    row = ROWS[name]
    expected = words.wrong_tenant(OURS, OTHER_TENANT)
    for scope in (f"/subscriptions/{THEIRS}", NAMES["scope"].replace(SUBSCRIPTION, THEIRS).upper()):
        await rig.refused(expected, row, row.target(scope=scope), body=NONSENSE)


# permissions


@every(lambda row: row.asks)
async def test_who_may_not_is_told_the_action_and_the_scope_before_the_body_is_looked_at(rig: Rig, name: str) -> None:
    row = ROWS[name]
    at = filled(row.at)
    for holder in (but(row.action), *some_of((NOBODY, SIBLING), name, 1)):
        expected = words.not_authorized(holder, row.action, at)
        await rig.refused(expected, row, row.target(), body=NONSENSE, token=rig.token(holder))
    if not row.action.endswith("/read"):
        expected = words.not_authorized(READER, row.action, at)
        await rig.refused(expected, row, row.target(), body=NONSENSE, token=rig.token(READER))


@every(lambda row: row.asks and row.method != "HEAD")
async def test_the_permission_that_is_named_is_the_one_that_lets_in(rig: Rig, name: str) -> None:
    """On names that nothing has, and with a body that is none: nothing is made by it."""
    row = ROWS[name]
    never = {one: "never-was" for one in ("vault", "pool", "name") if row.has(one)}
    scope = NAMES["scope"].replace("/good", "/never-was")
    with rig.unchanged():
        target = row.target(**never, id="aaaaaaaa-0000-0000-0000-00000000ffff", scope=scope)
        answer = await rig.ask(row.method, target, NONSENSE, token=rig.token(only(row.action)))
    assert answer.status not in (401, 403, 405, 500, 501), answer.body


@every(lambda row: row.shows and row.method == "GET")
async def test_lists_show_nobody_what_it_may_not_read(rig: Rig, name: str) -> None:
    row = ROWS[name]
    with rig.unchanged():
        answer = await rig.ask(row.method, row.target(name="Microsoft.KeyVault"), token=rig.token(NOBODY))
    assert answer.status == 403 or answer.json["value"] == []
