"""Tables of the file about certificates: formats, who issues them, and who is told about what happens."""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from hsmvault.config.values import Address, Cidr, ContainerName, DerivedPort, Table, Text

EventType = Annotated[
    str,
    Meta(
        pattern=r"^Microsoft\.KeyVault\.((Key|Secret|Certificate)(NewVersionCreated|NearExpiry|Expired)"
        r"|VaultAccessPolicyChanged)$"
    ),
]
Months = Annotated[int, Meta(ge=1, le=1200)]
Years = Annotated[int, Meta(ge=1, le=100)]
Oid = Annotated[str, Meta(pattern=r"^[0-2](\.(0|[1-9][0-9]{0,9})){1,20}$")]
_DOMAIN = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$"
Domain = Annotated[str, Meta(pattern=f"^{_DOMAIN}", max_length=253)]
EmailRange = Annotated[str, Meta(pattern=rf"^([!-?A-~]+@|\.)?{_DOMAIN}", max_length=254)]
KeyUsage = Literal[
    "digitalSignature",
    "nonRepudiation",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "encipherOnly",
    "decipherOnly",
]
KeyType = Literal["RSA-2048", "RSA-3072", "RSA-4096", "P-256", "P-384", "P-521", "P-256K"]


class Certificates(Table, frozen=True, kw_only=True):
    pkcs12: Literal["aes256", "legacy"] = "aes256"


class AcmeServer(Table, frozen=True, kw_only=True):
    """A certificate authority that speaks ACME. contacts: e-mail addresses. hook: a program and its first arguments.
    containers: names of the vaults that may use it; none is all."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9](-?[a-z0-9])*$", max_length=64)]
    directory: Text
    ca_file: Path | None = None
    contacts: tuple[Annotated[str, Meta(pattern=r"^[!-~]+@[!-~]+$", max_length=254)], ...] = ()
    terms_agreed: bool = False
    challenge: Literal["http-01", "dns-01"] = "http-01"
    webroot: Path | None = None
    hook: tuple[Text, ...] = ()
    hook_seconds: Annotated[float, Meta(gt=0, le=50)] = 45.0
    eab_kid: str = ""
    eab_key_file: Path | None = None
    containers: tuple[ContainerName, ...] = ()


class AuthorityProfile(Table, frozen=True, kw_only=True):
    """What certificates of one kind may say. ekus: OIDs."""

    name: Text
    ekus: tuple[Oid, ...] = ("1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2")
    key_usages: tuple[KeyUsage, ...] = ("digitalSignature", "keyEncipherment", "keyAgreement")
    names: tuple[Literal["dns", "ip", "email", "uri", "upn"], ...] = ("dns", "ip", "email", "uri")
    key_types: Annotated[tuple[KeyType, ...], Meta(min_length=1)] = (
        "RSA-2048",
        "RSA-3072",
        "RSA-4096",
        "P-256",
        "P-384",
        "P-521",
    )
    longest_months: Months = 1200


class CertificateAuthority(Table, frozen=True, kw_only=True):
    """A certificate authority of our own. root_subject, subject: RFC 4514."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9](-?[a-z0-9])*$", max_length=63)]
    root_subject: Text
    subject: Text
    key_type: Literal["P-384", "P-256", "RSA-3072", "RSA-4096"] = "P-384"
    root_years: Years = 20
    years: Years = 10
    longest_months: Months = 12
    crl_hours: Annotated[int, Meta(ge=1, le=8760)] = 24
    base_url: str = ""
    containers: tuple[ContainerName, ...] = ()
    permitted_dns: tuple[Domain, ...] = ()
    excluded_dns: tuple[Domain, ...] = ()
    permitted_emails: tuple[EmailRange, ...] = ()
    excluded_emails: tuple[EmailRange, ...] = ()
    permitted_addresses: tuple[Cidr, ...] = ()
    excluded_addresses: tuple[Cidr, ...] = ()
    profiles: tuple[AuthorityProfile, ...] = ()


class Pki(Table, frozen=True, kw_only=True):
    """The plain HTTP listener. enabled: None for when something needs it."""

    enabled: bool | None = None
    address: Address = Address("127.0.0.1")
    port: DerivedPort = 0


class EventSubscription(Table, frozen=True, kw_only=True):
    """A webhook that gets events. containers: names of vaults. types: of events. Both: none is all."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]+$", min_length=3, max_length=64)]
    url: Text
    schema: Literal["eventgrid", "cloudevents"] = "eventgrid"
    ca_file: Path | None = None
    header_file: Path | None = None
    containers: tuple[ContainerName, ...] = ()
    types: tuple[EventType, ...] = ()
    timeout_seconds: Annotated[float, Meta(gt=0, le=60)] = 30.0


class Smtp(Table, frozen=True, kw_only=True):
    """The mail server that takes our mail. Without a host there is no mail."""

    host: str = ""
    port: DerivedPort = 0
    tls: Literal["starttls", "tls", "none"] = "starttls"
    ca_file: Path | None = None
    username: str = ""
    password_file: Path | None = None
    sender: str = ""
    timeout_seconds: Annotated[float, Meta(gt=0, le=60)] = 30.0
