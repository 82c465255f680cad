"""Every refusal of the issuer, as data: Entra's code, status, OAuth error and text.

Clients show `error_description`; az reads `error_codes`; MSAL decides by `error` and by the status. Source of codes and
statuses: the Microsoft identity platform's list of AADSTS codes, RFC 6749 5.2 where that is silent.

Fields in braces are filled by whoever raises, with values that have been looked up or checked, never with raw input.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from hsmvault.errors import HsmvaultError


@dataclass(frozen=True, slots=True)
class Refusal:
    """code: the number behind AADSTS. status: of HTTP. error: of OAuth 2.0."""

    code: int
    status: int
    error: str
    text: str


# the request
MALFORMED = Refusal(9002313, 400, "invalid_request", "Invalid request. Request is malformed or invalid. {reason}")
PARAMETER_MISSING = Refusal(
    900144, 400, "invalid_request", "The request body must contain the following parameter: '{parameter}'."
)
RESOURCE_NOT_SUPPORTED = Refusal(
    901002, 400, "invalid_request", "The 'resource' request parameter is not supported. Use 'scope'."
)
ONLY_POST = Refusal(900561, 405, "invalid_request", "The endpoint only accepts POST requests. Received another one.")
ONLY_GET = Refusal(900561, 405, "invalid_request", "The endpoint only accepts GET requests. Received another one.")
TOO_LARGE = Refusal(9002313, 413, "invalid_request", "Invalid request. The request body is too large.")
TOO_SLOW = Refusal(9002313, 408, "invalid_request", "Invalid request. The request body did not arrive in time.")
UNSUPPORTED_GRANT = Refusal(
    70003, 400, "unsupported_grant_type", "The app requested an unsupported grant type '{grant}'."
)
NOT_FOUND = Refusal(90014, 404, "invalid_request", "There is no such endpoint.")

# tenant
UNKNOWN_TENANT = Refusal(
    90002, 400, "invalid_request", "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID."
)
UNKNOWN_TENANT_IN_DISCOVERY = Refusal(90002, 400, "invalid_tenant", UNKNOWN_TENANT.text)
NO_TENANT = Refusal(
    50059,
    400,
    "invalid_request",
    "No tenant-identifying information found in either the request or implied by any provided credentials.",
)
UNKNOWN_INSTANCE = Refusal(50049, 400, "invalid_instance", "Unknown or invalid instance.")

# application and its proof
UNKNOWN_APPLICATION = Refusal(
    700016,
    400,
    "unauthorized_client",
    "Application with identifier '{application}' was not found in the directory '{tenant}'.",
)
APPLICATION_DISABLED = Refusal(7000112, 400, "unauthorized_client", "Application '{application}' is disabled.")
NO_PROOF = Refusal(
    7000218,
    401,
    "invalid_client",
    "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
)
WRONG_SECRET = Refusal(
    7000215,
    401,
    "invalid_client",
    "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the "
    "client secret ID, for a secret added to app '{application}'.",
)
SECRET_EXPIRED = Refusal(
    7000222, 401, "invalid_client", "The provided client secret keys for app '{application}' are expired."
)
ASSERTION_MALFORMED = Refusal(50027, 401, "invalid_client", "JWT token is invalid or malformed.")
ASSERTION_KEY = Refusal(
    700027,
    401,
    "invalid_client",
    "The certificate with identifier used to sign the client assertion is not registered on application, or the "
    "signature is not valid, or the certificate has expired.",
)
ASSERTION_TIME = Refusal(700024, 401, "invalid_client", "Client assertion is not within its valid time range.")
ASSERTION_SUBJECT = Refusal(
    700021, 401, "invalid_client", "Client assertion application identifier doesn't match 'client_id' parameter."
)
ASSERTION_AUDIENCE = Refusal(
    700023, 401, "invalid_client", "Client assertion audience claim does not match Realm issuer."
)
NO_FEDERATED_ISSUER = Refusal(
    700211,
    401,
    "invalid_client",
    "No matching federated identity record found for presented assertion issuer. Check your federated identity "
    "credential Issuer, and that the configuration names the issuer.",
)
NO_FEDERATED_AUDIENCE = Refusal(
    700212,
    401,
    "invalid_client",
    "No matching federated identity record found for presented assertion audience. Check your federated identity "
    "credential Audience.",
)
NO_FEDERATED_SUBJECT = Refusal(
    700213,
    401,
    "invalid_client",
    "No matching federated identity record found for presented assertion subject. Check your federated identity "
    "credential Subject.",
)
PUBLIC_CLIENT = Refusal(
    700025,
    401,
    "invalid_client",
    "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.",
)
THROTTLED = Refusal(
    90055, 429, "temporarily_unavailable", "The server has terminated an operation because it encountered a limit."
)

# what is asked for
BAD_SCOPE = Refusal(
    70011,
    400,
    "invalid_scope",
    "The provided value for the input parameter 'scope' is not valid. Client credential flows must have a scope value "
    "with /.default suffixed to the resource identifier.",
)
SEVERAL_RESOURCES = Refusal(
    700022, 400, "invalid_scope", "The provided value for the input parameter scope is not valid: several resources."
)
UNKNOWN_RESOURCE = Refusal(
    500011,
    400,
    "invalid_resource",
    "The resource principal named in the request was not found in the tenant '{tenant}'.",
)

BAD_DELEGATED_SCOPE = Refusal(
    70011,
    400,
    "invalid_scope",
    "The provided value for the input parameter 'scope' is not valid. It must name one resource, followed by /.default "
    "or /user_impersonation.",
)

# people
WRONG_PASSWORD = Refusal(
    50126, 400, "invalid_grant", "Error validating credentials due to invalid username or password."
)
PERSON_LOCKED = Refusal(
    50053,
    400,
    "invalid_grant",
    "Sign-in is blocked for a while, because there were too many attempts with an incorrect user name or password.",
)
PASSWORD_EXPIRED = Refusal(
    50055, 400, "invalid_grant", "The password has expired or must be changed first: sign in with a browser once."
)
PERSON_DISABLED = Refusal(50057, 400, "invalid_grant", "The user account is disabled.")
SESSION_REVOKED = Refusal(
    50173,
    400,
    "invalid_grant",
    "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might have changed "
    "or reset their password.",
)

# codes, refresh tokens, device codes
INVALID_GRANT = Refusal(
    70000, 400, "invalid_grant", "The provided value for the input parameter '{parameter}' is not valid."
)
CODE_EXPIRED = Refusal(
    70008, 400, "invalid_grant", "The provided authorization code or refresh token has expired. Send a new request."
)
REFRESH_TOKEN_EXPIRED = Refusal(700082, 400, "invalid_grant", "The refresh token has expired due to inactivity.")
CODE_REDEEMED = Refusal(
    54005,
    400,
    "invalid_grant",
    "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh "
    "token.",
)
WRONG_VERIFIER = Refusal(
    501481, 400, "invalid_grant", "The Code_Verifier does not match the code_challenge supplied in the request."
)
OTHER_REDIRECT = Refusal(
    500112,
    400,
    "invalid_grant",
    "The reply address does not match the reply address provided when requesting Authorization code.",
)
OTHER_TENANT = Refusal(
    700005,
    400,
    "invalid_grant",
    "Provided authorization code or refresh token is intended to use against other tenant.",
)
AUTHORIZATION_PENDING = Refusal(
    70016, 400, "authorization_pending", "OAuth 2.0 device flow error. Authorization is pending. Continue polling."
)
SLOW_DOWN = Refusal(
    70017, 400, "slow_down", "OAuth 2.0 device flow error. Polling too often. Wait five seconds longer each time."
)
AUTHORIZATION_DECLINED = Refusal(
    70018, 400, "authorization_declined", "The user declined the authorization request of the device."
)
DEVICE_CODE_EXPIRED = Refusal(
    70020,
    400,
    "expired_token",
    "The provided value for the input parameter 'device_code' is not valid. It has expired.",
)
BAD_ON_BEHALF_ASSERTION = Refusal(
    50013, 400, "invalid_grant", "Assertion failed signature validation, or is not valid: {reason}"
)

# the authorization endpoint; the first one is shown to the person, the others go to the redirect URI
BAD_REDIRECT = Refusal(
    50011,
    400,
    "invalid_request",
    "The redirect URI specified in the request does not match the redirect URIs configured for the application "
    "'{application}'.",
)
UNSUPPORTED_RESPONSE_TYPE = Refusal(
    700051, 400, "unsupported_response_type", "The response_type is not enabled for the application. Use 'code'."
)
PKCE_NEEDED = Refusal(
    9002325, 400, "invalid_request", "Proof Key for Code Exchange (S256) is required for public clients."
)
LOGIN_REQUIRED = Refusal(50058, 400, "login_required", "A silent sign-in request was sent but no user is signed in.")
INTERACTION_REQUIRED = Refusal(
    65001,
    400,
    "interaction_required",
    "The user has not gone on to the application in this session yet. Send an interactive authorization request.",
)
ACCESS_DENIED = Refusal(65004, 400, "access_denied", "The user declined to sign in to the application.")
FORM_TOO_OLD = Refusal(
    165000, 400, "invalid_request", "The page was open for too long, or it does not come from here. Please try again."
)

# managed identities; the local endpoints have no codes of their own, these stand in the audit record alone
BAD_IDENTITY_REQUEST = Refusal(90014, 400, "invalid_request", "{reason}")
IDENTITY_NOT_FOUND = Refusal(700016, 400, "invalid_request", "Identity not found")
BAD_IDENTITY_HEADER = Refusal(7000215, 401, "invalid_client", "The X-IDENTITY-HEADER is missing or not valid.")

# our side
TEMPORARILY_UNAVAILABLE = Refusal(
    90033, 503, "temporarily_unavailable", "A transient error has occurred. Please try again."
)
SERVER_ERROR = Refusal(50000, 500, "server_error", "There was an error issuing a token.")

ALL = tuple(value for value in list(globals().values()) if isinstance(value, Refusal))


class LoginRefused(HsmvaultError):
    """A refusal on its way to the edge. fields fill the braces of its text. retry_after_seconds: 0 for none."""

    def __init__(self, refusal: Refusal, *, retry_after_seconds: int = 0, **fields: str) -> None:
        self.refusal = refusal
        self.retry_after_seconds = retry_after_seconds
        self.text = refusal.text.format(**fields).rstrip()
        super().__init__(f"AADSTS{refusal.code}")


def malformed(reason: str = "") -> LoginRefused:
    """reason: one of our own sentences."""
    return LoginRefused(MALFORMED, reason=reason)


def document(
    refused: LoginRefused, *, origin: str, now: float, trace_id: str, correlation_id: str
) -> dict[str, str | list[int]]:
    """The JSON body as Entra lays it out."""
    timestamp = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    code = refused.refusal.code
    return {
        "error": refused.refusal.error,
        "error_description": f"AADSTS{code}: {refused.text} Trace ID: {trace_id} "
        f"Correlation ID: {correlation_id} Timestamp: {timestamp}",
        "error_codes": [code],
        "timestamp": timestamp,
        "trace_id": trace_id,
        "correlation_id": correlation_id,
        "error_uri": f"{origin}/error?code={code}",
    }
