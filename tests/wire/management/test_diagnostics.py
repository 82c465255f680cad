"""Diagnostic settings on the wire."""

from typing import Any

import pytest

from hsmvault.model.containers import ContainerKind
from hsmvault.store import diagnostic_settings
from tests.wire.management.conftest import Govern
from tests.wire.management.stage import GROUP, READER
from tests.wire.management.surroundings import WORKSPACE, have, surroundings

VAULT = f"{GROUP}/providers/Microsoft.KeyVault/vaults/north"
POOL = f"{GROUP}/providers/Microsoft.KeyVault/managedHSMs/north"
SETTINGS = "providers/Microsoft.Insights/diagnosticSettings"
VERSION = "api-version=2021-05-01-preview"
AUDIT = {"category": "AuditEvent", "enabled": True}


def body(*logs: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"properties": {"logs": list(logs or [AUDIT]), **(members or {"storageAccountId": "archive"})}}


async def test_a_setting_is_written_read_listed_and_deleted(govern: Govern) -> None:
    async with govern(surroundings) as service:
        await have(service, "north")
        await have(service, "north", kind=ContainerKind.POOL)
        for resource in (VAULT, POOL):
            path = f"{resource}/{SETTINGS}/Audit"
            wanted = body({**AUDIT, "retentionPolicy": {"enabled": True, "days": 30}}, workspaceId=WORKSPACE)
            made = await service.ask("PUT", f"{path}?{VERSION}", wanted)
            assert made.status == 200
            assert (made.json["name"], made.json["properties"]["workspaceId"]) == ("Audit", WORKSPACE)
            assert made.json["id"] == f"{resource.lower()}/providers/microsoft.insights/diagnosticSettings/Audit"
            (log,) = made.json["properties"]["logs"]
            assert log == {
                "enabled": True,
                "category": "AuditEvent",
                "categoryGroup": None,
                "retentionPolicy": {"enabled": True, "days": 30},
            }
            assert (await service.ask("GET", f"{path.upper()}?{VERSION}")).json == made.json
            assert (await service.ask("GET", f"{resource}/{SETTINGS}?{VERSION}")).json == {"value": [made.json]}
            assert (await service.ask("DELETE", f"{path}?{VERSION}")).status == 200
            assert (await service.ask("DELETE", f"{path}?{VERSION}")).status == 204
            assert (await service.ask("GET", f"{path}?{VERSION}")).code == "ResourceNotFound"


REFUSED = [
    (VAULT, body(AUDIT, storageAccountId="unknown"), 400, "DestinationNotFound"),
    (VAULT, {"properties": {"logs": [AUDIT]}}, 400, "BadRequest"),
    (VAULT, {"properties": {"storageAccountId": "archive"}}, 400, "BadRequest"),
    (VAULT, body({"category": "Unknown", "enabled": True}), 400, "BadRequest"),
    (VAULT, body({"category": "AuditEvent", "categoryGroup": "audit", "enabled": True}), 400, "BadRequest"),
    (VAULT, body({"enabled": True}), 400, "BadRequest"),
    (VAULT, body(storageAccountId="/" * 1020 + "/archive"), 400, "BadRequest"),
    (VAULT, body(workspaceId=WORKSPACE, eventHubName="x" * 1025), 400, "BadRequest"),
    (VAULT, body(workspaceId=WORKSPACE, metrics=[{"enabled": True, "timeGrain": "x" * 1025}]), 400, "BadRequest"),
    (VAULT, body(*[AUDIT] * 17), 400, "BadRequest"),
    (VAULT, body({**AUDIT, "retentionPolicy": {"enabled": True, "days": 366}}), 400, "BadRequest"),
    (VAULT, {}, 400, "BadRequest"),
    (VAULT, body({"category": "AuditEvent", "enabled": "yes"}), 400, "InvalidRequestContent"),
    (VAULT + "2", body(), 404, "ResourceNotFound"),
    (POOL, body(), 404, "ResourceNotFound"),
    (GROUP, body(), 400, "ResourceTypeNotSupported"),
]


async def test_a_setting_that_cannot_be_is_refused_and_changes_nothing(govern: Govern) -> None:
    async with govern(surroundings) as service:
        await have(service, "north")
        for resource, content, status, code in REFUSED:
            refused = await service.ask("PUT", f"{resource}/{SETTINGS}/a?{VERSION}", content)
            assert (refused.status, refused.code) == (status, code), content
        async with service.parts.database.read() as tx:
            assert await diagnostic_settings.list_all(tx) == []


async def test_the_same_records_never_go_to_one_destination_twice(govern: Govern) -> None:
    async with govern(surroundings) as service:
        await have(service, "north")
        path = f"{VAULT}/{SETTINGS}"
        assert (await service.ask("PUT", f"{path}/a?{VERSION}", body())).status == 200
        assert (await service.ask("PUT", f"{path}/A?{VERSION}", body())).status == 200
        group = {"categoryGroup": "allLogs", "enabled": True}
        refused = await service.ask("PUT", f"{path}/b?{VERSION}", body(group, eventHubAuthorizationRuleId="x/archive"))
        assert (refused.status, refused.code) == (409, "Conflict")
        others = {"category": "AzurePolicyEvaluationDetails", "enabled": True}
        for name in "bcde":
            assert (await service.ask("PUT", f"{path}/{name}?{VERSION}", body(others))).status == 200
        assert (await service.ask("PUT", f"{path}/f?{VERSION}", body(others))).code == "Conflict"


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (ContainerKind.VAULT, ["AuditEvent", "AzurePolicyEvaluationDetails", "AllMetrics"]),
        (ContainerKind.POOL, ["AuditEvent", "AllMetrics"]),
    ],
)
async def test_the_categories_are_those_of_the_kind(govern: Govern, kind: ContainerKind, names: list[str]) -> None:
    async with govern(surroundings) as service:
        (container,) = await have(service, "north", kind=kind)
        path = f"{container.resource_id}/providers/Microsoft.Insights/diagnosticSettingsCategories"
        assert [one["name"] for one in (await service.ask("GET", path)).json["value"]] == names
        one = await service.ask("GET", f"{path}/auditevent")
        assert one.json["properties"] == {"categoryType": "Logs", "categoryGroups": ["audit", "allLogs"]}
        assert (await service.ask("GET", f"{path}/else")).status == 404


async def test_whoever_may_only_read_changes_no_setting(govern: Govern) -> None:
    async with govern(surroundings) as service:
        await have(service, "north")
        reader = service.of(READER)
        assert (await service.ask("GET", f"{VAULT}/{SETTINGS}", token=reader)).json == {"value": []}
        for method in ("PUT", "DELETE"):
            refused = await service.ask(method, f"{VAULT}/{SETTINGS}/a", body(), token=reader)
            assert (refused.status, refused.code) == (403, "AuthorizationFailed")
