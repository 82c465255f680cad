"""Password, on-behalf-of and federated tokens at the token endpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from hsmvault.clock import MovedClock, RandomIdentifiers
from hsmvault.login import bootstrap
from hsmvault.login.federation import FederatedIssuer
from hsmvault.model.directory import AZURE_CLI, FederatedCredential, RedirectKind
from hsmvault.model.principals import Principal
from hsmvault.store import directory, federated_credentials
from tests.login.people import PASSWORD, REDIRECT, add_redirects, add_user, code_of, redeem, refresh
from tests.login.world import Answer, World, proof, thumbprint

ON_BEHALF_OF = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ISSUER = "https://cluster.example"
SUBJECT = "system:serviceaccount:payments:signer"
AUDIENCE = "api://AzureADTokenExchange"


async def by_password(world: World, path: str = "", **changes: str) -> Answer:
    form = {
        "grant_type": "password",
        "client_id": AZURE_CLI,
        "username": "ada@dev.example",
        "password": PASSWORD,
        "scope": f"{world.vault}/.default offline_access openid profile",
        "client_info": "1",
        **changes,
    }
    return await world.post(path or world.token_path(), {name: value for name, value in form.items() if value})


@pytest.fixture
def passwords_allowed(world: World) -> None:
    grants = world.application._token_endpoint._grants["password"].__self__  # type: ignore[attr-defined]  # a method
    grants._settings = replace(world.settings, password_grant=True)


async def test_passwords_are_not_taken_unless_the_operator_allows_it(world: World, ada: Principal) -> None:
    answer = await by_password(world)
    assert (answer.status, answer.json["error"], answer.code) == (400, "unsupported_grant_type", 70003)


@pytest.mark.usefixtures("passwords_allowed")
async def test_a_password_gets_the_tokens_of_a_person(world: World, ada: Principal) -> None:
    answer = await by_password(world)
    assert answer.status == 200, answer.text
    claims = await world.claims(answer.json["access_token"])
    assert (claims["oid"], claims["scp"], claims["ipaddr"]) == (ada.object_id, "user_impersonation", "127.0.0.1")
    assert (await refresh(world, answer.json["refresh_token"])).status == 200
    assert (await by_password(world, "/organizations/oauth2/v2.0/token")).status == 200
    assert (await by_password(world, "/adfs/oauth2/token")).status == 200
    assert PASSWORD not in repr(world.recorder.attempts)


REFUSED: list[tuple[dict[str, str], int]] = [
    ({"password": "wrong password"}, 50126),
    ({"password": "x" * 5000}, 50126),
    ({"username": "nobody@dev.example"}, 50126),
    ({"username": "\0"}, 50126),
    ({"username": "eve@dev.example"}, 50055),
    ({"username": "off@dev.example"}, 50057),
    ({"username": ""}, 900144),
    ({"scope": "https://vault.localhost:8443"}, 70011),
    ({"client_id": "11111111-1111-1111-1111-111111111111"}, 700016),
]


@pytest.mark.usefixtures("passwords_allowed")
async def test_a_refused_password_has_the_code_of_entra(world: World, ada: Principal) -> None:
    await add_user(world, "eve@dev.example", must_change=True)
    off = await add_user(world, "off@dev.example")
    async with world.database.write() as tx:
        await directory.set_enabled(tx, off.tenant_id, off.object_id, False)
    for changes, code in REFUSED:
        answer = await by_password(world, **changes)
        assert (answer.status, answer.code) == (400, code), changes


@pytest.mark.usefixtures("passwords_allowed")
async def test_guessing_passwords_locks_the_address_for_a_while(
    world: World, ada: Principal, clock: MovedClock
) -> None:
    for _ in range(10):
        assert (await by_password(world, password="wrong password")).code == 50126
    locked = await by_password(world)
    assert (locked.status, locked.code) == (400, 50053)
    assert int(locked.headers["Retry-After"]) >= 1
    clock.move(61)
    assert (await by_password(world)).status == 200


async def user_token(world: World, ada: Principal, resource: str) -> Answer:
    """For an application of the tenant, as the front end of a service gets it."""
    return await redeem(world, await code_of(world, scope=f"{resource}/.default openid offline_access"))


async def on_behalf(world: World, assertion: object, **changes: str) -> Answer:
    form: dict[str, Any] = {
        "grant_type": ON_BEHALF_OF,
        "requested_token_use": "on_behalf_of",
        "client_id": world.owner.application_id,
        "client_secret": world.secret,
        "assertion": assertion,
        "scope": f"{world.vault}/.default openid profile offline_access",
        **changes,
    }
    return await world.post(world.token_path(), {name: value for name, value in form.items() if value})


@pytest.mark.parametrize("prefix", ["api://", ""])
async def test_an_application_calls_on_as_the_person_who_called_it(world: World, ada: Principal, prefix: str) -> None:
    front = await user_token(world, ada, f"{prefix}{world.owner.application_id}")
    assert (await world.claims(front.json["access_token"]))["aud"] == f"{prefix}{world.owner.application_id}"
    answer = await on_behalf(world, front.json["access_token"])
    assert answer.status == 200, answer.text
    claims = await world.claims(answer.json["access_token"])
    assert (claims["oid"], claims["appid"], claims["appidacr"]) == (ada.object_id, world.owner.application_id, "1")
    assert (claims["aud"], claims["scp"]) == (world.vault, "user_impersonation")
    mine = {"client_id": world.owner.application_id}
    assert (await refresh(world, answer.json["refresh_token"], **mine)).code == 7000218
    assert (await refresh(world, answer.json["refresh_token"], **mine, client_secret=world.secret)).status == 200


async def test_only_a_persons_token_for_this_application_is_taken(
    world: World, ada: Principal, clock: MovedClock
) -> None:
    api = f"api://{world.owner.application_id}"
    good = (await user_token(world, ada, api)).json
    token = good["access_token"]
    head, body, signature = token.split(".")
    refused = [
        (await user_token(world, ada, world.vault)).json["access_token"],  # for the vault
        (await world.token()).json["access_token"],  # of an application
        good["id_token"],
        f"{head}.{body}.{signature[:-4]}AAAA",
        f"{head}.{body}.",
        "x",
        "a.b.c.d.e",
        jwt.encode({"aud": api}, "k" * 32, algorithm="HS256", headers={"kid": jwt.get_unverified_header(token)["kid"]}),
    ]
    for text in refused:
        answer = await on_behalf(world, text)
        assert (answer.status, answer.json["error"], answer.code) == (400, "invalid_grant", 50013), text
    assert (await on_behalf(world, token, client_secret="")).code == 7000218
    assert (await on_behalf(world, token, client_secret="wrong")).code == 7000215
    assert (await on_behalf(world, token, requested_token_use="")).code == 9002313
    assert (await on_behalf(world, "")).code == 900144
    assert (await on_behalf(world, token)).status == 200
    async with world.database.write() as tx:
        await directory.set_enabled(tx, ada.tenant_id, ada.object_id, False)
    assert (await on_behalf(world, token)).code == 50057
    async with world.database.write() as tx:
        await directory.set_enabled(tx, ada.tenant_id, ada.object_id, True)
        await directory.revoke_sessions(tx, ada.tenant_id, ada.object_id, int(clock.now()) + 1)
    assert (await on_behalf(world, token)).code == 50173
    clock.move(5401)
    assert (await on_behalf(world, token)).code == 50013


async def test_a_token_of_an_application_that_was_closed_is_not_taken(world: World, ada: Principal) -> None:
    async with world.database.write() as tx:
        front, _ = await bootstrap.create_application(
            tx, RandomIdentifiers(), tenant_id=world.tenant.id, display_name="front", with_secret=False
        )
    await add_redirects(world, front, (RedirectKind.PUBLIC, REDIRECT))
    mine = {"client_id": front.application_id}
    code = await code_of(world, **mine, scope=f"api://{world.owner.application_id}/.default openid")
    token = (await redeem(world, code, **mine)).json["access_token"]
    assert (await on_behalf(world, token)).status == 200
    async with world.database.write() as tx:
        await directory.set_enabled(tx, front.tenant_id, front.object_id, False)
    assert (await on_behalf(world, token)).code == 7000112


async def test_an_application_of_another_tenant_is_no_resource(world: World, ada: Principal) -> None:
    from tests.login.people import Browser, authorize, reply

    scope = f"api://{world.stranger.application_id}/.default"
    assert reply(await Browser(world).open(authorize(world, scope=scope)))["error"] == "invalid_resource"


@dataclass
class Keys:
    """The keys of another identity provider. asked: the ids that were asked for."""

    by_id: Mapping[str, Any]
    asked: list[str]

    async def find(self, kid: str) -> Any:
        self.asked.append(kid)
        return self.by_id.get(kid)


@pytest.fixture
async def cluster(world: World, rsa_keys: list[rsa.RSAPrivateKey]) -> Keys:
    """A cluster whose tokens prove the owner."""
    curve_key = ec.generate_private_key(ec.SECP256R1())
    keys = Keys({"r": rsa_keys[1].public_key(), "e": curve_key.public_key()}, [])
    world.curve_key = curve_key  # type: ignore[attr-defined]  # for token_of
    issuer = FederatedIssuer(keys, frozenset({"RS256", "ES256"}))
    world.application._token_endpoint._clients._federated = {ISSUER: issuer}
    record = FederatedCredential("f1", world.owner.application_id, "cluster", ISSUER, SUBJECT, (AUDIENCE, "other"))
    async with world.database.write() as tx:
        await federated_credentials.insert(tx, record)
    return keys


def token_of(world: World, key: Any, *, algorithm: str = "RS256", header: Any = None, **claims: Any) -> str:
    now = world.clock.now()
    good = {"iss": ISSUER, "sub": SUBJECT, "aud": [AUDIENCE], "exp": now + 3600, "iat": now, "nbf": now}
    payload = {name: value for name, value in (good | claims).items() if value is not None}
    return jwt.encode(payload, key, algorithm=algorithm, headers={"kid": "r", **(header or {})})


async def test_a_token_of_the_cluster_proves_the_application(
    world: World, cluster: Keys, rsa_keys: list[rsa.RSAPrivateKey]
) -> None:
    for text in (
        token_of(world, rsa_keys[1]),
        token_of(world, rsa_keys[1], aud=AUDIENCE),
        token_of(world, rsa_keys[1], aud=["x", "other"], exp=world.clock.now() + 86_400),
        token_of(world, world.curve_key, algorithm="ES256", header={"kid": "e"}),  # type: ignore[attr-defined]
        token_of(world, rsa_keys[1], header={"x5t": "of-its-own-certificate"}),
    ):
        answer = await world.token(**proof(text))
        assert answer.status == 200, answer.text
        claims = await world.claims(answer.json["access_token"])
        assert (claims["appidacr"], claims["cred"], claims["idtyp"]) == ("2", "f1", "app")
    async with world.database.read() as tx:
        state = await directory.state(tx, world.tenant.id, world.owner.object_id)
    assert state is not None
    assert "f1" in state.credentials


OTHERS: list[tuple[dict[str, Any], int]] = [
    ({"iss": "https://evil.example"}, 700211),
    ({"iss": ISSUER + "/"}, 700211),
    ({"sub": SUBJECT.upper()}, 700213),
    ({"sub": SUBJECT + "2"}, 700213),
    ({"aud": "api://azureadtokenexchange"}, 700212),
    ({"aud": []}, 50027),
    ({"exp": 0}, 700024),
    ({"exp": None}, 700024),
    ({"nbf": 9_000_000_000}, 700024),
    ({"header": {"kid": "unknown"}}, 700027),
    ({"header": {"kid": "e"}}, 700027),
    ({"header": {"kid": ""}}, 700027),
    ({"header": {"crit": ["x"]}}, 50027),
    ({"algorithm": "RS512"}, 700027),
    ({"algorithm": "PS256"}, 700027),
]


async def test_what_does_not_meet_the_record_exactly_proves_nothing(
    world: World, cluster: Keys, rsa_keys: list[rsa.RSAPrivateKey], clock: MovedClock
) -> None:
    for changes, code in OTHERS:
        answer = await world.token(**proof(token_of(world, rsa_keys[1], **changes)))
        assert answer.code == code, changes
        clock.move(601)  # so that none is slowed down


async def test_only_configured_issuers_are_asked_for_keys(
    world: World, cluster: Keys, rsa_keys: list[rsa.RSAPrivateKey]
) -> None:
    """What an owner has registered is compared, and asked of nobody."""
    record = FederatedCredential("f2", world.owner.application_id, "mine", "https://mine.example", SUBJECT, (AUDIENCE,))
    async with world.database.write() as tx:
        await federated_credentials.insert(tx, record)
    header = {"jku": "https://mine.example/keys", "x5u": "https://mine.example/c"}
    answer = await world.token(**proof(token_of(world, rsa_keys[1], iss="https://mine.example", header=header)))
    assert answer.code == 700211
    assert cluster.asked == []
    forged = token_of(world, rsa_keys[2])
    assert (await world.token(**proof(forged))).code == 700027
    assert (await world.token(**proof(token_of(world, rsa_keys[1])))).status == 200
    async with world.database.write() as tx:
        await federated_credentials.delete(tx, world.owner.application_id, "f1")
    assert (await world.token(**proof(token_of(world, rsa_keys[1])))).code == 700211


async def test_certificates_prove_as_before_beside_federated_credentials(world: World, cluster: Keys) -> None:
    from tests.login.world import assertion

    assert (await world.token(**proof(assertion(world)))).status == 200
    unknown = assertion(world, header={"x5t": thumbprint(world.owner_certificate, "sha256")})
    assert (await world.token(**proof(unknown))).code == 700027


async def test_a_user_assigned_identity_is_proven_by_its_federated_credential(
    world: World, cluster: Keys, rsa_keys: list[rsa.RSAPrivateKey]
) -> None:
    async with world.database.write() as tx:
        identity, _ = await bootstrap.create_managed_identity(
            tx, RandomIdentifiers(), tenant_id=world.tenant.id, display_name="signer", resource_id="/x/signer"
        )
        await federated_credentials.insert(
            tx, FederatedCredential("f3", identity.application_id, "c", ISSUER, SUBJECT, (AUDIENCE,))
        )
    mine = {"client_id": identity.application_id}
    answer = await world.token(**mine, **proof(token_of(world, rsa_keys[1])))
    assert answer.status == 200, answer.text
    assert (await world.claims(answer.json["access_token"]))["oid"] == identity.object_id
    assert (await world.token(**mine)).code == 700016  # a secret it has none of


async def test_the_user_realm_is_the_same_for_everybody(world: World, ada: Principal) -> None:
    known = await world.get(f"/common/userrealm/{ada.upn}?api-version=1.0")
    unknown = await world.get("/common/userrealm/nobody@dev.example?api-version=1.0")
    assert known.status == unknown.status == 200
    assert known.json == unknown.json
    assert (known.json["ver"], known.json["account_type"]) == ("1.0", "Managed")
    assert known.json["domain_name"] == "dev.example"
