"""The directory's operations as Microsoft Graph documents them: method and path, audit name, and the members of the
body. What a caller without a role in the directory hears is 403, but for what everybody of a tenant may read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tests.refusals_management.models import Is

T, B, O, L = Is.TEXT, Is.TRUTH, Is.OBJECT, Is.LIST  # noqa: E741  # as in models.py
_REFERENCE: Final = {"@odata.id": T}
_MEMBERS: Final = {"ids": L, "ids.0": T, "groupIds": L, "groupIds.0": T}
_CERTIFICATES: Final = {
    "keyCredentials": L,
    "keyCredentials.0": O,
    **{f"keyCredentials.0.{name}": T for name in ("key", "keyId", "type", "usage", "displayName", "endDateTime")},
}
_PASSWORD: Final = {
    "passwordCredential": O,
    **{f"passwordCredential.{name}": T for name in ("displayName", "startDateTime", "endDateTime")},
}
_USER: Final = {
    **dict.fromkeys(("displayName", "userPrincipalName", "mail", "mailNickname", "givenName", "jobTitle"), T),
    "accountEnabled": B,
    "passwordProfile": O,
    "passwordProfile.password": T,
    "passwordProfile.forceChangePasswordNextSignIn": B,
}
_GROUP: Final = {
    **dict.fromkeys(("displayName", "description", "mailNickname"), T),
    "mailEnabled": B,
    "securityEnabled": B,
    "groupTypes": L,
    "members@odata.bind": L,
    "members@odata.bind.0": T,
}
_APPLICATION: Final = {
    **dict.fromkeys(("displayName", "description", "signInAudience"), T),
    "isFallbackPublicClient": B,
    "identifierUris": L,
    "identifierUris.0": T,
    "web": O,
    "web.redirectUris": L,
    "web.redirectUris.0": T,
    "spa": O,
    "publicClient": O,
    "passwordCredentials": L,
    **_CERTIFICATES,
}
_FEDERATED: Final = {
    **dict.fromkeys(("issuer", "subject", "description"), T),
    "audiences": L,
    "audiences.0": T,
}


@dataclass(frozen=True)
class GraphRow:
    """writes: whether a caller without a role may not. body: members and what they are; None when none is read."""

    method: str
    path: str
    audit: str
    writes: bool = False
    body: Mapping[str, Is] | None = None
    good: Mapping[str, object] | None = None

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


def _read(audit: str, *paths: str) -> list[GraphRow]:
    return [GraphRow("GET", path, audit) for path in paths]


def _write(call: str, audit: str, body: Mapping[str, Is] | None = None, **good: object) -> GraphRow:
    method, path = call.split(" ")
    return GraphRow(method, path, audit, True, body, good if body is not None else None)


def _collection(
    path: str, audit: str, body: Mapping[str, Is], update: Mapping[str, Is], good: Mapping[str, object]
) -> list[GraphRow]:
    return [
        *_read(f"{audit}List", path, f"{path}/$count"),
        *_read(f"{audit}Get", f"{path}/{{id}}"),
        _write(f"POST {path}", f"{audit}Create", body, **good),
        GraphRow("PATCH", f"{path}/{{id}}", f"{audit}Update", True, update, {}),
        _write(f"DELETE {path}/{{id}}", f"{audit}Delete"),
    ]


def _around(path: str, audit: str) -> list[GraphRow]:
    """Groups around an object, which everybody may read."""
    return [
        *[
            GraphRow("POST", f"{path}/{call}", f"{audit}MemberGroups", body=_MEMBERS if "check" in call else None)
            for call in ("getMemberGroups", "getMemberObjects", "checkMemberGroups", "checkMemberObjects")
            if path != "me" or call != "checkMemberObjects"
        ],
        *_read(f"{audit}MemberGroups", f"{path}/memberOf", f"{path}/transitiveMemberOf"),
    ]


def _owners(path: str, audit: str) -> list[GraphRow]:
    return [
        *_read(f"{audit}OwnerList", f"{path}/{{id}}/owners"),
        _write(f"POST {path}/{{id}}/owners/$ref", f"{audit}OwnerAdd", _REFERENCE),
        _write(f"DELETE {path}/{{id}}/owners/{{other}}/$ref", f"{audit}OwnerRemove"),
    ]


def _secrets(path: str, audit: str) -> list[GraphRow]:
    return [
        _write(f"POST {path}/{{id}}/addPassword", f"{audit}PasswordAdd", _PASSWORD),
        _write(f"POST {path}/{{id}}/removePassword", f"{audit}PasswordRemove", {"keyId": T}, keyId="x"),
    ]


_F: Final = "applications/{id}/federatedIdentityCredentials"
_R: Final = "roleManagement/directory"
_NEW_USER: Final = {
    "displayName": "N",
    "userPrincipalName": "new@dev.example",
    "passwordProfile": {"password": "Vor-dem-Tor-steht-8-Linden"},
}
ROWS: Final[Mapping[str, GraphRow]] = {
    row.name: row
    for row in (
        *_read("UserGet", "me"),
        *_read("OwnedObjectList", "me/ownedObjects", "users/{id}/ownedObjects", "servicePrincipals/{id}/ownedObjects"),
        GraphRow("POST", "me/revokeSignInSessions", "UserSessionsRevoke"),
        *_around("me", "User"),
        *_read("OrganizationList", "organization"),
        *_collection("users", "User", _USER, _USER, _NEW_USER),
        _write("POST users/{id}/revokeSignInSessions", "UserSessionsRevoke"),
        *_around("users/{id}", "User"),
        *_collection("groups", "Group", _GROUP, _GROUP, {"displayName": "N"}),
        *_read("GroupMemberList", "groups/{id}/members", "groups/{id}/transitiveMembers"),
        _write("POST groups/{id}/members/$ref", "GroupMemberAdd", _REFERENCE),
        _write("DELETE groups/{id}/members/{other}/$ref", "GroupMemberRemove"),
        *_owners("groups", "Group"),
        *_around("groups/{id}", "Group"),
        *_collection("applications", "Application", _APPLICATION, _APPLICATION, {"displayName": "N"}),
        *_secrets("applications", "Application"),
        *_read("FederatedCredentialList", _F),
        *_read("FederatedCredentialGet", f"{_F}/{{other}}"),
        _write(
            f"POST {_F}",
            "FederatedCredentialCreate",
            {**_FEDERATED, "name": T},
            name="new",
            issuer="https://i",
            subject="s",
            audiences=["a"],
        ),
        GraphRow("PATCH", f"{_F}/{{other}}", "FederatedCredentialUpdate", True, _FEDERATED, {}),
        _write(f"DELETE {_F}/{{other}}", "FederatedCredentialDelete"),
        *_owners("applications", "Application"),
        *_collection(
            "servicePrincipals",
            "ServicePrincipal",
            {"appId": T, "accountEnabled": B},
            {"accountEnabled": B, **_CERTIFICATES},
            {"appId": "66666666-0000-0000-0000-000000000404"},
        ),
        *_secrets("servicePrincipals", "ServicePrincipal"),
        *_owners("servicePrincipals", "ServicePrincipal"),
        *_around("servicePrincipals/{id}", "ServicePrincipal"),
        GraphRow(
            "POST",
            "directoryObjects/getByIds",
            "DirectoryObjectList",
            body={"ids": L, "ids.0": T, "types": L, "types.0": T},
            good={"ids": []},
        ),
        *_read("DirectoryObjectGet", "directoryObjects/{id}"),
        _write("DELETE directoryObjects/{id}", "DirectoryObjectDelete"),
        *_around("directoryObjects/{id}", "DirectoryObject"),
        *_read("DirectoryRoleList", "directoryRoles", f"{_R}/roleDefinitions"),
        *_read("DirectoryRoleGet", "directoryRoles/{id}", f"{_R}/roleDefinitions/{{id}}"),
        *_read("DirectoryRoleMemberList", "directoryRoles/{id}/members"),
        _write("POST directoryRoles/{id}/members/$ref", "DirectoryRoleMemberAdd", _REFERENCE),
        _write("DELETE directoryRoles/{id}/members/{other}/$ref", "DirectoryRoleMemberRemove"),
        *_read("DirectoryRoleAssignmentList", f"{_R}/roleAssignments"),
        *_read("DirectoryRoleAssignmentGet", f"{_R}/roleAssignments/{{id}}"),
        _write(
            f"POST {_R}/roleAssignments",
            "DirectoryRoleMemberAdd",
            {"principalId": T, "roleDefinitionId": T, "directoryScopeId": T},
            principalId="44444444-0000-0000-0000-000000000404",
            roleDefinitionId="88d8e3e3-8f55-4a1e-953a-9b9898b8876b",
        ),
        _write(f"DELETE {_R}/roleAssignments/{{id}}", "DirectoryRoleMemberRemove"),
        *_read("PermissionGrantList", "oauth2PermissionGrants"),
    )
}
