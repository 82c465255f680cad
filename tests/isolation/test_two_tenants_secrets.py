"""Secrets and certificates of two tenants on one node: apart in every list, blob and version, and nowhere in the clear
(threat model, 2, 5 and 7)."""

import base64
import urllib.parse

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from tests.caller import Answer, Caller, to_base64url
from tests.custody.certificates import issued
from tests.isolation.conftest import Call
from tests.isolation.node import Node

WORD = "correct-horse-battery-staple"
FILE_WORD = "word-of-a-certificate-file"
POLICY = {"key_props": {"kty": "EC"}, "x509_props": {"subject": "CN=a"}, "issuer": {"name": "Unknown"}}


def good(answer: Answer) -> Answer:
    assert answer.status in (200, 201, 202), answer
    return answer


def set_secret(caller: Caller, name: str, value: str) -> str:
    """Its version."""
    return str(good(caller.call("PUT", f"/secrets/{name}", {"value": value})).body["id"].rpartition("/")[2])


def imported(caller: Caller, name: str) -> str:
    """A certificate from a file with a password; its version."""
    one = issued(name, ca=False, days=3650)
    protection = BestAvailableEncryption(FILE_WORD.encode())
    file = pkcs12.serialize_key_and_certificates(None, one.key, one.certificate, None, protection)
    body = {"value": base64.b64encode(file).decode(), "pwd": FILE_WORD}
    return str(good(caller.call("POST", f"/certificates/{name}/import", body)).body["id"].rpartition("/")[2])


def test_the_same_names_are_other_secrets_and_certificates(node: Node, call: Call) -> None:
    north, south = call(node.north), call(node.south)
    ours, theirs = set_secret(north, "same", "ours"), set_secret(south, "SAME", "theirs")
    assert good(north.call("GET", "/secrets/same")).body["value"] == "ours"
    assert good(south.call("GET", "/secrets/same")).body["value"] == "theirs"
    certificate = imported(north, "same-site")
    imported(south, "same-site")
    for path in (
        f"/secrets/same/{ours}",
        *(f"/{kind}/same-site/{certificate}" for kind in ("certificates", "keys", "secrets")),
    ):
        assert north.call("GET", path).status == 200, path
        assert south.call("GET", path).status == 404, path
    assert north.call("GET", f"/secrets/same/{theirs}").status == 404
    good(north.call("DELETE", "/certificates/same-site"))
    good(south.call("GET", "/secrets/same-site"))
    assert south.call("POST", "/deletedcertificates/same-site/recover").status == 404


def test_a_token_of_the_other_tenant_reads_nothing(node: Node, call: Call) -> None:
    set_secret(call(node.north), "guarded", WORD)
    for answer in (
        call(node.north, as_tenant=node.south).call("GET", "/secrets/guarded"),
        call(node.north, principal=node.north.nobody).call("GET", "/secrets/guarded"),
        call(node.north, principal=node.north.nobody).call("GET", "/secrets/not-there"),
        call(node.north, principal=node.north.nobody).call("PUT", "/secrets/guarded", {"value": "x"}),
        call(node.south, principal=node.south.nobody).call("POST", "/certificates/a/create", {"policy": POLICY}),
    ):
        assert answer.status in (401, 403), answer
        assert WORD not in str(answer)


def test_backups_open_in_no_other_tenants_vault(node: Node, call: Call) -> None:
    north, south = call(node.north), call(node.south)
    set_secret(north, "saved", WORD)
    imported(north, "saved-site")
    for kind, name in (("secrets", "saved"), ("certificates", "saved-site")):
        value = good(north.call("POST", f"/{kind}/{name}/backup")).body["value"]
        blob = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
        garbage = {"value": to_base64url(blob[:-1] + bytes([blob[-1] ^ 1]))}
        refused = south.call("POST", f"/{kind}/restore", {"value": value})
        assert (refused.status, refused.body) == (400, south.call("POST", f"/{kind}/restore", garbage).body)
        for other in {"keys", "secrets", "certificates"} - {kind}:
            assert north.call("POST", f"/{other}/restore", {"value": value}).status == 400
        assert WORD.encode() not in blob
        assert name.encode() not in blob


def test_skip_tokens_are_good_in_their_own_vault_alone(node: Node, call: Call) -> None:
    for tenant in (node.north, node.south):
        for number in range(3):
            set_secret(call(tenant), f"paged-{number}", "v")
    link = good(call(node.north).call("GET", "/secrets?maxresults=1")).body["nextLink"]
    token = urllib.parse.parse_qs(urllib.parse.urlsplit(link).query)["$skiptoken"][0]
    query = urllib.parse.urlencode({"$skiptoken": token})
    assert call(node.north).call("GET", f"/secrets?{query}").status == 200
    for path in ("/certificates", "/keys", "/deletedsecrets"):
        assert call(node.north).call("GET", f"{path}?{query}").status == 400
    assert call(node.south).call("GET", f"/secrets?{query}").status == 400


def test_no_value_password_or_private_key_is_in_any_file_of_the_node(node: Node, call: Call) -> None:
    """Database, its log, the audit log, what the workers print."""
    north = call(node.north)
    set_secret(north, "told", WORD)
    imported(north, "told-site")
    assert good(north.call("GET", "/secrets/told")).body["value"] == WORD
    value = good(north.call("GET", "/secrets/told-site")).body["value"]
    key, _, _ = pkcs12.load_key_and_certificates(base64.b64decode(value), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    number = key.private_numbers().private_value.to_bytes(32, "big")
    wrong = {"value": value[:-4], "pwd": FILE_WORD}
    assert north.call("POST", "/certificates/told-again/import", wrong).status == 400
    assert north.call("PUT", "/secrets/under_score", {"value": WORD}).status == 400
    for text in (WORD, FILE_WORD):
        north.call("PUT", "/secrets/told", {"value": [text]})
    good(north.call("POST", "/secrets/told/backup"))
    secrets = [WORD.encode(), base64.b64encode(WORD.encode())[:32], FILE_WORD.encode(), number, value.encode()[:60]]
    files = [path for path in node.folder.rglob("*") if path.is_file()]
    assert {"hsmvault.db", "log"} <= {path.name for path in files}
    assert any("audit" in path.name for path in files)
    assert [path for path in files for secret in secrets if secret in path.read_bytes()] == []
