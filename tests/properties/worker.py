"""A worker in this process with a real token, and calls to it that wait: hypothesis runs its steps one by one."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hsmvault.clock import RandomIdentifiers
from hsmvault.custody.custodians import WorldCustody
from hsmvault.custody.hard import WrappedCustodian
from hsmvault.custody.protocols import CustodyClass
from hsmvault.model import local_roles, pool_roles
from hsmvault.model.containers import Container
from hsmvault.model.roles import RoleAssignment
from hsmvault.store.migrations import migrate
from tests.pipeline.world import OBJECT_ID, POOL_RESOURCE
from tests.softhsm import SoftToken, offer_export
from tests.wire.service import POOLS, VAULTS, Answer, Service, serving

BEGINNING = 1_750_000_000.0
"""When every example begins, as seconds since 1970 UTC."""
_SPARE = 2500


@dataclass
class Place:
    """A vault or a pool that nobody has used before."""

    worker: "Worker"
    host: str
    is_pool: bool

    @property
    def origin(self) -> str:
        return f"https://{self.host}"

    def ask(self, method: str, target: str, body: object = None) -> Answer:
        return self.worker.ask(self.host, method, target, body)


@dataclass
class Worker:
    """spares: containers that no example has used yet, by whether they are pools."""

    runner: asyncio.Runner
    service: Service
    spares: Mapping[bool, Iterator[Container]]
    _tokens: dict[tuple[float, bool], str] = field(default_factory=dict)

    def place(self, *, is_pool: bool) -> Place:
        """A new one, and the clock at the beginning."""
        self.service.clock.wall = BEGINNING
        container = next(self.spares[is_pool])
        if is_pool:
            everywhere = local_roles.stored_scope(container.id, local_roles.ALL)
            roles = [pool_roles.BY_NAME[f"Managed HSM {name}"].id for name in ("Crypto Officer", "Crypto User")]
            self.service.assignments.assignments += [
                RoleAssignment(f"{container.name}-{role}", everywhere, role, OBJECT_ID) for role in roles
            ]
        plane = "managedhsm" if is_pool else "vault"
        return Place(self, f"{container.name}.{plane}.localhost:8443", is_pool)

    def now(self) -> int:
        return int(self.service.clock.now())

    def ask(self, host: str, method: str, target: str, body: object = None) -> Answer:
        """With the owner's token."""
        is_pool = ".managedhsm." in host
        now = self.service.clock.now()
        token = self._tokens.get((now, is_pool))
        if token is None:
            audience = {"aud": POOL_RESOURCE} if is_pool else {}
            token = self._tokens[now, is_pool] = self.service.token(self.service.claims(**audience))
        return self.runner.run(self.service.ask(method, target, body, host=host, token=token))


@contextmanager
def worker(token: SoftToken, folder: Path) -> Iterator[Worker]:
    """folder: an empty one, for the database and the audit log."""
    migrate(f"sqlite:///{folder / 'hsmvault.db'}")
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        try:
            service = runner.run(_entered(stack, token, folder))
            yield Worker(runner, service, {False: _vaults(), True: _pools()})
        finally:
            runner.run(stack.aclose())


async def _entered(stack: AsyncExitStack, token: SoftToken, folder: Path) -> Service:
    world = await stack.enter_async_context(token.world())
    await offer_export(world)
    custodian = WrappedCustodian(world, RandomIdentifiers())
    hard = WorldCustody(CustodyClass.WRAPPED, {CustodyClass.WRAPPED: custodian}, world.mac)
    return await stack.enter_async_context(
        serving(folder / "hsmvault.db", folder / "audit", more=(*_vaults(), *_pools()), hard=hard)
    )


def _vaults() -> Iterator[Container]:
    for number in range(_SPARE):
        yield replace(VAULTS["dev"], id=f"55555555-0000-0000-0000-{number:012}", name=f"spare{number}", premium=True)


def _pools() -> Iterator[Container]:
    for number in range(_SPARE):
        yield replace(POOLS["devhsm"], id=f"66666666-0000-0000-0000-{number:012}", name=f"sparehsm{number}")


def items(place: Place, target: str, **query: Any) -> list[dict[str, Any]]:
    """Every item of a listing, over all its pages."""
    found: list[dict[str, Any]] = []
    following: str | None = target + "?api-version=7.4" + "".join(f"&{name}={value}" for name, value in query.items())
    while following:
        answer = place.ask("GET", following.removeprefix(place.origin))
        assert answer.status == 200, answer.body
        found += answer.json["value"]
        following = answer.json["nextLink"]
    return found
