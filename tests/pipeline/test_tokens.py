"""What a bearer token has to be: every way in which it can be wrong is a 401, and none is an accident."""

import hmac
import json
import socket
from dataclasses import replace
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from hsmvault.errors import Unauthorized
from hsmvault.pipeline.issuers import VerificationKey
from tests.pipeline.world import (
    APPLICATION_ID,
    GRAPH,
    ISS,
    LOGIN,
    MANAGEMENT,
    OBJECT_ID,
    OTHER_TENANT,
    POOL_RESOURCE,
    RESOURCE,
    TENANT,
    VAULT,
    World,
    b64,
    ec_key,
    part,
    rsa_key,
    signature,
)

SOMEBODY = "44444444-0000-0000-0000-000000000099"


async def refusal(world: World, token: str, **changes: object) -> str:
    """The text of the 401; anything else that is raised fails the test."""
    with pytest.raises(Unauthorized) as caught:
        await world.identify(token, **changes)
    assert caught.value.code == "Unauthorized"
    return caught.value.message


async def test_a_good_token_names_its_caller(world: World) -> None:
    caller = await world.identify(world.token())
    assert (caller.tenant_id, caller.object_id, caller.application_id) == (TENANT, OBJECT_ID, APPLICATION_ID)
    assert (caller.issuer, caller.token_id, caller.delegated) == (ISS, "token-1", False)


@pytest.mark.parametrize("iss", [f"{LOGIN}/{TENANT}/", f"{LOGIN}/{TENANT}/v2.0"])
async def test_both_versions_of_a_tenants_issuer_are_its_own(world: World, iss: str) -> None:
    claims = world.claims(iss=iss, appid=None, azp=APPLICATION_ID)
    assert (await world.identify(world.token(claims))).application_id == APPLICATION_ID


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_is_read_in_any_case(world: World, scheme: str) -> None:
    assert (await world.identify(world.token(), scheme=scheme)).object_id == OBJECT_ID


# algorithms and keys


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", None, 1, True, ["RS256"], {"a": 1}])
async def test_only_an_algorithm_of_our_list_is_accepted(world: World, algorithm: object) -> None:
    for signed in (b"", None):
        token = world.token(header=world.header() | {"alg": algorithm}, signed=signed)
        assert (await refusal(world, token)).startswith(("AKV10043", "AKV10042"))


