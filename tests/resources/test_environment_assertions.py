"""What counts as the word of an attestation authority, and what does not: one refusal for all of it."""

import asyncio
import json
import socket
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from hsmvault.errors import Forbidden
from hsmvault.resources.environment_assertions import LONGEST_BYTES
from tests.pipeline.world import b64, ec_key, part, rsa_key
from tests.resources.attesting import ISSUER, Attesting, environment, integer, jwk

HEADER = {"alg": "RS256"}


def parts(header: Any, claims: Any) -> str:
    return f"{part(header)}.{part(claims)}.AAAA"


@pytest.fixture
def attesting() -> Attesting:
    return Attesting()


async def refusal(attesting: Attesting, token: str) -> str:
    """The reason in the operator's log."""
    with pytest.raises(Forbidden) as caught:
        await attesting.assertions.verify(token)
    assert caught.value.message == "Target environment attestation statement cannot be verified."
    assert caught.value.inner == "AccessDenied"
    assert caught.value.detail
    return caught.value.detail


async def test_a_genuine_assertion_gives_its_claims_and_the_key_of_the_environment(attesting: Attesting) -> None:
    assertion = await attesting.assertions.verify(attesting.token())
    assert assertion.authority == ISSUER
    assert assertion.claims["sdk-test"] is True
    assert assertion.key.id == "enclave"
    assert assertion.key.public.members().n == environment().public_key().public_numbers().n.to_bytes(256, "big")
    assert "sdk-test" not in repr(assertion)


async def test_a_slash_at_the_end_of_the_issuer_makes_no_difference(attesting: Attesting) -> None:
    assert (await attesting.assertions.verify(attesting.token(iss=ISSUER + "/"))).authority == ISSUER


@pytest.mark.parametrize("iss", ["https://attest.example.evil", ISSUER.upper(), ISSUER + "//", "", 5, None, [ISSUER]])
async def test_an_authority_that_is_not_configured_is_nobody(attesting: Attesting, iss: Any) -> None:
    assert "issuer" in await refusal(attesting, attesting.token(iss=iss))
    assert attesting.keys.asked == []


@pytest.mark.parametrize("alg", ["none", "None", "HS256", "RS512", "PS256", "ES256", "", None, 5, ["RS256"]])
async def test_the_algorithm_is_the_authoritys_not_the_tokens(attesting: Attesting, alg: Any) -> None:
    header = {"typ": "JWT", "alg": alg, "kid": "k1"}
    assert "algorithm" in await refusal(attesting, attesting.token(header=header))


@pytest.mark.parametrize("extra", [{"crit": ["exp"]}, {"b64": False}])
async def test_extensions_of_the_header_are_refused(attesting: Attesting, extra: dict[str, Any]) -> None:
    await refusal(attesting, attesting.token(header={"alg": "RS256", "kid": "k1"} | extra))


async def test_an_algorithm_needs_a_key_of_its_kind() -> None:
    elliptic = Attesting(key=ec_key(), algorithms=("ES256", "ES384", "RS256", "PS256"))
    await elliptic.assertions.verify(elliptic.token(algorithm="ES256"))
    assert "fit" in await refusal(elliptic, elliptic.token(key=ec_key(ec.SECP384R1), algorithm="ES384"))
    assert "fit" in await refusal(elliptic, elliptic.token(key=rsa_key(), algorithm="RS256"))
    pss = Attesting(algorithms=("PS256",))
    await pss.assertions.verify(pss.token(algorithm="PS256"))


async def test_a_signature_of_another_key_is_wrong(attesting: Attesting) -> None:
    assert "signature" in await refusal(attesting, attesting.token(key=rsa_key(2)))
    token = attesting.token()
    assert "signature" in await refusal(attesting, token[:-8] + "AAAAAAAA")
    head, claims, signature = token.split(".")
    changed = b64(json.dumps(attesting.claims(other=1)).encode())
    assert "signature" in await refusal(attesting, f"{head}.{changed}.{signature}")
    assert claims != changed


