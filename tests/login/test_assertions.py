"""Client assertions in the shapes of the real clients, and everything that is nearly one."""

import base64
import hmac
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsmvault.clock import MovedClock, RandomIdentifiers
from hsmvault.errors import BadRequest
from hsmvault.login import bootstrap
from tests.login.world import World, assertion, certificate, der, proof, thumbprint


async def try_assertion(world: World, text: str) -> int:
    """0 for a token, else the AADSTS code."""
    answer = await world.token(**proof(text))
    return 0 if answer.status == 200 else answer.code


def by_hand(world: World, header: object, claims: object, *, padded: bool = False, pss: bool = False) -> str:
    """A signed JWT whose parts are exactly these; the signature is good."""

    def part(octets: bytes) -> bytes:
        text = base64.urlsafe_b64encode(octets)
        return text if padded else text.rstrip(b"=")

    def encoded(value: object) -> bytes:
        return value if isinstance(value, bytes) else json.dumps(value).encode()

    signed = part(encoded(header)) + b"." + part(encoded(claims))
    scheme = PSS(MGF1(SHA256()), SHA256.digest_size) if pss else PKCS1v15()
    return (signed + b"." + part(world.owner_key.sign(signed, scheme, SHA256()))).decode()


def good_claims(world: World, **changes: object) -> dict[str, object]:
    now = int(world.clock.now())
    return {
        "iss": world.owner.application_id,
        "sub": world.owner.application_id,
        "aud": f"{world.settings.origin}/{world.tenant.id}/oauth2/v2.0/token",
        "exp": now + 1800,
    } | changes


async def test_msal_python_signs_rs256_with_padded_x5t_and_float_times(world: World) -> None:
    now = world.clock.now() + 0.25
    header = {"x5t": thumbprint(world.owner_certificate, "sha1", padded=True)}
    answer = await world.token(**proof(assertion(world, header=header, exp=now + 600.5, iat=now)))
    claims = await world.claims(answer.json["access_token"])
    assert claims["appidacr"] == "2"
    assert claims["oid"] == world.owner.object_id
    assert world.recorder.last.credential_id == claims["cred"]


async def test_azure_identity_async_signs_ps256_with_every_part_padded(world: World) -> None:
    header = {"typ": "JWT", "alg": "PS256", "x5t#S256": thumbprint(world.owner_certificate, "sha256", padded=True)}
    claims = good_claims(world, jti="x", nbf=int(world.clock.now()))
    text = by_hand(world, header, claims, padded=True, pss=True)
    assert "=." in text
    assert await try_assertion(world, text) == 0


async def test_msal_node_signs_ps256_unpadded_half_a_second_ahead(world: World) -> None:
    header = {"x5t": None, "x5t#S256": thumbprint(world.owner_certificate, "sha256")}
    ahead = world.clock.now() + 0.5
    text = assertion(world, algorithm="PS256", header=header, nbf=ahead, iat=ahead, exp=int(ahead) + 600)
    assert await try_assertion(world, text) == 0


async def test_the_same_assertion_may_come_again_for_another_scope(world: World) -> None:
    text = assertion(world)
    assert await try_assertion(world, text) == 0
    answer = await world.token(**proof(text), scope="https://managedhsm.localhost:8443/.default")
    assert answer.status == 200


@pytest.mark.parametrize(
    "path",
    [
        "{origin}/{tenant}/oauth2/v2.0/token",
        "{origin}/{tenant}/oauth2/token",
        "{origin}/{tenant}/oauth2/token/",
        "{origin}/dev.example/oauth2/v2.0/token",
        "{origin}/{tenant}/v2.0",
        "{origin}/{tenant}/",
        "{origin}/{TENANT}/oauth2/v2.0/token",
    ],
)
async def test_each_name_of_the_token_endpoint_is_an_audience(world: World, path: str) -> None:
    names = {"origin": world.settings.origin, "tenant": world.tenant.id, "TENANT": world.tenant.id.upper()}
    assert await try_assertion(world, assertion(world, aud=path.format(**names))) == 0


async def test_the_alias_adfs_has_audiences_of_its_own(world: World) -> None:
    text = assertion(world, aud="https://login.localhost:8443/adfs/oauth2/token")
    answer = await world.post("/adfs/oauth2/token", world.form(**proof(text)))
    assert answer.status == 200
    assert await try_assertion(world, text) == 700023


