"""Diagnostic settings on the wire (Microsoft.Insights, 2021-05-01-preview)."""

from collections.abc import Mapping

import msgspec

from hsmvault.errors import BadRequest, NotFound
from hsmvault.model import diagnostics
from hsmvault.model.containers import ContainerKind
from hsmvault.model.diagnostics import DiagnosticBody, DiagnosticSetting
from hsmvault.resources.diagnostics import DiagnosticSettings
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.management.bodies import decode_request
from hsmvault.wire.management.requests import ManagementHandler, ManagementRequest


class _Put(msgspec.Struct, frozen=True):
    properties: DiagnosticBody | None = None


class DiagnosticHandlers:
    def __init__(self, settings: DiagnosticSettings) -> None:
        self._settings = settings

    @property
    def table(self) -> Mapping[str, ManagementHandler]:
        return {
            "diagnostic_settings_list": self._list,
            "diagnostic_settings_get": self._get,
            "diagnostic_settings_create_or_update": self._put,
            "diagnostic_settings_delete": self._delete,
            "diagnostic_settings_category_list": self._categories,
            "diagnostic_settings_category_get": self._category,
        }

    async def _list(self, request: ManagementRequest) -> WireAnswer:
        return ok({"value": [_shown(one) for one in await self._settings.of_resource(request.scope)]})

    async def _get(self, request: ManagementRequest) -> WireAnswer:
        return ok(_shown(await self._settings.get(request.scope, request.names["name"])))

    async def _put(self, request: ManagementRequest) -> WireAnswer:
        body = decode_request(request.body, _Put).properties
        if body is None:
            raise BadRequest("The property 'properties' is required.", code="BadRequest")
        return ok(_shown(await self._settings.put(request.scope, request.names["name"], body)))

    async def _delete(self, request: ManagementRequest) -> WireAnswer:
        was_there = await self._settings.delete(request.scope, request.names["name"])
        return WireAnswer(200 if was_there else 204)

    async def _categories(self, request: ManagementRequest) -> WireAnswer:
        container = await self._settings.container(request.scope)
        return ok({"value": _shown_categories(container.resource_id, container.kind)})

    async def _category(self, request: ManagementRequest) -> WireAnswer:
        container, wanted = await self._settings.container(request.scope), request.names["name"]
        for shown in _shown_categories(container.resource_id, container.kind):
            if str(shown["name"]).lower() == wanted.lower():
                return ok(shown)
        raise NotFound(f"The category '{wanted[:128]}' doesn't exist in the resource.", code="ResourceNotFound")


def _shown(setting: DiagnosticSetting) -> dict[str, object]:
    return {
        "id": f"{setting.resource_id.lower()}/providers/microsoft.insights/diagnosticSettings/{setting.name}",
        "type": "Microsoft.Insights/diagnosticSettings",
        "name": setting.name,
        "location": None,
        "kind": None,
        "tags": None,
        "properties": setting.body,
        "identity": None,
    }


def _shown_categories(resource_id: str, kind: ContainerKind) -> list[dict[str, object]]:
    logs = diagnostics.LOG_CATEGORIES if kind is ContainerKind.VAULT else (diagnostics.AUDIT_EVENT,)
    shown = []
    for name in (*logs, *diagnostics.METRIC_CATEGORIES):
        properties: dict[str, object] = {"categoryType": "Metrics", "categoryGroups": None}
        if name in logs:
            groups = ["audit", "allLogs"] if name == diagnostics.AUDIT_EVENT else ["allLogs"]
            properties = {"categoryType": "Logs", "categoryGroups": groups}
        shown.append(
            {
                "id": f"{resource_id}/providers/microsoft.insights/diagnosticSettingsCategories/{name}",
                "type": "microsoft.insights/diagnosticSettingsCategories",
                "name": name,
                "properties": properties,
            }
        )
    return shown
