"""Every operation of the Graph subset, one row each, and the way from a path to its row.

Names of segments compare in any case, as Graph does it. Keys may also stand in parentheses (OData 4.01, URL
conventions, 4.3): `users('id')`, `applications(appId='id')`; they are read as one more segment, the latter as
`appId=id`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from hsmvault.resources.directory.refusals import bad

VERSIONS = ("v1.0", "beta")
_KEY = re.compile(r"([A-Za-z$.]+)\((?:([A-Za-z]+)=)?'((?:[^']|'')*)'\)")
_MOST_SEGMENTS = 8


@dataclass(frozen=True, slots=True)
class Row:
    """name: of the handler. audit_name: `operationName` of the record."""

    name: str
    method: str
    path: str
    audit_name: str


@dataclass(frozen=True, slots=True)
class Match:
    row: Row
    names: Mapping[str, str]


def _objects(collection: str, noun: str, audit: str) -> tuple[Row, ...]:
    """What every collection has. noun: in handlers' names."""
    return (
        Row(f"{noun}_list", "GET", collection, f"{audit}List"),
        Row(f"{noun}_count", "GET", f"{collection}/$count", f"{audit}List"),
        Row(f"{noun}_create", "POST", collection, f"{audit}Create"),
        Row(f"{noun}_get", "GET", f"{collection}/{{id}}", f"{audit}Get"),
        Row(f"{noun}_update", "PATCH", f"{collection}/{{id}}", f"{audit}Update"),
        Row(f"{noun}_delete", "DELETE", f"{collection}/{{id}}", f"{audit}Delete"),
    )


def _owners(collection: str, audit: str) -> tuple[Row, ...]:
    return (
        Row("owners_list", "GET", f"{collection}/{{id}}/owners", f"{audit}OwnerList"),
        Row("owners_add", "POST", f"{collection}/{{id}}/owners/$ref", f"{audit}OwnerAdd"),
        Row("owners_remove", "DELETE", f"{collection}/{{id}}/owners/{{other}}/$ref", f"{audit}OwnerRemove"),
    )


def _groups_of(collection: str, audit: str) -> tuple[Row, ...]:
    return (
        Row("member_groups", "POST", f"{collection}/{{id}}/getMemberGroups", f"{audit}MemberGroups"),
        Row("member_objects", "POST", f"{collection}/{{id}}/getMemberObjects", f"{audit}MemberGroups"),
        Row("check_member_groups", "POST", f"{collection}/{{id}}/checkMemberGroups", f"{audit}MemberGroups"),
        Row("check_member_groups", "POST", f"{collection}/{{id}}/checkMemberObjects", f"{audit}MemberGroups"),
        Row("member_of", "GET", f"{collection}/{{id}}/memberOf", f"{audit}MemberGroups"),
        Row("transitive_member_of", "GET", f"{collection}/{{id}}/transitiveMemberOf", f"{audit}MemberGroups"),
    )


def _proofs(collection: str, noun: str, audit: str) -> tuple[Row, ...]:
    return (
        Row(f"{noun}_add_password", "POST", f"{collection}/{{id}}/addPassword", f"{audit}PasswordAdd"),
        Row(f"{noun}_remove_password", "POST", f"{collection}/{{id}}/removePassword", f"{audit}PasswordRemove"),
    )


_FEDERATED = "applications/{id}/federatedIdentityCredentials"

