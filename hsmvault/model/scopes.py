"""Scopes that Azure roles are assigned at: an ARM id, read into what it names.

    /                                                                                  the tenant
    /providers/Microsoft.Management/managementGroups/<name>
    /subscriptions/<guid>
    /subscriptions/<guid>/resourceGroups/<name>
    /subscriptions/<guid>/resourceGroups/<name>/providers/<namespace>/<type>/<name>     a resource: vault, pool
    …/vaults/<name>/<keys, secrets or certificates>/<name>                              an object of a vault

Nothing else is a scope; those of a pool's local RBAC (local_roles.py) are not among them.
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from hsmvault.model.roles import folded

_GUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_OBJECT_NAME: Final = re.compile(r"[0-9a-zA-Z-]{1,127}", re.ASCII)
_OBJECT_KINDS: Final = frozenset({"keys", "secrets", "certificates"})
_LONGEST: Final = 2048
_VAULTS: Final = ("microsoft.keyvault", "vaults")


class ScopeKind(Enum):
    TENANT = "tenant"
    MANAGEMENT_GROUP = "management group"
    SUBSCRIPTION = "subscription"
    GROUP = "resource group"
    RESOURCE = "resource"
    OBJECT = "object"


@dataclass(frozen=True, slots=True)
class Scope:
    """path: the ARM id as it was written, without blanks and doubled slashes; '/' for the tenant.

    subscription_id: GUID in lower case. group, management_group, name: as they were written. resource_type: namespace
    and type in lower case. All but path are empty where they do not apply.
    """

    kind: ScopeKind
    path: str
    subscription_id: str = ""
    group: str = ""
    resource_type: tuple[str, str] = ("", "")
    name: str = ""
    management_group: str = ""

    @property
    def folded(self) -> str:
        return folded(self.path)


def read_scope(text: str) -> Scope | None:
    """None for what is no scope. text: '' is '/', too."""
    segments = [segment for segment in text.split("/") if segment]
    path = "/" + "/".join(segments)
    if len(text) > _LONGEST or not path.isprintable():
        return None
    lowered = [segment.lower() for segment in segments]
    if not segments:
        return Scope(ScopeKind.TENANT, path)
    if lowered[:3] == ["providers", "microsoft.management", "managementgroups"] and len(segments) == 4:
        return Scope(ScopeKind.MANAGEMENT_GROUP, path, management_group=segments[3])
    if lowered[0] != "subscriptions" or len(segments) < 2 or not _GUID.fullmatch(lowered[1]):
        return None
    if len(segments) == 2:
        return Scope(ScopeKind.SUBSCRIPTION, path, lowered[1])
    if lowered[2] != "resourcegroups" or len(segments) < 4:
        return None
    if len(segments) == 4:
        return Scope(ScopeKind.GROUP, path, lowered[1], segments[3])
    if lowered[4] != "providers" or len(segments) < 8:
        return None
    resource = Scope(ScopeKind.RESOURCE, path, lowered[1], segments[3], (lowered[5], lowered[6]), segments[7])
    if len(segments) == 8:
        return resource
    is_object = len(segments) == 10 and lowered[8] in _OBJECT_KINDS and _OBJECT_NAME.fullmatch(segments[9])
    if resource.resource_type != _VAULTS or not is_object:
        return None
    return Scope(ScopeKind.OBJECT, path, lowered[1], segments[3], resource.resource_type, segments[7])
