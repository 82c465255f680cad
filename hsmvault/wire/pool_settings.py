"""Settings of a pool on the wire: values are texts, whatever their type is."""

from collections.abc import Mapping

import msgspec

from hsmvault.resources.pools.pool_settings import PoolSetting, SettingsOfPools
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.codec import decode_body
from hsmvault.wire.requests import Handler, Request


class UpdateSetting(msgspec.Struct, frozen=True):
    value: str


class PoolSettingHandlers:
    def __init__(self, settings: SettingsOfPools) -> None:
        self._settings = settings
        self.table: Mapping[str, Handler] = {
            "get_settings": self._list,
            "get_setting": self._get,
            "update_setting": self._update,
        }

    async def _list(self, request: Request) -> WireAnswer:
        found = await self._settings.all(request.container)
        return ok({"settings": [_shown(one) for one in found]}, f"{request.origin}/settings")

    async def _get(self, request: Request) -> WireAnswer:
        return _answer(request, await self._settings.get(request.container, request.name))

    async def _update(self, request: Request) -> WireAnswer:
        value = decode_body(request.body, UpdateSetting).value
        return _answer(request, await self._settings.set(request.container, request.name, value))


def _answer(request: Request, setting: PoolSetting) -> WireAnswer:
    return ok(_shown(setting), f"{request.origin}/settings/{setting.name}")


def _shown(setting: PoolSetting) -> dict[str, str]:
    return {"name": setting.name, "value": "true" if setting.value else "false", "type": "boolean"}
