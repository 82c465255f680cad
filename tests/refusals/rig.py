"""One service for the whole folder, with containers of every kind and keys for every operation.

No refusal changes anything: `refused` looks at the database each time. Tests that do change something use names of
their own.
"""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from hsmvault.clock import RandomIdentifiers
from hsmvault.custody.custodians import WorldCustody
from hsmvault.custody.hard import WrappedCustodian
from hsmvault.custody.protocols import CustodyClass
from hsmvault.model import local_roles, pool_roles
from hsmvault.model.roles import RoleAssignment
from tests.pipeline.world import (
    APPLICATION_ID,
    ISS,
    OBJECT_ID,
    b64,
)
from tests.refusals.checks import check, last_record
from tests.refusals.places import GROUNDS, NOBODY, Place, containers
from tests.refusals.table import NEWEST, Row
from tests.refusals.words import CALLER, Refusal
from tests.softhsm import SoftToken, offer_export
from tests.wire.service import Answer, Service, read_answer, serving

NONSENSE = b"{not json"
RELEASE_POLICY = {
    "data": b64(b'{"version":"1.0.0","anyOf":[{"authority":"https://a/","allOf":[{"claim":"a","equals":1}]}]}')
}
SIGNATURES = {401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}
"""Those that are published."""
SIX = ["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"]


class Client:
    """One connection for all requests: no refusal may end it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def answer(self, request: bytes) -> Answer:
        self._writer.write(request)
        answer = await read_answer(self._reader)
        assert answer is not None, "the connection was closed"
        return answer

    def close(self) -> None:
        self._writer.close()


@dataclass
class Rig:
    """versions: of the keys, by place and name. bodies: by place and operation, what a usable key accepts."""

    service: Service
    client: Client
    database: sqlite3.Connection
    versions: dict[tuple[str, str], str] = field(default_factory=dict)
    bodies: dict[tuple[str, str], Mapping[str, object]] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    def data_version(self) -> int:
        """Another number after every commit by anybody else."""
        (number,) = self.database.execute("PRAGMA data_version").fetchone()
        return int(number)

    @property
    def now(self) -> int:
        return int(self.service.clock.now())

    def token(self, place: Place, **changes: object) -> str:
        """The owner's for this place, with other claims where they are given. The clock stands still: made once."""
        claims = self.service.claims(**{"aud": place.resource} | changes)
        key = json.dumps(claims, sort_keys=True)
        if key not in self.tokens:
            self.tokens[key] = self.service.token(claims)
        return self.tokens[key]

    def nobody(self, place: Place) -> str:
        """A token of a principal without any permission."""
        return self.token(place, oid=NOBODY, sub=NOBODY)

    async def ask(
        self,
        place: Place,
        method: str,
        target: str,
        body: object = None,
        *,
        token: str | None = "good",  # noqa: S107  # the word for a good one
        **more: Any,
    ) -> Answer:
        """target: with the newest api-version unless it has a query. token: 'good' is the owner's."""
        good = self.token(place) if token == "good" else token
        target = target if "?" in target else f"{target}?api-version={NEWEST}"
        return await self.client.answer(self.service.request(method, target, body, host=place.host, token=good, **more))

    async def refused(
        self,
        place: Place,
        row: Row | None,
        expected: Refusal,
        target: str,
        *,
        method: str = "",
        **request: Any,
    ) -> None:
        """This request of an operation is refused in exactly this way, is recorded, and has changed nothing.

        row: None when it is no operation's. A call without a bearer token is not recorded.
        """
        before = self.data_version()
        answer = await self.ask(place, method or (row.method if row else "GET"), target, **request)
        check(answer, expected, place)
        assert self.data_version() == before, "a refusal has changed something"
        record = last_record(self.service.audit_path)
        found = record["properties"]["requestId"] == answer.header("x-ms-request-id")
        if expected.message is not None and expected.message.startswith("AKV10000"):
            assert not found, "the beginning of every client's conversation is recorded"
            return
        assert found, "the refusal is not recorded"
        is_one = row is not None and (place.is_pool or row.in_vaults)
        name = "Authentication" if expected.status == 401 else row.audit if row and is_one else "Unknown"
        assert (record["operationName"], record["properties"]["httpStatusCode"]) == (name, expected.status)
        assert record["resultSignature"] == SIGNATURES.get(expected.status, record["resultSignature"])
        asked = parse_qs(target.partition("?")[2]).get("api-version", [""])[0] if "?" in target else NEWEST
        assert record["operationVersion"] == asked
        if expected.message is not None:
            assert record["resultDescription"] == expected.message

    async def make(self, place: Place, name: str, body: Mapping[str, object]) -> str:
        answer = await self.ask(place, "POST", f"/keys/{name}/create", body)
        assert answer.status == 200, answer.body
        version = str(answer.json["key"]["kid"]).rpartition("/")[2]
        self.versions[place.name, name] = version
        return version

    async def done(self, place: Place, method: str, target: str, body: object = None) -> Any:
        answer = await self.ask(place, method, target, body)
        assert answer.status in (200, 204), answer.body
        return answer.json if answer.body else None


