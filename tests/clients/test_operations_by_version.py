"""Which operation there is in which api-version, and what it answers there: sent as a client of that version would."""

import pytest

from tests.clients.keys import import_pair
from tests.clients.kinds import Kind
from tests.clients.releases import policy_of
from tests.clients.vault import Vault

VERSIONS = (
    *("2015-06-01", "2016-10-01", "7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "2025-07-01", "2026-04-01"),
    *("7.5-preview.1", "7.6-preview.2", "2025-06-01-preview", "2026-01-01-preview", "2026-03-01-preview"),
    *("2026-05-01-preview", "2026-07-01-preview"),
)
SAME_AS = {
    "7.5-preview.1": "7.5",
    "7.6-preview.2": "7.6",
    "2025-06-01-preview": "7.6",
    "2026-01-01-preview": "2025-07-01",
    "2026-03-01-preview": "2025-07-01",
    "2026-05-01-preview": "2026-04-01",
    "2026-07-01-preview": "2026-04-01",
}
"""The stable version whose operations a preview has at the least."""
ORDER = VERSIONS[:11]
QUICK = {"2015-06-01", "7.2", "7.3", "7.6", "2026-04-01"}
EACH = [pytest.param(version, marks=() if version in QUICK else pytest.mark.slow) for version in VERSIONS]
POLICY = {"lifetimeActions": [{"trigger": {"timeAfterCreate": "P90D"}, "action": {"type": "Rotate"}}]}
RELEASED_TO = policy_of("https://attest.example", {"anyOf": [{"claim": "a", "equals": 1}]})


def has(version: str, since: str) -> bool:
    return ORDER.index(SAME_AS.get(version, version)) >= ORDER.index(since)


async def answered(vault: Vault, method: str, path: str, body: object, version: str) -> tuple[int, str]:
    """Status, and the code of a refusal."""
    response = await vault.send(method, path, body, **{"api-version": version})
    return response.status_code, "" if response.status_code < 400 else response.json()["error"]["code"]


@pytest.mark.parametrize("version", EACH)
async def test_operations_begin_with_their_api_version(sync_owner: Vault, name: str, version: str) -> None:
    key = await import_pair(
        sync_owner, name, Kind("EC-HSM", curve="P-256"), exportable=True, release_policy=RELEASED_TO
    )
    version_path = f"/keys/{name}/{key.properties.version}"
    for since, method, path, body, there in (
        ("7.3", "PUT", f"/keys/{name}/rotationpolicy", POLICY, (200, "")),
        ("7.3", "GET", f"/keys/{name}/rotationpolicy", None, (200, "")),
        ("7.3", "POST", f"/keys/{name}/rotate", {}, (200, "")),
        ("7.3", "POST", f"{version_path}/release", {"target": "a.b.c"}, (403, "Forbidden")),
        ("2026-04-01", "POST", f"{version_path}/securewrapkey", {"alg": "RSA-OAEP-256"}, (403, "Forbidden")),
        ("2015-06-01", "GET", version_path, None, (200, "")),
        ("2015-06-01", "DELETE", f"/keys/{name}", None, (200, "")),
        ("2016-10-01", "GET", f"/deletedkeys/{name}", None, (200, "")),
        ("2016-10-01", "DELETE", f"/deletedkeys/{name}", None, (204, "")),
    ):
        status, code = await answered(sync_owner, method, path, body, version)
        if has(version, since):
            assert (status, code) == there, path
        else:
            assert (status, code) == (404, "NotFound"), path


@pytest.mark.parametrize("version", EACH)
async def test_operations_of_a_pool_begin_with_their_api_version(pool: Vault, name: str, version: str) -> None:
    made = await pool.send(
        "POST", f"/keys/{name}/create", {"kty": "oct-HSM", "key_size": 128}, **{"api-version": version}
    )
    assert made.status_code == 200
    sealed = await pool.send(
        "POST", f"/keys/{name}//encrypt", {"alg": "A128GCM", "value": "AAAA"}, **{"api-version": version}
    )
    assert sealed.status_code == 200
    opening = {"alg": "A128GCM", **{member: sealed.json()[member] for member in ("value", "iv", "tag")}}
    for since, method, path, body in (
        ("2015-06-01", "POST", f"/keys/{name}//decrypt", opening),
        ("2015-06-01", "POST", f"/keys/{name}//wrapkey", {"alg": "A128KW", "value": "A" * 22}),
        ("7.3", "POST", "/rng", {"count": 8}),
        ("7.3", "PUT", f"/keys/{name}/rotationpolicy", POLICY),
        ("7.3", "POST", f"/keys/{name}/rotate", {}),
        ("7.6", "GET", f"/keys/{name}//attestation", None),
    ):
        status, code = await answered(pool, method, path, body, version)
        assert (status, code) == ((200, "") if has(version, since) else (404, "NotFound")), path
    assert (await pool.send("DELETE", f"/keys/{name}", **{"api-version": version})).status_code == 200


async def test_a_version_from_the_future_is_served_as_the_newest(sync_owner: Vault, name: str) -> None:
    await import_pair(sync_owner, name, Kind("EC-HSM", curve="P-256"))
    for version in ("2027-01-01", "2031-12-01-preview"):
        assert await answered(sync_owner, "POST", f"/keys/{name}/rotate", {}, version) == (200, "")
