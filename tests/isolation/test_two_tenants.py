"""Two vaults of two tenants on one node: nothing of one is visible or usable from the other (threat model, 2 and 5)."""

import base64
import hashlib
import re
import urllib.parse
from uuid import uuid4

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.keyvault.keys import KeyClient, KeyCurveName, KeyVaultKey
from azure.keyvault.keys.crypto import CryptographyClient, SignatureAlgorithm

from tests.caller import Answer, Caller, is_signature, to_base64url
from tests.isolation.conftest import Call, Open
from tests.isolation.node import Credential, Node, Tenant

DIGEST = hashlib.sha256(b"a message").digest()
SIGN = {"alg": "ES256", "value": to_base64url(DIGEST)}


def make(client: KeyClient, name: str, *, hardware: bool = True) -> KeyVaultKey:
    return client.create_ec_key(name, curve=KeyCurveName.p_256, hardware_protected=hardware)


def jwk_of(key: KeyVaultKey) -> dict[str, str]:
    members = {name: getattr(key.key, name) for name in ("x", "y")}
    return {"kty": key.key.kty, **{name: to_base64url(value) for name, value in members.items()}}


def sign(node: Node, tenant: Tenant, key: KeyVaultKey) -> bytes:
    with CryptographyClient(key, Credential(tenant), connection_verify=str(node.certificate)) as client:
        return client.sign(SignatureAlgorithm.es256, DIGEST).signature


@pytest.mark.parametrize("hardware", [True, False])
def test_the_same_name_in_both_vaults_is_two_keys(node: Node, open_vault: Open, hardware: bool) -> None:
    name = f"same-{hardware}"
    north = make(open_vault(node.north), name, hardware=hardware)
    south = make(open_vault(node.south), name.upper(), hardware=hardware)
    first, second = sign(node, node.north, north), sign(node, node.south, south)
    assert is_signature(jwk_of(north), DIGEST, first)
    assert is_signature(jwk_of(south), DIGEST, second)
    assert not is_signature(jwk_of(north), DIGEST, second)
    assert jwk_of(north) != jwk_of(south)
    open_vault(node.north).begin_delete_key(name).wait()
    assert open_vault(node.south).get_key(name).id == south.id
    assert is_signature(jwk_of(south), DIGEST, sign(node, node.south, south))


def test_a_version_of_one_vault_is_not_found_in_the_other(node: Node, open_vault: Open, call: Call) -> None:
    ours = make(open_vault(node.north), "versioned")
    make(open_vault(node.south), "versioned")
    with pytest.raises(ResourceNotFoundError):
        open_vault(node.south).get_key("versioned", ours.properties.version)
    for operation in ("sign", "verify", "encrypt", "wrapkey"):
        answer = call(node.south).call("POST", f"/keys/versioned/{ours.properties.version}/{operation}", SIGN)
        assert answer.status in (400, 404), answer
    assert call(node.south).call("POST", f"/keys/versioned/{ours.properties.version}/sign", SIGN).status == 404
    patched = call(node.south).call(
        "PATCH", f"/keys/versioned/{ours.properties.version}", {"attributes": {"enabled": False}}
    )
    assert patched.status == 404
    assert open_vault(node.north).get_key("versioned").properties.enabled


def test_listings_show_the_vaults_own_alone(node: Node, open_vault: Open) -> None:
    for number in range(3):
        make(open_vault(node.north), f"north-only-{number}", hardware=False)
        make(open_vault(node.south), f"south-only-{number}", hardware=False)
    open_vault(node.north).begin_delete_key("north-only-2").wait()
    open_vault(node.south).begin_delete_key("south-only-2").wait()
    for tenant, other in ((node.north, node.south), (node.south, node.north)):
        client = open_vault(tenant)
        listed = [item.name for item in client.list_properties_of_keys()]
        deleted = [item.name for item in client.list_deleted_keys()]
        assert {f"{tenant.vault}-only-0", f"{tenant.vault}-only-1"} <= set(listed)
        assert f"{tenant.vault}-only-2" in deleted
        assert not [name for name in listed + deleted if name.startswith(other.vault)]
        assert list(client.list_properties_of_key_versions(f"{other.vault}-only-0")) == []
        for look in (client.get_deleted_key, client.begin_recover_deleted_key, client.purge_deleted_key):
            with pytest.raises(ResourceNotFoundError):
                look(f"{other.vault}-only-2")
        assert f"{other.vault}-only-2" in [item.name for item in open_vault(other).list_deleted_keys()]


def test_a_skip_token_is_good_in_its_own_vault_and_collection_alone(node: Node, open_vault: Open, call: Call) -> None:
    for number in range(3):
        make(open_vault(node.north), f"paged-{number}", hardware=False)
        make(open_vault(node.south), f"paged-{number}", hardware=False)
    link = call(node.north).call("GET", "/keys?maxresults=1").body["nextLink"]
    token = urllib.parse.parse_qs(urllib.parse.urlsplit(link).query)["$skiptoken"][0]
    query = urllib.parse.urlencode({"$skiptoken": token, "maxresults": 1})
    assert call(node.north).call("GET", f"/keys?{query}").status == 200
    for path in ("/keys", "/deletedkeys", "/keys/paged-0/versions"):
        assert call(node.south).call("GET", f"{path}?{query}").status == 400
        if path != "/keys":
            assert call(node.north).call("GET", f"{path}?{query}").status == 400


