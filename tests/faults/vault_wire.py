"""Certificates and secrets as clients see them, and as their rows lie in the database of an instance."""

import base64
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from tests.caller import Answer, Caller, from_base64url, is_signature, to_base64url
from tests.faults import certificate_samples
from tests.faults.contest import Act, Rules
from tests.faults.wire import DIGEST

Result = TypeVar("Result")
_TABLES = ("certificate", "key", "secret")


def policy(kind: str, issuer: str = "Self") -> dict[str, Any]:
    """kind: kty."""
    return {
        "key_props": {"kty": kind, "crv": "P-256", "exportable": not kind.endswith("HSM")},
        "secret_props": {"contentType": "application/x-pem-file"},
        "x509_props": {"subject": "CN=www.example.org", "key_usage": ["digitalSignature"]},
        "issuer": {"name": issuer},
    }


def create(kind: str = "EC", issuer: str = "Self") -> Act:
    body = {"policy": policy(kind, issuer)}
    return lambda caller, name: caller.call("POST", f"/certificates/{name}/create", body)


def bring(caller: Caller, name: str) -> Answer:
    return caller.call("POST", f"/certificates/{name}/import", {"value": certificate_samples.pem()})


def merge(caller: Caller, name: str) -> Answer:
    """What is pending, if anything is."""
    pending = caller.call("GET", f"/certificates/{name}/pending")
    if pending.status != 200:
        return pending
    signed = certificate_samples.signed(base64.b64decode(pending.body["csr"]))
    return caller.call("POST", f"/certificates/{name}/pending/merge", {"x5c": [base64.b64encode(signed).decode()]})


def cancel(caller: Caller, name: str) -> Answer:
    return caller.call("PATCH", f"/certificates/{name}/pending", {"cancellation_requested": True})


def forget(caller: Caller, name: str) -> Answer:
    return caller.call("DELETE", f"/certificates/{name}/pending")


def await_issue(caller: Caller, name: str, seconds: float = 30) -> Answer:
    """Until nobody is at work on it, or for so long. Returns the last answer of the operation."""
    deadline = time.monotonic() + seconds
    while True:
        answer = caller.call("GET", f"/certificates/{name}/pending")
        if answer.status != 200 or answer.body["status"] != "inProgress" or time.monotonic() > deadline:
            return answer
        time.sleep(0.02)


def of(kind: str, method: str, path: str, body: object = None) -> Act:
    """path: behind the name."""
    return lambda caller, name: caller.call(method, f"/{kind}/{name}{path}", body)


ACTS: Mapping[str, Act] = {
    "create": create(),
    "create hard": create("EC-HSM"),
    "create for a merge": create("EC", "Unknown"),
    "import": bring,
    "merge": merge,
    "cancel": cancel,
    "forget": forget,
    "update": of("certificates", "PATCH", "", {"tags": {"changed": "yes"}}),
    "delete": of("certificates", "DELETE", ""),
    "recover": of("deletedcertificates", "POST", "/recover"),
    "purge": of("deletedcertificates", "DELETE", ""),
    "set secret": of("secrets", "PUT", "", {"value": "of nobody"}),
    "create key": of("keys", "POST", "/create", {"kty": "EC"}),
    "delete secret": of("secrets", "DELETE", ""),
    "purge secret": of("deletedsecrets", "DELETE", ""),
}


def _version(act: str, answer: Answer) -> str | None:
    made = (act, answer.status) in (("import", 200), ("merge", 201))
    return str(answer.body["id"]).rpartition("/")[2] if made else None


RULES = Rules(
    ACTS,
    {
        **{act: {202, 409} for act in ACTS if act.startswith("create")},
        "import": {200, 409},
        "merge": {201, 400, 403, 404, 409},  # 400: the certificate is for the operation before; 403: it is completed
        "cancel": {200, 403, 404, 409},  # 403: it is over
        "forget": {200, 404, 409},
        "purge": {204, 404, 409},
        "set secret": {200, 403, 409},
        "create key": {200, 403, 409},
        "delete secret": {200, 403, 404, 409},  # 403: it is a certificate's
        "purge secret": {204, 403, 404, 409},
        **{act: {200, 404, 409} for act in ("update", "delete", "recover")},
    },
    _version,
)


