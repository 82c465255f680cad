"""A container holds objects: a vault, or a managed HSM pool. Code asks a container for its rules, not its type."""

from dataclasses import dataclass
from enum import Enum

from hsmvault.model.lifecycle import Retention
from hsmvault.model.network import NetworkRules


class ContainerKind(Enum):
    VAULT = "vault"
    POOL = "pool"


class AuthorizationModel(Enum):
    RBAC = "rbac"
    ACCESS_POLICIES = "access-policies"


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


@dataclass(frozen=True, slots=True)
class Container:
    """id: GUID, never reused. name: in lower case, unique per kind. world_id: the security world of its hard keys.

    premium: HSM-backed keys may be made. software_keys: keys outside the HSM may be made.
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

    @property
    def resource_id(self) -> str:
        """ARM id; compared by segment without regard to case."""
        kind = "vaults" if self.kind is ContainerKind.VAULT else "managedHSMs"
        return (
            f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.KeyVault/{kind}/{self.name}"
        )
