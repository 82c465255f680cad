"""Where resources stand: management groups hold subscriptions, subscriptions hold resource groups."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class SubscriptionState(Enum):
    ENABLED = "Enabled"
    DISABLED = "Disabled"


@dataclass(frozen=True, slots=True)
class Subscription:
    """id: GUID in lower case. management_group: folded name of the group that it stands in; "" for the tenant's root
    group. created: seconds since 1970 UTC.
    """

    id: str
    tenant_id: str
    display_name: str
    state: SubscriptionState = SubscriptionState.ENABLED
    management_group: str = ""
    created: int = 0

    @property
    def resource_id(self) -> str:
        return f"/subscriptions/{self.id}"


@dataclass(frozen=True, slots=True)
class ResourceGroup:
    """name: as it was created; one name in any case stands once in its subscription. created: seconds since 1970 UTC.

    revision: goes up by one with each change.
    """

    subscription_id: str
    name: str
    location: str
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    created: int = 0
    revision: int = 1

    @property
    def resource_id(self) -> str:
        return f"/subscriptions/{self.subscription_id}/resourceGroups/{self.name}"


@dataclass(frozen=True, slots=True)
class ManagementGroup:
    """name: as it was created, compared without regard to case, unique in its tenant. parent: folded name of the group
    above; "" for the tenant's root group, which has the tenant's id as its name and no row. created: seconds since 1970
    UTC.
    """

    tenant_id: str
    name: str
    display_name: str
    parent: str = ""
    created: int = 0

    @property
    def resource_id(self) -> str:
        return management_group_id(self.name)


@dataclass(frozen=True, slots=True)
class Placement:
    """A subscription and what is above it. management_groups: ARM ids, the nearest first, the tenant's root group last;
    a role that is assigned at one of them counts in the subscription.
    """

    subscription: Subscription
    management_groups: tuple[str, ...]


def management_group_id(name: str) -> str:
    """ARM id of a management group."""
    return f"/providers/Microsoft.Management/managementGroups/{name}"
