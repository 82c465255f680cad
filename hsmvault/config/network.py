"""What there is to set about the network: further listeners, named networks, trusted services, rules of containers."""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from hsmvault.config.values import Address, CertificateName, Cidr, ContainerName, DerivedPort, Guid, Table, Text

ListenerName = Annotated[str, Meta(pattern=r"^[a-z0-9-]+$", max_length=64)]


class FurtherListener(Table, frozen=True, kw_only=True):
    """One more address and port of the same service. port: 0 for server.port. proxies: who may speak PROXY protocol."""

    name: ListenerName
    address: Address
    port: DerivedPort = 0
    proxy_protocol: Literal["off", "v2"] = "off"
    proxies: tuple[Cidr, ...] = ()
    client_ca_file: Path | None = None


class ProxyValue(Table, frozen=True, kw_only=True):
    """A TLV of PROXY protocol: an application-specific type, and its value in UTF-8."""

    type: Annotated[int, Meta(ge=0xE0, le=0xEF)]
    value: Text


class NamedNetwork(Table, frozen=True, kw_only=True):
    id: Annotated[str, Meta(pattern=r"^/subscriptions/[!-~]+$", max_length=1024)]
    kind: Literal["subnet", "private-endpoint"]
    ranges: tuple[Cidr, ...] = ()
    listeners: tuple[ListenerName, ...] = ()
    certificates: tuple[CertificateName, ...] = ()
    link_ids: tuple[Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)], ...] = ()
    tlvs: tuple[ProxyValue, ...] = ()


class TrustedService(Table, frozen=True, kw_only=True):
    """One of object_id and application_id, or both. name: for people."""

    name: Text
    tenant: Guid
    object_id: Guid | None = None
    application_id: Guid | None = None


class ContainerRules(Table, frozen=True, kw_only=True):
    """Firewall rules of one container."""

    name: ContainerName
    kind: Literal["vault", "pool"] = "vault"
    default_action: Literal["allow", "deny"] = "deny"
    ip_rules: tuple[Cidr, ...] = ()
    public_access: bool = True


class Network(Table, frozen=True, kw_only=True):
    networks: tuple[NamedNetwork, ...] = ()
    trusted_services: tuple[TrustedService, ...] = ()
    containers: tuple[ContainerRules, ...] = ()
