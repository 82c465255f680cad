"""What `hsmvault directory` does, beside a running instance or without one: nothing here needs the HSM.

Who may run it can write the database, and so needs no role in the directory. Every change has its records in the audit
log; workers that run hear of it within a second.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from hsmvault.app.command_records import DIRECTORY_WRITER
from hsmvault.app.command_turns import acting, opened_database
from hsmvault.app.first_start import DEFAULT_TENANT, LOCAL_IDENTITIES
from hsmvault.app.graph import make_directory
from hsmvault.clock import RandomIdentifiers, SystemClock
from hsmvault.config import Settings
from hsmvault.errors import ConfigurationError
from hsmvault.model.principals import Tenant
from hsmvault.resources.directory.objects import Directory
from hsmvault.resources.directory.rules import Actor, operator
from hsmvault.store import meta
from hsmvault.store.database import Database

Result = TypeVar("Result")
_SEVERAL = "There are several tenants: name one with --tenant (its id or its domain)."


@dataclass(frozen=True, slots=True)
class Opened:
    """A directory that a command works on. tenant: None for a command on tenants themselves."""

    database: Database
    directory: Directory
    tenant: Tenant | None

    @property
    def actor(self) -> Actor:
        return operator("" if self.tenant is None else self.tenant.id)


Act = Callable[[Opened], Awaitable[Result]]


async def look(settings: Settings, tenant: str | None, act: Act[Result], *, of_tenants: bool = False) -> Result:
    """Changes nothing. tenant: id or domain; without, the default one. Raises OperatorError."""
    async with _opened(settings, tenant, of_tenants=of_tenants) as opened:
        return await act(opened)


async def change(
    settings: Settings,
    tenant: str | None,
    operation: str,
    about: str,
    act: Act[Result],
    *,
    of_tenants: bool = False,
) -> Result:
    """operation: `operationName` of the records. about: what it is done to, without a secret. Raises OperatorError."""
    async with _opened(settings, tenant, of_tenants=of_tenants) as opened:
        place = "/tenants" if opened.tenant is None else f"/tenants/{opened.tenant.id}/directory"
        clock, identifiers = SystemClock(), RandomIdentifiers()
        async with acting(settings, DIRECTORY_WRITER, clock, identifiers, operation, place, about):
            return await act(opened)


async def create_tenant(opened: Opened, display_name: str, domain: str) -> Tenant:
    """The first one is the default tenant."""
    made = await opened.directory.tenants.create(display_name, domain)
    async with opened.database.write() as tx:
        if await meta.get(tx, DEFAULT_TENANT) is None:
            await meta.put(tx, DEFAULT_TENANT, made.id)
    return made


async def serve_locally(opened: Opened, resource_id: str) -> None:
    """The local endpoints hand out the tokens of this managed identity from now on."""
    async with opened.database.write() as tx:
        known = (await meta.get(tx, LOCAL_IDENTITIES) or "").split()
        if resource_id not in known:
            await meta.put(tx, LOCAL_IDENTITIES, " ".join([*known, resource_id]))


@asynccontextmanager
async def _opened(settings: Settings, tenant: str | None, *, of_tenants: bool) -> AsyncIterator[Opened]:
    clock = SystemClock()
    async with opened_database(settings, clock) as database:
        directory = make_directory(database, clock, RandomIdentifiers())
        found = None if of_tenants else await _tenant(database, directory, tenant)
        yield Opened(database, directory, found)


async def _tenant(database: Database, directory: Directory, named: str | None) -> Tenant:
    if named:
        return await directory.tenants.find(named)
    async with database.read() as tx:
        default = await meta.get(tx, DEFAULT_TENANT)
    if default is not None:
        return await directory.tenants.find(default)
    tenants = await directory.tenants.list_all()
    if not tenants:
        raise ConfigurationError("There is no tenant yet: make one with `hsmvault directory tenant create`.")
    if len(tenants) > 1:
        raise ConfigurationError(_SEVERAL)
    return tenants[0]
