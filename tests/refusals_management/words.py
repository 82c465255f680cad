"""The refusals of the management plane: status, code, text.

Source: the error tables of the resource manager and its providers, and refusals that were seen. message: None where
none is promised.
"""

from dataclasses import dataclass
from typing import Final

from tests.pipeline.world import APPLICATION_ID, LOGIN, MANAGEMENT, TENANT
from tests.refusals_management.table import PREVIEW, STABLE


@dataclass(frozen=True)
class Refusal:
    status: int
    code: str
    message: str | None = None


NO_TOKEN: Final = Refusal(401, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.")
EXPIRED: Final = Refusal(401, "ExpiredAuthenticationToken", "The access token has expired.")
NOT_GOOD: Final = Refusal(401, "InvalidAuthenticationToken", "The access token is invalid.")
NO_VERSION: Final = Refusal(
    400,
    "MissingApiVersionParameter",
    "The api-version query parameter (?api-version=) is required for all requests.",
)
UNREADABLE: Final = Refusal(400, "InvalidRequestContent")
BAD: Final = Refusal(400, "BadRequest")


def bad(message: str) -> Refusal:
    return Refusal(400, "BadRequest", message)


def wrong_audience(found: str) -> Refusal:
    return Refusal(
        401,
        "InvalidAuthenticationTokenAudience",
        f"The access token has been obtained for wrong audience or resource '{found}'. It should exactly match with "
        f"one of the allowed audiences '{MANAGEMENT}/','{MANAGEMENT}'.",
    )


def wrong_tenant(issuer: str, tenant_id: str) -> Refusal:
    """issuer: of the token. tenant_id: of the subscription."""
    authority = f"{LOGIN}/{tenant_id}"
    return Refusal(
        401,
        "InvalidAuthenticationTokenTenant",
        f"The access token is from the wrong issuer '{issuer}'. It must match the tenant '{authority}/' associated "
        f"with this subscription. Please use the authority (URL) '{authority}' to get the token.",
    )


def not_authorized(object_id: str, action: str, scope: str) -> Refusal:
    return Refusal(
        403,
        "AuthorizationFailed",
        f"The client '{APPLICATION_ID}' with object id '{object_id}' does not have authorization to perform action "
        f"'{action}' over scope '{scope or '/'}' or the scope is invalid. If access was recently granted, please "
        "refresh your credentials.",
    )


def invalid_version(text: str) -> Refusal:
    supported = ",".join((*STABLE, *PREVIEW))
    return Refusal(
        400,
        "InvalidApiVersionParameter",
        f"The api-version '{text}' is invalid. The supported versions are '{supported}'.",
    )


def no_method(method: str) -> Refusal:
    return Refusal(405, "MethodNotAllowed", f"The requested resource does not support http method '{method}'.")


def no_subscription(subscription: str) -> Refusal:
    return Refusal(404, "SubscriptionNotFound", f"The subscription '{subscription}' could not be found.")


def malformed_subscription(subscription: str) -> Refusal:
    return Refusal(
        400,
        "InvalidSubscriptionId",
        f"The provided subscription identifier '{subscription}' is malformed or invalid.",
    )


def no_group(group: str) -> Refusal:
    return Refusal(404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.")


def no_resource(kind: str, name: str, group: str = "rg") -> Refusal:
    return Refusal(
        404,
        "ResourceNotFound",
        f"The Resource 'Microsoft.KeyVault/{kind}/{name}' under resource group '{group}' was not found. For more "
        "details please go to https://aka.ms/ARMResourceNotFoundFix",
    )


def foreign_tenant(kind: str, tenant_id: str) -> Refusal:
    return bad(f"The tenant '{tenant_id}' of the {kind} is not the tenant '{TENANT}' of its subscription.")
