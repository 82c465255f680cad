"""A whole worker in this process, out of a configuration file: everything is the product's own, from the listeners to
SoftHSM, but the clock, which the test moves, and the rhythm of the jobs, which run when the test says so.

What goes out arrives at real receivers: two webhooks, one for each schema, and a mail server.
"""

import asyncio
import functools
import json
import shutil
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from hsmvault.app import acme, certificates, composition, preparation, serving
from hsmvault.app.composition import Worker, compose
from hsmvault.app.worlds import module_of
from hsmvault.cli.listeners import bind
from hsmvault.clock import MovedClock
from hsmvault.config import Listeners, Settings, WorkerSettings, read_settings
from hsmvault.hsm.module import Module
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.model.worlds import ACTIVE, SystemKeyRow, WorldRow
from hsmvault.store import containers, schedule, worlds
from hsmvault.store.database import Database
from hsmvault.store.migrations import migrate
from hsmvault.store.schedule import What
from hsmvault.telemetry import Metrics
from tests.instance import free_ports
from tests.isolation.node import Tenant, write_certificate
from tests.login.world import free_socket, serve_on
from tests.outbound.receivers import Mailbox, Receiver, mail_server
from tests.pipeline.world import rsa_key
from tests.softhsm import LABEL, MODULE_PATH, USER_PIN, SoftToken

API_VERSION = "7.6"
DAY, HOUR = 86_400, 3_600
CONTACTS = ("ada@example.org", "bob@example.org")
_MOST_TICKS = 50


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any

    @property
    def inner(self) -> str:
        """Code of the inner error of a refusal, or its own."""
        error = self.body["error"]
        return str(error.get("innererror", error)["code"])


@dataclass(frozen=True)
class Told:
    """An event, as both schemas say it. data: as both have it."""

    type: str
    time: str
    data: Mapping[str, Any]


def told_of(bundle: Mapping[str, Any], what: str, now: int) -> list[Told]:
    """That something, such as `NearExpiry`, is told of a certificate, its key and its secret at this time. bundle: as
    the vault answers it."""
    at = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%S}.0000000Z"
    told = []
    for kind, url in (("Certificate", bundle["id"]), ("Key", bundle["kid"]), ("Secret", bundle["sid"])):
        if not url:
            continue
        host, _, name, version = url.removeprefix("https://").split("/")
        data = {
            "Id": url,
            "VaultName": host.partition(".")[0],
            "ObjectType": kind,
            "ObjectName": name,
            "Version": version,
            "NBF": bundle["attributes"]["nbf"],
            "EXP": bundle["attributes"]["exp"],
        }
        told.append(Told(f"Microsoft.KeyVault.{kind}{what}", at, data))
    return told


class Control:
    """The line to a supervisor that is not there."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.is_ready = asyncio.Event()
        self.stopping = asyncio.Event()

    def ready(self) -> None:
        self.is_ready.set()

    def announce(self, hosts: object) -> None:
        """Nobody makes them resolve."""

    async def stop_requested(self) -> None:
        await self.stopping.wait()


@dataclass
class Hook:
    """A webhook's receiver. is_away: it hangs up on everybody."""

    receiver: Receiver = field(default_factory=Receiver)
    is_away: bool = False
    read: int = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if not self.is_away:
            return await self.receiver.handle(request)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    def news(self) -> list[Any]:
        """Bodies that have arrived since the last call."""
        received = self.receiver.received[self.read :]
        self.read = len(self.receiver.received)
        return [one.json for one in received]


