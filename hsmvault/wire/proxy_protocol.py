"""Version 2 of the PROXY protocol: what a proxy says of a connection before its first byte.

Source: "The PROXY protocol, versions 1 & 2" of HAProxy, 2.2; "Azure Private Link service", for PP2_TYPE_AZURE. Version
1 is not spoken. A checksum is not looked at: TCP has one, and a peer that we believe does not have to prove its word.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from hsmvault.model.network import Address

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
FIRST_BYTES = 16
LONGEST_REST = 4096
AZURE = 0xEE  # PP2_TYPE_AZURE
_LINK_ID = 0x01  # PP2_SUBTYPE_AZURE_PRIVATEENDPOINT_LINKID
_LOCAL, _PROXY = 0x20, 0x21  # version 2, and the command
_TCP_4, _TCP_6 = 0x11, 0x21  # family, and the transport
_ADDRESS_BYTES = {_TCP_4: 12, _TCP_6: 36}
_OWN_TYPES = range(0xE0, 0xF0)  # "reserved for application-specific data", PP2_TYPE_MIN_CUSTOM to …MAX_CUSTOM


class NotProxied(Exception):
    """The bytes are no header of version 2, or one that leaves open who the client is."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """client: source of the connection that was proxied; None for one of the proxy's own (LOCAL). link_id: of an Azure
    private endpoint. markers: values of the application-specific types, by type."""

    client: Address | None = None
    link_id: int | None = None
    markers: Mapping[int, bytes] = field(default_factory=dict)


def rest_length(first: bytes) -> int:
    """How many bytes follow the first FIRST_BYTES. Raises NotProxied."""
    length = int.from_bytes(first[14:16], "big")
    if len(first) != FIRST_BYTES or not first.startswith(SIGNATURE) or first[12] not in (_LOCAL, _PROXY):
        raise NotProxied
    if length > LONGEST_REST:
        raise NotProxied
    return length


def parse_header(first: bytes, rest: bytes) -> ProxyHeader:
    """first: FIRST_BYTES bytes, rest: as many as rest_length says. Raises NotProxied."""
    if len(rest) != rest_length(first):
        raise NotProxied
    if first[12] == _LOCAL:  # whatever follows is to be ignored
        return ProxyHeader()
    size = _ADDRESS_BYTES.get(first[13])
    if size is None or len(rest) < size:
        raise NotProxied  # UNSPEC, a UNIX socket or datagrams: the client is not known
    link_id: int | None = None
    markers: dict[int, bytes] = {}
    for kind, value in _parts(rest[size:]):
        if kind == AZURE and value[:1] == bytes((_LINK_ID,)):
            if len(value) != 5 or link_id is not None:
                raise NotProxied
            link_id = int.from_bytes(value[1:], "little")
        elif kind in _OWN_TYPES:
            if kind in markers:
                raise NotProxied  # two values have no one meaning
            markers[kind] = value
    return ProxyHeader(_source(first[13], rest), link_id, markers)


def _source(family: int, rest: bytes) -> Address:
    if family == _TCP_4:
        return IPv4Address(rest[:4])
    address = IPv6Address(rest[:16])
    return address.ipv4_mapped or address


def _parts(content: bytes) -> list[tuple[int, bytes]]:
    """TLVs: one byte of type, two of length, the value."""
    parts: list[tuple[int, bytes]] = []
    position = 0
    while position < len(content):
        try:
            kind, length = struct.unpack_from(">BH", content, position)
        except struct.error:
            raise NotProxied from None
        start, position = position + 3, position + 3 + length
        if position > len(content):
            raise NotProxied
        parts.append((kind, content[start:position]))
    return parts
