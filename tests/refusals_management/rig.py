"""One management plane for the whole folder, with every handler that the product has, over soft keys.

No refusal changes anything: `refused` looks at the database each time. Tests that do change something use names of
their own.
"""

import asyncio
import json
import re
import sqlite3
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from hsmvault.custody.custodians import Custodians
from hsmvault.custody.intents import Intents
from hsmvault.custody.soft import SoftCustodian
from hsmvault.lanes import Lane
from hsmvault.model.containers import Container
from hsmvault.resources.key_cache import KeyCache
from hsmvault.resources.key_rotation import KeyRotation
from hsmvault.resources.keys import Keys
from hsmvault.resources.pools.deleted import DeletedPools
from hsmvault.resources.pools.pools import PoolRules, Pools
from hsmvault.resources.private_endpoints import PrivateEndpoints
from hsmvault.resources.roles.assignments import RoleAssignments
from hsmvault.resources.roles.definitions import RoleDefinitions
from hsmvault.resources.secret_cache import SecretCache
from hsmvault.resources.secrets import Secrets
from hsmvault.resources.vaults.deleted import DeletedVaults
from hsmvault.resources.vaults.vaults import VaultRules, Vaults
from hsmvault.wire.management.authorization import AuthorizationHandlers
from hsmvault.wire.management.container_handlers import place_of
from hsmvault.wire.management.container_pages import ManagementPages
from hsmvault.wire.management.handlers import ManagementGroup
from hsmvault.wire.management.operation_results import OperationResults
from hsmvault.wire.management.pool_keys import pool_key_handlers
from hsmvault.wire.management.pools import PoolHandlers
from hsmvault.wire.management.private_endpoints import PrivateEndpointHandlers
from hsmvault.wire.management.requests import ManagementRequest
from hsmvault.wire.management.vault_keys import KeyHandlers
from hsmvault.wire.management.vault_secrets import SecretHandlers
from hsmvault.wire.management.vaults import VaultHandlers
from tests.pipeline.world import LOGIN, MANAGEMENT, OBJECT_ID, TENANT, VAULT
from tests.refusals_management import words
from tests.refusals_management.rows import Row
from tests.refusals_management.table import NEWEST
from tests.refusals_management.words import Refusal
from tests.wire.management.stage import HOST, ManagementService, Parts, governing
from tests.wire.management.surroundings import LOCATIONS, surroundings
from tests.wire.service import Answer, read_answer

NONSENSE = b"{not json"
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Client:
    """One connection for all requests: no refusal may end it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def answer(self, request: bytes, *, head: bool = False) -> Answer:
        self._writer.write(request)
        answer = await read_answer(self._reader, head=head)
        assert answer is not None, "the connection was closed"
        return answer

    def close(self) -> None:
        self._writer.close()


@dataclass
class Rig:
    service: ManagementService
    client: Client
    database: sqlite3.Connection
    tokens: dict[str, str] = field(default_factory=dict)

    def data_version(self) -> int:
        """Another number after every commit by anybody else."""
        (number,) = self.database.execute("PRAGMA data_version").fetchone()
        return int(number)

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        before = self.data_version()
        yield
        assert self.data_version() == before, "a refusal has changed something"

    def token(self, object_id: str = OBJECT_ID, **changes: object) -> str:
        """A token of somebody of the tenant, with other claims where they are given. The clock stands still: made
        once."""
        claims = self.service.claims(**{"aud": MANAGEMENT, "oid": object_id, "sub": object_id} | changes)
        key = json.dumps(claims, sort_keys=True)
        if key not in self.tokens:
            self.tokens[key] = self.service.token(claims)
        return self.tokens[key]

    async def ask(
        self,
        method: str,
        target: str,
        body: object = None,
        *,
        token: str | None = "good",  # noqa: S107  # the word for a good one
        **more: Any,
    ) -> Answer:
        """target: with the newest api-version unless it has a query. token: 'good' is the owner's."""
        good = self.token() if token == "good" else token
        target = target if "?" in target else f"{target}?api-version={NEWEST}"
        request = self.service.request(method, target, body, host=HOST, token=good, **more)
        return await self.client.answer(request, head=method == "HEAD")

    async def refused(self, expected: Refusal, row: Row | None, target: str, *, method: str = "", **more: Any) -> None:
        """This request of an operation is refused in exactly this way, is recorded, and has changed nothing.

        row: None when it is no operation's. A call without a bearer token is not recorded.
        """
        method = method or (row.method if row else "GET")
        with self.unchanged():
            answer = await self.ask(method, target, **more)
        check(answer, expected, has_body=method != "HEAD")
        record = last_record(self.service.audit_path)
        found = record is not None and record["properties"]["requestId"] == answer.header("x-ms-request-id")
        if expected == words.NO_TOKEN:
            assert not found, "the beginning of every client's conversation is recorded"
            return
        assert found, "the refusal is not recorded"
        name = "Authentication" if expected.status == 401 else row.audit if row else "Unknown"
        assert (record["operationName"], record["properties"]["httpStatusCode"]) == (name, expected.status)
        assert record["operationVersion"] == _version(target)
        if expected.message is not None:
            assert record["resultDescription"] == expected.message

    async def done(self, method: str, target: str, body: object = None, **more: Any) -> Any:
        answer = await self.ask(method, target, body, **more)
        assert answer.status in (200, 201, 202, 204), answer.body
        return answer.json if answer.body else None


