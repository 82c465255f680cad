"""Who calls: without a good token every operation answers 401 with the challenge, whatever else the request says."""

from collections.abc import Callable

import pytest

from tests.pipeline.world import LOGIN, MANAGEMENT, OTHER_TENANT, POOL_RESOURCE, RESOURCE, TENANT, rsa_key
from tests.refusals import words
from tests.refusals.cases import served
from tests.refusals.places import CERTIFIED, KEY_KINDS, SECRETS, Place
from tests.refusals.rig import NONSENSE, Rig
from tests.refusals.table import ROWS
from tests.refusals.words import Refusal

pytestmark = pytest.mark.asyncio(loop_scope="package")

NOW = 1_750_000_000  # of the clock that stands still
ISSUERS = [f"{LOGIN}/{TENANT}/", f"{LOGIN}/{TENANT}/v2.0"]
Stranger = Callable[[Rig, Place], tuple[str | None, Refusal]]
"""The token that it brings, and how that is refused."""


def claims(refusal: Refusal, **changes: object) -> Stranger:
    return lambda rig, place: (rig.token(place, **changes), refusal)


def of_another_audience(audience: str) -> Stranger:
    return lambda rig, place: (rig.token(place, aud=audience), words.wrong_audience(place.resource, audience))


def of_the_other_plane(rig: Rig, place: Place) -> tuple[str | None, Refusal]:
    """A vault's at a pool and the other way."""
    other = RESOURCE if place.is_pool else POOL_RESOURCE
    return rig.token(place, aud=other), words.wrong_audience(place.resource, other)


def with_an_unknown_key(rig: Rig, place: Place) -> tuple[str | None, Refusal]:
    token = rig.service.token(rig.service.claims(aud=place.resource), header=rig.service.header(kid="k404"))
    return token, words.unknown_key(token)


def with_a_bad_signature(rig: Rig, place: Place) -> tuple[str | None, Refusal]:
    return rig.service.token(rig.service.claims(aud=place.resource), key=rsa_key(2)), words.BAD_SIGNATURE


OTHER = f"{LOGIN}/{OTHER_TENANT}/"
STRANGERS: dict[str, Stranger] = {
    "nobody": lambda *_: (None, words.NO_TOKEN),
    "no bearer": lambda *_: ("", words.NO_TOKEN),
    "another tenant": claims(words.wrong_issuer(ISSUERS, OTHER), iss=OTHER, tid=OTHER_TENANT),
    "the other plane": of_the_other_plane,
    "management": of_another_audience(MANAGEMENT),
    "azure": of_another_audience("https://vault.azure.net"),
    "expired": claims(words.EXPIRED, exp=NOW - 60, nbf=NOW - 3660, iat=NOW - 3660),
    "not yet valid": claims(words.EARLY, nbf=NOW + 61, iat=NOW + 61),
    "without an end": claims(words.NO_EXPIRY, exp=None),
    "a principal that is gone": claims(words.NO_PRINCIPAL, oid="44444444-0000-0000-0000-000000000404"),
    "a credential that is gone": claims(words.NO_PRINCIPAL, cred="88888888-0000-0000-0000-000000000404"),
    "unknown key": with_an_unknown_key,
    "bad signature": with_a_bad_signature,
    "no token at all": lambda *_: ("nonsense", words.NOT_A_TOKEN),
}


@served()
async def test_a_stranger_gets_the_challenge_before_the_body_is_looked_at(
    rig: Rig, place: Place, operation: str
) -> None:
    row = ROWS[operation]
    for stranger in STRANGERS.values():
        token, expected = stranger(rig, place)
        await rig.refused(place, row, expected, row.target("good"), body=NONSENSE, token=token)


async def refused_before_its_address(rig: Rig, place: Place, operation: str) -> None:
    row = ROWS[operation]
    for stranger in STRANGERS.values():
        token, expected = stranger(rig, place)
        target = f"{row.target('a_b', 'x')}?api-version=1.0"
        await rig.refused(place, row, expected, target, body=NONSENSE, token=token)


@served(places=KEY_KINDS)
async def test_a_stranger_gets_the_challenge_before_the_address_is_looked_at(
    rig: Rig, place: Place, operation: str
) -> None:
    await refused_before_its_address(rig, place, operation)


@pytest.mark.slow
@served(places=(SECRETS, CERTIFIED))
async def test_a_stranger_gets_the_challenge_before_the_address_of_secrets_and_certificates(
    rig: Rig, place: Place, operation: str
) -> None:
    await refused_before_its_address(rig, place, operation)


@served()
async def test_what_is_no_bearer_token_is_none_at_all(rig: Rig, place: Place, operation: str) -> None:
    row, good = ROWS[operation], f"Authorization: Bearer {rig.token(place)}"
    for headers in (
        ["Authorization: Basic YTpi"],
        ["Authorization: Bearer"],
        [good.replace("Bearer", "PoP")],
        [good.replace("Authorization", "X-Authorization")],
        [good, good],
    ):
        await rig.refused(place, row, words.NO_TOKEN, row.target("good"), token=None, more=headers)


THEIRS = (Place("theirs", tenant=OTHER_TENANT), Place("theirshsm", is_pool=True, tenant=OTHER_TENANT))


@served(places=THEIRS)
async def test_a_token_of_this_tenant_is_a_strangers_in_a_container_of_another(
    rig: Rig, place: Place, operation: str
) -> None:
    row = ROWS[operation]
    expected = words.wrong_issuer([OTHER, OTHER + "v2.0"], ISSUERS[0])
    await rig.refused(place, row, expected, row.target("good"), body=NONSENSE)