async def test_a_token_without_alg_is_refused(world: World) -> None:
    assert (await refusal(world, world.token(header=world.header(alg=None)))).startswith("AKV10043")


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512", "hs256"])
@pytest.mark.parametrize(
    "coding", [(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), (Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
               (Encoding.PEM, PublicFormat.PKCS1), (Encoding.DER, PublicFormat.PKCS1)]
)  # fmt: skip
async def test_our_public_key_is_no_hmac_secret(
    world: World, algorithm: str, coding: tuple[Encoding, PublicFormat]
) -> None:
    secret = rsa_key().public_key().public_bytes(*coding)
    text = part(world.header(alg=algorithm)) + "." + part(world.claims())
    token = f"{text}.{b64(hmac.digest(secret, text.encode(), sha256))}"
    assert (await refusal(world, token)).startswith("AKV10043")


@pytest.mark.parametrize("algorithm", ["PS256", "RS384", "RS512", "PS512"])
async def test_the_right_key_with_an_algorithm_that_the_issuer_does_not_use_is_refused(
    world: World, algorithm: str
) -> None:
    assert (await refusal(world, world.token(algorithm=algorithm))).startswith("AKV10043")


async def test_an_es256_signature_of_zeros_is_refused(world: World) -> None:
    world.issuers.add(replace(world.embedded(TENANT), algorithms=frozenset({"ES256"})))
    world.keys.keys["k1"] = ec_key().public_key()
    good = world.token(header=world.header(alg="ES256"), key=ec_key(), algorithm="ES256")
    assert (await world.identify(good)).object_id == OBJECT_ID
    for signed in (bytes(64), bytes(32) + b"\x01" * 32, b"\x01" * 32 + bytes(32), b"", b"\xff" * 64, bytes(63)):
        token = world.token(world.claims(uti=signed.hex()), header=world.header(alg="ES256"), signed=signed)
        assert (await refusal(world, token)).startswith(("AKV10044", "AKV10042"))


async def test_the_type_and_the_curve_of_the_key_must_be_those_of_the_algorithm(world: World) -> None:
    world.issuers.add(replace(world.embedded(TENANT), algorithms=frozenset({"ES256", "RS256"})))
    as_es256 = world.token(header=world.header(alg="ES256"))
    assert (await refusal(world, as_es256)).startswith("AKV10043")
    world.keys.keys["k1"] = ec_key(ec.SECP384R1).public_key()
    text = part(world.header(alg="ES256")) + "." + part(world.claims())
    wrong_curve = f"{text}.{b64(signature(ec_key(ec.SECP384R1), 'ES256', text.encode()))}"
    assert (await refusal(world, wrong_curve)).startswith("AKV10043")
    assert (await refusal(world, world.token())).startswith("AKV10043")


async def test_a_signature_by_another_key_or_of_other_claims_is_refused(world: World) -> None:
    assert (await refusal(world, world.token(key=rsa_key(2)))).startswith("AKV10044")
    head, _, tail = world.token().split(".")
    changed = f"{head}.{part(world.claims(oid=SOMEBODY))}.{tail}"
    assert (await refusal(world, changed)).startswith("AKV10044")


async def test_keys_in_the_header_are_ignored_and_nothing_is_fetched(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pytest.fail("a name was resolved"))
    numbers = rsa_key(2).public_key().public_numbers()
    jwk = {"kty": "RSA", "kid": "k1", "e": "AQAB", "n": b64(numbers.n.to_bytes(256, "big"))}
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/keys"
        for more in ({"jwk": jwk}, {"x5c": ["MII"]}, {"jku": url}, {"x5u": url}, {"kid": url}, {"iss": url}):
            message = await refusal(world, world.token(header=world.header() | more, key=rsa_key(2)))
            assert message.startswith(("AKV10044", "AKV10046"))
        assert (await refusal(world, world.token(world.claims(iss=url)))).startswith("AKV10032")
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert await world.identify(world.token(header=world.header(jwk=jwk, x5c=["MII"], jku=url)))


@pytest.mark.parametrize(
    "kid",
    [
        "../../../etc/passwd",
        "/dev/null",
        "k1' OR '1'='1",
        "k1\r\nX: y",
        "",
        None,
        1,
        ["k1"],
        {"kid": "k1"},
        "K1",
        "k1 ",
    ],
)
async def test_a_key_id_is_an_exact_string_of_the_key_set(world: World, kid: object) -> None:
    message = await refusal(world, world.token(header=world.header() | {"kid": kid}))
    assert message.startswith("AKV10046: Unable to resolve the key used for signature validation.")


async def test_a_key_id_of_20_kb_is_refused_before_anybody_looks_for_it(world: World) -> None:
    assert (await refusal(world, world.token(header=world.header(kid="k" * 20_000)))).startswith("AKV10042")
    assert (await refusal(world, world.token(header=world.header(kid="k" * 300)))).startswith("AKV10046")
    assert world.keys.asked == []


async def test_the_refusal_of_an_unknown_key_shows_the_header_alone(world: World) -> None:
    token = world.token(header=world.header(kid="unknown"))
    head, claims, signed = token.split(".")
    assert await refusal(world, token) == (
        f"AKV10046: Unable to resolve the key used for signature validation. EncodedJwtHeader: '{head}'."
    )
    assert claims not in head and signed not in head


# form


@pytest.mark.parametrize("more", [{"crit": ["exp"]}, {"crit": []}, {"b64": False}, {"b64": True}, {"crit": None}])
async def test_critical_extensions_and_unencoded_payloads_are_refused(world: World, more: dict[str, object]) -> None:
    assert (await refusal(world, world.token(header=world.header() | more))).startswith("AKV10043")


@pytest.mark.parametrize(
    "header",
    [
        b'{"alg":"none","alg":"RS256","kid":"k1"}',
        b'{"alg":"RS256","kid":"k1","x":NaN}',
        b'{"alg":"RS256","kid":"k1","x":1e999}',
        b'{"alg":"RS256","kid":"k1","x":"\\ud800"}',
        b'{"alg":"RS256","kid":"k1","x":"\xff"}',
        b'\xef\xbb\xbf{"alg":"RS256","kid":"k1"}',
        b'{"alg":"RS256","kid":"k1"} {}',
        b'["RS256"]',
        b'"RS256"',
        b"{}x",
        b"null",
        b'{"alg":"RS256","kid":"k1","x":' + b"[" * 2_000 + b"]" * 2_000 + b"}",
        b'{"alg":"RS256","kid":"k1","x":' + b"9" * 5_000 + b"}",
    ],
)
async def test_a_header_with_a_second_meaning_is_refused(world: World, header: bytes) -> None:
    assert (await refusal(world, world.token(header=header))).startswith("AKV10042")


async def test_claims_with_a_second_meaning_are_refused(world: World) -> None:
    good = json.dumps(world.claims()).encode()
    for more in (
        b'"oid":"' + SOMEBODY.encode() + b'"',
        b'"x":NaN',
        b'"x":-Infinity',
        b'"x":1e999',
        b'"x":' + b"[" * 2_400 + b"]" * 2_400,
        b'"x":' + b"9" * 4_500,
        b'"x":"\\u0000"',
    ):
        assert (await refusal(world, world.token(good[:-1] + b"," + more + b"}"))).startswith("AKV10042")


async def test_a_token_of_more_than_8_kb_is_refused_before_it_is_read(world: World) -> None:
    digits = json.dumps(world.claims()).encode()[:-1] + b',"x":' + b"9" * 100_000 + b"}"
    deep = json.dumps(world.claims()).encode()[:-1] + b',"x":' + b"[" * 100_000 + b"}"
    for claims in (digits, deep, json.dumps(world.claims(x="x" * 8_192)).encode()):
        assert (await refusal(world, world.token(claims))).startswith("AKV10042")


async def test_padding_blanks_and_other_characters_in_the_parts_are_refused(world: World) -> None:
    head, claims, signed = world.token().split(".")
    for token in (
        f"{head}=.{claims}.{signed}",
        f"{head}.{claims}==.{signed}",
        f"{head}.{claims}.{signed}=",
        f" {head}.{claims}.{signed}",
        f"{head}.{claims}.{signed} ",
        f"{head}.\t{claims}.{signed}",
        f"{head}.{claims}.{signed}\n",
        f"{head}.{claims}+.{signed}",
        f"{head}.{claims}/.{signed}",
        f"{head}.{claims}%2e.{signed}",
        f"{head}.{claims}",
        f"{head}.{claims}.",
        f".{claims}.{signed}",
        f"{head}..{signed}",
        f"{head}.{claims}.{signed}.",
        f"{head}.{claims}.{signed}.{signed}.{signed}",
        "...",
        head,
        f'"{head}.{claims}.{signed}"',
        f"{head}.{claims}.{signed},Bearer {head}.{claims}.{signed}",
    ):
        assert (await refusal(world, token)).startswith("AKV10042"), token


@pytest.mark.parametrize(
    "header", ["Basic QWxhZGRpbjo=", "Bearer", "Bearer ", "PoP x", "x", "Bearer\u00e9", "Bearer \udcff.a.b"]
)
async def test_what_is_no_bearer_token_counts_as_none(world: World, header: str) -> None:
    scheme, _, token = header.partition(" ")
    message = await refusal(world, token, scheme=scheme)
    assert message == "AKV10000: Request is missing a Bearer or PoP token."


@given(text=st.text(max_size=200))
async def test_no_text_is_an_accident(text: str) -> None:
    await refusal(World(), text)


@given(header=st.binary(max_size=60), claims=st.binary(max_size=60), signed=st.binary(max_size=60))
async def test_no_content_of_the_parts_is_an_accident(header: bytes, claims: bytes, signed: bytes) -> None:
    world = World()
    await refusal(world, world.token(claims, header=header, signed=signed))


# times


@pytest.mark.parametrize("exp", [None, "9999999999", [9_999_999_999], True, {"a": 1}, "", 10**400])
async def test_a_missing_or_strange_exp_is_refused(world: World, exp: object) -> None:
    claims = world.claims(exp=exp)
    assert (await refusal(world, world.token(claims))).startswith("AKV10049: The token's claim 'exp'")


@pytest.mark.parametrize("nbf", ["0", [0], False, {}, 10**400])
async def test_a_strange_nbf_is_refused(world: World, nbf: object) -> None:
    assert (await refusal(world, world.token(world.claims(nbf=nbf)))).startswith("AKV10049")


async def test_times_have_the_same_leeway_of_a_minute(world: World) -> None:
    now = world.clock.now()
    assert await world.identify(world.token(world.claims(exp=now - 59)))
    assert (await refusal(world, world.token(world.claims(exp=now - 60)))).startswith("AKV10040")
    assert await world.identify(world.token(world.claims(nbf=now + 60)))
    assert (await refusal(world, world.token(world.claims(nbf=now + 61)))) == "AKV10041: Token not yet valid."
    assert (await refusal(world, world.token(world.claims(nbf=None, iat=now + 61)))).startswith("AKV10041")


async def test_a_remembered_token_expires_at_its_time(world: World) -> None:
    token = world.token()
    assert await world.identify(token)
    assert await world.identify(token)
    assert (world.authentication.hits, world.authentication.misses) == (1, 1)
    world.clock.move(3600 + 60)
    assert (await refusal(world, token)).startswith("AKV10040")
    world.clock.jump(-7200)
    assert (await refusal(world, token)).startswith("AKV10041")


# audience, issuer, tenant


@pytest.mark.parametrize(
    "audience",
    [
        POOL_RESOURCE,
        MANAGEMENT,
        GRAPH,
        "https://vault.azure.net",
        RESOURCE + ".evil.example",
        RESOURCE[:-1],
        RESOURCE + "/x",
        RESOURCE + "//",
        RESOURCE.upper(),
        "https://vault.localhost",
        "",
        None,
        [RESOURCE],
        [RESOURCE, MANAGEMENT],
        {RESOURCE: 1},
        1,
    ],
)
async def test_the_audience_is_one_exact_string(world: World, audience: object) -> None:
    message = await refusal(world, world.token(world.claims(aud=audience)))
    assert message.startswith(f"AKV10022: Invalid audience. Expected {RESOURCE}, found: ")


async def test_a_token_is_good_on_its_own_plane_only_also_when_it_is_remembered(world: World) -> None:
    token = world.token()
    assert await world.identify(token)
    for plane in (POOL_RESOURCE, MANAGEMENT, GRAPH):
        assert (await refusal(world, token, resource=plane)).startswith("AKV10022")


@pytest.mark.parametrize(
    "iss",
    [
        f"{LOGIN}/{OTHER_TENANT}/",
        ISS + ".evil/",
        ISS[:-1],
        ISS.upper(),
        f"https://sts.windows.net/{TENANT}/",
        f"{LOGIN}/{TENANT}/v2.0/",
        "",
        None,
        [ISS],
        {"a": ISS},
    ],
)
async def test_the_issuer_is_exactly_that_of_the_containers_tenant(world: World, iss: object) -> None:
    message = await refusal(world, world.token(world.claims(iss=iss)))
    assert message.startswith(f"AKV10032: Invalid issuer. Expected one of {ISS}, {ISS}v2.0, found ")
    assert OTHER_TENANT not in message.partition(", found ")[0]


async def test_a_token_that_another_tenant_proved_is_not_good_here(world: World) -> None:
    theirs = replace(VAULT, id="other", tenant_id=OTHER_TENANT)
    token = world.token()
    assert await world.identify(token)
    assert (await refusal(world, token, container=theirs)).startswith(
        f"AKV10032: Invalid issuer. Expected one of {LOGIN}"
    )


@pytest.mark.parametrize("tid", [OTHER_TENANT, None, "", "x", [TENANT], 1])
async def test_the_tenant_must_be_that_of_the_issuer(world: World, tid: object) -> None:
    assert (await refusal(world, world.token(world.claims(tid=tid)))).startswith(("AKV10033", "AKV10050"))


async def test_keys_issuer_and_tenant_are_looked_up_together(world: World) -> None:
    """An issuer of another tenant signs with its own good key for this one."""
    theirs = World()
    theirs.keys.keys = {"k1": rsa_key(2).public_key()}
    world.issuers.add(replace(theirs.embedded(OTHER_TENANT), keys=theirs.keys))
    assert (await refusal(world, world.token(key=rsa_key(2)))).startswith("AKV10044")


# kinds of tokens, and who they are about


@pytest.mark.parametrize("more", [{"nonce": "n"}, {"typ": "refresh"}, {"typ": "ID"}, {"idtyp": "user"}])
async def test_other_kinds_of_tokens_are_refused(world: World, more: dict[str, object]) -> None:
    assert (await refusal(world, world.token(world.claims(**more)))).startswith(("AKV10045", "AKV10047"))


async def test_a_strange_typ_claim_is_no_accident(world: World) -> None:
    assert await world.identify(world.token(world.claims(typ=["refresh"])))


async def test_a_client_assertion_is_no_access_token(world: World) -> None:
    claims = {"iss": APPLICATION_ID, "sub": APPLICATION_ID, "aud": f"{LOGIN}/{TENANT}/oauth2/v2.0/token", "jti": "1"}
    assert (await refusal(world, world.token(claims | {"exp": world.clock.now() + 600}))).startswith("AKV10032")


async def test_boasts_have_no_effect(world: World) -> None:
    plain = await world.identify(world.token())
    boasting = await world.identify(
        world.token(
            world.claims(
                sub=SOMEBODY,
                roles=["Key Vault Administrator"],
                wids=["62e90394-69f5-4237-9190-012177145e10"],
                groups=[SOMEBODY],
                scp=None,
                upn="admin@contoso.example",
                acr="2",
            )
        )
    )
    assert boasting.principal_ids == plain.principal_ids == {OBJECT_ID}


@pytest.mark.parametrize("oid", [None, "", "x", 1, [OBJECT_ID], APPLICATION_ID])
async def test_the_subject_is_the_oid_and_nothing_else(world: World, oid: object) -> None:
    """The application id as oid is a GUID that nobody in the directory has."""
    message = await refusal(world, world.token(world.claims(oid=oid)))
    assert message.startswith(("AKV10050", "AKV10048"))


async def test_a_disabled_principal_is_out_at_once_with_a_remembered_token(world: World) -> None:
    token = world.token()
    assert await world.identify(token)
    world.directory.put(OBJECT_ID, enabled=False)
    assert (await refusal(world, token)).startswith("AKV10048")
    world.directory.put(OBJECT_ID)
    assert await world.identify(token)
    world.directory.states.clear()
    assert (await refusal(world, token)).startswith("AKV10048")


async def test_a_removed_credential_ends_its_tokens_at_once(world: World) -> None:
    token, of_another = world.token(), world.token(world.claims(cred="88888888-0000-0000-0000-000000000002"))
    assert await world.identify(token)
    assert (await refusal(world, of_another)).startswith("AKV10048")
    state = world.directory.states[(TENANT, OBJECT_ID)]
    world.directory.states[(TENANT, OBJECT_ID)] = replace(state, credentials=frozenset())
    assert (await refusal(world, token)).startswith("AKV10048")


async def test_groups_are_those_of_the_directory_now(world: World) -> None:
    token = world.token(world.claims(groups=["from-token"]))
    assert (await world.identify(token)).groups == frozenset()
    world.directory.put(OBJECT_ID, groups={"inner", "outer"})
    assert (await world.identify(token)).groups == {"inner", "outer"}


async def test_forgetting_proves_every_token_anew(world: World) -> None:
    token = world.token()
    assert await world.identify(token)
    world.keys.keys.clear()
    assert await world.identify(token)
    world.authentication.forget()
    assert (await refusal(world, token)).startswith("AKV10046")


async def test_what_a_refusal_shows_of_a_claim_is_short_and_printable(world: World) -> None:
    message = await refusal(world, world.token(world.claims(aud="x\r\n\x1b[31m" + "y" * 1000)))
    assert message.isprintable() and len(message) < 400


async def test_what_was_proved_while_the_keys_changed_is_used_once_and_not_kept(world: World) -> None:
    token, find = world.token(), world.keys.find
    asked: list[str] = []

    async def changing(kid: str) -> VerificationKey | None:
        asked.append(kid)
        key = await find(kid)
        if len(asked) == 1:
            world.authentication.forget()  # the news comes while the old key is in hand
            world.keys.keys.clear()
        return key

    world.keys.find = changing  # type: ignore[method-assign]  # only here
    assert await world.identify(token)
    assert (await refusal(world, token)).startswith("AKV10046")
    assert asked == ["k1", "k1"]
