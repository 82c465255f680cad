"""The directory's plane: bad input gets an answer in Graph's form, and nothing changes."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from hsmvault.model.directory import DirectoryRole
from hsmvault.model.principals import PrincipalKind
from tests.pipeline.world import GRAPH, MANAGEMENT
from tests.refusals_management.graph_rows import ROWS, GraphRow
from tests.refusals_management.models import with_member
from tests.refusals_management.rig import Client, last_record
from tests.refusals_management.table import of_each
from tests.refusals_management.test_anything import MANY, SOME, VALUES
from tests.refusals_management.test_bodies import MALFORMED
from tests.wire.graph_stage import Graph, graph_stage
from tests.wire.service import Answer

pytestmark = pytest.mark.asyncio(loop_scope="package")

NEVER = "44444444-0000-0000-0000-000000000404"
GLOBAL = DirectoryRole.GLOBAL_ADMINISTRATOR
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE")
every = of_each(ROWS)


@dataclass
class GraphRig:
    """ids: what stands in the paths, by the collection before it."""

    graph: Graph
    client: Client
    database: sqlite3.Connection
    ids: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    def target(self, row: GraphRow, id: str = "", other: str = NEVER, version: str = "v1.0") -> str:
        collection = row.path.split("/{id}")[0]
        found = id or self.ids.get(collection, NEVER)
        return f"/{version}/{row.path.replace('{id}', found).replace('{other}', other)}"

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        before = self._version()
        yield
        assert self._version() == before, "a refusal has changed something"

    def _version(self) -> int:
        (number,) = self.database.execute("PRAGMA data_version").fetchone()
        return int(number)

    def token(self, object_id: str = "", **claims: object) -> str:
        object_id = object_id or self.graph.stage.administrators[GLOBAL]
        key = json.dumps([object_id, claims], sort_keys=True)
        if key not in self.tokens:
            self.tokens[key] = self.graph.token(object_id, **claims)
        return self.tokens[key]

    async def ask(self, method: str, target: str, body: object = None, *, token: str | None = "good") -> Answer:  # noqa: S107  # the word for a good one
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"{method} {target} HTTP/1.1", "Host: graph.localhost:8443", f"Content-Length: {len(content)}"]
        if token is not None:
            lines.append(f"Authorization: Bearer {self.token() if token == 'good' else token}")
        return await self.client.answer("\r\n".join(lines).encode() + b"\r\n\r\n" + content)

    async def refused(
        self, status: int, code: str, row: GraphRow | None, target: str, *, method: str = "", **more: Any
    ) -> Answer:
        with self.unchanged():
            answer = await self.ask(method or (row.method if row else "GET"), target, **more)
        assert (answer.status, answer.code) == (status, code), (target, more, answer.body)
        check(answer)
        record = last_record(self.graph.audit_path)
        is_there = record is not None and record["properties"]["requestId"] == answer.header("request-id")
        assert is_there is (answer.message != "Access token is empty.")
        if is_there and status != 401:
            assert record["operationName"] == (row.audit if row else "Unknown")
        return answer


def check(answer: Answer) -> None:
    error = answer.json["error"]
    assert answer.json.keys() == {"error"}
    assert error.keys() == {"code", "message", "innerError"}
    assert error["innerError"].keys() == {"date", "request-id", "client-request-id"}
    assert error["innerError"]["request-id"] == answer.header("request-id")
    assert (answer.header("WWW-Authenticate") is not None) is (answer.status == 401)
    assert error["message"].strip() and len(error["message"]) < 2048


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GraphRig]:
    folder = tmp_path_factory.mktemp("graph")
    async with graph_stage(folder) as graph:
        port = int(graph.url.rpartition(":")[2])
        client = Client(*await asyncio.open_connection("127.0.0.1", port))
        uri = f"file:{folder / 'directory.db'}?mode=ro"
        with closing(client), closing(sqlite3.connect(uri, uri=True)) as connection:
            rig = GraphRig(graph, client, connection)
            stage = graph.stage
            user, group = await stage.user("ada"), await stage.group("People")
            role = "88d8e3e3-8f55-4a1e-953a-9b9898b8876b"
            made = (await rig.ask("POST", "/v1.0/applications", {"displayName": "Ours"})).json
            principal = (await rig.ask("POST", "/v1.0/servicePrincipals", {"appId": made["appId"]})).json
            nobody = await stage.put(PrincipalKind.APPLICATION, "Nobody", application_id=NEVER)
            rig.ids |= {
                "users": user.object_id,
                "groups": group.object_id,
                "applications": made["id"],
                "servicePrincipals": principal["id"],
                "directoryObjects": user.object_id,
                "directoryRoles": role,
                "roleManagement/directory/roleDefinitions": role,
                "roleManagement/directory/roleAssignments": f"{user.object_id}_{role}",
                "nobody": nobody.object_id,
            }
            yield rig


@every
async def test_a_stranger_is_unauthorized_before_anything_is_looked_at(rig: GraphRig, name: str) -> None:
    row = ROWS[name]
    target, code = f"{rig.target(row)}?$top=x", "InvalidAuthenticationToken"
    for token in (
        None,
        "",
        "nonsense",
        rig.token(aud=MANAGEMENT),
        rig.token(exp=1),
        rig.token(NEVER),
        rig.token(iss="https://sts.example/"),
    ):
        await rig.refused(401, code, row, target, body=b"{not json", token=token)


@every
async def test_another_method_is_not_allowed(rig: GraphRig, name: str) -> None:
    row = ROWS[name]
    target = rig.target(row)
    known = {one.method for one in ROWS.values() if one.path == row.path}
    if row.path.endswith("$count"):
        known |= {"PATCH", "DELETE"}  # it looks like an id
    if row.path.startswith("directoryObjects/") and row.path.count("/") == 1:
        known = {"GET", "DELETE", "POST"}  # getByIds looks like one, too
    for method in METHODS:
        if method not in known:
            await rig.refused(405, "Request_BadRequest", None, target, method=method)


@pytest.mark.parametrize(
    "target",
    [
        *("/", "/v1.0", "/v2.0/users", "/users", "/v1.0/nowhere", "/v1.0/users/a/b/c", "/v1.0/%ff", "/v1.0/users/%00"),
        *("/v1.0/me/drive", "/v1.0/users/" + "x" * 2000, "/v1.0" + "/a" * 50, "/beta/deletedItems"),
    ],
)
async def test_an_unknown_route_is_refused(rig: GraphRig, target: str) -> None:
    for method in METHODS[:-1]:
        await rig.refused(400, "Request_BadRequest", None, target, method=method, body={})


@every
async def test_what_cannot_be_a_query_is_refused(rig: GraphRig, name: str) -> None:
    row = ROWS[name]
    for query in ("?$top=1&$top=2", "?a=%ff", "?" + "&".join(f"a{one}=1" for one in range(40))):
        await rig.refused(400, "Request_BadRequest", row, rig.target(row) + query, body=row.good)


@of_each([name for name, row in ROWS.items() if row.writes])
async def test_who_has_no_role_changes_nothing(rig: GraphRig, name: str) -> None:
    row = ROWS[name]
    token, good = rig.token(rig.ids["nobody"]), row.good
    if row.body is not None and "@odata.id" in row.body:
        good = {"@odata.id": f"{GRAPH}/v1.0/directoryObjects/{rig.ids['users']}"}
    with rig.unchanged():
        answer = await rig.ask(row.method, rig.target(row), good, token=token)
    assert (answer.status, answer.code) in (
        (403, "Authorization_RequestDenied"),
        (404, "Request_ResourceNotFound"),
    ), answer.body
    check(answer)


@of_each([name for name, row in ROWS.items() if "{id}" in row.path])
async def test_what_is_not_there_is_not_found(rig: GraphRig, name: str) -> None:
    """Also what is another tenant's."""
    row = ROWS[name]
    for id in (NEVER, "x", "%20", "'", "appId=x", "{id}", rig.graph.stage.other.id):
        with rig.unchanged():
            answer = await rig.ask(row.method, rig.target(row, id=quote(id, safe="%'")), row.good)
        assert answer.status in (400, 404), (id, answer.body)
        check(answer)


