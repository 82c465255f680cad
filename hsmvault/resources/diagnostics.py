"""Diagnostic settings of vaults and pools: checked, kept and found again."""

import re
from collections.abc import Sequence
from typing import Final

from hsmvault.audit import sinks
from hsmvault.audit.sinks import Destination
from hsmvault.clock import Clock
from hsmvault.errors import BadRequest, Conflict, NotFound
from hsmvault.model import diagnostics
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.model.diagnostics import DiagnosticBody, DiagnosticSetting
from hsmvault.store import containers, diagnostic_settings, resource_groups
from hsmvault.store.database import Database, Transaction

MOST_SETTINGS: Final = 5  # "Diagnostic settings in Azure Monitor"
_MOST_CATEGORIES: Final = 16  # there are five
_LONGEST_TEXT: Final = 1024  # an ARM id
_NAME: Final = re.compile(r"[^<>*%&:\\?+/#\x00-\x1f]{1,260}")
_CONTAINER: Final = re.compile(
    r"/subscriptions/([^/]+)/resourcegroups/([^/]+)/providers/microsoft\.keyvault/(vaults|managedhsms)/([^/]+)"
)
_LOGS: Final = {name.lower() for name in diagnostics.LOG_CATEGORIES}
_GROUPS: Final = {name.lower() for name in diagnostics.GROUPS_WITH_AUDIT}
_METRICS: Final = {name.lower() for name in diagnostics.METRIC_CATEGORIES}


class DiagnosticSettings:
    """destinations: the configured ones."""

    def __init__(self, database: Database, clock: Clock, destinations: Sequence[Destination]) -> None:
        self._database = database
        self._clock = clock
        self._destinations = tuple(destinations)

    async def container(self, resource_id: str) -> Container:
        """Raises NotFound; BadRequest for what never has diagnostic settings."""
        async with self._database.read() as tx:
            return await _container(tx, resource_id)

    async def of_resource(self, resource_id: str) -> list[DiagnosticSetting]:
        """By name. Raises NotFound, BadRequest."""
        async with self._database.read() as tx:
            return await diagnostic_settings.of_resource(tx, (await _container(tx, resource_id)).resource_id)

    async def get(self, resource_id: str, name: str) -> DiagnosticSetting:
        """Raises NotFound, BadRequest."""
        async with self._database.read() as tx:
            container = await _container(tx, resource_id)
            found = await diagnostic_settings.find(tx, container.resource_id, name)
        if found is None:
            raise NotFound(
                f"The diagnostic setting '{name[:260]}' doesn't exist in the resource.", code="ResourceNotFound"
            )
        return found

    async def put(self, resource_id: str, name: str, body: DiagnosticBody) -> DiagnosticSetting:
        """In place of what was there under the name. Raises NotFound, BadRequest, Conflict."""
        if not _NAME.fullmatch(name):
            raise BadRequest("The name of the diagnostic setting is invalid.", code="BadRequest")
        self._check(body)
        async with self._database.write() as tx:
            container = await _container(tx, resource_id)
            _check_categories(container, body)
            others = [
                one
                for one in await diagnostic_settings.of_resource(tx, container.resource_id)
                if one.name.lower() != name.lower()
            ]
            if len(others) >= MOST_SETTINGS:
                raise Conflict(
                    f"The limit of {MOST_SETTINGS} diagnostic settings was reached for this resource.", code="Conflict"
                )
            for one in others:
                self._refuse_same_sink(one, body)
            setting = DiagnosticSetting(container.resource_id, name, body, int(self._clock.now()))
            await diagnostic_settings.put(tx, setting)
        return setting

    async def delete(self, resource_id: str, name: str) -> bool:
        """Whether it was there. Raises NotFound, BadRequest."""
        async with self._database.write() as tx:
            container = await _container(tx, resource_id)
            return await diagnostic_settings.delete(tx, container.resource_id, name)

    def _check(self, body: DiagnosticBody) -> None:
        """Raises BadRequest."""
        texts = (
            *body.destinations,
            body.event_hub_name,
            body.log_analytics_destination_type,
            *(one.time_grain for one in body.metrics),
        )
        if any(len(text or "") > _LONGEST_TEXT for text in texts):
            raise BadRequest("A text of the diagnostic setting is too long.", code="BadRequest")
        if not body.destinations:
            raise BadRequest("At least one data sink needs to be specified.", code="BadRequest")
        for text in body.destinations:
            if sinks.find(self._destinations, text) is None:
                raise BadRequest(
                    f"The destination '{text[:512]}' is not configured on this site.", code="DestinationNotFound"
                )
        if not body.logs and not body.metrics:
            raise BadRequest("At least one category of logs or metrics needs to be specified.", code="BadRequest")
        if len(body.logs) + len(body.metrics) > _MOST_CATEGORIES:
            raise BadRequest("There are more categories than there can be.", code="BadRequest")
        for log in body.logs:
            category, group = (log.category or "").lower(), (log.category_group or "").lower()
            if (
                bool(category) == bool(group)
                or (category and category not in _LOGS)
                or (group and group not in _GROUPS)
            ):
                raise _unknown_category(log.category or log.category_group or "")
        for metric in body.metrics:
            if (metric.category or "AllMetrics").lower() not in _METRICS:
                raise _unknown_category(metric.category or "")
        policies = [*(one.retention_policy for one in body.logs), *(one.retention_policy for one in body.metrics)]
        if any(policy is not None and not 0 <= policy.days <= 365 for policy in policies):
            raise BadRequest("The days of a retention policy are from 0 to 365.", code="BadRequest")

    def _refuse_same_sink(self, other: DiagnosticSetting, body: DiagnosticBody) -> None:
        """Records would come twice. Raises Conflict."""
        if not (other.body.has_audit and body.has_audit):
            return
        taken = {sinks.find(self._destinations, text) for text in other.body.destinations}
        for text in body.destinations:
            if sinks.find(self._destinations, text) in taken:
                raise Conflict(
                    f"Data sink '{text}' is already used in diagnostic setting '{other.name}' for category "
                    f"'{diagnostics.AUDIT_EVENT}'. Data sinks can't be reused in different settings on the same "
                    "category for the same resource.",
                    code="Conflict",
                )


