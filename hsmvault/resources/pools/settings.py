"""What a client says about a pool: the values between the wire and the rules. Where it stands is a Place of vaults."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hsmvault.resources.network_rules import NetworkRuleSet

TYPE: Final = "Microsoft.KeyVault/managedHSMs"


@dataclass(frozen=True, slots=True)
class PoolIdentity:
    """ManagedServiceIdentity. kind: its type, in any case. user_assigned: ARM ids, as they were written."""

    kind: str
    user_assigned: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """What a body says; None is what it leaves out. tenant_id, initial_admins: as they came. regions: names of the
    regions that are not the primary one. recover: createMode is recover.
    """

    location: str | None = None
    tags: Mapping[str, str] | None = None
    tenant_id: str | None = None
    sku_family: str | None = None
    sku: str | None = None
    initial_admins: tuple[str, ...] | None = None
    soft_delete: bool | None = None
    retention_days: int | None = None
    purge_protection: bool | None = None
    network: NetworkRuleSet | None = None
    public_network_access: str | None = None
    identity: PoolIdentity | None = None
    regions: tuple[str, ...] | None = None
    recover: bool = False