@pytest.mark.parametrize("hardware", [True, False])
def test_a_backup_does_not_open_in_the_other_vault(node: Node, open_vault: Open, call: Call, hardware: bool) -> None:
    name = f"saved-{hardware}"
    ours, theirs = open_vault(node.north), open_vault(node.south)
    kept = make(ours, name, hardware=hardware)
    blob = ours.backup_key(name)
    with pytest.raises(HttpResponseError) as caught:
        theirs.restore_key_backup(blob)
    assert caught.value.status_code == 400
    assert name not in str(caught.value.message)
    with pytest.raises(ResourceNotFoundError):
        theirs.get_key(name)
    garbage = call(node.south).call("POST", "/keys/restore", {"value": to_base64url(blob[:-1] + bytes([blob[-1] ^ 1]))})
    foreign = call(node.south).call("POST", "/keys/restore", {"value": to_base64url(blob)})
    assert (garbage.status, garbage.body) == (foreign.status, foreign.body), "whose it is makes no difference"
    ours.begin_delete_key(name).wait()
    ours.purge_deleted_key(name)
    back = ours.restore_key_backup(blob)
    assert back.id == kept.id
    assert is_signature(jwk_of(kept), DIGEST, sign(node, node.north, back))


def test_a_token_of_the_other_tenant_is_not_accepted_whatever_was_assigned_to_its_principal(
    node: Node, open_vault: Open, call: Call
) -> None:
    """Both owners have a role on both vaults."""
    make(open_vault(node.north), "guarded")
    for of, other in ((node.north, node.south), (node.south, node.north)):
        with pytest.raises(ClientAuthenticationError):
            list(open_vault(of, as_tenant=other).list_properties_of_keys())
        answer = call(of, as_tenant=other).call("GET", "/keys/guarded")
        assert answer.status == 401
        assert of.id in answer.headers["WWW-Authenticate"]
        assert other.id not in answer.headers["WWW-Authenticate"]


def test_a_tenants_issuer_cannot_speak_for_the_other(node: Node, open_vault: Open, call: Call) -> None:
    make(open_vault(node.north), "spoken-for")
    caller = call(node.north)
    for claims in (
        {"tid": node.north.id},
        {"tid": node.north.id, "iss": node.north.issuer},
        {"iss": node.north.issuer},
    ):
        caller.token = node.south.token(node.audience, node.north.owner, **claims)
        assert caller.call("GET", "/keys/spoken-for").status == 401, claims


def test_who_may_not_read_learns_nothing_of_what_exists(node: Node, open_vault: Open, call: Call) -> None:
    make(open_vault(node.north), "existing")
    version = make(open_vault(node.north), "existing").properties.version
    open_vault(node.north).begin_delete_key(make(open_vault(node.north), "deleted").name).wait()
    requests = (
        ("GET", "/keys/{}", None),
        ("GET", f"/keys/{{}}/{version}", None),
        ("GET", "/keys/{}/versions", None),
        ("GET", "/deletedkeys/{}", None),
        ("DELETE", "/keys/{}", None),
        ("DELETE", "/deletedkeys/{}", None),
        ("POST", "/deletedkeys/{}/recover", {}),
        ("POST", "/keys/{}/backup", {}),
        ("POST", "/keys/{}/create", {"kty": "EC"}),
        ("POST", f"/keys/{{}}/{version}/sign", SIGN),
        ("PATCH", f"/keys/{{}}/{version}", {"attributes": {"enabled": False}}),
    )
    stranger = call(node.north, as_tenant=node.south)
    nobody = call(node.north, principal=node.north.nobody)
    for caller, status in ((nobody, 403), (stranger, 401)):
        for method, path, body in requests:
            seen = {_without_name(_ask(caller, method, path, name, body), name) for name in _NAMES}
            assert len(seen) == 1, (method, path, seen)
            assert next(iter(seen))[0] == status


_NAMES = ("existing", "deleted", "missing-1")


def _ask(caller: Caller, method: str, path: str, name: str, body: object) -> Answer:
    return caller.call(method, path.format(name), body)


def _without_name(answer: Answer, name: str) -> tuple[int, str, str]:
    """What is left of an answer when the caller's own words are taken out of it."""
    text = re.sub(r"\b" + re.escape(name) + r"\b", "NAME", str(answer.body), flags=re.IGNORECASE)
    return answer.status, text, answer.headers.get("WWW-Authenticate", "")


def test_the_name_of_a_vault_that_is_not_there_is_not_confused_with_one_that_is(node: Node, call: Call) -> None:
    for host in ("nort.vault.localhost", "north2.vault.localhost", "north.south.vault.localhost", "vault.localhost"):
        caller = call(node.north)
        caller.host = host
        caller.close()
        connection_error: Exception | None = None
        try:
            answer = caller.call("GET", "/keys/existing")
        except Exception as error:  # the certificate does not cover it
            connection_error = error
        assert connection_error is not None or answer.status in (400, 401, 404), host


def test_a_body_that_names_the_other_vault_is_not_followed(node: Node, open_vault: Open, call: Call) -> None:
    theirs = make(open_vault(node.south), "named")
    ours = make(open_vault(node.north), "named")
    answer = call(node.north).call(
        "POST",
        f"/keys/named/{ours.properties.version}/sign",
        {**SIGN, "kid": theirs.id, "vault": node.url(node.south), "id": theirs.id},
    )
    if answer.status == 200:
        assert answer.body["kid"] == ours.id
        signature = base64.urlsafe_b64decode(answer.body["value"] + "==")
        assert is_signature(jwk_of(ours), DIGEST, signature)
    else:
        assert answer.status == 400


def test_a_principal_of_one_tenant_with_the_id_of_the_others_owner_is_still_a_stranger(node: Node, call: Call) -> None:
    """Permissions name object ids; the tenant of the token decides first."""
    caller = call(node.north, as_tenant=node.south, principal=node.north.owner)
    assert caller.call("GET", "/keys").status == 401
    caller = call(node.north, principal=str(uuid4()))
    assert caller.call("GET", "/keys").status == 403