@dataclass
class Life:
    """folder: hsmvault.toml, data/ and what else the configuration names."""

    folder: Path
    token: SoftToken
    clock: MovedClock
    tenant: Tenant
    port: int
    session: aiohttp.ClientSession
    mailbox: Mailbox
    grid: Hook = field(default_factory=Hook)
    cloud: Hook = field(default_factory=Hook)
    vault: Container = field(init=False, repr=False)
    settings: Settings = field(init=False, repr=False)
    parts: Worker = field(init=False, repr=False)
    _mails_read: int = 0
    _records_read: int = 0

    # the worker

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """From the first look at the token to the exit code, as the supervisor and its only worker do it."""
        self.settings = read_settings(self.folder / "hsmvault.toml")
        modules: list[Module] = []
        composed: list[Worker] = []
        control = Control()

        def load_once(settings: Settings) -> Module:
            modules.append(module_of(settings))
            return modules[-1]

        async def compose_and_keep(*arguments: Any) -> Worker:
            composed.append(await compose(*arguments))
            return composed[-1]

        async def no_time(_: float) -> None:
            await asyncio.sleep(0)

        async def by_hand(*_: object) -> None:
            """The test runs the jobs."""

        with pytest.MonkeyPatch.context() as patch, bind(self.settings) as bound:
            for part in (composition, preparation):
                patch.setattr(part, "SystemClock", lambda: self.clock)
            patch.setattr(composition, "module_of", load_once)
            patch.setattr(serving, "compose", compose_and_keep)
            patch.setattr(serving, "_jobs", by_hand)
            patch.setattr(certificates, "acme_issuer", functools.partial(acme.acme_issuer, pause=no_time))
            await preparation.prepare(self.settings, USER_PIN)
            worker = WorkerSettings(index=0, count=1, start=0, dev=False, settings=self.settings, main=())
            listeners = Listeners(bound.main[0], (), bound.pki[0])
            running = asyncio.create_task(serving.run_worker(worker, USER_PIN, listeners, control))
            ready = asyncio.create_task(control.is_ready.wait())
            try:
                await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
                if running.done():
                    ready.cancel()
                    running.result()
                (self.parts,) = composed
                self.vault = await self._find_vault()
                await self.settle()
                yield
                await self.parts.jobs._release()
                control.stopping.set()
                assert await running == 0
            finally:
                control.stopping.set()
                await asyncio.gather(running, ready, return_exceptions=True)
                for module in modules:
                    module.finalize()

    async def _find_vault(self) -> Container:
        async with self.parts.database.read() as tx:
            found = await containers.find(tx, ContainerKind.VAULT, self.tenant.vault)
        assert found is not None
        return found

    async def move(self, seconds: float) -> None:
        """Time passes, and the worker has worked all along."""
        self.clock.move(seconds)
        await self.settle()

    async def move_to(self, moment: float) -> None:
        await self.move(moment - self.clock.now())

    async def settle(self) -> None:
        """Until nothing is left to do at this time."""
        await self.parts.feed.poll()  # time has passed for it too
        for _ in range(_MOST_TICKS):
            await self.parts.jobs.tick()
            await asyncio.gather(*self.parts.issuance._running.values())
            if not self.parts.jobs._wanted:
                return
        raise AssertionError(f"the jobs do not come to rest: {self.parts.jobs._wanted}")

    def now(self) -> int:
        return int(self.clock.now())

    # calls

    @property
    def origin(self) -> str:
        return f"https://{self.tenant.vault}.vault.localhost:{self.port}"

    async def call(self, method: str, path: str, body: object = None) -> Answer:
        now = self.now()
        audience = f"https://vault.localhost:{self.port}"
        token = self.tenant.token(audience, iat=now, nbf=now, exp=now + 3600)
        headers = {"Authorization": f"Bearer {token}", "Host": self.origin.removeprefix("https://")}
        url = f"https://127.0.0.1:{self.port}{path}?api-version={API_VERSION}"
        async with self.session.request(method, url, json=body, headers=headers) as response:
            content = await response.read()
            return Answer(response.status, json.loads(content) if content else None)

    async def good(self, method: str, path: str, body: object = None) -> Any:
        """The body of an answer that is none of a refusal."""
        answer = await self.call(method, path, body)
        assert answer.status < 300, answer
        return answer.body

    async def create(self, name: str, policy: Mapping[str, Any], **more: Any) -> Any:
        """The operation, as it is once the worker has come to rest."""
        answer = await self.call("POST", f"/certificates/{name}/create", {"policy": policy, **more})
        assert answer.status == 202, answer
        await self.settle()
        return await self.good("GET", f"/certificates/{name}/pending")

    async def signs(self, name: str) -> str:
        """`signs`, or why the key does not."""
        key = await self.call("GET", f"/keys/{name}")
        if key.status != 200:
            return key.inner
        path = key.body["key"]["kid"].removeprefix(self.origin)
        answer = await self.call("POST", f"{path}/sign", {"alg": "ES256", "value": "A" * 43})
        return "signs" if answer.status == 200 else answer.inner

    async def opens(self, name: str) -> str:
        """`opens`, or why the secret does not."""
        answer = await self.call("GET", f"/secrets/{name}")
        return "opens" if answer.status == 200 else answer.inner

    # what comes out

    def told(self) -> list[Told]:
        """Events since the last call, after a comparison of what both receivers got, to the last member."""
        grid, cloud = [one for (one,) in self.grid.news()], self.cloud.news()
        told = [Told(one["eventType"], one["eventTime"], one["data"]) for one in grid]
        ids = [one["id"] for one in grid]
        assert [self._in_event_grids(one, two) for one, two in zip(told, ids, strict=True)] == grid
        assert [self._as_cloud_event(one, two) for one, two in zip(told, ids, strict=True)] == cloud
        return told

    def _in_event_grids(self, told: Told, event_id: str) -> dict[str, Any]:
        return {
            "id": event_id,
            "topic": self.vault.resource_id,
            "subject": told.data["ObjectName"],
            "eventType": told.type,
            "eventTime": told.time,
            "data": told.data,
            "dataVersion": "1",
            "metadataVersion": "1",
        }

    def _as_cloud_event(self, told: Told, event_id: str) -> dict[str, Any]:
        return {
            "specversion": "1.0",
            "id": event_id,
            "source": self.vault.resource_id,
            "subject": told.data["ObjectName"],
            "type": told.type,
            "time": told.time,
            "datacontenttype": "application/json",
            "data": told.data,
        }

    def mails(self) -> list[tuple[str, str]]:
        """Recipients and subjects of what has arrived since the last call."""
        messages = self.mailbox.messages[self._mails_read :]
        self._mails_read += len(messages)
        return [(str(one["To"]), str(one["Subject"])) for one in messages]

    def recorded(self) -> list[tuple[str, int]]:
        """Operation and status of each record since the last call of what nobody had called for."""
        lines = []
        for path in sorted((self.folder / "data" / "audit").glob("audit-0-*.jsonl")):
            lines += [json.loads(line) for line in path.read_text().splitlines()]
        new, self._records_read = lines[self._records_read :], len(lines)
        assert all(one["resourceId"] == self.vault.resource_id.upper() for one in new)
        return [
            (one["operationName"], one["properties"]["httpStatusCode"]) for one in new if not one["callerIpAddress"]
        ]

    async def scheduled(self, name: str, kind: str = "certificates") -> dict[What, int]:
        async with self.parts.database.read() as tx:
            return await schedule.of_object(tx, self.vault.id, kind, name)


