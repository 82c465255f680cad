"""Certificate authorities of our own: their rules, as configured, and their rows.

An authority is two keys: a root, which signs the issuing one and its own revocation list and nothing else, and the
issuing one, which signs certificates. Both are made once, with their certificates, and stay.
"""

from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from hsmvault.model.algorithms import Family, KeySpec

SERVER_AUTH: Final = "1.3.6.1.5.5.7.3.1"
CLIENT_AUTH: Final = "1.3.6.1.5.5.7.3.2"
DEFAULT_PROFILE: Final = "server"

REASONS: Final = {  # RFC 5280, 5.3.1; those that a revocation for good may have
    "unspecified": 0,
    "keyCompromise": 1,
    "affiliationChanged": 3,
    "superseded": 4,
    "cessationOfOperation": 5,
    "privilegeWithdrawn": 9,
}


class AuthorityRole(Enum):
    """The value is stored, and stands in the paths of revocation lists."""

    ROOT = "root"
    ISSUING = "issuing"


@dataclass(frozen=True, slots=True)
class NameConstraints:
    """RFC 5280, 4.2.1.10. A kind of name with permitted ones must be within one of them; none may be within an excluded
    one. dns: a domain and everything under it. emails: a mailbox, a host, or with a dot in front the hosts of a domain.
    """

    permitted_dns: tuple[str, ...] = ()
    excluded_dns: tuple[str, ...] = ()
    permitted_emails: tuple[str, ...] = ()
    excluded_emails: tuple[str, ...] = ()
    permitted_addresses: tuple[IPv4Network | IPv6Network, ...] = ()
    excluded_addresses: tuple[IPv4Network | IPv6Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """What certificates of one kind may say. ekus: dotted OIDs. key_usages: words of a certificate policy. names: kinds
    of alternative names. key_types: words as key_type() gives them. longest_months: of their validity.
    """

    name: str = DEFAULT_PROFILE
    ekus: frozenset[str] = frozenset({SERVER_AUTH, CLIENT_AUTH})
    key_usages: frozenset[str] = frozenset({"digitalSignature", "keyEncipherment", "keyAgreement"})
    names: frozenset[str] = frozenset({"dns", "ip", "email", "uri"})
    key_types: frozenset[str] = frozenset({"RSA-2048", "RSA-3072", "RSA-4096", "P-256", "P-384", "P-521"})
    longest_months: int = 1200


@dataclass(frozen=True, slots=True)
class AuthorityRules:
    """One authority as it is configured.

    root_subject, subject: RFC 4514. spec: of both keys. base_url: where relying parties find revocation lists, without
    a slash at its end. containers: names of the vaults that it serves; empty for all. profiles: by name.
    """

    name: str
    root_subject: str
    subject: str
    spec: KeySpec
    base_url: str
    root_years: int = 20
    years: int = 10
    longest_months: int = 12
    crl_hours: int = 24
    containers: frozenset[str] = frozenset()
    constraints: NameConstraints = NameConstraints()
    profiles: dict[str, Profile] = field(default_factory=lambda: {DEFAULT_PROFILE: Profile()})

    @property
    def url(self) -> str:
        return f"{self.base_url}/{self.name}"

    def crl_url(self, role: AuthorityRole) -> str:
        return f"{self.url}/{role.value}.crl"

    def certificate_url(self, role: AuthorityRole) -> str:
        return f"{self.url}/{role.value}.cer"

    @property
    def ocsp_url(self) -> str:
        return f"{self.url}/ocsp"


@dataclass(frozen=True, slots=True)
class AuthorityRow:
    """version: of the key's binding, 32 hex digits. public: SubjectPublicKeyInfo. reference: HeldKey.reference.
    crl_number: of the newest revocation list, and the time that it was due, in seconds since 1970 UTC: it only goes up.
    """

    name: str
    role: AuthorityRole
    spec: KeySpec
    custody: str
    public: bytes = field(repr=False)
    reference: bytes = field(repr=False)
    version: str
    certificate_der: bytes = field(repr=False)
    created: int
    crl_number: int


@dataclass(frozen=True, slots=True)
class IssuedRow:
    """A certificate of the issuing key. serial: 32 lower-case hex digits. not_after, issued, revoked_at: seconds since
    1970 UTC. reason: one of REASONS, None when it is not revoked. The rest names the vault's certificate.
    """

    authority: str
    serial: str
    not_after: int
    issued: int
    container_id: str
    name: str
    version: str
    revoked_at: int | None = None
    reason: int | None = None


def key_type(spec: KeySpec) -> str:
    """'RSA-2048', 'P-256', ...: how profiles name types of keys."""
    if spec.family is Family.EC:
        assert spec.curve is not None
        return spec.curve.value
    return f"{spec.family.value}-{spec.size_bits}"