def rows_of(data_dir: Path, name: str) -> tuple[list[str], list[str]]:
    """Versions that are published and that are pending, the oldest first, after it was checked that the certificate,
    its key and its secret agree, that what is pending has its operation, and that no version was told twice."""
    with closing(sqlite3.connect(data_dir / "hsmvault.db")) as database:

        def select(text: str) -> list[Any]:
            return database.execute(text, (name,)).fetchall()

        names, versions = [
            {
                tuple(select(f"SELECT {columns} FROM {kind}_{table} WHERE folded = ? ORDER BY 1"))  # noqa: S608  # ours
                for kind in _TABLES
            }
            for table, columns in (
                ("names", "latest_version, next_sequence, deleted_at, purge_at"),
                ("versions", "sequence, version, enabled, not_before, expires"),
            )
        ]
        assert len(names) == len(versions) == 1, (names, versions)
        published = select(
            "SELECT version, thumbprint IS NOT NULL FROM certificate_versions WHERE folded = ? ORDER BY sequence"
        )
        operation = select("SELECT version, status FROM certificate_operations WHERE folded = ?")
        told = select("SELECT type, version FROM outbox WHERE type LIKE '%NewVersionCreated' AND name = ?")
    there = [version for version, is_there in published if is_there]
    pending = [version for version, is_there in published if not is_there]
    (the_names,) = names
    if the_names:
        assert the_names[0][0] == (there or pending)[-1]
    under_way = [version for version, status in operation if status != "completed"]
    assert pending == under_way
    assert all(times == 1 for times in Counter(told).values())
    for version in there:
        assert {kind for kind, of_version in told if of_version == version} == {
            f"{kind.capitalize()}NewVersionCreated" for kind in _TABLES
        }
    return there, pending


def require_use(caller: Caller, name: str, version: str) -> None:
    """The certificate, its secret and its key are of one key, and it signs."""
    found = caller.call("GET", f"/certificates/{name}/{version}")
    secret = caller.call("GET", f"/secrets/{name}/{version}")
    key = caller.call("GET", f"/keys/{name}/{version}")
    assert (found.status, secret.status, key.status) == (200, 200, 200), (found, secret, key)
    private, certificates = certificate_samples.opened(secret.body["value"])
    leaf = base64.b64decode(found.body["cer"])
    assert certificates[0] == leaf
    assert private in (None, certificate_samples.public_of(leaf))
    assert (private is None) == key.body["key"]["kty"].endswith("HSM")
    signed = caller.call("POST", f"/keys/{name}/{version}/sign", {"alg": "ES256", "value": to_base64url(DIGEST)})
    assert signed.status == 200, signed
    jwk = certificate_samples.jwk_of(leaf)
    assert is_signature(jwk, DIGEST, from_base64url(signed.body["value"])), name


def at_once(makers: Sequence[Callable[[], Result]]) -> list[Result]:
    """What threads come back with that begin together."""
    together, answers = threading.Barrier(len(makers)), list[Result]()

    def run(call: Callable[[], Result]) -> None:
        together.wait(30)
        answers.append(call())

    threads = [threading.Thread(target=run, args=(call,)) for call in makers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == len(makers)
    return answers


def at_once_in_order(*makers: Callable[[], Result]) -> list[Result]:
    """As at_once(), what each comes back with in the place of its maker."""
    answers: dict[int, Result] = {}

    def keep(number: int, make: Callable[[], Result]) -> None:
        answers[number] = make()

    at_once([partial(keep, number, make) for number, make in enumerate(makers)])
    return [answers[number] for number in range(len(makers))]
