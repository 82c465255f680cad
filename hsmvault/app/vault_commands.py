"""What `hsmvault vault` does, beside a running instance or without one: nothing here needs the HSM.

Who may run it can write the database, and so needs no role. Every change has its records in the audit log; workers that
run hear of it within a second. What a purge removes is removed by the jobs of a running instance, or of the next one.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

from hsmvault.app.background import origin_by
from hsmvault.app.command_records import VAULT_WRITER
from hsmvault.app.command_turns import acting, opened_database
from hsmvault.app.vaults import vaults_of
from hsmvault.app.worlds import WORLD_NAME
from hsmvault.clock import RandomIdentifiers, SystemClock
from hsmvault.config import Settings
from hsmvault.errors import ConfigurationError
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.resources.vaults.deleted import DeletedVaults
from hsmvault.resources.vaults.settings import Actor, Place
from hsmvault.resources.vaults.vaults import Vaults
from hsmvault.store import containers, resource_groups, subscriptions, worlds
from hsmvault.store.database import Database
from hsmvault.wire.management import vault_answers

Result = TypeVar("Result")
_VAULT: Final = ContainerKind.VAULT


@dataclass(frozen=True, slots=True)
class Opened:
    """An installation that a command works on. locations: where vaults can be, the usual one first."""

    database: Database
    vaults: Vaults
    deleted: DeletedVaults
    locations: tuple[str, ...]

    @property
    def actor(self) -> Actor:
        """Whoever runs the command, for systemData."""
        return Actor(f"uid:{os.getuid()}", "User")

    async def container(self, name: str) -> Container:
        """In use or deleted. Raises OperatorError."""
        async with self.database.read() as tx:
            found = await containers.find(tx, _VAULT, name)
        if found is None:
            raise ConfigurationError(f"There is no vault '{name}' in this installation.")
        return found

    async def place(self, name: str) -> Place:
        """Where a vault stands, deleted or not. Raises OperatorError."""
        found = await self.container(name)
        return Place(found.tenant_id, found.subscription_id, found.resource_group, name)

    async def new_place(self, name: str, subscription_id: str | None, group: str | None) -> Place:
        """For a vault that is to be made. What is not named is the only one that there is. Raises OperatorError."""
        async with self.database.read() as tx:
            every = await subscriptions.list_all(tx)
            found = [one for one in every if subscription_id is None or one.id == subscription_id.lower()]
            if len(found) != 1:
                raise ConfigurationError(_which("subscription", subscription_id, [one.id for one in every]))
            chosen = found[0]
            groups = [one.name for one in await resource_groups.of_subscription(tx, chosen.id, after="", most=1000)]
        wanted = [one for one in groups if group is None or one.lower() == group.lower()]
        if len(wanted) != 1:
            raise ConfigurationError(_which("group", group, groups))
        return Place(chosen.tenant_id, chosen.id, wanted[0], name)


Act = Callable[[Opened], Awaitable[Result]]


async def look(settings: Settings, act: Act[Result]) -> Result:
    """Changes nothing. Raises OperatorError."""
    async with _opened(settings) as opened:
        return await act(opened)


async def change(settings: Settings, operation: str, name: str, about: str, act: Act[Result]) -> Result:
    """operation: `operationName` of the records. about: what is done, a sentence without a secret.

    Raises OperatorError.
    """
    async with _opened(settings) as opened:
        clock, identifiers = SystemClock(), RandomIdentifiers()
        async with acting(settings, VAULT_WRITER, clock, identifiers, operation, f"/vaults/{name}", about):
            return await act(opened)


async def listed(opened: Opened, *, deleted: bool) -> list[Container]:
    """Of every subscription, by name."""
    async with opened.database.read() as tx:
        every = await containers.list_all(tx)
    return [one for one in every if one.kind is _VAULT and (one.deleted_at is not None) is deleted]


async def may_switch() -> bool:
    """Who can write the database chooses any permission model."""
    return True


def shown(settings: Settings, container: Container) -> dict[str, object]:
    """As the management plane shows it."""
    if container.deleted_at is not None:
        return vault_answers.deleted_vault(container)
    return vault_answers.vault(container, origin_by(settings.names))


def _which(what: str, wanted: str | None, known: list[str]) -> str:
    there = ", ".join(known) or "none"
    if wanted is None:
        return f"Name a {what} with --{what}; there is: {there}."
    return f"There is no {what} '{wanted}'; there is: {there}."


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Opened]:
    clock, identifiers = SystemClock(), RandomIdentifiers()
    async with opened_database(settings, clock) as database:
        async with database.read() as tx:
            world = await worlds.world(tx, WORLD_NAME)
        if world is None:
            raise ConfigurationError("This installation has no security world yet: start it, or run 'hsmvault init'.")
        vaults = vaults_of(settings, database, clock, identifiers, world.id)
        yield Opened(database, vaults, DeletedVaults(database, clock, identifiers), settings.locations)