def caller(object_id: str = OBJECT_ID) -> str:
    return CALLER.format(application=APPLICATION_ID, oid=object_id, iss=ISS)


@asynccontextmanager
async def prepared(token: SoftToken, folder: Path, database: Path) -> AsyncIterator[Rig]:
    """database: an empty one with its schema, of the rig's own."""
    async with token.world() as world:
        await offer_export(world)
        wrapped = WrappedCustodian(world, RandomIdentifiers())
        hard = WorldCustody(CustodyClass.WRAPPED, {CustodyClass.WRAPPED: wrapped}, world.mac)
        async with serving(database, folder / "audit", more=containers(), hard=hard) as service:
            service.directory.put(NOBODY)
            pool = next(one for one in containers() if one.name == "kepthsm")
            everywhere = local_roles.stored_scope(pool.id, "/")
            service.assignments.assignments += [
                RoleAssignment(f"kept-{one.id}", everywhere, one.id, OBJECT_ID) for one in pool_roles.BUILT_IN
            ]
            client = Client(*await asyncio.open_connection("127.0.0.1", service.port))
            with closing(client), closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
                rig = Rig(service, client, connection)
                for place in GROUNDS:
                    await _make_keys(rig, place)
                yield rig


async def _make_keys(rig: Rig, place: Place) -> None:
    """good: usable for all; turning: its state is set by the tests; signs, wraps: with some key_ops; gone: deleted.

    exchange, exportable, secure: in hardware, for what only such keys do. Of good and gone there are backups.
    """
    aes = {"kty": "oct-HSM", "key_size": 256}
    rsa = {"kty": "RSA-HSM" if place.hardware else "RSA"}
    general = aes if place.is_pool else rsa
    ec = {"kty": "EC-HSM" if place.hardware else "EC"}
    await rig.make(place, "good", {**general, "key_ops": SIX})
    await rig.make(place, "turning", {**general, "key_ops": SIX})
    await rig.make(place, "signs", {**general, "key_ops": ["sign", "verify"]})
    await rig.make(place, "wraps", {**general, "key_ops": ["encrypt", "decrypt", "wrapKey", "unwrapKey"]})
    await rig.make(place, "gone", ec)
    for name in ("good", "gone"):
        rig.bodies[place.name, f"restore {name}"] = await rig.done(place, "POST", f"/keys/{name}/backup")
    await rig.done(place, "DELETE", "/keys/gone")
    await _make_bodies(rig, place)
    if place.hardware:
        exportable = {"exportable": True}
        policy = {"release_policy": RELEASE_POLICY}
        await rig.make(place, "exchange", {"kty": "RSA-HSM", "key_size": 2048, "key_ops": ["import"]})
        await rig.make(place, "exportable", {**ec, "attributes": exportable, **policy})
        await rig.make(place, "secure", {**general, "key_ops": ["secureWrapKey", "secureUnwrapKey"], **policy})


async def _make_bodies(rig: Rig, place: Place) -> None:
    """Bodies with which `turning` does each of the six."""
    digest = b64(bytes(32))
    seal, wrap = ("A256GCM", "A256KW") if place.is_pool else ("RSA-OAEP", "RSA-OAEP")
    signing = "HS256" if place.is_pool else "RS256"
    sealed = await rig.done(place, "POST", "/keys/turning//encrypt", {"alg": seal, "value": digest})
    wrapped = await rig.done(place, "POST", "/keys/turning//wrapkey", {"alg": wrap, "value": digest})
    opening = {name: sealed[name] for name in ("value", "iv", "tag") if name in sealed}
    rig.bodies |= {
        (place.name, "encrypt"): {"alg": seal, "value": digest},
        (place.name, "decrypt"): {"alg": seal, **opening},
        (place.name, "sign"): {"alg": signing, "value": digest},
        (place.name, "verify"): {"alg": signing, "digest": digest, "value": b64(bytes(32 if place.is_pool else 256))},
        (place.name, "wrap_key"): {"alg": wrap, "value": digest},
        (place.name, "unwrap_key"): {"alg": wrap, "value": wrapped["value"]},
    }
