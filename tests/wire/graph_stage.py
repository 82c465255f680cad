"""The directory's plane behind its door, on a real socket, over a directory in a real database."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from hsmvault.audit.log import AuditLog
from hsmvault.clock import RandomIdentifiers
from hsmvault.model.directory import AZURE_CLI, DirectoryRole
from hsmvault.model.network import TrustedProxies
from hsmvault.pipeline.authentication import Authentication
from hsmvault.pipeline.graph import GraphPipeline
from hsmvault.pipeline.issuers import Issuers
from hsmvault.wire import failures
from hsmvault.wire.data_plane import BodyLimits
from hsmvault.wire.door import Door
from hsmvault.wire.graph.handlers import graph_handlers
from hsmvault.wire.graph.plane import GraphPlane
from hsmvault.wire.hosts import Hosts, Plane
from hsmvault.wire.server import Limits, Listener
from tests.login.world import free_socket
from tests.pipeline.world import GRAPH, LOGIN, World
from tests.resources.directory_stage import DirectoryStage, directory_stage

ROOT = f"{GRAPH}/v1.0"


class NoNews:
    def is_behind(self) -> bool:
        return False

    async def catch_up(self) -> None:
        raise AssertionError("there is nothing to catch up with")


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def code(self) -> str:
        return self.body["error"]["code"]

    @property
    def ids(self) -> list[str]:
        return [one["id"] for one in self.body["value"]]


@dataclass
class Graph:
    """call(): as the Global Administrator unless a token is given."""

    stage: DirectoryStage
    world: World
    session: aiohttp.ClientSession
    url: str
    audit_path: Path

    def token(self, object_id: str, **claims: object) -> str:
        tenant = self.stage.tenant.id
        issued = {"iss": f"{LOGIN}/{tenant}/", "tid": tenant, "aud": GRAPH, "oid": object_id, "cred": None}
        return self.world.token(self.world.claims(**issued | claims))

    def person(self, object_id: str, **claims: object) -> str:
        return self.token(object_id, scp="user_impersonation", idtyp="user", appid=AZURE_CLI, **claims)

    async def call(
        self, method: str, path: str, body: object = None, *, token: str | None = None, version: str = "v1.0"
    ) -> Answer:
        """path: behind the version, or the URL of a nextLink."""
        if token is None:
            token = self.token(self.stage.administrators[DirectoryRole.GLOBAL_ADMINISTRATOR])
        headers = {"Host": "graph.localhost:8443"} | ({"Authorization": f"Bearer {token}"} if token else {})
        target = path.removeprefix(GRAPH) if path.startswith(GRAPH) else f"/{version}{path}"
        data = None if body is None else json.dumps(body).encode()
        url = aiohttp.client.URL(self.url + target, encoded=True)
        async with self.session.request(method, url, data=data, headers=headers) as answer:
            text = await answer.text()
            is_json = answer.content_type == "application/json" and text
            return Answer(answer.status, answer.headers, json.loads(text) if is_json else text)

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.audit_path.read_text().splitlines()]


@asynccontextmanager
async def graph_stage(folder: Path) -> AsyncIterator[Graph]:
    async with directory_stage(folder) as stage, aiohttp.ClientSession() as session:
        world = World()
        world.clock = stage.clock
        issuers = Issuers((world.embedded(stage.tenant.id), world.embedded(stage.other.id)))
        audit = AuditLog(folder / "audit", "0", stage.clock)
        plane = GraphPlane(
            NoNews(),
            GraphPipeline(Authentication(issuers, stage.cache, stage.clock), audit, stage.clock, failures.status_of),
            graph_handlers(stage.directory),
            stage.clock,
            f"{LOGIN}/{stage.tenant.id}",
            lambda _: None,
            BodyLimits(),
        )
        identifiers = RandomIdentifiers()
        hosts = Hosts("localhost", 8443)
        door = Door(hosts, {Plane.DIRECTORY: plane}, None, TrustedProxies(()), identifiers, lambda _: None)
        listening = free_socket()
        listener = await Listener.start(door.handle, [listening], None, Limits())
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            yield Graph(stage, world, session, url, folder / "audit" / "audit-0-000001.jsonl")
        finally:
            await session.close()
            await listener.stop(1)
            await audit.close()
