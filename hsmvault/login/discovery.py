"""The public documents: OpenID configuration (OpenID Connect Discovery 1.0, 3), key set (RFC 7517), instance discovery.

What which client needs was found by leaving members out one at a time: authorization_endpoint and token_endpoint
(all), issuer and jwks_uri (msal-node), device_authorization_endpoint (MSAL Python's device code).
"""

import base64
from collections.abc import Sequence
from typing import Literal
from urllib.parse import urlsplit

from hsmvault.login.realms import ADFS, Realm, is_realm_name, token_issuer
from hsmvault.login.refusals import UNKNOWN_INSTANCE, LoginRefused
from hsmvault.login.requests import Form
from hsmvault.login.signing_keys import PublishedKey

Document = dict[str, object]
Version = Literal["v1", "v2"]


def openid_configuration(realm: Realm, version: Version) -> Document:
    """The realm `adfs` has one shape only, whatever the version."""
    dialect = "" if realm.is_adfs or version == "v1" else "/v2.0"
    if realm.is_adfs:
        issuer, keys = realm.base, f"{realm.base}/discovery/keys"
    elif version == "v1":
        issuer, keys = token_issuer(realm.origin, realm.tenant_id_or_placeholder), f"{realm.base}/discovery/keys"
    else:
        issuer = f"{realm.origin}/{realm.tenant_id_or_placeholder}/v2.0"
        keys = f"{realm.base}/discovery/v2.0/keys"
    oauth = f"{realm.base}/oauth2{dialect}"
    return {
        "token_endpoint": f"{oauth}/token",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "jwks_uri": keys,
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": issuer,
        "request_uri_parameter_supported": False,
        "authorization_endpoint": f"{oauth}/authorize",
        "device_authorization_endpoint": f"{oauth}/devicecode",
        "end_session_endpoint": f"{oauth}/logout",
        "http_logout_supported": True,
        "claims_supported": [
            "sub", "iss", "aud", "exp", "iat", "nbf", "tid", "ver", "oid", "upn", "name", "preferred_username", "nonce",
        ],
    }  # fmt: skip


def key_set(realm: Realm, keys: Sequence[PublishedKey]) -> Document:
    """Every published key, the one that signs and its neighbours in time."""
    issuer = f"{realm.origin}/{realm.tenant_id_or_placeholder}/v2.0"
    return {
        "keys": [
            {
                "kty": "RSA",
                "use": "sig",
                "alg": "RS256",
                "kid": key.id,
                "x5t": key.id,
                "n": key.modulus,
                "e": key.exponent,
                "x5c": [base64.b64encode(key.certificate_der).decode()],
                "issuer": issuer,
            }
            for key in keys
        ]
    }


def instance(origin: str, query: Form) -> Document:
    """Whether an authority is one of ours. MSAL asks Microsoft's host by a built-in URL and so never gets here; tools
    that can be pointed elsewhere do.
    """
    endpoint = query.require("authorization_endpoint")
    try:
        parts = urlsplit(endpoint)
    except ValueError:
        raise LoginRefused(UNKNOWN_INSTANCE) from None
    segment = parts.path.split("/")[1] if parts.path.startswith("/") else ""
    if f"{parts.scheme}://{parts.netloc}".lower() != origin or not is_realm_name(segment.lower()):
        raise LoginRefused(UNKNOWN_INSTANCE)
    version = "" if segment.lower() == ADFS else "/v2.0"
    host = urlsplit(origin).netloc
    return {
        "tenant_discovery_endpoint": f"{origin}/{segment}{version}/.well-known/openid-configuration",
        "api-version": query.get("api-version") or "1.1",
        "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
    }


def user_realm(origin: str, user_name: str) -> Document:
    """Where somebody's password is checked: here, whoever it is. Whether there is such a person is not told."""
    return {
        "ver": "1.0",
        "account_type": "Managed",
        "domain_name": user_name.rpartition("@")[2],
        "cloud_instance_name": urlsplit(origin).hostname or "",
        "cloud_audience_urn": "urn:federation:MicrosoftOnline",
    }