def check(answer: Answer, expected: Refusal, *, has_body: bool = True) -> None:
    """Status, body and headers of a refusal of the resource manager."""
    request_id = answer.header("x-ms-request-id")
    assert request_id is not None and _GUID.fullmatch(request_id)
    assert answer.header("x-ms-correlation-request-id") == request_id
    assert answer.status == expected.status, answer.body
    challenge = answer.header("WWW-Authenticate")
    assert (challenge is not None) is (expected.status == 401)
    if challenge is not None:
        assert challenge.startswith(f'Bearer authorization_uri="{LOGIN}/{TENANT}", error="invalid_token", ')
    assert answer.header("Retry-After") is None
    assert answer.header("Location") is None
    assert answer.header("Cache-Control") == "no-cache, no-store"
    assert answer.header("X-Content-Type-Options") == "nosniff"
    assert answer.header("Strict-Transport-Security") == "max-age=31536000; includeSubDomains"
    if not has_body:
        assert answer.body == b""
        return
    assert answer.header("Content-Type") == "application/json; charset=utf-8"
    assert answer.json == {"error": {"code": expected.code, "message": answer.message}}
    if expected.message is not None:
        assert answer.message == expected.message
    assert answer.message.strip() and len(answer.message) < 4096


def _version(target: str) -> str:
    """That the caller asked for, "" when its query cannot be read."""
    if "?" not in target:
        return NEWEST
    try:
        pairs = parse_qsl(target.partition("?")[2], keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        return ""
    query = {name.lower(): value for name, value in pairs}
    return query.get("api-version", "") if len(query) == len(pairs) else ""


def last_record(path: Path) -> Any:
    """Of the audit log, None while it has none; every record is on a line that ends."""
    if not path.exists():
        return None
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - 16_384))
        lines = log.read().splitlines()
        return json.loads(lines[-1]) if lines else None


@asynccontextmanager
async def running(folder: Path, database: Path) -> AsyncIterator[Rig]:
    """database: an empty one with its schema, of the rig's own. There is nothing in it yet (grounds.py)."""
    lanes: list[Lane[None]] = [Lane(name, None, limit=100) for name in ("soft", "generation", "checks")]
    async with governing(database, folder / "audit", lambda parts: _handlers(parts, lanes)) as service:
        client = Client(*await asyncio.open_connection("127.0.0.1", service.port))
        with closing(client), closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            yield Rig(service, client, connection)
    for lane in lanes:
        await lane.close()


def _handlers(parts: Parts, lanes: list[Lane[None]]) -> Iterable[ManagementGroup]:
    database, clock, identifiers = parts.database, parts.clock, parts.identifiers
    custodians = Custodians(SoftCustodian(parts.sealer, clock, work=lanes[0], generation=lanes[1]), {})
    intents = Intents(database, "test", clock)
    key_cache, secret_cache = KeyCache(database, custodians), SecretCache(database)
    parts.feed.subscribe("key", key_cache.forget)
    parts.feed.subscribe("secret", secret_cache.forget)
    keys = Keys(database, custodians, key_cache, lanes[2], clock, identifiers, intents)
    secrets = Secrets(database, secret_cache, {VAULT.world_id: parts.sealer}, clock, identifiers)
    rotation, pages = KeyRotation(database, keys, clock), ManagementPages(parts.sealer)
    vaults = Vaults(database, clock, identifiers, VaultRules(VAULT.world_id, LOCATIONS))
    pools = Pools(database, clock, identifiers, PoolRules(LOCATIONS))

    async def found(request: ManagementRequest) -> Container:
        return await vaults.get(place_of(request))

    yield VaultHandlers(vaults, DeletedVaults(database, clock, identifiers), pages, _origin)
    yield KeyHandlers("keys", "Microsoft.KeyVault/vaults/keys", found, keys, rotation, pages, _origin)
    yield SecretHandlers(found, secrets, pages, _origin)
    yield PoolHandlers(pools, DeletedPools(database, clock, identifiers), pages, _origin)
    yield pool_key_handlers(pools, keys, rotation, pages, _origin)
    yield PrivateEndpointHandlers(PrivateEndpoints(database, clock), "localhost")
    yield OperationResults(database)
    yield AuthorizationHandlers(parts.rbac, RoleAssignments(database, clock), RoleDefinitions(database, clock))
    yield from surroundings(parts)


def _origin(container: Container) -> str:
    return f"https://{container.name}.vault.localhost:8443"