@of_each([name for name, row in ROWS.items() if row.body is not None])
async def test_a_body_is_one_json_object_with_members_of_their_types(rig: GraphRig, name: str) -> None:
    row = ROWS[name]
    assert row.body is not None
    target, code = rig.target(row), "Request_BadRequest"
    if row.path.endswith("{other}"):
        return  # there is none: it is not found
    for body in MALFORMED[len(name) % 5 :: 5]:
        await rig.refused(400, code, row, target, body=body)
    for place, kind in row.body.items():
        for value in kind.value:
            if value in ("true", 1, "x") and kind.name == "TRUTH" and value != 1:
                continue  # command lines send words
            given = with_member(row.good or {}, place, value)
            if "keyCredentials" not in place or "." not in place:
                await rig.refused(400, code, row, target, body=given)
    if not name.endswith(("Groups", "Objects", "getByIds")):
        await rig.refused(400, code, row, target, body={**(row.good or {}), "nothingThatIsKnown": 1})


# anything


async def _answered(rig: GraphRig, method: str, target: str, body: Any = None) -> None:
    answer = await rig.ask(method, target, body)
    assert answer.status < 500, (method, target, body, answer.body)
    if answer.status >= 400:
        check(answer)


async def _anything(rig: GraphRig, name: str, value: Any, data: st.DataObject) -> None:
    row = ROWS[name]
    target = rig.target(row, id=NEVER if row.method == "DELETE" else "")
    if row.body:
        await _answered(rig, row.method, target, value)
        place = data.draw(st.sampled_from(sorted(row.body)))
        await _answered(rig, row.method, target, with_member(row.good or {}, place, value))
    query = quote(str(data.draw(st.text(max_size=20))))
    option = data.draw(st.sampled_from(["$filter", "$top", "$select", "$skiptoken", "$search", "$count", "$orderby"]))
    await _answered(rig, "GET", f"{target}?{option}={query}")


NAMES = st.sampled_from(sorted(name for name in ROWS if "addPassword" not in name))


@SOME
@given(name=NAMES, value=VALUES, data=st.data())
async def test_whatever_is_sent_the_answer_is_one(rig: GraphRig, name: str, value: Any, data: st.DataObject) -> None:
    await _anything(rig, name, value, data)


@pytest.mark.slow
@MANY
@given(name=NAMES, value=VALUES, data=st.data())
async def test_whatever_much_is_sent_the_answer_is_one(
    rig: GraphRig, name: str, value: Any, data: st.DataObject
) -> None:
    await _anything(rig, name, value, data)
