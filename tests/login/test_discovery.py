"""Discovery, key set, instance discovery: what MSAL and resource servers read first."""

import base64
import hashlib

import pytest
from cryptography import x509

from tests.login.world import World

ORIGIN = "https://login.localhost:8443"
NEEDED = {
    "authorization_endpoint",
    "token_endpoint",
    "issuer",
    "jwks_uri",
    "device_authorization_endpoint",
    "end_session_endpoint",
    "response_modes_supported",
    "response_types_supported",
    "scopes_supported",
    "subject_types_supported",
    "id_token_signing_alg_values_supported",
    "token_endpoint_auth_methods_supported",
    "claims_supported",
}


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    ("path", "issuer", "token", "keys"),
    [
        ("/{t}/v2.0", "{o}/{t}/v2.0", "{o}/{t}/oauth2/v2.0/token", "{o}/{t}/discovery/v2.0/keys"),
        ("/{t}", "{o}/{t}/", "{o}/{t}/oauth2/token", "{o}/{t}/discovery/keys"),
        ("/dev.example/v2.0", "{o}/{t}/v2.0", "{o}/{t}/oauth2/v2.0/token", "{o}/{t}/discovery/v2.0/keys"),
        ("/adfs", "{o}/adfs", "{o}/adfs/oauth2/token", "{o}/adfs/discovery/keys"),
        (
            "/common/v2.0",
            "{o}/{{tenantid}}/v2.0",
            "{o}/common/oauth2/v2.0/token",
            "{o}/common/discovery/v2.0/keys",
        ),
        ("/organizations", "{o}/{{tenantid}}/", "{o}/organizations/oauth2/token", "{o}/organizations/discovery/keys"),
    ],
)
async def test_each_realm_describes_its_endpoints(
    world: World, path: str, issuer: str, token: str, keys: str, slash: str
) -> None:
    names = {"t": world.tenant.id, "o": ORIGIN}
    answer = await world.get(path.format(**names) + "/.well-known/openid-configuration" + slash)
    assert answer.status == 200
    assert set(answer.json) >= NEEDED
    assert answer.json["issuer"] == issuer.format(**names)
    assert answer.json["token_endpoint"] == token.format(**names)
    assert answer.json["jwks_uri"] == keys.format(**names)
    assert answer.json["device_authorization_endpoint"] == token.format(**names).removesuffix("token") + "devicecode"
    key_set = await world.get(answer.json["jwks_uri"].removeprefix(ORIGIN))
    assert len(key_set.json["keys"]) == 1


async def test_an_unknown_tenant_has_no_configuration(world: World) -> None:
    for name in ("00000000-0000-0000-0000-000000000000", "unknown.example", "consumers", "x" * 300, "a_b"):
        for rest in ("v2.0/.well-known/openid-configuration", "discovery/v2.0/keys"):
            answer = await world.get(f"/{name}/{rest}")
            assert (answer.status, answer.json["error"], answer.code) == (400, "invalid_tenant", 90002)


async def test_a_published_key_is_the_one_of_its_certificate(world: World) -> None:
    (key,) = (await world.get(f"/{world.tenant.id}/discovery/v2.0/keys")).json["keys"]
    certificate_der = base64.b64decode(key["x5c"][0])
    certificate = x509.load_der_x509_certificate(certificate_der)
    certificate.verify_directly_issued_by(certificate)
    numbers = certificate.public_key().public_numbers()
    digest = (
        base64.urlsafe_b64encode(hashlib.sha1(certificate_der, usedforsecurity=False).digest()).rstrip(b"=").decode()
    )
    assert key["kid"] == key["x5t"] == digest
    assert (key["kty"], key["use"], key["e"]) == ("RSA", "sig", "AQAB")
    assert int.from_bytes(base64.urlsafe_b64decode(key["n"] + "=="), "big") == numbers.n
    assert certificate.not_valid_before_utc.timestamp() <= world.clock.now()
    assert certificate.subject.rfc4514_string() == "CN=login.localhost"


async def test_a_key_set_may_be_cached_for_less_than_the_lead_of_a_new_key(world: World) -> None:
    answer = await world.get("/common/discovery/keys")
    seconds = int(answer.headers["Cache-Control"].partition("max-age=")[2])
    assert 0 < seconds < world.settings.key_lead_seconds


@pytest.mark.parametrize(
    ("endpoint", "discovery"),
    [
        (f"{ORIGIN}/dev.example/oauth2/v2.0/authorize", f"{ORIGIN}/dev.example/v2.0/.well-known/openid-configuration"),
        (f"{ORIGIN}/adfs/oauth2/authorize", f"{ORIGIN}/adfs/.well-known/openid-configuration"),
        ("https://login.evil.example/common/oauth2/authorize", None),
        (f"{ORIGIN}.evil.example/common", None),
        ("http://login.localhost:8443/common", None),
        (f"{ORIGIN}/", None),
        (f"{ORIGIN}/a b/", None),
        ("https://[", None),
        ("", None),
    ],
)
async def test_instance_discovery_knows_this_instance_alone(world: World, endpoint: str, discovery: str | None) -> None:
    query = {"authorization_endpoint": endpoint, "api-version": "1.1"}
    answer = await world.get("/common/discovery/instance", params=query)
    if discovery is None:
        assert answer.status == 400
        assert answer.json["error"] in ("invalid_instance", "invalid_request")
    else:
        assert answer.json["tenant_discovery_endpoint"] == discovery
        assert answer.json["api-version"] == "1.1"
        assert answer.json["metadata"][0]["aliases"] == ["login.localhost:8443"]


async def test_documents_are_read_and_not_written(world: World) -> None:
    path = f"/{world.tenant.id}/v2.0/.well-known/openid-configuration"
    answer = await world.post(path, {})
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    async with world.session.head(world.url + path) as response:
        assert response.status == 200
        assert await response.read() == b""
