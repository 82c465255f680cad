"""Private endpoint connections of vaults and pools: asked for, approved, rejected, taken away.

    (none) ── PUT with the id of an endpoint ──▶ Pending ── PUT of a state ──▶ Approved, Rejected, Disconnected, Pending

There is no provider of networks here that would ask by itself, so that a PUT which names an endpoint does it. What is
reached over an approved one comes in on the next request, and no more on the next one after it was taken away.

Source: "Integrate Key Vault with Azure Private Link" and the Microsoft.KeyVault specification.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from hsmvault.clock import Clock
from hsmvault.errors import BadRequest, Conflict, NotFound
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.model.network import ConnectionStatus, PrivateEndpointConnection
from hsmvault.store import containers, resource_groups
from hsmvault.store.database import Conflicted, Database, Transaction

_ENDPOINT: Final = re.compile(
    r"/subscriptions/[^/\s]{1,64}/resourcegroups/[^/\s]{1,90}/providers/microsoft\.network"
    r"/privateendpoints/[^/\s]{1,80}",
    re.IGNORECASE,
)
_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,78}[A-Za-z0-9_])?", re.ASCII)
_STATES: Final = {status.value.lower(): status for status in ConnectionStatus}
_MOST: Final = 64  # of one container: "Azure Private Link limits"
_LONGEST_DESCRIPTION: Final = 1024
_ATTEMPTS: Final = 5
_TYPES: Final = {ContainerKind.VAULT: "vaults", ContainerKind.POOL: "managedHSMs"}

Changed = TypeVar("Changed")
MayApprove = Callable[[], Awaitable[bool]]
"""Whether the caller may let an endpoint in."""


@dataclass(frozen=True, slots=True)
class Home:
    """The container of connections, from the path of a request. tenant_id: of the subscription."""

    kind: ContainerKind
    tenant_id: str
    subscription_id: str
    group: str
    name: str


@dataclass(frozen=True, slots=True)
class WantedConnection:
    """What a body says; None is what it leaves out. status: in any case. etag: of what the client has read, or None."""

    endpoint_id: str | None = None
    status: str | None = None
    description: str | None = None
    etag: str | None = None


class NotApproved(Exception):
    """The caller may not approve. For the wire, which knows the refusal's words."""


def etag_of(connection: PrivateEndpointConnection) -> str:
    """As answers have it, and bodies may send it back."""
    content = "\n".join(
        (
            connection.name,
            connection.endpoint_id,
            connection.status.value,
            connection.description,
            str(connection.changed),
        )
    )
    return f'"{hashlib.sha256(content.encode()).hexdigest()[:32]}"'