@cache
def _empty_database() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        migrate(f"sqlite:///{folder}/hsmvault.db")
        return Path(folder, "hsmvault.db").read_bytes()


@asynccontextmanager
async def life(token: SoftToken, folder: Path, more: str = "") -> AsyncIterator[Life]:
    """An installation with a vault `north`, an authority `corp`, both webhooks and the mail server; nothing runs yet.
    more: of the configuration."""
    tenant = Tenant("north", key=rsa_key(2))
    port = free_ports()
    write_certificate(folder / "tls.pem")
    (folder / "north.json").write_text(tenant.jwks())
    context = ssl.create_default_context(cafile=str(folder / "tls.pem"))
    connector = aiohttp.TCPConnector(ssl=context, force_close=True)  # a worker that stops waits for nobody
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        mailbox = await stack.enter_async_context(mail_server())
        one = Life(folder, token, MovedClock(), tenant, port, session, mailbox)
        for hook in (one.grid, one.cloud):
            runner, hook.receiver.port = await serve_on(hook.handle, free_socket(), None)
            stack.push_async_callback(runner.cleanup)
        (folder / "hsmvault.toml").write_text(_configuration(one) + more)
        await _found(one)
        yield one


def _configuration(one: Life) -> str:
    return f"""
[server]
data_dir = "data"
port = {one.port}
workers = 1
addresses = ["127.0.0.1"]
certificate_file = "tls.pem"
key_file = "tls.key"

[hsm]
module = "{MODULE_PATH}"
token_label = "{LABEL}"
softhsm_conf = "{one.token.configuration}"

[metrics]
enabled = false

[[issuers]]
issuer = "{one.tenant.issuer}"
jwks_file = "north.json"
tenant = "{one.tenant.id}"
audiences = {{ vault = ["https://vault.localhost:{one.port}"] }}

[[containers]]
name = "north"
tenant = "{one.tenant.id}"
retention_days = 7
purge_protection = true
[[containers.role_assignments]]
principal = "{one.tenant.owner}"
role = "Key Vault Administrator"

[[authorities]]
name = "corp"
root_subject = "CN=Life Root"
subject = "CN=Life CA"
key_type = "P-256"
permitted_dns = ["example.org"]

[pki]
port = {one.port + 2}

[[events]]
name = "grid"
url = "http://127.0.0.1:{one.grid.receiver.port}/"

[[events]]
name = "cloud"
url = "http://127.0.0.1:{one.cloud.receiver.port}/"
schema = "cloudevents"

[smtp]
host = "127.0.0.1"
port = {one.mailbox.port}
tls = "none"
sender = "vault@keys.example"
"""


async def _found(one: Life) -> None:
    """What `hsmvault init` leaves: schema and world. The token was prepared for all tests."""
    data = one.folder / "data"
    data.mkdir(mode=0o700)
    (data / "hsmvault.db").write_bytes(_empty_database())
    database = await Database.open(f"sqlite:///{data}/hsmvault.db", clock=one.clock)
    ids = one.token.ids
    assert ids.world is not None
    assert ids.system is not None
    async with database.write() as tx:
        await worlds.insert_world(tx, WorldRow("w1", "default", "local", LABEL, ids.world, ids.mac, "wrapped", 1))
        await worlds.insert_system_key(tx, SystemKeyRow(ids.system.hex(), "w1", ids.system, ACTIVE, 1))
    await database.close()
    shutil.rmtree(data / "audit", ignore_errors=True)