@pytest.mark.parametrize(
    "aud",
    [
        "https://login.evil.example/{tenant}/oauth2/v2.0/token",
        "https://login.localhost:8443/{other}/oauth2/v2.0/token",
        "https://login.localhost:8443/{tenant}/oauth2/v2.0/token/x",
        "https://vault.localhost:8443",
        "",
        None,
    ],
)
async def test_an_assertion_for_somebody_else_is_refused(world: World, aud: str | None) -> None:
    names = {"tenant": world.tenant.id, "other": world.other_tenant.id}
    assert await try_assertion(world, assertion(world, aud=aud and aud.format(**names))) == 700023


@pytest.mark.parametrize(
    ("times", "code"),
    [
        ({"exp": None}, 700024),
        ({"exp": -301}, 700024),
        ({"exp": -299}, 0),
        ({"exp": 3899}, 0),
        ({"exp": 3901}, 700024),
        ({"exp": 10**30}, 700024),
        ({"nbf": 299}, 0),
        ({"nbf": 301}, 700024),
        ({"iat": 301}, 700024),
    ],
)
async def test_times_have_five_minutes_of_leeway_and_an_hour_of_life(
    world: World, times: dict[str, float | None], code: int
) -> None:
    now = world.clock.now()
    moved = {name: None if offset is None else now + offset for name, offset in times.items()}
    assert await try_assertion(world, assertion(world, **moved)) == code


async def test_an_old_assertion_is_refused_later(world: World, clock: MovedClock) -> None:
    text = assertion(world)
    clock.move(901)
    assert await try_assertion(world, text) == 700024


@pytest.mark.parametrize("claim", ["iss", "sub"])
@pytest.mark.parametrize("value", [None, "", "00000000-0000-0000-0000-000000000000"])
async def test_issuer_and_subject_are_the_client(world: World, claim: str, value: str | None) -> None:
    assert await try_assertion(world, assertion(world, **{claim: value})) == 700021


async def test_a_key_that_comes_in_the_header_is_never_used(world: World, rsa_keys: list[rsa.RSAPrivateKey]) -> None:
    key = rsa_keys[1]
    own = certificate(key, "attacker")
    chain = {"x5c": [base64.b64encode(der(own)).decode()]}
    jwk = {"jwk": json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))}
    claims = good_claims(world)
    for header in (
        chain | {"x5t": thumbprint(own, "sha1")},
        chain | {"x5t": thumbprint(world.owner_certificate, "sha1")},
        jwk | {"x5t": thumbprint(world.owner_certificate, "sha1")},
        {"x5t": thumbprint(world.owner_certificate, "sha1"), "jku": "http://127.0.0.1:1/keys", "kid": "../../x"},
    ):
        text = jwt.encode(claims, key, algorithm="RS256", headers=header)
        assert await try_assertion(world, text) == 700027
    for header in (chain, jwk):
        text = jwt.encode(claims, key, algorithm="RS256", headers=header)
        assert await try_assertion(world, text) == 700211


async def test_a_chain_beside_a_good_thumbprint_does_no_harm(world: World) -> None:
    header = {"x5c": [base64.b64encode(der(world.owner_certificate)).decode()]}
    assert await try_assertion(world, assertion(world, header=header)) == 0


async def test_every_thumbprint_that_is_there_must_name_the_same_certificate(
    world: World, rsa_keys: list[rsa.RSAPrivateKey]
) -> None:
    second = certificate(rsa_keys[1], "second")
    async with world.database.write() as tx:
        await bootstrap.add_certificate(tx, RandomIdentifiers(), world.owner.application_id, der(second))
    both = {"x5t#S256": thumbprint(world.owner_certificate, "sha256")}
    mixed = {"x5t#S256": thumbprint(second, "sha256")}
    assert await try_assertion(world, assertion(world, header=both)) == 0
    assert await try_assertion(world, assertion(world, header=mixed)) == 700027


async def test_a_certificate_of_another_application_proves_nothing(
    world: World, rsa_keys: list[rsa.RSAPrivateKey]
) -> None:
    theirs = certificate(rsa_keys[1], "theirs")
    async with world.database.write() as tx:
        await bootstrap.add_certificate(tx, RandomIdentifiers(), world.stranger.application_id, der(theirs))
    header = {"x5t": thumbprint(theirs, "sha1")}
    text = jwt.encode(good_claims(world), rsa_keys[1], algorithm="RS256", headers=header)
    assert await try_assertion(world, text) == 700027


async def test_an_expired_certificate_proves_nothing(world: World, clock: MovedClock) -> None:
    clock.move(30 * 365 * 86_400)
    assert await try_assertion(world, assertion(world)) == 700027


