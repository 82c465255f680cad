"""What the handlers of vaults and of pools have in common: the lists, what is deleted, the purge, and whether a name is
free. Those of each kind (vaults.py, pools.py) add how theirs are made, changed and shown."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from hsmvault.model.containers import Container
from hsmvault.resources.container_lives import ContainerLives, DeletedContainers
from hsmvault.resources.vaults.rules import is_name
from hsmvault.resources.vaults.settings import Actor, Place
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.management.container_pages import ManagementPages
from hsmvault.wire.management.operation_results import accepted
from hsmvault.wire.management.pages import of_group
from hsmvault.wire.management.requests import ManagementRequest

_PROVIDER: Final = "Microsoft.KeyVault"


@dataclass(frozen=True, slots=True)
class KindOnWire:
    """collection, deleted: last segments of the paths of those in use and of deleted ones. polled: segment of the place
    to poll. words: "vault name". name_rule: a sentence."""

    collection: str
    deleted: str
    polled: str
    words: str
    name_rule: str

    @property
    def read(self) -> str:
        """The action that a list asks for at each of its members."""
        return f"{_PROVIDER}/{self.collection}/read"


class ContainerHandlers:
    """shown, deleted_shown: members of the answer about one."""

    def __init__(
        self,
        kind: KindOnWire,
        lives: ContainerLives,
        deleted: DeletedContainers,
        pages: ManagementPages,
        shown: Callable[[Container], dict[str, object]],
        deleted_shown: Callable[[Container], dict[str, object]],
    ) -> None:
        self._kind = kind
        self._lives = lives
        self._deleted = deleted
        self._pages = pages
        self._members = shown
        self._deleted_members = deleted_shown

    def _shown(self, container: Container) -> WireAnswer:
        return ok(self._members(container), container.resource_id)

    async def _get(self, request: ManagementRequest) -> WireAnswer:
        return self._shown(await self._lives.get(place_of(request)))

    async def _list_of_group(self, request: ManagementRequest) -> WireAnswer:
        subscription, group = request.names["subscription"], request.names["group"]
        path = quote(f"/subscriptions/{subscription}/resourceGroups/{group}")

        async def read(after: str, most: int) -> list[Container]:
            return await of_group(request, self._lives.of_group(subscription, group, after, most), [])

        return await self._pages.answer(
            request,
            f"{path}/providers/{_PROVIDER}/{self._kind.collection}",
            read,
            self._members,
            _name_of,
            may_see=lambda row: request.may(self._kind.read, row.resource_id),
        )

    async def _list_of_subscription(self, request: ManagementRequest) -> WireAnswer:
        subscription = request.names["subscription"]

        async def read(after: str, most: int) -> list[Container]:
            return await self._lives.of_subscription(subscription, after, most)

        return await self._pages.answer(
            request,
            f"/subscriptions/{subscription}/providers/{_PROVIDER}/{self._kind.collection}",
            read,
            self._members,
            _name_of,
            may_see=lambda row: request.may(self._kind.read, row.resource_id),
        )

    async def _get_deleted(self, request: ManagementRequest) -> WireAnswer:
        names = request.names
        container = await self._deleted.get(names["subscription"], names["location"], _named(request))
        return ok(self._deleted_members(container), container.resource_id)

    async def _list_deleted(self, request: ManagementRequest) -> WireAnswer:
        subscription = request.names["subscription"]

        async def read(after: str, most: int) -> list[Container]:
            return await self._deleted.page(subscription, after, most)

        path = f"/subscriptions/{subscription}/providers/{_PROVIDER}/{self._kind.deleted}"
        return await self._pages.answer(request, path, read, self._deleted_members, _name_of)

    async def _purge(self, request: ManagementRequest) -> WireAnswer:
        names = request.names
        operation = await self._deleted.purge(names["subscription"], names["location"], _named(request))
        return accepted(request, operation, self._kind.polled, names["location"])

    async def _is_free(self, request: ManagementRequest, name: str) -> WireAnswer:
        """Whether a name can be taken, and why not."""
        members: dict[str, object] = {"nameAvailable": True}
        if not is_name(name):
            message = f"The {self._kind.words} '{name[:128]}' is invalid. {self._kind.name_rule}"
            members = {"nameAvailable": False, "reason": "AccountNameInvalid", "message": message}
        elif not await self._lives.is_name_free(name):
            message = f"The name '{name}' is already in use."
            members = {"nameAvailable": False, "reason": "AlreadyExists", "message": message}
        return ok(members, request.scope)


def place_of(request: ManagementRequest) -> Place:
    """Where the vault or pool of the path stands."""
    return Place(request.tenant_id, request.names["subscription"], request.names["group"], _named(request))


def actor_of(request: ManagementRequest) -> Actor:
    caller = request.caller
    return Actor(caller.upn, "User") if caller.upn else Actor(caller.application_id, "Application")


def _named(request: ManagementRequest) -> str:
    """The vault or pool of the path."""
    return request.names.get("vault") or request.names["pool"]


def _name_of(container: Container) -> str:
    return container.name