class PrivateEndpoints:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def container(self, home: Home) -> Container:
        """Raises NotFound."""
        async with self._database.read() as tx:
            return await _found(tx, home)

    async def get(self, home: Home, name: str) -> tuple[Container, PrivateEndpointConnection]:
        """name: in any case. Raises NotFound."""
        container = await self.container(home)
        connection = _of(container, name)
        if connection is None:
            raise _unknown(home, name)
        return container, connection

    async def put(
        self, home: Home, name: str, wanted: WantedConnection, may_approve: MayApprove
    ) -> tuple[Container, PrivateEndpointConnection]:
        """Set the state of a connection that is there, or ask for one. Who asks and may approve has it approved.

        Raises NotFound: no such container, or neither a connection nor an endpoint to make one for. NotApproved,
        BadRequest; Conflict when it was changed meanwhile.
        """

        async def change(container: Container) -> tuple[Container, PrivateEndpointConnection]:
            before = _of(container, name)
            if before is None:
                after = await self._asked(home, container, name, wanted, may_approve)
            else:
                after = await self._changed(before, wanted, may_approve)
            if after == before:
                return container, after
            others = (one for one in container.connections if one is not before)
            return replace(container, connections=(*others, after)), after

        return await self._write(home, change)

    async def delete(self, home: Home, name: str) -> tuple[Container, PrivateEndpointConnection] | None:
        """What it was, or None when there is no such connection. Raises NotFound: no such container."""

        async def change(container: Container) -> tuple[Container, PrivateEndpointConnection | None]:
            gone = _of(container, name)
            left = tuple(one for one in container.connections if one is not gone)
            return replace(container, connections=left), gone

        container, gone = await self._write(home, change)
        return None if gone is None else (container, gone)

    async def _asked(
        self, home: Home, container: Container, name: str, wanted: WantedConnection, may_approve: MayApprove
    ) -> PrivateEndpointConnection:
        if not wanted.endpoint_id:
            raise _unknown(home, name)
        if not _NAME.fullmatch(name):
            raise _refused(f"The name '{name[:80]}' of the private endpoint connection is not valid.")
        if len(container.connections) >= _MOST:
            raise _refused(f"At most {_MOST} private endpoint connections are possible.")
        status = await self._first_status(wanted, may_approve)
        return PrivateEndpointConnection(
            name, _endpoint(wanted.endpoint_id), status, _description(wanted), changed=int(self._clock.now())
        )

    async def _first_status(self, wanted: WantedConnection, may_approve: MayApprove) -> ConnectionStatus:
        status = ConnectionStatus.APPROVED if wanted.status is None else _status(wanted.status)
        if status is ConnectionStatus.APPROVED and not await may_approve():
            return ConnectionStatus.PENDING
        return status

    async def _changed(
        self, before: PrivateEndpointConnection, wanted: WantedConnection, may_approve: MayApprove
    ) -> PrivateEndpointConnection:
        if wanted.etag and wanted.etag != etag_of(before):
            raise _changed_meanwhile(before.name)
        if wanted.endpoint_id and wanted.endpoint_id.lower() != before.endpoint_id.lower():
            raise _refused("The private endpoint of a connection cannot be changed; make another connection.")
        status = before.status if wanted.status is None else _status(wanted.status)
        newly_approved = status is ConnectionStatus.APPROVED and before.status is not ConnectionStatus.APPROVED
        if newly_approved and not await may_approve():
            raise NotApproved
        description = before.description if wanted.description is None else _description(wanted)
        after = replace(before, status=status, description=description)
        return before if after == before else replace(after, changed=int(self._clock.now()))

    async def _write(
        self,
        home: Home,
        change: Callable[[Container], Awaitable[tuple[Container, Changed]]],
    ) -> tuple[Container, Changed]:
        """Until nobody else was faster. Raises Conflict when somebody always is."""
        for _ in range(_ATTEMPTS):
            before = await self.container(home)
            after, result = await change(before)
            if after.connections == before.connections:
                return before, result
            try:
                async with self._database.write() as tx:
                    await containers.update(tx, after)
            except Conflicted:
                continue
            return after, result
        raise _changed_meanwhile(home.name)


async def _found(tx: Transaction, home: Home) -> Container:
    container = await containers.find(tx, home.kind, home.name)
    if (
        container is None
        or container.deleted_at is not None
        or container.tenant_id != home.tenant_id
        or container.subscription_id.lower() != home.subscription_id.lower()
        or container.resource_group.lower() != home.group.lower()
    ):
        if await resource_groups.find(tx, home.subscription_id, home.group) is None:
            raise NotFound(f"Resource group '{home.group[:90]}' could not be found.", code="ResourceGroupNotFound")
        raise NotFound(
            f"The Resource 'Microsoft.KeyVault/{_TYPES[home.kind]}/{home.name[:128]}' under resource group "
            f"'{home.group}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix",
            code="ResourceNotFound",
        )
    return container


def _of(container: Container, name: str) -> PrivateEndpointConnection | None:
    return next((one for one in container.connections if one.name.lower() == name.lower()), None)


def _status(text: str) -> ConnectionStatus:
    status = _STATES.get(text.lower())
    if status is None:
        raise _refused(f"The value '{text[:64]}' of 'privateLinkServiceConnectionState.status' is not valid.")
    return status


def _endpoint(text: str) -> str:
    if not _ENDPOINT.fullmatch(text):
        raise _refused("The property 'privateEndpoint.id' is not the id of a private endpoint.")
    return text


def _description(wanted: WantedConnection) -> str:
    text = wanted.description or ""
    if len(text) > _LONGEST_DESCRIPTION:
        raise _refused(f"The description has more than {_LONGEST_DESCRIPTION} characters.")
    return text


def _unknown(home: Home, name: str) -> NotFound:
    return NotFound(
        f"The private endpoint connection '{name[:80]}' of '{home.name}' was not found.", code="ResourceNotFound"
    )


def _refused(message: str) -> BadRequest:
    return BadRequest(message, code="BadRequest")


def _changed_meanwhile(name: str) -> Conflict:
    return Conflict(f"'{name}' was changed by another request meanwhile. Read it again.", code="Conflict")
