"""Addresses and rules of the firewall. Peer and rule pass one parser, so that no spelling means two things."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from hsmvault.errors import BadRequest

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@lru_cache(maxsize=4096)
def parse_address(text: str) -> Address:
    """An IPv4 address written as IPv6 (::ffff:10.0.0.4) is the IPv4 address. Zone ids are refused.

    Raises BadRequest. Octal, hexadecimal and short forms are refused by ipaddress itself.
    """
    try:
        address = ip_address(text)
    except ValueError:
        raise BadRequest("The client address cannot be read.", detail="unreadable address") from None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            raise BadRequest("The client address cannot be read.", detail="address with a zone id")
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
    return address


def parse_network(text: str) -> Network:
    """A single address or a range in CIDR notation. Raises BadRequest when it cannot be read or has host bits set."""
    try:
        network = ip_network(text, strict=True)
    except ValueError:
        raise BadRequest(f"The network rule '{text}' is not an address or a range in CIDR notation.") from None
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped is not None:
        raise BadRequest(f"The network rule '{text}' must be written as IPv4.")
    return network


@dataclass(frozen=True, slots=True)
class SubnetRule:
    """id: ARM id of a subnet, as it was written; the configuration says which network of this site it is."""

    id: str
    ignore_missing_endpoint: bool = False


@dataclass(frozen=True, slots=True)
class NetworkRules:
    """Who may reach a container. An IPv4 peer needs an IPv4 rule, an IPv6 peer an IPv6 rule.

    bypass: trusted services come in whatever the other rules say. perimeter: publicNetworkAccess SecuredByPerimeter,
    which is public_access False with another name. service_tags: of pools, stored and read back. set: whether a client
    has set them, which are then read back, and not undone at the next start.
    """

    allow_by_default: bool = True
    ranges: tuple[Network, ...] = ()
    public_access: bool = True
    bypass: bool = True
    subnets: tuple[SubnetRule, ...] = ()
    service_tags: tuple[str, ...] = ()
    perimeter: bool = False
    set: bool = False
    # First address of every range, by version and length of its prefix: a thousand rules cost no more than a few.
    _by_prefix: Mapping[tuple[int, int], frozenset[int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        found: dict[tuple[int, int], set[int]] = {}
        for network in self.ranges:
            found.setdefault((network.version, network.prefixlen), set()).add(int(network.network_address))
        by_prefix = {prefix: frozenset(first) for prefix, first in found.items()}
        object.__setattr__(self, "_by_prefix", by_prefix)  # the class is frozen

    @staticmethod
    def closed() -> "NetworkRules":
        """In place of rules that cannot be read: no address, no network and no trusted service comes in."""
        return NetworkRules(allow_by_default=False, public_access=False, bypass=False, set=True)

    @staticmethod
    def of(*, allow_by_default: bool, ranges: Iterable[str], public_access: bool = True) -> "NetworkRules":
        return NetworkRules(allow_by_default, tuple(parse_network(text) for text in ranges), public_access)

    def admits(self, address: Address, networks: frozenset[str] = frozenset()) -> bool:
        """networks: ids in lower case of the named networks that the call came through."""
        if not self.public_access:
            return False
        if self.allow_by_default:
            return True
        if self._by_prefix and self._in_a_range(address):
            return True
        return bool(networks) and any(rule.id.lower() in networks for rule in self.subnets)

    def _in_a_range(self, address: Address) -> bool:
        number = int(address)
        return any(
            version == address.version and number >> (rest := address.max_prefixlen - length) << rest in first
            for (version, length), first in self._by_prefix.items()
        )


class ConnectionStatus(Enum):
    PENDING = "Pending"
    APPROVED = "Approved"
    REJECTED = "Rejected"
    DISCONNECTED = "Disconnected"


@dataclass(frozen=True, slots=True)
class PrivateEndpointConnection:
    """name: unique in its container without regard to case. endpoint_id: ARM id of the private endpoint, which the
    configuration makes a network of this site; "" when there is none. changed: seconds since 1970 UTC, for the etag.
    """

    name: str
    endpoint_id: str
    status: ConnectionStatus
    description: str = ""
    actions_required: str = "None"
    changed: int = 0


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """Peers whose X-Forwarded-For is believed. Nobody, unless configured."""

    networks: tuple[Network, ...] = ()

    def trusts(self, address: Address) -> bool:
        return any(address.version == network.version and address in network for network in self.networks)

    def client(self, peer: Address, forwarded_for: str | None) -> Address:
        """The peer, or, behind trusted proxies, the rightmost address that is not itself trusted.

        forwarded_for: every X-Forwarded-For header of the request, joined by commas; what stands left of the address
        that is returned is not read. Raises BadRequest when a trusted proxy forwards something unreadable.
        """
        client = peer
        if not forwarded_for or not self.trusts(peer):
            return client
        for entry in reversed(forwarded_for.split(",")):
            client = parse_address(entry.strip())
            if not self.trusts(client):
                break
        return client
