"""Objects of the directory as Graph shows them. Nothing that proves anybody is among it: hashes stay below."""

from collections.abc import Sequence
from datetime import UTC, datetime

from hsmvault.model import base64url
from hsmvault.model.directory import Application, DirectoryRole, FederatedCredential, RedirectKind
from hsmvault.model.principals import Credential, CredentialKind, Principal, PrincipalKind, Tenant
from hsmvault.resources.directory.identities import is_user_assigned
from hsmvault.wire.graph.bodies import read_kept

Shown = dict[str, object]
USER = "#microsoft.graph.user"
GROUP = "#microsoft.graph.group"
SERVICE_PRINCIPAL = "#microsoft.graph.servicePrincipal"
APPLICATION = "#microsoft.graph.application"
_PARTS = {RedirectKind.WEB: "web", RedirectKind.SPA: "spa", RedirectKind.PUBLIC: "publicClient"}


def moment(seconds: int) -> str | None:
    """null for 0, which stands for nothing."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}" if seconds else None


def user(principal: Principal) -> Shown:
    details = principal.details
    shown: Shown = {
        "id": principal.object_id,
        "accountEnabled": principal.enabled,
        "businessPhones": [],
        "createdDateTime": moment(principal.created),
        "displayName": principal.display_name,
        "givenName": details.given_name or None,
        "jobTitle": details.job_title or None,
        "mail": details.mail or None,
        "mailNickname": details.mail_nickname or principal.upn.partition("@")[0],
        "mobilePhone": None,
        "officeLocation": None,
        "onPremisesImmutableId": None,
        "passwordProfile": None,
        "preferredLanguage": None,
        "signInSessionsValidFromDateTime": moment(principal.sessions_valid_from or principal.created),
        "surname": details.surname or None,
        "userPrincipalName": principal.upn,
        "userType": "Member",
    }
    return shown | read_kept(details.kept)


def group(principal: Principal) -> Shown:
    return {
        "id": principal.object_id,
        "createdDateTime": moment(principal.created),
        "description": principal.details.description or None,
        "displayName": principal.display_name,
        "groupTypes": [],
        "isAssignableToRole": True,
        "mail": None,
        "mailEnabled": False,
        "mailNickname": principal.details.mail_nickname or None,
        "securityEnabled": True,
        "visibility": None,
    }


def application(found: Application) -> Shown:
    """Without its credentials."""
    shown: Shown = {
        "id": found.object_id,
        "appId": found.application_id,
        "api": None,
        "appRoles": [],
        "createdDateTime": moment(found.created),
        "description": found.details.description or None,
        "displayName": found.display_name,
        "groupMembershipClaims": None,
        "identifierUris": list(found.details.identifier_uris),
        "info": None,
        "isDeviceOnlyAuthSupported": None,
        "isFallbackPublicClient": found.public_client,
        "notes": None,
        "optionalClaims": None,
        "publisherDomain": None,
        "requiredResourceAccess": [],
        "serviceManagementReference": None,
        "signInAudience": found.details.sign_in_audience,
        "tags": [],
        **read_kept(found.details.kept),
    }
    for kind, part in _PARTS.items():
        uris = [redirect.uri for redirect in found.redirect_uris if redirect.kind is kind]
        others = shown.get(part)
        shown[part] = (others if isinstance(others, dict) else {}) | {"redirectUris": uris}
    return shown


def service_principal(principal: Principal, registration: Application | None) -> Shown:
    """Without its credentials. registration: in whichever tenant; None for a managed identity."""
    is_identity = principal.kind is PrincipalKind.MANAGED_IDENTITY
    uris = [] if registration is None else list(registration.details.identifier_uris)
    return {
        "id": principal.object_id,
        "accountEnabled": principal.enabled,
        "alternativeNames": [f"isExplicit={is_user_assigned(principal)}", principal.resource_id] if is_identity else [],
        "appDisplayName": None if registration is None else registration.display_name,
        "appId": principal.application_id,
        "appOwnerOrganizationId": None if registration is None else registration.tenant_id,
        "appRoleAssignmentRequired": False,
        "appRoles": [],
        "createdDateTime": moment(principal.created),
        "description": principal.details.description or None,
        "displayName": principal.display_name,
        "oauth2PermissionScopes": [],
        "replyUrls": [] if registration is None else [redirect.uri for redirect in registration.redirect_uris],
        "servicePrincipalNames": [principal.application_id, *uris],
        "servicePrincipalType": "ManagedIdentity" if is_identity else "Application",
        "signInAudience": None if registration is None else registration.details.sign_in_audience,
        "tags": [],
    }


def typed(found: Principal | Application) -> Shown:
    """Of a list of mixed kinds: with its type in front."""
    if isinstance(found, Application):
        return {"@odata.type": APPLICATION, **application(found)}
    if found.kind is PrincipalKind.USER:
        return {"@odata.type": USER, **user(found)}
    if found.kind is PrincipalKind.GROUP:
        return {"@odata.type": GROUP, **group(found)}
    return {"@odata.type": SERVICE_PRINCIPAL, **service_principal(found, None)}


def credentials(found: Sequence[Credential], *, with_keys: bool) -> Shown:
    """passwordCredentials and keyCredentials. with_keys: the certificates themselves, when $select asks for them."""
    return {
        "passwordCredentials": [password(one) for one in found if one.kind is CredentialKind.SECRET],
        "keyCredentials": [_key(one, with_keys) for one in found if one.kind is CredentialKind.CERTIFICATE],
    }


def password(credential: Credential, text: str | None = None) -> Shown:
    """text: of a secret that has just been made."""
    return {
        "customKeyIdentifier": None,
        "displayName": credential.display_name or None,
        "endDateTime": moment(credential.expires),
        "hint": credential.hint or None,
        "keyId": credential.id,
        "secretText": text,
        "startDateTime": moment(credential.starts),
    }


def _key(credential: Credential, with_key: bool) -> Shown:
    return {
        "customKeyIdentifier": base64url.decode(credential.thumbprint_sha1).hex().upper(),
        "displayName": credential.display_name or None,
        "endDateTime": moment(credential.expires),
        "key": credential.verifier if with_key else None,
        "keyId": credential.id,
        "startDateTime": moment(credential.starts),
        "type": "AsymmetricX509Cert",
        "usage": "Verify",
    }


def federated(credential: FederatedCredential) -> Shown:
    return {
        "audiences": list(credential.audiences),
        "description": credential.description or None,
        "id": credential.id,
        "issuer": credential.issuer,
        "name": credential.name,
        "subject": credential.subject,
    }


def role(found: DirectoryRole) -> Shown:
    """Its id is that of its template: there is one of each in every tenant."""
    return {
        "id": found.value,
        "displayName": found.title,
        "description": None,
        "roleTemplateId": found.value,
    }


def role_definition(found: DirectoryRole) -> Shown:
    return {
        "id": found.value,
        "displayName": found.title,
        "isBuiltIn": True,
        "isEnabled": True,
        "templateId": found.value,
    }


def role_assignment(principal_id: str, found: DirectoryRole) -> Shown:
    return {
        "id": f"{principal_id}_{found.value}",
        "directoryScopeId": "/",
        "principalId": principal_id,
        "roleDefinitionId": found.value,
    }


def organization(tenant: Tenant) -> Shown:
    domain = {"name": tenant.domain, "isDefault": True, "isInitial": True, "type": "Managed"}
    return {"id": tenant.id, "displayName": tenant.display_name, "verifiedDomains": [domain]}