ROWS: tuple[Row, ...] = (
    Row("me_get", "GET", "me", "UserGet"),
    Row("me_owned", "GET", "me/ownedObjects", "OwnedObjectList"),
    Row("me_revoke", "POST", "me/revokeSignInSessions", "UserSessionsRevoke"),
    Row("me_member_groups", "POST", "me/getMemberGroups", "UserMemberGroups"),
    Row("me_member_objects", "POST", "me/getMemberObjects", "UserMemberGroups"),
    Row("me_check_member_groups", "POST", "me/checkMemberGroups", "UserMemberGroups"),
    Row("me_member_of", "GET", "me/memberOf", "UserMemberGroups"),
    Row("me_transitive_member_of", "GET", "me/transitiveMemberOf", "UserMemberGroups"),
    Row("organization_list", "GET", "organization", "OrganizationList"),
    *_objects("users", "users", "User"),
    Row("users_revoke", "POST", "users/{id}/revokeSignInSessions", "UserSessionsRevoke"),
    Row("owned_list", "GET", "users/{id}/ownedObjects", "OwnedObjectList"),
    *_groups_of("users", "User"),
    *_objects("groups", "groups", "Group"),
    Row("members_list", "GET", "groups/{id}/members", "GroupMemberList"),
    Row("transitive_members_list", "GET", "groups/{id}/transitiveMembers", "GroupMemberList"),
    Row("members_add", "POST", "groups/{id}/members/$ref", "GroupMemberAdd"),
    Row("members_remove", "DELETE", "groups/{id}/members/{other}/$ref", "GroupMemberRemove"),
    *_owners("groups", "Group"),
    *_groups_of("groups", "Group"),
    *_objects("applications", "applications", "Application"),
    *_proofs("applications", "applications", "Application"),
    Row("federated_list", "GET", _FEDERATED, "FederatedCredentialList"),
    Row("federated_create", "POST", _FEDERATED, "FederatedCredentialCreate"),
    Row("federated_get", "GET", f"{_FEDERATED}/{{other}}", "FederatedCredentialGet"),
    Row("federated_update", "PATCH", f"{_FEDERATED}/{{other}}", "FederatedCredentialUpdate"),
    Row("federated_delete", "DELETE", f"{_FEDERATED}/{{other}}", "FederatedCredentialDelete"),
    *_owners("applications", "Application"),
    *_objects("servicePrincipals", "service_principals", "ServicePrincipal"),
    *_proofs("servicePrincipals", "service_principals", "ServicePrincipal"),
    *_owners("servicePrincipals", "ServicePrincipal"),
    Row("owned_list", "GET", "servicePrincipals/{id}/ownedObjects", "OwnedObjectList"),
    *_groups_of("servicePrincipals", "ServicePrincipal"),
    Row("objects_by_ids", "POST", "directoryObjects/getByIds", "DirectoryObjectList"),
    Row("objects_get", "GET", "directoryObjects/{id}", "DirectoryObjectGet"),
    Row("objects_delete", "DELETE", "directoryObjects/{id}", "DirectoryObjectDelete"),
    *_groups_of("directoryObjects", "DirectoryObject"),
    Row("roles_list", "GET", "directoryRoles", "DirectoryRoleList"),
    Row("roles_get", "GET", "directoryRoles/{id}", "DirectoryRoleGet"),
    Row("role_members_list", "GET", "directoryRoles/{id}/members", "DirectoryRoleMemberList"),
    Row("role_members_add", "POST", "directoryRoles/{id}/members/$ref", "DirectoryRoleMemberAdd"),
    Row("role_members_remove", "DELETE", "directoryRoles/{id}/members/{other}/$ref", "DirectoryRoleMemberRemove"),
    Row("role_definitions_list", "GET", "roleManagement/directory/roleDefinitions", "DirectoryRoleList"),
    Row("role_definitions_get", "GET", "roleManagement/directory/roleDefinitions/{id}", "DirectoryRoleGet"),
    Row("role_assignments_list", "GET", "roleManagement/directory/roleAssignments", "DirectoryRoleAssignmentList"),
    Row("role_assignments_create", "POST", "roleManagement/directory/roleAssignments", "DirectoryRoleMemberAdd"),
    Row("role_assignments_get", "GET", "roleManagement/directory/roleAssignments/{id}", "DirectoryRoleAssignmentGet"),
    Row(
        "role_assignments_delete",
        "DELETE",
        "roleManagement/directory/roleAssignments/{id}",
        "DirectoryRoleMemberRemove",
    ),
    Row("grants_list", "GET", "oauth2PermissionGrants", "PermissionGrantList"),
)


class GraphRouter:
    def __init__(self) -> None:
        self._rows: dict[int, list[tuple[Row, tuple[str, ...]]]] = {}  # by the number of segments
        for row in ROWS:
            pattern = tuple(row.path.lower().split("/"))
            self._rows.setdefault(len(pattern), []).append((row, pattern))

    def find(self, method: str, segments: tuple[str, ...]) -> Match | None:
        """Segments with a name before those with a variable."""
        found = [
            match
            for row, pattern in self._rows.get(len(segments), ())
            if row.method == method and (match := _fit(row, pattern, segments))
        ]
        return min(found, key=lambda match: len(match.names), default=None)

    def methods(self, segments: tuple[str, ...]) -> tuple[str, ...]:
        """Those that the path has."""
        rows = self._rows.get(len(segments), ())
        return tuple(sorted({row.method for row, pattern in rows if _fit(row, pattern, segments)}))


def _fit(row: Row, pattern: tuple[str, ...], segments: tuple[str, ...]) -> Match | None:
    """pattern and segments: as many of the one as of the other."""
    names: dict[str, str] = {}
    for expected, given in zip(pattern, segments, strict=True):
        if expected.startswith("{"):
            names[expected[1:-1]] = given
        elif expected != given.lower():
            return None
    return Match(row, names)


def read_path(raw_path: str) -> tuple[str, tuple[str, ...]]:
    """Version and segments of a path, decoded once. Raises BadRequest for what is none."""
    parts = [part for part in raw_path.split("/") if part]
    if not parts or parts[0].lower() not in VERSIONS or len(parts) > _MOST_SEGMENTS:
        raise bad("Invalid version.")
    segments: list[str] = []
    for part in parts[1:]:
        try:
            text = unquote(part, errors="strict")
        except UnicodeDecodeError:
            raise bad("The request URI is not valid.") from None
        if not text.isprintable() or len(text) > 1024:
            raise bad("The request URI is not valid.")
        match = _KEY.fullmatch(text)
        if match is None:
            segments.append(text.removeprefix("microsoft.graph."))
        else:
            key = match[3].replace("''", "'")
            segments += [match[1], key if match[2] in (None, "id") else f"{match[2]}={key}"]
    return parts[0].lower(), tuple(segments)
