"""Which custodian makes a container's keys, and which one holds a stored key."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from hsmvault.custody.protocols import Custodian, CustodyClass
from hsmvault.errors import Unavailable
from hsmvault.model.containers import Container

Mac = Callable[[str, bytes], Awaitable[bytes]]
"""Purpose and message to 32 bytes, made in the HSM: World.mac."""


@dataclass(frozen=True, slots=True)
class WorldCustody:
    """The hard custodians of one security world. default: the class of new keys. mac: of the same world."""

    default: CustodyClass
    custodians: Mapping[CustodyClass, Custodian]
    mac: Mac


@dataclass(frozen=True, slots=True)
class Custodians:
    """soft: one for all containers. worlds: by the id of the security world."""

    soft: Custodian
    worlds: Mapping[str, WorldCustody]

    def for_new(self, container: Container, *, hardware: bool) -> Custodian:
        """Raises Unavailable when the container's world is not served by this process."""
        if not hardware:
            return self.soft
        world = self._world(container)
        return world.custodians[world.default]

    def holding(self, container: Container, custody: str) -> Custodian:
        """custody: as stored with the key version."""
        wanted = CustodyClass(custody)
        if wanted is CustodyClass.SOFT:
            return self.soft
        custodian = self._world(container).custodians.get(wanted)
        if custodian is None:
            raise Unavailable(
                "The HSM is not available.", detail=f"world {container.world_id} has no {custody} custodian"
            )
        return custodian

    async def mac(self, container: Container, purpose: str, message: bytes) -> bytes:
        """Under the MAC key of the container's world, 32 bytes. Raises Unavailable, Throttled."""
        return await self._world(container).mac(purpose, message)

    def _world(self, container: Container) -> WorldCustody:
        world = self.worlds.get(container.world_id)
        if world is None:
            raise Unavailable("The HSM is not available.", detail=f"world {container.world_id} is not served here")
        return world
