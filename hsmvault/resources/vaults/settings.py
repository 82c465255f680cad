"""What a client says about a vault, and where a vault stands: the values between the wire and the rules."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from hsmvault.model.containers import AccessPolicy, Container
from hsmvault.resources.network_rules import NetworkRuleSet

TYPE = "Microsoft.KeyVault/vaults"

MaySwitch = Callable[[], Awaitable[bool]]
"""Whether the caller may choose another permission model for the vault: who may assign roles there without limits."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a vault stands, from the path of a request. tenant_id: of the subscription. Names compare without regard to
    case; they are kept as they are written.
    """

    tenant_id: str
    subscription_id: str
    group: str
    name: str

    @property
    def resource_id(self) -> str:
        return (
            f"/subscriptions/{self.subscription_id}/resourceGroups/{self.group}"
            f"/providers/Microsoft.KeyVault/vaults/{self.name}"
        )

    def holds(self, container: Container) -> bool:
        """Whether a vault of this name is the one that stands here, deleted or not."""
        return (
            container.tenant_id == self.tenant_id
            and container.subscription_id.lower() == self.subscription_id.lower()
            and container.resource_group.lower() == self.group.lower()
        )


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes a vault, for systemData: a user name or application id, and User, Application or ManagedIdentity."""

    name: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class VaultSettings:
    """What a body says; None is what it leaves out. tenant_id: in lower case. sku_family, sku: in any case.

    rbac: whether Azure RBAC decides on the data plane, and not access policies. recover: createMode is recover.
    """

    location: str | None = None
    tags: Mapping[str, str] | None = None
    tenant_id: str | None = None
    sku_family: str | None = None
    sku: str | None = None
    policies: tuple[AccessPolicy, ...] | None = None
    rbac: bool | None = None
    soft_delete: bool | None = None
    retention_days: int | None = None
    purge_protection: bool | None = None
    enabled_for_deployment: bool | None = None
    enabled_for_disk_encryption: bool | None = None
    enabled_for_template_deployment: bool | None = None
    network: NetworkRuleSet | None = None
    public_network_access: str | None = None
    recover: bool = False