async def test_algorithms_are_ours_and_not_the_tokens(world: World) -> None:
    x5t = thumbprint(world.owner_certificate, "sha1")
    claims = good_claims(world)
    public = world.owner_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    confused, _, _ = by_hand(world, {"alg": "HS256", "x5t": x5t}, claims).rpartition(".")
    mac = hmac.digest(public, confused.encode(), "sha256")
    refused = [
        jwt.encode(claims, None, algorithm="none", headers={"x5t": x5t}),
        f"{confused}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}",
        jwt.encode(claims, world.owner_key, algorithm="RS512", headers={"x5t": x5t}),
        jwt.encode(claims, world.owner_key, algorithm="PS384", headers={"x5t": x5t}),
        by_hand(world, {"alg": "none", "x5t": x5t}, claims),
        by_hand(world, {"alg": "None", "x5t": x5t}, claims),
        by_hand(world, {"alg": "rs256", "x5t": x5t}, claims),
        by_hand(world, {"alg": ["RS256"], "x5t": x5t}, claims),
        by_hand(world, {"alg": None, "x5t": x5t}, claims),
        by_hand(world, {"x5t": x5t}, claims),
    ]
    for text in refused:
        assert await try_assertion(world, text) == 50027
    assert await try_assertion(world, assertion(world)) == 0
    assert await try_assertion(world, by_hand(world, {"alg": "PS256", "x5t": x5t}, claims)) == 700027
    assert await try_assertion(world, by_hand(world, {"alg": "RS256", "x5t": x5t}, claims, pss=True)) == 700027


async def test_what_is_nearly_a_jwt_is_refused_without_a_server_error(world: World) -> None:
    x5t = thumbprint(world.owner_certificate, "sha1")
    header = {"alg": "RS256", "x5t": x5t}
    good = by_hand(world, header, good_claims(world))
    head, body, signature = good.split(".")
    body_text = json.dumps(good_claims(world)).encode()
    for text in (
        "a",
        "..",
        f"{head}.{body}",
        f"{good}.x.y",
        f"{head}.{body}.",
        f" {good}",
        f"{head}.{body}.{signature[:-2]}!!",
        f"{head}.={body}.{signature}",
        f"{head}.{body}\u00e9.{signature}",
        f"{head}.{body}.{'A' * 20_000}",
        by_hand(world, header | {"crit": ["x"]}, good_claims(world)),
        by_hand(world, header | {"b64": False}, good_claims(world)),
        by_hand(world, [1], good_claims(world)),
        by_hand(world, header, b"[]"),
        by_hand(world, header, b"\xff"),
        by_hand(world, header, b"[" * 5000),
        by_hand(world, header, body_text[:-1] + b', "exp": 1}'),
        by_hand(world, header, body_text[:-1] + b', "nbf": NaN}'),
        by_hand(world, header, body_text[:-1] + b', "nbf": 1e999}'),
        by_hand(world, header, body_text[:-1] + b', "nbf": ' + b"9" * 5000 + b"}"),
        by_hand(world, header, good_claims(world, nbf=True)),
        by_hand(world, header, good_claims(world, exp="1750000600")),
        by_hand(world, header, good_claims(world, aud=[good_claims(world)["aud"]])),
        by_hand(world, header, good_claims(world, sub={"a": 1})),
        by_hand(world, header | {"x5t": 1}, good_claims(world)),
    ):
        answer = await world.token(**proof(text))
        assert (answer.status, answer.code) == (401, 50027), text[:40]
        assert await try_assertion(world, good) == 0
    bad_signature = f"{head}.{body}.{'A' * len(signature)}"
    assert await try_assertion(world, bad_signature) == 700027


async def test_wrong_assertions_do_not_lock_out_the_owner(world: World, rsa_keys: list[rsa.RSAPrivateKey]) -> None:
    header = {"x5t": thumbprint(world.owner_certificate, "sha1")}
    wrong = jwt.encode(good_claims(world), rsa_keys[1], algorithm="RS256", headers=header)
    codes = [await try_assertion(world, wrong) for _ in range(12)]
    assert codes[0] == 700027
    assert codes[-1] == 90055
    assert await try_assertion(world, assertion(world)) == 0


async def test_another_assertion_type_is_refused(world: World) -> None:
    saml = "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"
    form = proof(assertion(world)) | {"client_assertion_type": saml}
    answer = await world.token(**form)
    assert answer.code == 9002313
    answer = await world.token(**(form | {"client_assertion_type": ""}))
    assert answer.code == 900144


async def test_only_certificates_with_rsa_keys_can_be_registered(world: World) -> None:
    small = certificate(rsa.generate_private_key(65537, 1024))  # noqa: S505 - too small on purpose
    for octets in (b"", b"junk", der(small), der(world.owner_certificate)[:-1]):
        async with world.database.write() as tx:
            with pytest.raises(BadRequest):
                await bootstrap.add_certificate(tx, RandomIdentifiers(), world.owner.application_id, octets)
