"""Issuers that the configuration trusts: their claims, their principals, their audiences, their own tenant."""

import json
from dataclasses import replace
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import jwt
import pytest

from hsmvault.app.trust import configured_issuer
from hsmvault.clock import MovedClock
from hsmvault.config.names import Names
from hsmvault.config.settings import Audiences, TrustedIssuer
from hsmvault.config.values import Guid
from hsmvault.errors import Unauthorized
from hsmvault.model.principals import Caller
from hsmvault.pipeline.issuers import Issuers
from tests.pipeline.world import (
    OBJECT_ID,
    OTHER_TENANT,
    RESOURCE,
    TENANT,
    VAULT,
    KeysOfTest,
    World,
    ec_key,
    rsa_key,
)

ISS = "https://idp.example/realm"
NAMES = Names("localhost", 8443)
ALL = Audiences(vault=("api://keys",), managedhsm=("api://pools",), management=("api://arm",))


@pytest.fixture
def jwks(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    keys = [
        json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key().public_key())) | {"kid": "k1"},
        json.loads(jwt.algorithms.ECAlgorithm.to_jwk(ec_key().public_key())) | {"kid": "e1"},
    ]
    path.write_text(json.dumps({"keys": keys}))
    return path


def trust(world: World, jwks: Path, **changes: object) -> None:
    """Instead of the embedded issuer. Fixed tenant, unless changed."""
    settings: dict[str, object] = {"issuer": ISS, "jwks_file": jwks, "audiences": ALL, "tenant": Guid(TENANT)}
    issuer = configured_issuer(TrustedIssuer(**(settings | changes)), NAMES, MovedClock())  # type: ignore[arg-type]  # the fields of the type
    world.authentication._issuers = Issuers((issuer,))


async def identify(world: World, **claims: object) -> Caller:
    return await world.identify(world.token(world.claims(**({"iss": ISS, "aud": "api://keys"} | claims))))


async def refusal(world: World, **claims: object) -> str:
    with pytest.raises(Unauthorized) as caught:
        await identify(world, **claims)
    return caught.value.message


async def test_its_token_is_good_for_its_tenant_without_any_entry_in_our_directory(world: World, jwks: Path) -> None:
    trust(world, jwks)
    world.directory.states.clear()
    caller = await identify(world, tid=None, cred=None, groups=["G1", "g2", 3])
    assert (caller.tenant_id, caller.object_id, caller.issuer) == (TENANT, OBJECT_ID, ISS)
    assert caller.groups == {"g1", "g2"}


async def test_claims_are_read_where_the_configuration_says(world: World, jwks: Path) -> None:
    trust(world, jwks, principal_claim="sub", application_claims=("client_id", "azp"), groups_claim="teams")
    caller = await identify(
        world, oid=None, appid=None, sub=OBJECT_ID.upper(), azp="Second", client_id="First", teams=["T"], groups=["no"]
    )
    assert (caller.object_id, caller.application_id, caller.groups) == (OBJECT_ID, "first", {"t"})


async def test_a_principal_that_is_no_guid_gets_one_of_its_own(world: World, jwks: Path) -> None:
    trust(world, jwks, principal_claim="sub")
    caller = await identify(world, sub="system:serviceaccount:default:app")
    assert caller.object_id == str(uuid5(NAMESPACE_URL, f"{ISS}|system:serviceaccount:default:app"))
    for nobody in (None, "", 5, ["x"]):
        assert (await refusal(world, sub=nobody)).startswith("AKV10050")


async def test_a_tenant_claim_names_the_tenant_of_each_token(world: World, jwks: Path) -> None:
    trust(world, jwks, tenant=None, tenant_claim="organisation")
    assert (await identify(world, organisation=TENANT.upper())).tenant_id == TENANT
    assert (await refusal(world, organisation=OTHER_TENANT)).startswith("AKV10032")
    for strange in (None, "", "x", [TENANT]):
        assert (await refusal(world, organisation=strange)).startswith("AKV10050")


