"""Diagnostic settings of a container: which of its records go where beside the audit log (Microsoft.Insights)."""

from dataclasses import dataclass

import msgspec

AUDIT_EVENT = "AuditEvent"
POLICY_EVALUATION = "AzurePolicyEvaluationDetails"  # of vaults; nothing is behind it
LOG_CATEGORIES = (AUDIT_EVENT, POLICY_EVALUATION)
METRIC_CATEGORIES = ("AllMetrics",)  # nothing is behind it
GROUPS_WITH_AUDIT = ("audit", "allLogs")


class RetentionPolicy(msgspec.Struct, frozen=True):
    """Kept and read back; what was exported is kept by whoever took it."""

    enabled: bool = False
    days: int = 0


class LogSetting(msgspec.Struct, frozen=True, rename="camel"):
    """Either a category or a group of them."""

    enabled: bool
    category: str | None = None
    category_group: str | None = None
    retention_policy: RetentionPolicy | None = None


class MetricSetting(msgspec.Struct, frozen=True, rename="camel"):
    enabled: bool
    category: str | None = None
    time_grain: str | None = None
    retention_policy: RetentionPolicy | None = None


class DiagnosticBody(msgspec.Struct, frozen=True, rename="camel"):
    """The properties of a setting as clients write and read them. Destinations are ARM ids or names; which of them
    there are is the configuration's to say.
    """

    storage_account_id: str | None = None
    service_bus_rule_id: str | None = None
    event_hub_authorization_rule_id: str | None = None
    event_hub_name: str | None = None
    workspace_id: str | None = None
    marketplace_partner_id: str | None = None
    log_analytics_destination_type: str | None = None
    logs: tuple[LogSetting, ...] = ()
    metrics: tuple[MetricSetting, ...] = ()

    @property
    def destinations(self) -> tuple[str, ...]:
        """As they were written."""
        named = (
            self.storage_account_id,
            self.service_bus_rule_id,
            self.event_hub_authorization_rule_id,
            self.workspace_id,
            self.marketplace_partner_id,
        )
        return tuple(one for one in named if one)

    @property
    def has_audit(self) -> bool:
        """Whether audit records flow."""
        return any(
            log.enabled
            and ((log.category or "").lower() == AUDIT_EVENT.lower() or _folded(log.category_group) in _WITH_AUDIT)
            for log in self.logs
        )


@dataclass(frozen=True, slots=True)
class DiagnosticSetting:
    """resource_id: of a vault or pool; with the name unique in any case. created: seconds since 1970 UTC, of the last
    writing: records from before it do not flow.
    """

    resource_id: str
    name: str
    body: DiagnosticBody
    created: int


def _folded(text: str | None) -> str:
    return (text or "").lower()


_WITH_AUDIT = frozenset(group.lower() for group in GROUPS_WITH_AUDIT)