async def _container(tx: Transaction, resource_id: str) -> Container:
    found = _CONTAINER.fullmatch(resource_id.lower().rstrip("/"))
    if found is None:
        raise BadRequest(
            f"The resource '{resource_id[:512]}' does not support diagnostic settings.",
            code="ResourceTypeNotSupported",
        )
    subscription_id, group, kind, name = found.groups()
    kinds = {"vaults": ContainerKind.VAULT, "managedhsms": ContainerKind.POOL}
    container = await containers.find(tx, kinds[kind], name)
    if container is None or container.deleted_at is not None or container.resource_id.lower() != found[0]:
        if await resource_groups.find(tx, subscription_id, group) is None:
            raise NotFound(f"Resource group '{group[:90]}' could not be found.", code="ResourceGroupNotFound")
        shown = "managedHSMs" if kind == "managedhsms" else kind
        raise NotFound(
            f"The Resource 'Microsoft.KeyVault/{shown}/{name[:128]}' under resource group '{group}' was not found. For "
            "more details please go to https://aka.ms/ARMResourceNotFoundFix",
            code="ResourceNotFound",
        )
    return container


def _check_categories(container: Container, body: DiagnosticBody) -> None:
    """Raises BadRequest for what vaults alone have."""
    if container.kind is ContainerKind.POOL:
        for log in body.logs:
            if (log.category or "").lower() == diagnostics.POLICY_EVALUATION.lower():
                raise _unknown_category(log.category or "")


def _unknown_category(name: str) -> BadRequest:
    return BadRequest(f"Category '{name[:128]}' is not supported.", code="BadRequest")