async def test_it_speaks_for_its_own_tenant_only(world: World, jwks: Path) -> None:
    trust(world, jwks, tenant=Guid(OTHER_TENANT))
    assert (await refusal(world, tid=TENANT)).startswith("AKV10032")
    theirs = replace(VAULT, tenant_id=OTHER_TENANT)
    token = world.token(world.claims(iss=ISS, aud="api://keys", tid=TENANT))
    assert (await world.identify(token, container=theirs)).tenant_id == OTHER_TENANT


@pytest.mark.parametrize(
    "audience", ["https://vault.azure.net", "https://vault.azure.net/", "api://pools", "api://arm", RESOURCE, None]
)
async def test_only_its_configured_audience_is_accepted_and_never_one_of_microsoft(
    world: World, jwks: Path, audience: object
) -> None:
    trust(world, jwks)
    assert (await refusal(world, aud=audience)).startswith("AKV10022")


async def test_without_configured_audiences_nothing_is_accepted(world: World, jwks: Path) -> None:
    trust(world, jwks, audiences=Audiences())
    for audience in ("api://keys", RESOURCE, "https://vault.azure.net"):
        assert (await refusal(world, aud=audience)).startswith("AKV10022")


async def test_its_algorithms_are_its_own_list(world: World, jwks: Path) -> None:
    trust(world, jwks, algorithms=("ES256", "PS256"))
    claims = world.claims(iss=ISS, aud="api://keys")
    elliptic = world.token(claims, header=world.header(alg="ES256", kid="e1"), key=ec_key(), algorithm="ES256")
    assert await world.identify(elliptic)
    assert await world.identify(world.token(claims, algorithm="PS256"))
    with pytest.raises(Unauthorized, match="AKV10043"):
        await world.identify(world.token(claims))


async def test_a_token_of_a_person_has_a_scope(world: World, jwks: Path) -> None:
    trust(world, jwks)
    assert (await identify(world, idtyp="user", scp="user_impersonation")).delegated
    assert not (await identify(world, scp=None)).delegated
    assert (await refusal(world, idtyp="user", scp=None)).startswith("AKV10047")


async def test_the_embedded_issuer_is_not_what_an_outside_one_says_it_is(world: World, jwks: Path) -> None:
    """Both are trusted; each keeps its own keys, audiences and rules."""
    issuer = configured_issuer(
        TrustedIssuer(issuer=ISS, jwks_file=jwks, audiences=ALL, tenant=Guid(TENANT)), NAMES, MovedClock()
    )
    world.issuers.add(issuer)
    world.keys.keys = {"k1": rsa_key(2).public_key()}
    assert await identify(world)
    with pytest.raises(Unauthorized, match="AKV10044"):
        await world.identify(world.token())
    assert (await refusal(world, aud=RESOURCE)).startswith("AKV10022")


async def test_its_tokens_are_proved_anew_every_hour_because_nobody_tells_of_a_withdrawn_key(
    world: World, jwks: Path
) -> None:
    trust(world, jwks)
    token = world.token(world.claims(iss=ISS, aud="api://keys", exp=int(world.clock.now()) + 86_400))
    assert await world.identify(token)
    issuer = world.authentication._issuers.find(ISS)
    withdrawn = KeysOfTest({})
    object.__setattr__(issuer, "keys", withdrawn)
    world.clock.move(3599)
    assert await world.identify(token)
    assert withdrawn.asked == []
    world.clock.jump(-7200)  # it goes by the monotonic clock
    world.clock.move(1)
    world.clock.jump(7200)
    with pytest.raises(Unauthorized, match="AKV10046"):
        await world.identify(token)
    with pytest.raises(Unauthorized, match="AKV10046"):
        await world.identify(token)


async def test_the_tokens_of_the_embedded_issuer_are_proved_once(world: World) -> None:
    token = world.token(world.claims(exp=int(world.clock.now()) + 86_400))
    assert await world.identify(token)
    world.clock.move(7200)
    assert await world.identify(token)
    assert world.keys.asked == ["k1"]
