"""A container holds objects: a vault, or a managed HSM pool. Code asks a container for its rules, not its type."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from hsmvault.model.lifecycle import Retention
from hsmvault.model.network import NetworkRules, PrivateEndpointConnection
from hsmvault.model.rotation import POOL_RULES, VAULT_RULES, PolicyRules


class ContainerKind(Enum):
    VAULT = "vault"
    POOL = "pool"


class AuthorizationModel(Enum):
    """LOCAL: the local RBAC of a pool, which always has it; a vault has one of the others."""

    RBAC = "rbac"
    ACCESS_POLICIES = "access-policies"
    LOCAL = "local-rbac"


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """One entry of a vault's access policies. With application_id it matches only that pair (compound identity).

    Ids are GUIDs in lower case; permissions are in lower case, per kind of object; 'all' means every one.
    """

    tenant_id: str
    object_id: str
    application_id: str = ""
    keys: frozenset[str] = frozenset()
    secrets: frozenset[str] = frozenset()
    certificates: frozenset[str] = frozenset()
    storage: frozenset[str] = frozenset()  # stored and read back; nothing is behind them


@dataclass(frozen=True, slots=True)
class Properties:
    """What the management plane keeps of a container and the data plane never asks for.

    shown_name: as it was written at creation. enabled_for_*: None when never set; so does soft_delete.
    sku: of a pool, family and name. initial_admins: object ids, of a pool. identity: of a pool, the
    ManagedServiceIdentity as JSON text, or "". created_by, modified_by: user name or application id, "" when nobody
    knows; the types are User, Application or ManagedIdentity. modified: seconds since 1970 UTC.
    """

    shown_name: str = ""
    enabled_for_deployment: bool | None = None
    enabled_for_disk_encryption: bool | None = None
    enabled_for_template_deployment: bool | None = None
    soft_delete: bool | None = None
    sku_family: str = "A"
    sku_name: str = ""
    initial_admins: tuple[str, ...] = ()
    identity: str = ""
    created_by: str = ""
    created_by_type: str = ""
    modified_by: str = ""
    modified_by_type: str = ""
    modified: int = 0


@dataclass(frozen=True, slots=True)
class Container:
    """id: GUID, never reused. name: in lower case, unique per kind. world_id: the security world of its hard keys.

    connections: private
    endpoints. activated: a pool whose security domain was taken; others serve no keys. arm_keys: the setting
    AllowKeyManagementOperationsThroughARM of a pool.

    deleted_at, purge_at: seconds since 1970 UTC, None while it is in use. A deleted container is no host of the data
    plane and keeps its name; purging: its objects are being removed, and nobody recovers it any more.

    premium: HSM-backed keys may be made. software_keys: keys outside the HSM may be made. A pool is premium, has no
    software keys and decides by local RBAC, whatever it is made with.

    The rules that differ between vaults and pools are the properties from hardware_only on ("About keys" and "Service
    limits" of the Azure Key Vault documentation).
    """

    id: str
    kind: ContainerKind
    name: str
    tenant_id: str
    subscription_id: str
    resource_group: str
    location: str
    world_id: str
    premium: bool = True
    software_keys: bool = True
    authorization: AuthorizationModel = AuthorizationModel.RBAC
    retention: Retention = Retention()
    network: NetworkRules = NetworkRules()
    access_policies: tuple[AccessPolicy, ...] = ()
    created: int = 0
    revision: int = 1
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    properties: Properties = Properties()
    connections: tuple[PrivateEndpointConnection, ...] = ()
    activated: bool = True
    arm_keys: bool = False
    deleted_at: int | None = None
    purge_at: int | None = None
    purging: bool = False

    def __post_init__(self) -> None:
        if self.kind is ContainerKind.POOL:
            for name, value in (
                ("premium", True),
                ("software_keys", False),
                ("authorization", AuthorizationModel.LOCAL),
            ):
                object.__setattr__(self, name, value)  # the class is frozen

    @property
    def resource_id(self) -> str:
        """ARM id; compared by segment without regard to case."""
        kind = "vaults" if self.kind is ContainerKind.VAULT else "managedHSMs"
        return (
            f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.KeyVault/{kind}/{self.properties.shown_name or self.name}"
        )

    @property
    def hardware_only(self) -> bool:
        """Every key is HSM-backed: a requested RSA, EC or oct becomes RSA-HSM, EC-HSM or oct-HSM."""
        return self.kind is ContainerKind.POOL

    @property
    def oct_keys(self) -> bool:
        """Symmetric keys may be made and imported."""
        return self.kind is ContainerKind.POOL

    @property
    def rsa_exponents(self) -> tuple[int, ...]:
        """Public exponents that a create may ask for."""
        return (3, 17, 65537) if self.kind is ContainerKind.POOL else (65537,)

    @property
    def most_versions(self) -> int | None:
        """Versions that one key may have; None where nothing limits them."""
        return 100 if self.kind is ContainerKind.POOL else None

    @property
    def rotation_needs_policy(self) -> bool:
        """Rotation on demand is refused to a key without a rotation policy of its own."""
        return self.kind is ContainerKind.POOL

    @property
    def rotation_rules(self) -> PolicyRules:
        """What a rotation policy may say here."""
        return POOL_RULES if self.kind is ContainerKind.POOL else VAULT_RULES

    @property
    def has_events(self) -> bool:
        """Near-expiry, expired and new-version events are sent."""
        return self.kind is ContainerKind.VAULT
