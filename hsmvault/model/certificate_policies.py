"""What a certificate is to be, and what is to happen to it: the policy that directs its life.

Source: CertificatePolicy of the Key Vault data plane's OpenAPI documents and "About Azure Key Vault certificates".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

from hsmvault.model.algorithms import Curve, Family, KeySpec

SELF: Final = "Self"
UNKNOWN: Final = "Unknown"
PKCS12: Final = "application/x-pkcs12"
PEM: Final = "application/x-pem-file"
SERVER_AUTHENTICATION: Final = "1.3.6.1.5.5.7.3.1"
CLIENT_AUTHENTICATION: Final = "1.3.6.1.5.5.7.3.2"
_DAY: Final = 86_400

KEY_OPERATIONS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "digitalSignature": ("sign", "verify"),
        "nonRepudiation": ("sign", "verify"),
        "keyEncipherment": ("wrapKey", "unwrapKey"),
        "dataEncipherment": ("encrypt", "decrypt"),
        "keyAgreement": (),
        "keyCertSign": ("sign", "verify"),
        "cRLSign": ("sign", "verify"),
        "encipherOnly": ("encrypt",),
        "decipherOnly": ("decrypt",),
    }
)
"""What the key of a certificate may do, by the certificate's key usage (RFC 5280, 4.2.1.3)."""


class Action(Enum):
    AUTO_RENEW = "AutoRenew"
    EMAIL_CONTACTS = "EmailContacts"


@dataclass(frozen=True, slots=True)
class LifetimeAction:
    """One of the triggers is set. lifetime_percentage: 1 to 99. days_before_expiry: 1 to 27 times the months of
    validity."""

    action: Action
    lifetime_percentage: int | None = None
    days_before_expiry: int | None = None

    def due(self, not_before: int, expires: int) -> int:
        """When, for a certificate with these dates. All in seconds since 1970 UTC.

        Not in the first thirtieth of its life: an issuer may give less time than the policy asks for, and a renewal
        that was due before its certificate was issued would be due again at once, without end. Who gets as many months
        as he asks for is not held up: 27 days of each are fewer.
        """
        if self.lifetime_percentage is not None:
            return not_before + (expires - not_before) * self.lifetime_percentage // 100
        assert self.days_before_expiry is not None
        return max(expires - self.days_before_expiry * _DAY, not_before + (expires - not_before) // 30)


@dataclass(frozen=True, slots=True)
class KeyProperties:
    """Of the key that is made for each version. exportable: the secret holds the private part. reuse: a new version
    keeps the key of the one before."""

    family: Family = Family.RSA
    hardware: bool = False
    size_bits: int = 2048
    curve: Curve | None = None
    exportable: bool = True
    reuse: bool = False

    @property
    def spec(self) -> KeySpec:
        return KeySpec.rsa(self.size_bits) if self.curve is None else KeySpec.ec(self.curve)

    @property
    def wire_type(self) -> str:
        """RSA, EC, or the same with -HSM."""
        return self.family.value + ("-HSM" if self.hardware else "")


@dataclass(frozen=True, slots=True)
class AlternativeNames:
    """Subject alternative names (RFC 5280, 4.2.1.6); upns: user principal names, otherName 1.3.6.1.4.1.311.20.2.3."""

    dns_names: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    upns: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    ip_addresses: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.dns_names or self.emails or self.upns or self.uris or self.ip_addresses)


@dataclass(frozen=True, slots=True)
class X509Properties:
    """subject: an X.500 name as RFC 4514 writes it; may be empty when there are alternative names. ekus: OIDs.
    key_usage: words of KEY_OPERATIONS."""

    subject: str = ""
    alternative_names: AlternativeNames = AlternativeNames()
    ekus: tuple[str, ...] = (SERVER_AUTHENTICATION, CLIENT_AUTHENTICATION)
    key_usage: tuple[str, ...] = ("digitalSignature", "keyEncipherment")
    validity_months: int = 12


@dataclass(frozen=True, slots=True)
class IssuerParameters:
    """name: SELF, UNKNOWN, or that of an issuer object of the vault. certificate_type: for the issuer."""

    name: str = UNKNOWN
    certificate_type: str | None = None
    transparency: bool | None = None

    @property
    def is_unknown(self) -> bool:
        return self.name.lower() == UNKNOWN.lower()


@dataclass(frozen=True, slots=True)
class CertificatePolicy:
    """content_type: of the secret, PKCS12 or PEM. created, updated: seconds since 1970 UTC."""

    key: KeyProperties = KeyProperties()
    content_type: str = PKCS12
    x509: X509Properties = X509Properties()
    actions: tuple[LifetimeAction, ...] = ()
    issuer: IssuerParameters = IssuerParameters()
    enabled: bool = True
    created: int = 0
    updated: int = 0

    @property
    def key_operations(self) -> tuple[str, ...]:
        """key_ops of the addressable key, each once."""
        found = [operation for usage in self.x509.key_usage for operation in KEY_OPERATIONS[usage]]
        if self.key.family is Family.EC:
            found = [operation for operation in found if operation in ("sign", "verify")]
        return tuple(dict.fromkeys(found))

    def due(self, action: Action, not_before: int, expires: int) -> int | None:
        """When an action is due for a certificate with these dates; None when the policy has no such action."""
        times = [one.due(not_before, expires) for one in self.actions if one.action is action]
        return min(times) if times else None
