"""What there is to set. conf/hsmvault.toml explains every key, and a test keeps the two together.

A key that is absent has the value below, which is safe and works on one machine. Rules that concern more than one key
stand in rules.py. Values are as the file has them; what is derived from them are properties.
"""

import os
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from hsmvault.config.auditing import AuditDestination
from hsmvault.config.certificates import AcmeServer, CertificateAuthority, Certificates, EventSubscription, Pki, Smtp
from hsmvault.config.layout import Layout
from hsmvault.config.management import USUAL_SUBSCRIPTION, DeclaredSubscription, Management
from hsmvault.config.names import Names
from hsmvault.config.network import FurtherListener, Network
from hsmvault.config.values import (
    Address,
    Algorithm,
    Cidr,
    ContainerName,
    Count,
    DerivedPort,
    Guid,
    Permissions,
    Port,
    Seconds,
    Table,
    Text,
    WholeSeconds,
)


class Server(Table, frozen=True, kw_only=True):
    data_dir: Path = Path("/var/lib/hsmvault")
    suffix: Annotated[str, Meta(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$")] = (
        "localhost"
    )
    port: Port = 8443
    public_port: DerivedPort = 0
    workers: Annotated[int, Meta(ge=0, le=256)] = 0
    addresses: Annotated[tuple[Address, ...], Meta(min_length=1)] = (Address("127.0.0.1"), Address("::1"))
    trusted_proxies: tuple[Cidr, ...] = ()
    certificate_file: Path | None = None
    key_file: Path | None = None
    stop_seconds: Seconds = 10.0
    listeners: tuple[FurtherListener, ...] = ()


class Limits(Table, frozen=True, kw_only=True):
    body_bytes: Annotated[int, Meta(ge=1024)] = 1_048_576
    header_bytes: Annotated[int, Meta(ge=4096, le=1_048_576)] = 32_768
    handshake_seconds: Seconds = 30.0
    header_seconds: Seconds = 30.0
    body_seconds: Seconds = 30.0
    idle_seconds: Seconds = 120.0
    connections: Count = 4096


class Hsm(Table, frozen=True, kw_only=True):
    module: Path = Path("/usr/lib/softhsm/libsofthsm2.so")
    profile: Text = "softhsm"
    token_label: Text = "hsmvault"  # noqa: S105 - the label of a PKCS#11 token, not a secret
    pin_file: Path | None = None
    pin_env: str = ""
    so_pin_file: Path | None = None
    so_pin_env: str = ""
    softhsm_conf: Path | None = None

    @property
    def profile_path(self) -> Path:
        """A plain name is one of the profiles that come with hsmvault; anything with a slash is a file."""
        if "/" in self.profile:
            return Path(self.profile)
        return Path(__file__).resolve().parents[2] / "conf" / "hsm" / f"{self.profile}.toml"


class Store(Table, frozen=True, kw_only=True):
    url: str = ""
    poll_seconds: Seconds = 0.25


class Audit(Table, frozen=True, kw_only=True):
    directory: Path | None = None
    durability: Literal["written", "synced"] = "written"
    rotate_bytes: Annotated[int, Meta(ge=65_536)] = 268_435_456
    all_to: tuple[Text, ...] = ()
    destinations: tuple[AuditDestination, ...] = ()


class FederatedIssuer(Table, frozen=True, kw_only=True):
    """One issuer whose tokens may prove an application that has registered them. Exactly one of jwks_file, jwks_uri."""

    issuer: Text
    jwks_file: Path | None = None
    jwks_uri: str = ""
    ca_file: Path | None = None
    algorithms: Annotated[tuple[Algorithm, ...], Meta(min_length=1)] = ("RS256",)


class Login(Table, frozen=True, kw_only=True):
    enabled: bool = False
    password_grant: bool = False
    public_clients: bool = True
    refresh_token_days: Annotated[int, Meta(ge=1, le=366)] = 90
    session_hours: Annotated[int, Meta(ge=1, le=24 * 90)] = 12
    device_code_minutes: Annotated[int, Meta(ge=1, le=60)] = 15
    token_seconds: Annotated[int, Meta(ge=300, le=86_400)] = 3600
    identity_token_seconds: Annotated[int, Meta(ge=300, le=86_400)] = 86_400
    signing_key_days: Annotated[int, Meta(ge=3)] = 90  # each is published two days before it signs
    managed_identities: bool = False
    identity_port: DerivedPort = 0
    federated_issuers: tuple[FederatedIssuer, ...] = ()


class Audiences(Table, frozen=True, kw_only=True):
    """Per plane, the exact values of `aud` that are accepted."""

    vault: tuple[Text, ...] = ()
    managedhsm: tuple[Text, ...] = ()
    management: tuple[Text, ...] = ()


class TrustedIssuer(Table, frozen=True, kw_only=True):
    """One issuer of bearer tokens. Exactly one of jwks_file and jwks_uri, and of tenant and tenant_claim."""

    issuer: Text | Annotated[tuple[Text, ...], Meta(min_length=1)]
    jwks_file: Path | None = None
    jwks_uri: str = ""
    ca_file: Path | None = None
    algorithms: Annotated[tuple[Algorithm, ...], Meta(min_length=1)] = ("RS256",)
    audiences: Audiences = Audiences()
    tenant: Guid | None = None
    tenant_claim: str = ""
    principal_claim: Text = "oid"
    application_claims: tuple[Text, ...] = ("appid", "azp")
    groups_claim: str = "groups"
    authorization: str = ""

    @property
    def issuers(self) -> tuple[str, ...]:
        """Exact values of `iss`."""
        return (self.issuer,) if isinstance(self.issuer, str) else self.issuer


class Attestation(Table, frozen=True, kw_only=True):
    development: bool = False


class AttestationAuthority(Table, frozen=True, kw_only=True):
    """One issuer of environment assertions. Exactly one of jwks_file and jwks_uri."""

    issuer: Text
    jwks_file: Path | None = None
    jwks_uri: str = ""
    ca_file: Path | None = None
    algorithms: Annotated[tuple[Algorithm, ...], Meta(min_length=1)] = ("RS256",)


class ApiVersions(Table, frozen=True, kw_only=True):
    newer: Literal["serve", "refuse"] = "serve"


class Custody(Table, frozen=True, kw_only=True):
    hard: Literal["wrapped", "resident"] = "wrapped"
    soft: bool = True
    loaded_keys: Annotated[int, Meta(ge=0)] = 0
    data_key_seconds: WholeSeconds = 300
    rsa_oaep_256: Literal["fallback", "refuse"] = "fallback"


class DeclaredWorld(Table, frozen=True, kw_only=True):
    """A security world that `hsmvault init --world` makes, for one pool that is created while the instance runs."""

    name: Annotated[str, Meta(pattern=r"^[a-z](-?[a-z0-9])*$", max_length=32)]
    token_label: Text
    geography: Text = "local"


class AccessPolicyEntry(Table, frozen=True, kw_only=True):
    tenant: Guid
    object_id: Guid
    application_id: Guid | None = None
    keys: Permissions = ()
    secrets: Permissions = ()
    certificates: Permissions = ()


class RoleAssignmentEntry(Table, frozen=True, kw_only=True):
    principal: Guid
    role: Text


class DeclaredVault(Table, frozen=True, kw_only=True):
    """A vault that is created at start when it is not there; an existing one is left as it is."""

    name: ContainerName
    tenant: Guid
    subscription: Guid = USUAL_SUBSCRIPTION
    resource_group: Text = "hsmvault"
    location: Text = "local"
    authorization: Literal["rbac", "access-policies"] = "rbac"
    premium: bool = True
    retention_days: Annotated[int, Meta(ge=7, le=90)] = 90
    purge_protection: bool = False
    access_policies: tuple[AccessPolicyEntry, ...] = ()
    role_assignments: tuple[RoleAssignmentEntry, ...] = ()


class MetricsListener(Table, frozen=True, kw_only=True):
    enabled: bool = True
    address: Address = Address("127.0.0.1")
    port: DerivedPort = 0


class Log(Table, frozen=True, kw_only=True):
    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(Table, frozen=True, kw_only=True):
    """The whole file."""

    server: Server = Server()
    limits: Limits = Limits()
    hsm: Hsm = Hsm()
    store: Store = Store()
    audit: Audit = Audit()
    login: Login = Login()
    issuers: tuple[TrustedIssuer, ...] = ()
    attestation: Attestation = Attestation()
    attestation_authorities: tuple[AttestationAuthority, ...] = ()
    api_versions: ApiVersions = ApiVersions()
    custody: Custody = Custody()
    worlds: tuple[DeclaredWorld, ...] = ()
    certificates: Certificates = Certificates()
    acme: tuple[AcmeServer, ...] = ()
    authorities: tuple[CertificateAuthority, ...] = ()
    pki: Pki = Pki()
    events: tuple[EventSubscription, ...] = ()
    smtp: Smtp = Smtp()
    network: Network = Network()
    management: Management = Management()
    subscriptions: tuple[DeclaredSubscription, ...] = ()
    containers: tuple[DeclaredVault, ...] = ()
    metrics: MetricsListener = MetricsListener()
    log: Log = Log()

    @property
    def layout(self) -> Layout:
        return Layout(self.server.data_dir)

    @property
    def names(self) -> Names:
        """Host names and URLs, as clients see them."""
        return Names(self.server.suffix, self.server.public_port or self.server.port)

    @property
    def workers(self) -> int:
        """One per core that this process may use, unless configured."""
        return self.server.workers or len(os.sched_getaffinity(0))

    @property
    def identity_port(self) -> int:
        return self.login.identity_port or self.server.port + 1

    @property
    def metrics_port(self) -> int:
        return self.metrics.port or self.server.port + 2

    @property
    def pki_port(self) -> int:
        return self.pki.port or self.server.port + 3

    @property
    def shares_pki(self) -> bool:
        """Whether relying parties are answered on the listener of the managed identities, which is on 127.0.0.1 too:
        `hsmvault dev` has no port beyond those that it promises."""
        is_shared = self.pki_port == self.identity_port and self.pki.address == "127.0.0.1"
        return self.serves_pki and self.login.managed_identities and is_shared

    @property
    def serves_pki(self) -> bool:
        """Whether there is a plain HTTP listener: something has to be published, unless the file decides."""
        if self.pki.enabled is not None:
            return self.pki.enabled
        answers = (one.challenge == "http-01" and one.webroot is None and not one.hook for one in self.acme)
        return bool(self.authorities) or any(answers)

    @property
    def smtp_port(self) -> int:
        return self.smtp.port or {"starttls": 587, "tls": 465, "none": 25}[self.smtp.tls]

    @property
    def mail_enabled(self) -> bool:
        """Whether mail can be sent; else nobody writes any."""
        return bool(self.smtp.host)

    @property
    def store_url(self) -> str:
        return self.store.url or f"sqlite:///{self.layout.database.absolute()}"

    @property
    def locations(self) -> tuple[str, ...]:
        """Regions: those that are configured, and those of containers that are declared."""
        declared = ("".join(one.location.split()).lower() for one in self.containers)
        return tuple(dict.fromkeys((*self.management.locations, *declared)))

    @property
    def audit_directory(self) -> Path:
        return self.audit.directory or self.layout.audit
