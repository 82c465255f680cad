"""The operations of vaults and of what is in them behind the router and the api-versions of the management plane, on a
real database with soft keys; the caller may what the test says. The pipeline in front has its own tests."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from hsmvault.clock import RandomIdentifiers
from hsmvault.custody.custodians import Custodians
from hsmvault.custody.intents import Intents
from hsmvault.custody.keyring import KeyRing
from hsmvault.custody.sealing import Sealer
from hsmvault.custody.soft import SoftCustodian
from hsmvault.errors import RequestError
from hsmvault.lanes import Lane
from hsmvault.model.containers import Container
from hsmvault.model.principals import Caller
from hsmvault.model.worlds import ACTIVE, SystemKeyRow, WorldRow
from hsmvault.resources.container_removal import ContainerRemoval
from hsmvault.resources.key_cache import KeyCache
from hsmvault.resources.key_rotation import KeyRotation
from hsmvault.resources.keys import Keys
from hsmvault.resources.secret_cache import SecretCache
from hsmvault.resources.secrets import Secrets
from hsmvault.store import worlds
from hsmvault.store.data_keys import DataKeys
from hsmvault.wire import failures
from hsmvault.wire.management.container_handlers import place_of
from hsmvault.wire.management.container_pages import ManagementPages
from hsmvault.wire.management.handlers import ManagementHandlers
from hsmvault.wire.management.operation_results import OperationResults
from hsmvault.wire.management.requests import ManagementRequest
from hsmvault.wire.management.routes import ManagementRouter
from hsmvault.wire.management.vault_keys import KeyHandlers
from hsmvault.wire.management.vault_secrets import SecretHandlers
from hsmvault.wire.management.vaults import VaultHandlers
from hsmvault.wire.management.versions import NEWEST, ManagementVersions
from tests.custody.doubles import SoftwareSystemKey
from tests.resources.vault_stage import SUBSCRIPTION, TENANT, VaultStage, vault_stage

ORIGIN = "https://management.localhost:8443"
KEY_VAULT = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.KeyVault"
VAULTS = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/group/providers/Microsoft.KeyVault/vaults"
NORTH = f"{VAULTS}/North"
CALLER = Caller(TENANT, "44444444-0000-0000-0000-000000000009", "66666666-0000-0000-0000-000000000009", "issuer")
BODY: dict[str, Any] = {
    "location": "local",
    "properties": {"tenantId": TENANT, "sku": {"family": "A", "name": "standard"}, "accessPolicies": []},
}


@dataclass(frozen=True)
class Reply:
    status: int
    body: Any
    headers: dict[str, str]

    @property
    def code(self) -> str:
        return str(self.body["error"]["code"])


@dataclass
class VaultRig:
    stage: VaultStage
    handlers: ManagementHandlers
    removal: ContainerRemoval
    secrets: Secrets
    keys: Keys
    router: ManagementRouter = field(default_factory=ManagementRouter)
    versions: ManagementVersions = field(default_factory=ManagementVersions)
    may: Callable[[str, str], bool] = lambda _, __: True

    async def call(self, method: str, path: str, body: object = None, *, version: str = NEWEST, **query: str) -> Reply:
        """path: with a query or without. body: JSON, or bytes as they are."""
        path, _, text = path.removeprefix(ORIGIN).partition("?")
        query = {**dict(parse_qsl(text)), **query}
        version = query.pop("api-version", version)
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        try:
            match = self.router.find(method, path)
            assert match is not None, f"no route for {method} {path}"
            request = ManagementRequest(
                operation=match.operation,
                names=match.names,
                scope=match.scope,
                tenant_id=TENANT,
                caller=CALLER,
                origin=ORIGIN,
                query=query,
                body=content,
                api_version=version,
                served_as=self.versions.check(match.operation, version),
                may=self._may,
            )
            answer = await self.handlers.table[match.operation.name](request)
        except RequestError as error:
            return Reply(failures.status_of(error), json.loads(failures.body_of(error)), {})
        headers = dict(answer.more) | ({"Location": answer.location} if answer.location else {})
        return Reply(answer.status, json.loads(answer.body) if answer.body else None, headers)

    async def made(self, **properties: object) -> Any:
        """The vault North, with these properties."""
        reply = await self.call("PUT", NORTH, {**BODY, "properties": {**BODY["properties"], **properties}})
        assert reply.status == 200, reply
        return reply.body

    async def purge(self) -> None:
        """As the job does it."""
        stored = await self.stage.stored()
        assert stored is not None

        async def done() -> None:
            return None

        async def goes_on() -> bool:
            return True

        assert await self.removal.remove(stored, int(self.stage.clock.now()), done, goes_on)

    async def _may(self, action: str, resource_id: str) -> bool:
        return self.may(action, resource_id)


@asynccontextmanager
async def vault_rig(path: Path, empty: Path) -> AsyncIterator[VaultRig]:
    identifiers = RandomIdentifiers()
    system_key = SoftwareSystemKey("system-1")
    lanes: list[Lane[None]] = [Lane(name, None, limit=10) for name in ("soft", "generation", "checks")]
    async with vault_stage(path, empty) as stage:
        database, clock = stage.database, stage.clock
        async with database.write() as tx:
            await worlds.insert_world(tx, WorldRow("world", "world", "local", "t", b"w", b"m", "wrapped", 0))
            await worlds.insert_system_key(tx, SystemKeyRow(system_key.id, "world", b"id", ACTIVE, 0))
        sealer = Sealer(KeyRing(system_key), DataKeys(database), clock, identifiers)
        custodians = Custodians(SoftCustodian(sealer, clock, work=lanes[0], generation=lanes[1]), {})
        intents = Intents(database, "test", clock)
        key_cache, secret_cache = KeyCache(database, custodians), SecretCache(database)
        stage.feed.subscribe("key", key_cache.forget)
        stage.feed.subscribe("secret", secret_cache.forget)
        keys = Keys(database, custodians, key_cache, lanes[2], clock, identifiers, intents)
        secrets = Secrets(database, secret_cache, {"world": sealer}, clock, identifiers)
        pages = ManagementPages(sealer)

        def origin_of(container: Container) -> str:
            return f"https://{container.name}.vault.localhost:8443"

        async def found(request: ManagementRequest) -> Container:
            return await stage.vaults.get(place_of(request))

        rotation = KeyRotation(database, keys, clock)
        handlers = ManagementHandlers(
            VaultHandlers(stage.vaults, stage.deleted, pages, origin_of),
            KeyHandlers("keys", "Microsoft.KeyVault/vaults/keys", found, keys, rotation, pages, origin_of),
            SecretHandlers(found, secrets, pages, origin_of),
            OperationResults(database),
        )
        yield VaultRig(stage, handlers, ContainerRemoval(database, custodians, intents), secrets, keys)
    for lane in lanes:
        await lane.close()
