"""The management plane in the test's own process: real sockets, real database, real RBAC, an issuer whose keys the test
holds. What a test file asks about, it brings: handlers are made from the parts of the stage.

The tenant has the subscription SUBSCRIPTION with the resource group `rg`; OBJECT_ID owns it, and READER may read it.
THEIRS is a subscription of the other tenant. The clock stands still until a test moves it.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsmvault.audit.log import AuditLog
from hsmvault.clock import RandomIdentifiers
from hsmvault.custody.keyring import KeyRing
from hsmvault.custody.sealing import Sealer
from hsmvault.model import builtin_roles
from hsmvault.model.network import TrustedProxies
from hsmvault.model.roles import RoleAssignment
from hsmvault.model.subscriptions import ResourceGroup, Subscription
from hsmvault.model.worlds import ACTIVE, SystemKeyRow, WorldRow
from hsmvault.pipeline.azure_rbac import AzureRbac
from hsmvault.pipeline.caches import AssignmentCache, RoleCache, SubscriptionCache
from hsmvault.pipeline.management import ManagementCall, ManagementPipeline
from hsmvault.store import resource_groups, roles, subscriptions, worlds
from hsmvault.store.changes import ChangeFeed
from hsmvault.store.data_keys import DataKeys
from hsmvault.store.database import Database
from hsmvault.wire import failures
from hsmvault.wire.data_plane import BodyLimits
from hsmvault.wire.door import Door
from hsmvault.wire.hosts import Hosts, Plane
from hsmvault.wire.management.handlers import ManagementGroup, ManagementHandlers
from hsmvault.wire.management.plane import ManagementPlane
from hsmvault.wire.management.versions import ManagementVersions
from hsmvault.wire.paging import Pages
from hsmvault.wire.server import Limits, Listener
from tests.custody.doubles import SoftwareSystemKey
from tests.login.world import free_socket
from tests.pipeline.world import LOGIN, MANAGEMENT, OBJECT_ID, OTHER_TENANT, TENANT, VAULT
from tests.wire.service import SYSTEM_KEY, Answer, Service

VERSION = "api-version=2026-02-01"
SUBSCRIPTION = VAULT.subscription_id
THEIRS = "33333333-0000-0000-0000-000000000099"
READER = "44444444-0000-0000-0000-00000000000e"
NOBODY = "44444444-0000-0000-0000-00000000000f"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
PROVIDER = f"{GROUP}/providers/Microsoft.KeyVault"
HOST = "management.localhost:8443"


@dataclass(frozen=True)
class Parts:
    """What handlers are made with."""

    database: Database
    feed: ChangeFeed
    clock: Any
    identifiers: RandomIdentifiers
    sealer: Sealer
    pages: Pages
    rbac: AzureRbac
    subscriptions: SubscriptionCache


class ManagementService(Service):
    """ask() goes to the management plane, as the owner unless token says who."""

    parts: Parts

    def of(self, object_id: str, **claims: object) -> str:
        """A token of somebody of the tenant; the directory knows him from now on."""
        self.directory.put(object_id)
        return self.token(self.claims(aud=MANAGEMENT, oid=object_id, **claims))

    async def ask(self, method: str, target: str, body: object = None, **more: Any) -> Answer:
        """target: with an api-version unless it has one."""
        if "api-version=" not in target:
            target += ("&" if "?" in target else "?") + VERSION
        if more.get("token", "good") == "good":
            more["token"] = self.of(OBJECT_ID)
        (answer,) = await self.raw(self.request(method, target, body, host=HOST, **more))
        return answer


@asynccontextmanager
async def governing(
    path: Path, audit_directory: Path, groups: Callable[[Parts], Iterable[ManagementGroup]]
) -> AsyncIterator[ManagementService]:
    """path: an empty database with its schema. groups: the handlers."""
    service, identifiers = ManagementService(), RandomIdentifiers()
    service.database = database = await Database.open(f"sqlite:///{path}", clock=service.clock)
    owner = builtin_roles.BY_NAME["Owner"].id
    reader = builtin_roles.BY_NAME["Reader"].id
    async with database.write() as tx:
        await worlds.insert_world(tx, WorldRow(VAULT.world_id, "default", "local", "token", b"", b"m", "wrapped", 0))
        await worlds.insert_system_key(tx, SystemKeyRow(SYSTEM_KEY, VAULT.world_id, b"s", ACTIVE, 0))
        await subscriptions.insert(tx, Subscription(SUBSCRIPTION, TENANT, "Ours"))
        await subscriptions.insert(tx, Subscription(THEIRS, OTHER_TENANT, "Theirs"))
        await resource_groups.insert(tx, ResourceGroup(SUBSCRIPTION, "rg", "local"))
        for role, principal in ((owner, OBJECT_ID), (reader, READER)):
            scope = f"/subscriptions/{SUBSCRIPTION}"
            await roles.insert(
                tx, RoleAssignment(identifiers.guid(), scope, role, principal, created=0, tenant_id=TENANT)
            )
    service.audit_path = audit_directory / "audit-0-000001.jsonl"
    audit = AuditLog(audit_directory, "0", service.clock)
    feed = ChangeFeed(database)
    service.sealer = Sealer(KeyRing(SoftwareSystemKey(SYSTEM_KEY)), DataKeys(database), service.clock, identifiers)
    assignments, definitions, places = AssignmentCache(database), RoleCache(database), SubscriptionCache(database)
    feed.subscribe("role", lambda _, principal_id: assignments.forget(principal_id))
    feed.subscribe("role-definition", lambda _, role_id: definitions.forget(role_id))
    for kind in ("subscription", "management-group"):
        feed.subscribe(kind, lambda _, __: places.forget_all())
    rbac = AzureRbac(assignments, definitions, places)
    service.parts = Parts(
        database, feed, service.clock, identifiers, service.sealer, Pages(service.sealer), rbac, places
    )
    calls: list[ManagementCall] = []
    plane = ManagementPlane(
        feed,
        ManagementPipeline(
            service.authentication,
            places,
            rbac,
            audit,
            service.clock,
            failures.status_of,
            lambda tenant_id: f"{LOGIN}/{tenant_id}",
        ),
        ManagementHandlers(*groups(service.parts)).table,
        ManagementVersions(),
        service.clock,
        f"{LOGIN}/{TENANT}",
        calls.append,
        BodyLimits(),
    )
    door = Door(
        Hosts("localhost", 8443), {Plane.MANAGEMENT: plane}, None, TrustedProxies(), identifiers, lambda _: None
    )
    listening = free_socket()
    service.listener = await Listener.start(door.handle, [listening], None, Limits())
    service.port = listening.getsockname()[1]
    try:
        yield service
    finally:
        await service.listener.stop(1.0)
        await feed.close()
        await audit.close()
        await database.close()
