"""The settings of a pool that its data plane reads and writes. There is one so far: whether the management plane may
make and read keys."""

from dataclasses import dataclass, replace
from typing import Final

from hsmvault.errors import BadRequest, Conflict, NotFound
from hsmvault.model.containers import Container
from hsmvault.store import containers
from hsmvault.store.database import Conflicted, Database

ARM_KEYS: Final = "AllowKeyManagementOperationsThroughARM"
_VALUES: Final = {"true": True, "false": False}
_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class PoolSetting:
    name: str
    value: bool


class SettingsOfPools:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self, container: Container) -> tuple[PoolSetting, ...]:
        return (PoolSetting(ARM_KEYS, container.arm_keys),)

    async def get(self, container: Container, name: str) -> PoolSetting:
        """name: in any case. Raises NotFound."""
        for one in await self.all(container):
            if one.name.lower() == name.lower():
                return one
        raise NotFound(f"The setting '{name}' was not found.", code="SettingNotFound")

    async def set(self, container: Container, name: str, value: str) -> PoolSetting:
        """value: true or false, in any case. Raises NotFound, BadRequest, Conflict."""
        setting = await self.get(container, name)
        wanted = _VALUES.get(value.lower())
        if wanted is None:
            raise BadRequest(f"The value of the setting '{setting.name}' is true or false.")
        for _ in range(_ATTEMPTS):
            try:
                async with self._database.write() as tx:
                    found = await containers.by_id(tx, container.id)
                    if found is None or found.deleted_at is not None:
                        raise NotFound(f"The managed HSM '{container.name}' was not found.", code="ManagedHsmNotFound")
                    if found.arm_keys != wanted:
                        await containers.update(tx, replace(found, arm_keys=wanted))
                return PoolSetting(setting.name, wanted)
            except Conflicted:
                continue
        raise Conflict("The setting was changed by other requests at the same time. Please try again.")
