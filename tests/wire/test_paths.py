"""A path has one meaning: what no row of the table spells is refused, and nothing is decoded or normalised."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsmvault.model.containers import ContainerKind
from hsmvault.model.keys import NAME
from hsmvault.model.keys import VERSION as VERSION_FORM
from hsmvault.model.operations import OPERATIONS
from hsmvault.wire.routes import Router
from tests.wire.service import VERSION, Service

ROUTER = Router(ContainerKind.VAULT)
SEGMENT = st.text("abcXYZ019-", min_size=1, max_size=12).filter(
    lambda text: text not in {"versions", "create", "restore", "pending", "policy", "issuers", "contacts"}
)
V = "0123456789abcdef0123456789abcdef"


@given(name=SEGMENT, version=st.one_of(st.just(""), SEGMENT))
def test_every_route_is_found_with_its_name_and_version(name: str, version: str) -> None:
    for row in OPERATIONS:
        if ContainerKind.VAULT not in row.served_by:
            continue
        match = ROUTER.find(row.method, row.path.replace("{name}", name).replace("{version}", version))
        assert match is not None
        assert match.operation is row, (row.name, match.operation.name)
        assert match.name == (name if "{name}" in row.path else "")
        assert match.version == (version or None if "{version}" in row.path else None)


@given(method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "get", ""]), path=st.text(max_size=60))
def test_no_path_is_an_accident(method: str, path: str) -> None:
    match = ROUTER.find(method, path)
    if match is not None:
        pattern = match.operation.path.replace("{name}", match.name).replace("{version}", match.version or "")
        assert "/" + path.lstrip("/") in (pattern, pattern.removesuffix("/"))


@pytest.mark.parametrize(
    ("method", "path", "operation", "name", "version"),
    [
        ("GET", "/keys/k", "get_key", "k", None),
        ("GET", "/keys/k/", "get_key", "k", None),
        ("PATCH", "/keys/k", "update_key", "k", None),
        ("PATCH", "/keys/k/", "update_key", "k", None),
        ("POST", "/keys/k//sign", "sign", "k", None),
        ("POST", f"/keys/k/{V}/sign", "sign", "k", V),
        ("GET", "//keys/k", "get_key", "k", None),
        ("GET", "///keys", "get_keys", "", None),
        ("GET", "/keys/versions", "get_key", "versions", None),
        ("GET", "/keys/k/versions", "get_key_versions", "k", None),
        ("POST", "/keys/restore", "restore_key", "", None),
        ("POST", "/keys/restore/create", "create_key", "restore", None),
        ("GET", "/certificates/issuers", "get_certificate_issuers", "", None),
        ("GET", "/certificates/issuers/x", "get_certificate_issuer", "x", None),
        ("PUT", "/certificates/contacts", "set_certificate_contacts", "", None),
        ("POST", "/certificates/c/pending/merge", "merge_certificate", "c", None),
    ],
)
def test_spellings_of_the_clients_are_understood(
    method: str, path: str, operation: str, name: str, version: str | None
) -> None:
    match = ROUTER.find(method, path)
    assert match is not None
    assert (match.operation.name, match.name, match.version) == (operation, name, version)


@pytest.mark.parametrize(
    "path",
    [
        "", "/", "/Keys", "/KEYS/k", "/keys//", "/keys/", "/keys//k", "/keys/k//", "/keys/k/x/", "/keys/k/x/y",
        "/keys/k/SIGN",
        "/keys/../keys/k", "/keys/./k/x/sign", "/secrets/../keys", "/keys;x", "/keys%2fk", "/%6beys", "/keys\\k",
        "/keys/k/versions/", "/rng", "/settings", "/deletedkeys/", "/deletedkeys/k/", "/x/keys/k",
        "/keys/k/x/attestation",
    ],
)  # fmt: skip
def test_other_spellings_have_no_route_or_name_nothing_that_can_exist(path: str) -> None:
    for method in ("POST", "PUT", "DELETE"):
        assert ROUTER.find(method, path) is None
    match = ROUTER.find("GET", path)
    assert match is None or not (NAME.fullmatch(match.name) and VERSION_FORM.fullmatch(match.version or V))


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "CONNECT", "get", "Get", "GET "])
def test_only_the_methods_of_the_table_have_routes(method: str) -> None:
    assert ROUTER.find(method, "/keys") is None
    assert ROUTER.methods("/keys/k") == ["DELETE", "GET", "PATCH", "PUT"]


# on the wire

TRICKS = [
    "/keys/../secrets", "/keys/%2e%2e/secrets", "/keys/..%2fsecrets", "/keys/.", "/keys/..", "/keys/%2e", "/keys/k%2f",
    "/keys%2fk", "/keys/k;x", "/keys;x/k", "/keys/k%00", "/keys/%00", "/keys/k%0a", "/keys/k%0d%0aX:%20y", "/keys/k%20",
    "/keys/k%3f", "/keys/k%23", "/keys/%6b", "/keys/k+", "/keys/k.", "/keys/k_", "/keys/k~", "/keys/k'",
    "/keys/k%27%20OR%201",
    "/keys/k,l", "/keys/(k)", "/keys/*", "/keys/k*", "/keys/k%c3%a4", "/keys/k%ff", "/keys/k%e2%80%ae",
    "/keys/" + "k" * 128,
    "/keys/k/%2e%2e", "/keys/k\\x", "/keys/$k", "/keys/k@x", "/keys/k:x",
]  # fmt: skip


@pytest.mark.parametrize("path", TRICKS)
async def test_tricks_are_refused_and_never_mean_a_key(service: Service, path: str) -> None:
    await service.create_ec("k")
    answer = await service.ask("GET", path)
    assert answer.status in (400, 404), answer.body
    assert answer.code in ("BadParameter", "NotFound", "KeyNotFound")
    if answer.status == 400 and "invalid name" in answer.message:
        assert answer.message == f"The request URI contains an invalid name: {path.split('/')[2]}"


@pytest.mark.parametrize("path", ["/keys/k\u00e4", "/keys/\udcff", "/keys/\udc80\udcff/create", "/k\u20ac"])
async def test_bytes_beyond_ascii_are_not_a_path(service: Service, path: str) -> None:
    for token in (None, "good"):
        answer = await service.ask("GET", path, token=token)
        assert (answer.status, answer.code) == (400, "BadParameter")


@pytest.mark.parametrize("path", ["/keys/k\x00", "/keys/k\x01", "/keys/k\x7f", "/keys/k l"])
async def test_control_characters_are_not_http(service: Service, path: str) -> None:
    (answer,) = await service.raw(service.request("GET", path + "?" + VERSION))
    assert answer.status == 400


@pytest.mark.parametrize(
    "more",
    ["X-HTTP-Method-Override: DELETE", "X-HTTP-Method: DELETE", "X-HTTP-REQUEST: DELETE", "X-Method-Override: DELETE"],
)
async def test_a_method_is_the_one_of_the_request_line(service: Service, more: str) -> None:
    await service.create_ec("k")
    assert (await service.ask("GET", "/keys/k", more=[more])).status == 200
    assert (await service.ask("POST", "/keys/k", {"_method": "DELETE"}, more=[more])).status == 405
    assert (await service.ask("GET", f"/keys/k?{VERSION}&_method=DELETE")).status == 200
    assert (await service.ask("GET", "/keys/k")).status == 200


async def test_names_and_versions_are_the_same_in_any_case(service: Service) -> None:
    version = await service.create_ec("Mixed-Case")
    for path in ("/keys/mixed-case", "/keys/MIXED-CASE/", f"/keys/mIxEd-CaSe/{version.upper()}"):
        answer = await service.ask("GET", path)
        assert answer.json["key"]["kid"] == f"https://dev.vault.localhost:8443/keys/Mixed-Case/{version}"


async def test_a_version_that_cannot_be_one_is_not_found_in_the_words_of_its_kind(service: Service) -> None:
    answer = await service.ask("GET", "/secrets/s/x")
    assert (answer.status, answer.code) == (404, "SecretNotFound")
    answer = await service.ask("GET", "/certificates/c/x")
    assert (answer.status, answer.code) == (404, "CertificateNotFound")
    assert "(name/id) c/versions/x was not found" in answer.message


async def test_a_version_of_one_key_is_not_there_under_another_name_or_in_another_vault(service: Service) -> None:
    version = await service.create_ec("one")
    await service.create_ec("two")
    await service.create_ec("one", "protected")
    assert (await service.ask("GET", f"/keys/one/{version}")).status == 200
    assert (await service.ask("GET", f"/keys/two/{version}")).status == 404
    answer = await service.ask("GET", f"/keys/one/{version}", host="protected.vault.localhost:8443")
    assert answer.status == 404


async def test_ids_in_a_body_move_nothing(service: Service) -> None:
    await service.create_ec("k")
    foreign = {"kid": "https://protected.vault.localhost:8443/keys/other", "vault": "protected", "name": "other"}
    answer = await service.ask("POST", "/keys/mine/create", {"kty": "EC", "key": foreign, **foreign})
    assert answer.json["key"]["kid"].startswith("https://dev.vault.localhost:8443/keys/mine/")
    sent = {
        "attributes": {"created": 1, "updated": 2, "recoveryLevel": "Purgeable", "recoverableDays": 0, "enabled": True}
    }
    answer = await service.ask("PATCH", "/keys/k", sent | {"managed": True, "deletedDate": 5})
    attributes = answer.json["attributes"]
    assert attributes["created"] == attributes["updated"] == int(service.clock.now())
    assert (attributes["recoveryLevel"], attributes["recoverableDays"]) == ("Recoverable+Purgeable", 90)
    assert "managed" not in answer.json
