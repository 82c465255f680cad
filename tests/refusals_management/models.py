"""The bodies of the management plane: every member that a client may send, what it is, and a body that is good.

In our own form, from the models of the OpenAPI documents of Microsoft.KeyVault, Microsoft.Authorization,
Microsoft.Insights, Microsoft.Resources and Microsoft.Management. `.0` is an entry of a list, `.*` a value of an object
whose names the client chooses.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from tests.pipeline.world import TENANT
from tests.wire.management.stage import SUBSCRIPTION
from tests.wire.management.surroundings import WORKSPACE

GUID: Final = "44444444-0000-0000-0000-0000000000aa"
SUBNET: Final = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/net/subnets/inner"
)
ENDPOINT: Final = SUBNET.partition("/virtualNetworks")[0] + "/privateEndpoints/door"


class Is(Enum):
    """What a member is; the value: what stands for it and is none, though null is one that is left out."""

    TEXT = (1, 1.5, True, [], {})
    NUMBER = ("many", 1.5, True, [], {})
    DAYS = (1.5, True, [], {})
    """A number that clients were seen to send as a text, too."""
    TRUTH = (1, "true", [], {})
    OBJECT = (1, "x", True, [])
    LIST = (1, "x", True, {})


T, N, D, B, O, L = Is.TEXT, Is.NUMBER, Is.DAYS, Is.TRUTH, Is.OBJECT, Is.LIST  # noqa: E741  # as in the tables below
Members = Mapping[str, Is]


def _at(place: str, members: Members) -> dict[str, Is]:
    return {place: O, **{f"{place}.{name}": kind for name, kind in members.items()}}


def _list(place: str, members: Members) -> dict[str, Is]:
    return {place: L, **_at(f"{place}.0", members)}


_TAGS: Final[Members] = {"tags": O, "tags.*": T}
_SKU: Final[Members] = _at("sku", {"family": T, "name": T})
_PERMISSIONS: Final[Members] = {
    name: kind for one in ("keys", "secrets", "certificates", "storage") for name, kind in ((one, L), (f"{one}.0", T))
}
_POLICIES: Final[Members] = _list(
    "accessPolicies", {"tenantId": T, "objectId": T, "applicationId": T, **_at("permissions", _PERMISSIONS)}
)
_RULES: Final[Members] = {
    "bypass": T,
    "defaultAction": T,
    **_list("ipRules", {"value": T}),
    **_list("virtualNetworkRules", {"id": T, "ignoreMissingVnetServiceEndpoint": B}),
}
_CONTAINER: Final[Members] = {
    "tenantId": T,
    "enableSoftDelete": B,
    "softDeleteRetentionInDays": D,
    "enablePurgeProtection": B,
    "createMode": T,
    "publicNetworkAccess": T,
}
_VAULT: Final[Members] = {
    **_CONTAINER,
    **_SKU,
    **_POLICIES,
    "enabledForDeployment": B,
    "enabledForDiskEncryption": B,
    "enabledForTemplateDeployment": B,
    "enableRbacAuthorization": B,
    **_at("networkAcls", _RULES),
}
_POOL: Final[Members] = {
    **_CONTAINER,
    "initialAdminObjectIds": L,
    "initialAdminObjectIds.0": T,
    **_at("networkAcls", {**_RULES, **_list("serviceTags", {"tag": T})}),
    **_list("regions", {"name": T}),
}
_KEY: Final[Members] = {
    **_at("attributes", {"enabled": B, "nbf": N, "exp": N, "exportable": B}),
    "kty": T,
    "keyOps": L,
    "keyOps.0": T,
    "keySize": N,
    "curveName": T,
    **_at(
        "rotationPolicy",
        {
            **_at("attributes", {"expiryTime": T}),
            **_list(
                "lifetimeActions",
                {
                    **_at("trigger", {"timeAfterCreate": T, "timeBeforeExpiry": T}),
                    **_at("action", {"type": T}),
                },
            ),
        },
    ),
    **_at("release_policy", {"contentType": T, "data": T}),
}
_SECRET: Final[Members] = {
    "value": T,
    "contentType": T,
    **_at("attributes", {"enabled": B, "nbf": N, "exp": N}),
}
_CONNECTION: Final[Members] = {
    **_at("privateEndpoint", {"id": T}),
    **_at("privateLinkServiceConnectionState", {"status": T, "description": T}),
}
_ASSIGNMENT: Final[Members] = dict.fromkeys(
    (
        *("roleDefinitionId", "principalId", "principalType", "description", "condition", "conditionVersion"),
        "delegatedManagedIdentityResourceId",
    ),
    T,
)
_ACTIONS: Final[Members] = {
    name: kind
    for one in ("actions", "notActions", "dataActions", "notDataActions")
    for name, kind in ((one, L), (f"{one}.0", T))
}
_DEFINITION: Final[Members] = {
    "roleName": T,
    "description": T,
    "type": T,
    "assignableScopes": L,
    "assignableScopes.0": T,
    **_list("permissions", {**_ACTIONS, "condition": T}),
}
_RETENTION: Final[Members] = _at("retentionPolicy", {"enabled": B, "days": N})
_DIAGNOSTICS: Final[Members] = {
    **dict.fromkeys(
        (
            *("storageAccountId", "serviceBusRuleId", "eventHubAuthorizationRuleId", "eventHubName", "workspaceId"),
            *("marketplacePartnerId", "logAnalyticsDestinationType"),
        ),
        T,
    ),
    **_list("logs", {"category": T, "categoryGroup": T, "enabled": B, **_RETENTION}),
    **_list("metrics", {"category": T, "enabled": B, "timeGrain": T, **_RETENTION}),
}


@dataclass(frozen=True)
class Model:
    """required: members without which the body cannot be read at all. empty: whether no body is as good as `{}`."""

    members: Members
    good: Mapping[str, Any]
    required: tuple[str, ...] = ()
    empty: bool = False


_RULES_GOOD: Final = {
    "bypass": "None",
    "defaultAction": "Deny",
    "ipRules": [{"value": "192.0.2.0/24"}],
    "virtualNetworkRules": [{"id": SUBNET, "ignoreMissingVnetServiceEndpoint": True}],
}
_POLICY_GOOD: Final = {"tenantId": TENANT, "objectId": GUID, "permissions": {"keys": ["get"], "secrets": ["all"]}}
_VAULT_GOOD: Final[Mapping[str, Any]] = {
    "location": "local",
    "tags": {"team": "blue"},
    "properties": {
        "tenantId": TENANT,
        "sku": {"family": "A", "name": "premium"},
        "accessPolicies": [_POLICY_GOOD],
        "networkAcls": _RULES_GOOD,
    },
}
_POOL_GOOD: Final[Mapping[str, Any]] = {
    "location": "local",
    "tags": {"team": "blue"},
    "sku": {"family": "B", "name": "Standard_B1"},
    "identity": {"type": "None"},
    "properties": {"tenantId": TENANT, "initialAdminObjectIds": [GUID], "networkAcls": _RULES_GOOD},
}
_KEY_GOOD: Final = {"tags": {"team": "blue"}, "properties": {"kty": "EC", "curveName": "P-256", "keyOps": ["sign"]}}
_POLICY_REQUIRED: Final = tuple(
    f"properties.accessPolicies.0.{name}" for name in ("tenantId", "objectId", "permissions")
)
_RULES_REQUIRED: Final = ("properties.networkAcls.ipRules.0.value", "properties.networkAcls.virtualNetworkRules.0.id")
_VAULT_MEMBERS: Final[Members] = {"location": T, **_TAGS, **_at("properties", _VAULT)}
_POOL_MEMBERS: Final[Members] = {
    "location": T,
    **_TAGS,
    **_SKU,
    **_at("identity", {"type": T, "userAssignedIdentities": O}),
    **_at("properties", _POOL),
}
_KEY_MODEL: Final = Model({**_TAGS, **_at("properties", _KEY)}, _KEY_GOOD, ("properties",))
MODELS: Final[Mapping[str, Model]] = {
    "Vault": Model(_VAULT_MEMBERS, _VAULT_GOOD, ("properties", *_POLICY_REQUIRED, *_RULES_REQUIRED)),
    "VaultPatch": Model(
        {**_TAGS, **_at("properties", _VAULT)},
        {"properties": {"accessPolicies": [_POLICY_GOOD], "networkAcls": _RULES_GOOD}},
        (*_POLICY_REQUIRED, *_RULES_REQUIRED),
        empty=True,
    ),
    "Policies": Model(
        _at("properties", _POLICIES),
        {"properties": {"accessPolicies": [_POLICY_GOOD]}},
        ("properties", "properties.accessPolicies", *_POLICY_REQUIRED),
    ),
    "CheckName": Model(
        {"name": T, "type": T}, {"name": "something", "type": "Microsoft.KeyVault/vaults"}, ("name", "type")
    ),
    "CheckPoolName": Model({"name": T}, {"name": "something"}, ("name",)),
    "Connection": Model(
        _at("properties", _CONNECTION),
        {
            "properties": {
                "privateEndpoint": {"id": ENDPOINT},
                "privateLinkServiceConnectionState": {"status": "Pending"},
            }
        },
    ),
    "Pool": Model(_POOL_MEMBERS, _POOL_GOOD, ("identity.type", *_RULES_REQUIRED)),
    "PoolPatch": Model(_POOL_MEMBERS, {"properties": {"networkAcls": _RULES_GOOD}}, _RULES_REQUIRED, empty=True),
    "Secret": Model(
        {**_TAGS, **_at("properties", _SECRET)}, {"properties": {"value": "a value of theirs"}}, ("properties",)
    ),
    "SecretPatch": Model(
        {**_TAGS, **_at("properties", _SECRET)}, {"properties": {"contentType": "text/plain"}}, empty=False
    ),
    "Key": _KEY_MODEL,
    "PoolKey": _KEY_MODEL,
    "Assignment": Model(
        _at("properties", _ASSIGNMENT),
        {"properties": {"roleDefinitionId": "4633458b-17de-408a-b874-0445c86b69e6", "principalId": GUID}},
        ("properties", "properties.roleDefinitionId", "properties.principalId"),
    ),
    "Definition": Model(
        _at("properties", _DEFINITION),
        {
            "properties": {
                "roleName": "Of somebody",
                "assignableScopes": [f"/subscriptions/{SUBSCRIPTION}"],
                "permissions": [{"actions": ["Microsoft.KeyVault/vaults/read"]}],
            }
        },
        ("properties",),
    ),
    "Diagnostics": Model(
        _at("properties", _DIAGNOSTICS),
        {
            "properties": {
                "workspaceId": WORKSPACE,
                "logs": [{"category": "AuditEvent", "enabled": True}],
                "metrics": [{"category": "AllMetrics", "enabled": True}],
            }
        },
        ("properties.logs.0.enabled", "properties.metrics.0.enabled"),
    ),
    "ResourceGroup": Model({"location": T, **_TAGS}, {"location": "local"}),
    "ResourceGroupPatch": Model(_TAGS, {"tags": {"team": "blue"}}),
    "ManagementGroup": Model(
        _at("properties", {"displayName": T, **_at("details", _at("parent", {"id": T}))}),
        {"properties": {"displayName": "Somebody's"}},
    ),
    "ManagementGroupPatch": Model({"displayName": T, "parentGroupId": T}, {"displayName": "Somebody's"}),
}


def with_member(body: Mapping[str, Any], place: str, value: object) -> dict[str, Any]:
    """The body with something else in a place; what is on the way to it is made where it is not there. @odata.x
    is one name."""
    changed = deepcopy(dict(body))
    at: Any = changed
    segments = [one.replace("@odata:", "@odata.") for one in place.replace("@odata.", "@odata:").split(".")]
    *way, last = segments
    for name, following in zip(way, segments[1:], strict=True):
        empty: object = [] if following == "0" else {}
        if name == "0":
            if not at:
                at.append(empty)
            at = at[0]
        else:
            at = at.setdefault(name, empty)
    if last == "0":
        at[:] = [value]
    else:
        at["team" if last == "*" else last] = value
    return changed


def without_member(body: Mapping[str, Any], place: str) -> dict[str, Any]:
    way, _, last = place.rpartition(".")
    changed = deepcopy(dict(body))
    at: Any = changed
    for name in way.split(".") if way else ():
        at = at[0] if name == "0" else at[name]
    del at[last]
    return changed


def ill_typed(model: Model) -> Iterator[tuple[str, object]]:
    """Places, and values that are none there."""
    for place, kind in model.members.items():
        yield from ((place, value) for value in kind.value)
        if place.endswith((".0", ".*")):
            yield place, None
