"""Every refusal as the reference publishes it: status, code, inner code, text.

Source: the error tables of the Azure Key Vault documentation and recorded answers. Where nothing is published the
text is what docs/divergences.md says, or None: then the status and the code alone are promised.
"""

from dataclasses import dataclass
from enum import Enum

CALLER = "appid={application};oid={oid};iss={iss}"
HELP = "For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid="


class Objects(Enum):
    """Kinds of objects: the value is the word of paths, permissions and scopes."""

    KEYS = "keys"
    SECRETS = "secrets"
    CERTIFICATES = "certificates"

    @property
    def word(self) -> str:
        """Of one, as texts and codes begin with it."""
        return self.value.removesuffix("s").capitalize()

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Refusal:
    """message: as in a vault; None where none is promised. in_pools: where managed HSM has words of its own."""

    status: int
    code: str
    message: str | None
    inner: str | None = None
    in_pools: str | None = None


# who calls

NO_TOKEN = Refusal(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.")
EXPIRED = Refusal(401, "Unauthorized", "AKV10040: The token has expired.", in_pools="Token has expired")
EARLY = Refusal(401, "Unauthorized", "AKV10041: Token not yet valid.", in_pools="Token not yet valid")
BAD_SIGNATURE = Refusal(401, "Unauthorized", "AKV10044: The token's signature is not valid.")
NOT_A_TOKEN = Refusal(401, "Unauthorized", "AKV10042: The bearer token is not a JSON web token in compact form.")
NO_EXPIRY = Refusal(401, "Unauthorized", "AKV10049: The token's claim 'exp' is missing or not a number.")
NO_PRINCIPAL = Refusal(
    401, "Unauthorized", "AKV10048: The principal or the credential behind the token is no longer valid."
)


def wrong_audience(expected: str, found: str) -> Refusal:
    return Refusal(
        401,
        "Unauthorized",
        f"AKV10022: Invalid audience. Expected {expected}, found: {found}.",
        in_pools=f"Found token with aud={found}, but expected aud={expected}",
    )


def wrong_issuer(expected: list[str], found: str) -> Refusal:
    listed = ", ".join(expected)
    return Refusal(401, "Unauthorized", f"AKV10032: Invalid issuer. Expected one of {listed}, found {found}.")


def unknown_key(token: str) -> Refusal:
    """token: whose header names a key that the issuer has not published."""
    return Refusal(
        401,
        "Unauthorized",
        "AKV10046: Unable to resolve the key used for signature validation. "
        f"EncodedJwtHeader: '{token.partition('.')[0]}'.",
    )


# from where, and what for


def firewall(address: str, caller: str, container: str) -> Refusal:
    """container: name and location, as in 'name;location=place'."""
    return Refusal(
        403,
        "Forbidden",
        "Client address is not authorized and caller is not a trusted service.\r\n"
        f"Client address: {address}\r\nCaller: {caller}\r\nVault: {container}",
        "ForbiddenByFirewall",
    )


def no_public_access(caller: str, container: str) -> Refusal:
    return Refusal(
        403,
        "Forbidden",
        "Public network access is disabled and request is not from a trusted service nor via an approved private "
        f"link.\r\nCaller: {caller}\r\nVault: {container}",
        "ForbiddenByConnection",
    )


def no_policy(caller: str, kind: Objects, permission: str, container: str) -> Refusal:
    return Refusal(
        403,
        "Forbidden",
        f"The user, group or application '{caller}' does not have {kind} {permission} permission on "
        f"key vault '{container}'. {HELP}2125287",
        "ForbiddenByPolicy",
    )


def no_role(caller: str, action: str, resource: str, container: str) -> Refusal:
    """action: without its prefix. resource: in lower case."""
    return Refusal(
        403,
        "Forbidden",
        "\r\n".join(
            (
                "Caller is not authorized to perform action on resource.",
                "If role assignments, deny assignments or role definitions were changed recently, please observe "
                "propagation time.",
                f"Caller: {caller}",
                f"Action: 'Microsoft.KeyVault/vaults/{action}'",
                f"Resource: '{resource}'",
                "Assignment: (not found)",
                "DenyAssignmentId: null",
                "DecisionReason: 'DeniedWithNoValidRBAC' ",
                f"Vault: {container}",
                "",
            )
        ),
        "ForbiddenByRbac",
    )


def no_local_role(action: str, scope: str) -> Refusal:
    """Pools alone. action: without its prefix."""
    return Refusal(403, "AccessDenied", f"Not authorized to access Microsoft.KeyVault/managedHsm/{action} on {scope}")


# the request


def property_invalid(name: str) -> Refusal:
    """name: empty when the member is missing, and for one of a wrong type, about which nothing is published."""
    return Refusal(400, "BadParameter", f"Property {name} has invalid value\r\n")


NOT_JSON = Refusal(400, "BadParameter", "The request body is not valid JSON.")
NO_API_VERSION = Refusal(400, "BadParameter", "api-version must be specified")
NO_ROUTE = Refusal(404, "NotFound", "The requested resource does not exist.")
NO_METHOD = Refusal(405, "MethodNotAllowed", "The HTTP method is not allowed for this resource.")
BAD_IDENTIFIER = Refusal(400, "Invalidkeyidentifier", "Invalid key identifier")


def unknown_api_version(found: str, newest: str) -> Refusal:
    return Refusal(
        400,
        "BadParameter",
        f"The specified version ({found}) is not recognized. Consider using the latest supported version ({newest}).",
    )


def not_in_api_version(version: str) -> Refusal:
    return Refusal(404, "NotFound", f"The operation is not part of api-version {version}.")


def invalid_name(name: str) -> Refusal:
    """In a vault; a pool says BAD_IDENTIFIER."""
    return Refusal(400, "BadParameter", f"The request URI contains an invalid name: {name}")


# the object


def not_found(kind: Objects, name: str, version: str = "") -> Refusal:
    between = "/versions/" if kind is Objects.CERTIFICATES else "/"
    shown, word = f"{name}{between}{version}" if version else name, kind.word.lower()
    return Refusal(
        404,
        f"{kind.word}NotFound",
        f"A {word} with (name/id) {shown} was not found in this key vault. If you recently deleted this {word} you may "
        f"be able to recover it using the correct recovery command. {HELP}2125182",
    )


def deleted_not_found(kind: Objects, name: str) -> Refusal:
    return Refusal(404, f"{kind.word}NotFound", f"Deleted {kind.word} not found: {name}")


def pending_not_found(name: str) -> Refusal:
    return Refusal(404, "PendingCertificateNotFound", f"Pending certificate not found: {name}")


ISSUER_NOT_FOUND = Refusal(404, "CertificateIssuerNotFound", "Issuer not found")
CONTACTS_NOT_FOUND = Refusal(404, "ContactsNotFound", "Contacts not found")


def name_is_deleted(kind: Objects, name: str) -> Refusal:
    return Refusal(
        409,
        "Conflict",
        f"{kind.word} {name} is currently in a deleted but recoverable state, and its name cannot be reused; in this "
        f"state, the {kind.word.lower()} can only be recovered or purged.",
        "ObjectIsDeletedButRecoverable",
    )


def restore_conflict(kind: Objects, identifier: str) -> Refusal:
    word = kind.word.lower()
    text = f"Conflict while restoring {word} {identifier} - {word} already exists or concurrent access"
    return Refusal(409, "Conflict", text)


def purge_protected(container: str) -> Refusal:
    return Refusal(
        403,
        "Forbidden",
        'Operation "purge" is not allowed because purge protection is enabled for this vault. Key Vault service will '
        f"automatically purge it after the retention period has passed.\r\nVault: {container}",
    )


def managed(kind: Objects, operation: str) -> Refusal:
    """Of the key and the secret of a certificate. operation: the word of the refusal."""
    return Refusal(
        403,
        "Forbidden",
        f'Operation "{operation}" is not allowed as this object\'s lifetime is managed by Key Vault.',
        f"{kind.word}ManagedByKeyVault",
    )


# the state of keys and secrets


def not_permitted(operation: str) -> Refusal:
    """operation: as in key_ops, here and below."""
    return Refusal(403, "Forbidden", f"Operation {operation} is not permitted on this key.", "KeyOperationForbidden")


def disabled(operation: str) -> Refusal:
    return Refusal(403, "Forbidden", f"Operation {operation} is not allowed on a disabled key.", "KeyDisabled")


def not_yet_valid(operation: str) -> Refusal:
    return Refusal(
        403, "Forbidden", f"Operation {operation} is not allowed on a key that is not yet valid.", "KeyNotYetValid"
    )


def expired(operation: str) -> Refusal:
    return Refusal(403, "Forbidden", f"Operation {operation} is not allowed on an expired key.", "KeyExpired")


SECRET_DISABLED = Refusal(403, "Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled")
SECRET_EXPIRED = Refusal(403, "Forbidden", "Operation get is not allowed on an expired secret.", "SecretExpired")
DELETED_SECRET_DISABLED = Refusal(403, "Forbidden", "Operation get is not permitted on this object.", "AccessDenied")


# certificates

IN_PROGRESS = Refusal(
    409,
    "Forbidden",
    "A new key vault certificate can not be created or imported while a pending key vault certificate's status is "
    "inProgress.",
)
OTHER_KEY = Refusal(
    400,
    "BadParameter",
    "The public key of the end-entity certificate in the specified X.509 certificate content does not match the public "
    "part of the specified private key. Please check if certificate is valid",
)
NO_X500_NAME = Refusal(400, "BadParameter", "The subject name provided is not a valid X500 name")


def unsupported_size(size: int, sizes: str) -> Refusal:
    return Refusal(400, "BadParameter", f"Unsupported key size ({size}). Supported sizes are {sizes}")


def no_argument(value: str, member: str) -> Refusal:
    return Refusal(400, "BadArgument", f"'{value}' is not a valid argument for '{member}'.")


NOT_PUBLISHED = Refusal(400, "BadParameter", None)
"""Only the status and the code of these are."""
