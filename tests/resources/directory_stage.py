"""A directory in a real database: two tenants, one administrator of each kind, and what they act upon."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from hsmvault.clock import MovedClock, RandomIdentifiers
from hsmvault.login import bootstrap
from hsmvault.login.password_rules import problem
from hsmvault.login.proofs import IssuerProofs
from hsmvault.model.directory import DirectoryRole
from hsmvault.model.principals import Principal, PrincipalKind, PrincipalState, Tenant
from hsmvault.pipeline.caches import DirectoryCache
from hsmvault.resources.directory.objects import Directory
from hsmvault.resources.directory.parts import DirectoryParts
from hsmvault.resources.directory.rules import Actor, operator
from hsmvault.store import directory as store
from hsmvault.store import directory_roles
from hsmvault.store.changes import ChangeFeed
from hsmvault.store.database import Database
from hsmvault.store.migrations import migrate

PASSWORD = "Vor-dem-Tor-steht-7-Linden"


class QuickProofs(IssuerProofs):
    """As the issuer, without the tenth of a second that its hash takes."""

    async def hash_password(self, password: str) -> str:
        return f"quick${len(password)}"

    def password_problem(self, password: str, names: tuple[str, ...]) -> str:
        return problem(password, names=names)


@dataclass
class DirectoryStage:
    """administrators: object ids of service principals, by the role that each has and no other."""

    clock: MovedClock
    database: Database
    directory: Directory
    cache: DirectoryCache
    tenant: Tenant
    other: Tenant
    administrators: dict[DirectoryRole, str] = field(default_factory=dict)

    @property
    def operator(self) -> Actor:
        return operator(self.tenant.id)

    @property
    def root(self) -> Actor:
        return self.actor(self.administrators[DirectoryRole.GLOBAL_ADMINISTRATOR])

    def by(self, role: DirectoryRole) -> Actor:
        return self.actor(self.administrators[role])

    def actor(self, object_id: str) -> Actor:
        return Actor(self.tenant.id, object_id)

    async def state(self, object_id: str) -> PrincipalState | None:
        """As the pipeline sees it on its next request."""
        return await self.cache.state(self.tenant.id, object_id)

    async def put(self, kind: PrincipalKind, name: str, **more: object) -> Principal:
        """A principal, straight into the database."""
        principal = Principal(RandomIdentifiers().guid(), self.tenant.id, kind, name, **more)
        async with self.database.write() as tx:
            await store.insert_principal(tx, principal)
        return principal

    async def user(self, name: str) -> Principal:
        return await self.put(PrincipalKind.USER, name, upn=f"{name}@{self.tenant.domain}")

    async def group(self, name: str) -> Principal:
        return await self.put(PrincipalKind.GROUP, name)

    async def give(self, object_id: str, role: DirectoryRole) -> None:
        async with self.database.write() as tx:
            await directory_roles.insert(tx, object_id, role)


@cache
def _empty() -> Path:
    path = Path(mkdtemp(prefix="hsmvault-directory-")) / "empty.db"
    migrate(f"sqlite:///{path}")
    return path


@asynccontextmanager
async def directory_stage(folder: Path) -> AsyncIterator[DirectoryStage]:
    path, clock, identifiers = folder / "directory.db", MovedClock(), RandomIdentifiers()
    shutil.copy(_empty(), path)
    database = await Database.open(f"sqlite:///{path}", clock=clock)
    feed = ChangeFeed(database, interval_seconds=60)
    cache = DirectoryCache(database)
    for kind in ("directory", "principal", "application"):
        feed.subscribe(kind, lambda _, __: cache.forget_all())
    async with database.write() as tx:
        tenant = await bootstrap.create_tenant(tx, identifiers, display_name="Dev", domain="dev.example")
        other = await bootstrap.create_tenant(tx, identifiers, display_name="Other", domain="other.example")
    parts = DirectoryParts(database, clock, identifiers, QuickProofs(identifiers))
    stage = DirectoryStage(clock, database, Directory(parts), cache, tenant, other)
    async with database.write() as tx:
        for role in DirectoryRole:
            principal, _ = await bootstrap.create_application(
                tx, identifiers, tenant_id=tenant.id, display_name=role.title, with_secret=False
            )
            await directory_roles.insert(tx, principal.object_id, role)
            stage.administrators[role] = principal.object_id
    try:
        yield stage
    finally:
        await database.close()
