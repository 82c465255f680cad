"""One service for the whole folder, with containers of every kind and objects for every operation.

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
from tests.pipeline.world import APPLICATION_ID, ISS, OBJECT_ID
from tests.refusals.certificate_bodies import SELF_SIGNED
from tests.refusals.checks import check, last_record
from tests.refusals.places import NOBODY, Place, containers
from tests.refusals.rows import Row
from tests.refusals.table import NEWEST
from tests.refusals.words import CALLER, Objects, Refusal
from tests.resources.certificate_stage import StandIn
from tests.softhsm import SoftToken, offer_export
from tests.wire.service import Answer, Service, read_answer, serving

NONSENSE = b"{not json"
SIGNATURES = {401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}
"""Those that are published."""


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
    """versions: of the objects, by place and name. bodies: by place and operation, what an object accepts."""

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
        is_one = row is not None and place.serves(row)
        name = "Authentication" if expected.status == 401 else row.audit if row and is_one else "Unknown"
        assert (record["operationName"], record["properties"]["httpStatusCode"]) == (name, expected.status)
        assert record["resultSignature"] == SIGNATURES.get(expected.status, record["resultSignature"])
        asked = parse_qs(target.partition("?")[2]).get("api-version", [""])[0] if "?" in target else NEWEST
        assert record["operationVersion"] == asked
        if expected.message is not None:
            assert record["resultDescription"] == expected.message

    async def make(self, place: Place, name: str, body: Mapping[str, object] | None = None) -> str:
        """An object of the place's kind, and its version. body: of its creation, when it has to be a certain one. A
        certificate that does not wait for anybody is there then."""
        match place.kind:
            case Objects.KEYS:
                usual: Mapping[str, object] = {"kty": "EC-HSM" if place.hardware else "EC"}
                made = await self.done(place, "POST", f"/keys/{name}/create", body or usual)
                identifier = str(made["key"]["kid"])
            case Objects.SECRETS:
                made = await self.done(place, "PUT", f"/secrets/{name}", body or {"value": name})
                identifier = str(made["id"])
            case _:
                policy = {"policy": SELF_SIGNED}
                begun = await self.done(place, "POST", f"/certificates/{name}/create", body or policy)
                while begun["status"] == "inProgress" and begun["issuer"]["name"] == "Self":
                    begun = await self.done(place, "GET", f"/certificates/{name}/pending")
                identifier = str((await self.done(place, "GET", f"/certificates/{name}"))["id"])
        version = identifier.rpartition("/")[2]
        self.versions[place.name, name] = version
        return version

    async def done(self, place: Place, method: str, target: str, body: object = None) -> Any:
        answer = await self.ask(place, method, target, body)
        assert answer.status in (200, 201, 202, 204), answer.body
        return answer.json if answer.body else None


def caller(object_id: str = OBJECT_ID) -> str:
    return CALLER.format(application=APPLICATION_ID, oid=object_id, iss=ISS)


@asynccontextmanager
async def running(token: SoftToken, folder: Path, database: Path) -> AsyncIterator[Rig]:
    """database: an empty one with its schema, of the rig's own. There are no objects yet (grounds.py)."""
    async with token.world() as world:
        await offer_export(world)
        wrapped = WrappedCustodian(world, RandomIdentifiers())
        hard = WorldCustody(CustodyClass.WRAPPED, {CustodyClass.WRAPPED: wrapped}, world.mac)
        async with serving(database, folder / "audit", more=containers(), hard=hard, issuers=[StandIn()]) as service:
            service.directory.put(NOBODY)
            pool = next(one for one in containers() if one.name == "kepthsm")
            everywhere = local_roles.stored_scope(pool.id, "/")
            service.assignments.assignments += [
                RoleAssignment(f"kept-{one.id}", everywhere, one.id, OBJECT_ID) for one in pool_roles.BUILT_IN
            ]
            client = Client(*await asyncio.open_connection("127.0.0.1", service.port))
            with closing(client), closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
                yield Rig(service, client, connection)
