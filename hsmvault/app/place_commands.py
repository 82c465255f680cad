"""What `hsmvault subscription` and `hsmvault group` do, beside a running instance or without one: nothing here needs
the HSM.

Who may run it can write the database, and so needs no role. Every change has its records in the audit log; workers that
run hear of it within a second.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeVar
from uuid import UUID

from hsmvault.app.command_records import PLACE_WRITER
from hsmvault.app.command_turns import acting, opened_database
from hsmvault.app.first_start import DEFAULT_TENANT
from hsmvault.clock import Clock, Identifiers, RandomIdentifiers, SystemClock
from hsmvault.config import Settings
from hsmvault.errors import ConfigurationError
from hsmvault.model.subscriptions import ResourceGroup, Subscription
from hsmvault.resources.resource_groups import ResourceGroups
from hsmvault.store import directory, meta, resource_groups, subscriptions
from hsmvault.store.database import Conflicted, Database

Result = TypeVar("Result")
_LONGEST_NAME = 64
_PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class Opened:
    """An installation that a command works on. locations: where groups can be, the usual one first."""

    database: Database
    groups: ResourceGroups
    locations: tuple[str, ...]
    clock: Clock
    identifiers: Identifiers

    async def subscriptions(self) -> list[Subscription]:
        async with self.database.read() as tx:
            return await subscriptions.list_all(tx)

    async def create_subscription(self, name: str, id: str | None, tenant: str | None) -> Subscription:
        """tenant: id, or domain of one in the embedded directory; without, the default one. Raises OperatorError."""
        if not (name.strip() and name.isprintable() and len(name) <= _LONGEST_NAME):
            raise ConfigurationError(f"A subscription's name has 1 to {_LONGEST_NAME} printable characters.")
        made = Subscription(
            id=_guid(id, "--id") if id else self.identifiers.guid(),
            tenant_id=await self._tenant(tenant),
            display_name=name,
            created=int(self.clock.now()),
        )
        try:
            async with self.database.write() as tx:
                await subscriptions.insert(tx, made)
        except Conflicted as error:
            raise ConfigurationError(f"There is a subscription {made.id} already.") from error
        return made

    async def subscription(self, id: str | None) -> Subscription:
        """The one of this id; without, the only one. Raises OperatorError."""
        every = await self.subscriptions()
        found = [one for one in every if id is None or one.id == id.lower()]
        if len(found) != 1:
            there = ", ".join(one.id for one in every) or "none"
            what = "Name one with --subscription" if id is None else f"There is no subscription {id}"
            raise ConfigurationError(f"{what}; there is: {there}.")
        return found[0]

    async def groups_of(self, subscription: Subscription) -> list[ResourceGroup]:
        found: list[ResourceGroup] = []
        async with self.database.read() as tx:
            while rows := await resource_groups.of_subscription(
                tx, subscription.id, after=found[-1].name.lower() if found else "", most=_PAGE
            ):
                found += rows
        return found

    async def _tenant(self, named: str | None) -> str:
        async with self.database.read() as tx:
            if named is None:
                named = await meta.get(tx, DEFAULT_TENANT)
            if named is None:
                raise ConfigurationError("Name the tenant with --tenant: its id, or its domain.")
            known = await directory.tenant(tx, named)
        return _guid(named, "--tenant") if known is None else known.id


Act = Callable[[Opened], Awaitable[Result]]


async def look(settings: Settings, act: Act[Result]) -> Result:
    """Changes nothing. Raises OperatorError."""
    async with _opened(settings) as opened:
        return await act(opened)


async def change(settings: Settings, operation: str, place: str, about: str, act: Act[Result]) -> Result:
    """operation: `operationName` of the records. place: ARM id, or what is known of it. about: a sentence.

    Raises OperatorError.
    """
    async with (
        _opened(settings) as opened,
        acting(settings, PLACE_WRITER, opened.clock, opened.identifiers, operation, place, about),
    ):
        return await act(opened)


async def may_everything(_action: str, _resource_id: str) -> bool:
    """Who can write the database may."""
    return True


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Opened]:
    clock = SystemClock()
    async with opened_database(settings, clock) as database:
        groups = ResourceGroups(database, clock, settings.locations)
        yield Opened(database, groups, settings.locations, clock, RandomIdentifiers())


def _guid(text: str, key: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise ConfigurationError(f"{key}: '{text}' is no GUID.") from None
