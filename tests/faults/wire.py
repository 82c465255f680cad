"""Keys as clients see them: requests that several tests make, with what a healthy key answers."""

import hashlib
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from tests.caller import Answer, Caller, from_base64url, is_signature, to_base64url

DIGEST = hashlib.sha256(b"a message").digest()
SECRET = bytes(range(32))


def create(caller: Caller, name: str, kind: str, **more: object) -> Answer:
    """kind: kty."""
    shape = {"key_size": 256} if kind == "oct-HSM" else {"crv": "P-256"}
    return caller.call("POST", f"/keys/{name}/create", {"kty": kind, **shape, **more})


def bring(caller: Caller, name: str, kind: str) -> Answer:
    """Import."""
    key = {"k": to_base64url(SECRET)} if kind == "oct-HSM" else {"crv": "P-256", **_members()}
    return caller.call("PUT", f"/keys/{name}", {"key": {"kty": kind, **key}})


def version_of(answer: Answer) -> str:
    return str(answer.body["key"]["kid"]).rpartition("/")[2]


def items(caller: Caller, path: str) -> list[dict[str, Any]]:
    """Of a list, all its pages."""
    found: list[dict[str, Any]] = []
    query = ""
    while True:
        answer = caller.call("GET", f"{path}?{query}")
        assert answer.status == 200, answer
        found += answer.body["value"]
        link = answer.body.get("nextLink")
        if not link:
            return found
        query = "&".join(part for part in link.partition("?")[2].split("&") if "skip" in part)


def versions(caller: Caller, name: str) -> list[str]:
    return [item["kid"].rpartition("/")[2] for item in items(caller, f"/keys/{name}/versions")]


def require_use(caller: Caller, name: str, version: str) -> None:
    """The key does what it is for."""
    found = caller.call("GET", f"/keys/{name}/{version}")
    assert found.status == 200, found
    path = f"/keys/{name}/{version}"
    if found.body["key"]["kty"] == "oct-HSM":
        wrapped = caller.call("POST", f"{path}/wrapkey", {"alg": "A256KW", "value": to_base64url(SECRET)})
        assert wrapped.status == 200, wrapped
        opened = caller.call("POST", f"{path}/unwrapkey", {"alg": "A256KW", "value": wrapped.body["value"]})
        assert opened.status == 200, opened
        assert from_base64url(opened.body["value"]) == SECRET
    else:
        signed = caller.call("POST", f"{path}/sign", {"alg": "ES256", "value": to_base64url(DIGEST)})
        assert signed.status == 200, signed
        assert is_signature(found.body["key"], DIGEST, from_base64url(signed.body["value"])), name


def rows_of(data_dir: Path, name: str) -> list[tuple[int, str]]:
    """Sequence and version of each version, the oldest first, after it was checked that the last one is the newest."""
    with closing(sqlite3.connect(data_dir / "hsmvault.db")) as database:
        rows = database.execute(
            "SELECT sequence, version FROM key_versions WHERE folded = ? ORDER BY sequence", (name,)
        ).fetchall()
        names = database.execute(
            "SELECT latest_version, next_sequence FROM key_names WHERE folded = ?", (name,)
        ).fetchall()
    assert [sequence for sequence, _ in rows] == list(range(1, len(rows) + 1))
    assert names == ([(rows[-1][1], len(rows) + 1)] if rows else [])
    return rows


def told(data_dir: Path, name: str) -> list[str]:
    """Versions of the new-version events."""
    with closing(sqlite3.connect(data_dir / "hsmvault.db")) as database:
        query = "SELECT version FROM outbox WHERE type = 'KeyNewVersionCreated' AND name = ?"
        return [version for (version,) in database.execute(query, (name,))]


@cache
def _members() -> dict[str, str]:
    numbers = ec.generate_private_key(ec.SECP256R1()).private_numbers()
    public = numbers.public_numbers
    integers = {"x": public.x, "y": public.y, "d": numbers.private_value}
    return {name: to_base64url(value.to_bytes(32, "big")) for name, value in integers.items()}
