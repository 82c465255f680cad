"""The types of values in the file, as it has them, and what every table of it is."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from cryptography.x509 import Name
from msgspec import Meta

Port = Annotated[int, Meta(ge=1, le=65_535)]
DerivedPort = Annotated[int, Meta(ge=0, le=65_535)]  # 0: follows from server.port
Seconds = Annotated[float, Meta(gt=0, le=86_400 * 365)]
WholeSeconds = Annotated[int, Meta(ge=1, le=86_400 * 365)]
Count = Annotated[int, Meta(ge=1)]
Text = Annotated[str, Meta(min_length=1)]
ContainerName = Annotated[str, Meta(pattern=r"^[a-z](-?[a-z0-9])+$", min_length=3, max_length=24)]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
Permissions = tuple[Annotated[str, Meta(pattern=r"^[a-z]+$")], ...]

_SHA256_BYTES = 32


class Guid(str):
    """A GUID in lower case, with hyphens."""

    __slots__ = ()


class Cidr(str):
    """An address, or a range in CIDR notation without host bits. IPv4 is never written as IPv6."""

    __slots__ = ()


class Address(str):
    """An IPv4 or IPv6 address to listen on, without a zone."""

    __slots__ = ()


class CertificateName(str):
    """What a certificate is known by: "sha256:" and its fingerprint in lower-case hexadecimal, "dns:" or "uri:" and an
    alternative name, "subject:" and the whole subject in the form of RFC 4514."""

    __slots__ = ()


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of the file."""


def decode_text(kind: type, value: object) -> object:
    """msgspec's hook for the types above that are written as strings. Raises ValueError with a reason."""
    if not isinstance(value, str):
        raise ValueError(f"Expected `str`, got `{type(value).__name__}`")
    if kind is Path:
        if not value or "\0" in value:
            raise ValueError("Expected a path")
        return Path(value)
    if kind is Guid:
        return Guid(UUID(value))
    if kind is Cidr:
        network = ipaddress.ip_network(value, strict=True)
        if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped is not None:
            raise ValueError("An IPv4 range is written as IPv4")
        return Cidr(value)
    if kind is Address:
        address = ipaddress.ip_address(value)
        if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
            raise ValueError("A zone is not taken")
        return Address(value)
    if kind is CertificateName:
        return CertificateName(_certificate_name(value))
    raise NotImplementedError(kind)  # how a hook tells msgspec that it does not know a type


def _certificate_name(text: str) -> str:
    kind, _, value = text.partition(":")
    match kind:
        case "sha256":
            digest = value.replace(":", "").lower()
            if len(bytes.fromhex(digest)) != _SHA256_BYTES:
                raise ValueError("A SHA-256 fingerprint has 64 hexadecimal digits")
            return f"sha256:{digest}"
        case "dns" if value:
            return f"dns:{value.lower()}"
        case "uri" if value:
            return f"uri:{value}"
        case "subject" if value:
            return f"subject:{Name.from_rfc4514_string(value).rfc4514_string()}"
    raise ValueError("Expected sha256:, dns:, uri: or subject: and what follows")