async def test_nothing_that_the_header_says_about_keys_is_followed(
    attesting: Attesting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_connection(*_: object) -> None:
        raise AssertionError("a connection was made")

    monkeypatch.setattr(socket.socket, "connect", no_connection)
    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", no_connection)
    strange = jwk(rsa_key(2).public_key(), use="sig", kid="k1")
    for extra in (
        {"jku": "https://127.0.0.1:1/keys"},
        {"x5u": "https://127.0.0.1:1/c"},
        {"jwk": strange},
        {"x5c": ["AA"]},
    ):
        header = {"alg": "RS256", "kid": "k1"} | extra
        await attesting.assertions.verify(attesting.token(header=header))
        await refusal(attesting, attesting.token(header=header, key=rsa_key(2)))


@pytest.mark.parametrize("kid", [None, 5, "k2", "../keys", "x" * 20_000])
async def test_a_key_id_is_only_looked_up(attesting: Attesting, kid: Any) -> None:
    assert "signing key" in await refusal(attesting, attesting.token(header={"alg": "RS256", "kid": kid}))


@pytest.mark.parametrize(
    ("changes", "is_good"),
    [
        ({"exp": -30}, True),
        ({"exp": -60}, False),
        ({"exp": None}, False),
        ({"exp": "3600"}, False),
        ({"exp": True}, False),
        ({"nbf": 30}, True),
        ({"nbf": 61}, False),
        ({"nbf": None}, True),
        ({"nbf": "0"}, False),
        ({"exp": 10**400}, True),
    ],
)
async def test_times_count_with_a_minute_of_leeway(
    attesting: Attesting, changes: dict[str, Any], is_good: bool
) -> None:
    now = int(attesting.clock.now())
    claims = {
        name: now + value if isinstance(value, int) and not isinstance(value, bool) else value
        for name, value in changes.items()
    }
    token = attesting.token(**claims)
    if is_good:
        await attesting.assertions.verify(token)
    else:
        await refusal(attesting, token)


async def test_an_assertion_ends_while_somebody_waits(attesting: Attesting) -> None:
    token = attesting.token()
    attesting.clock.move(3600)
    await attesting.assertions.verify(token)
    attesting.clock.move(60)
    assert "expired" in await refusal(attesting, token)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "a.b.c.d.e",
        " a.b.c",
        "a.b.c\n",
        "é.b.c",
        parts(HEADER, []),
        parts(b"{", {}),
        parts(HEADER, b'{"iss":"a","iss":"b"}'),
        parts(HEADER, b'{"iss":NaN}'),
        parts(HEADER, b"[" * 20_000),
        parts(HEADER, b'{"exp":' + b"9" * 20_000 + b"}"),
        "A" * LONGEST_BYTES + ".AA.AA",
    ],
    ids=lambda token: token[:20] + str(len(token)),
)
async def test_what_is_not_a_token_is_refused(attesting: Attesting, token: str) -> None:
    await refusal(attesting, token)


async def test_the_first_key_for_encryption_is_chosen(attesting: Attesting) -> None:
    wanted, other = environment(3).public_key(), environment(4).public_key()
    signing = jwk(other, use="sig", kid="signs")
    ops = [
        ([signing, jwk(wanted, use=None, key_ops=["encrypt"])], True),
        ([jwk(other, use=None), jwk(wanted, use=None, key_ops=["verify", "wrapKey"]), jwk(other)], True),
        ([{"kty": "EC", "use": "enc"}, "strange", None, jwk(wanted, kid=5)], True),
        ([jwk(other), jwk(wanted)], False),
        ([jwk(other, use=None, key_ops=["encrypt", []]), jwk(wanted)], False),
    ]
    for keys, is_wanted in ops:
        assertion = await attesting.assertions.verify(attesting.token(**{"x-ms-runtime": {"keys": keys}}))
        chosen = assertion.key.public.spki == (await first(attesting, wanted))
        assert chosen is is_wanted


async def first(attesting: Attesting, key: rsa.RSAPublicKey) -> bytes:
    return (
        await attesting.assertions.verify(attesting.token(**{"x-ms-runtime": {"keys": [jwk(key)]}}))
    ).key.public.spki


@pytest.mark.parametrize(
    "runtime",
    [
        None,
        {},
        [],
        {"keys": None},
        {"keys": []},
        {"keys": {"0": "x"}},
        {"keys": [jwk(environment().public_key())] * 65},
        {"keys": [jwk(environment().public_key(), use="sig")]},
        {"keys": [jwk(environment().public_key(), kty="rsa")]},
        {"keys": [jwk(environment().public_key(), e=integer(1))]},
        {"keys": [jwk(environment().public_key(), e=integer(2))]},
        {"keys": [jwk(environment().public_key(), e=integer(2**33 + 1))]},
        {"keys": [jwk(environment().public_key(), n=integer(2**2047))]},
        {"keys": [jwk(environment().public_key(), n=integer(2**1023 + 1))]},
        {"keys": [jwk(environment().public_key(), n=integer(2**4100 + 1))]},
        {"keys": [jwk(environment().public_key(), n=integer(2**2049 + 1))]},
        {"keys": [jwk(environment().public_key(), n="*")]},
        {"keys": [jwk(environment().public_key(), n="A" * 2000)]},
        {"keys": [jwk(environment().public_key(), n=5)]},
    ],
    ids=lambda runtime: repr(runtime)[:50],
)
async def test_without_a_usable_key_nothing_can_be_wrapped(attesting: Attesting, runtime: Any) -> None:
    assert "x-ms-runtime" in await refusal(attesting, attesting.token(**{"x-ms-runtime": runtime}))
