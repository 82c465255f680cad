"""What a virtual network, a service endpoint or a private link is on one's own site: named networks, which the
configuration recognises by address, by listener, by client certificate or by what a proxy says in PROXY protocol.

A network has the ARM id that virtualNetworkRules and private endpoint connections name it by.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from hsmvault.model.network import Address, Network

NOTHING: frozenset[str] = frozenset()
_MOST_KEPT = 4096


class NetworkKind(Enum):
    SUBNET = "subnet"
    PRIVATE_ENDPOINT = "private-endpoint"


@dataclass(frozen=True, slots=True)
class NamedNetwork:
    """id: ARM id of a subnet or of a private endpoint, in lower case.

    ranges: of client addresses. listeners: names. certificates: of clients, as wire/client_certificates.py names them.
    link_ids: of PP2_TYPE_AZURE. markers: type and value of other TLVs of PROXY protocol, 0xE0 to 0xEF.
    """

    id: str
    kind: NetworkKind
    ranges: tuple[Network, ...] = ()
    listeners: frozenset[str] = frozenset()
    certificates: frozenset[str] = frozenset()
    link_ids: frozenset[int] = frozenset()
    markers: frozenset[tuple[int, bytes]] = frozenset()


class NamedNetworks:
    """Every answer is a set of ids in lower case."""

    def __init__(self, networks: Iterable[NamedNetwork] = ()) -> None:
        self._networks = tuple(networks)
        self._ranged = tuple(network for network in self._networks if network.ranges)
        self._of_address = lru_cache(maxsize=_MOST_KEPT)(self._look_up)

    @property
    def subnets(self) -> frozenset[str]:
        """Those that a virtual network rule may name."""
        return frozenset(network.id for network in self._networks if network.kind is NetworkKind.SUBNET)

    def of_address(self, address: Address) -> frozenset[str]:
        """address: the client's, as it is established."""
        return self._of_address(address) if self._ranged else NOTHING

    def of_listener(self, name: str) -> frozenset[str]:
        return frozenset(network.id for network in self._networks if name in network.listeners)

    def of_certificate(self, names: Collection[str]) -> frozenset[str]:
        """names: every name of a client certificate whose chain was checked."""
        return frozenset(network.id for network in self._networks if not network.certificates.isdisjoint(names))

    def of_proxy(self, link_id: int | None, markers: Mapping[int, bytes]) -> frozenset[str]:
        """What a trusted proxy has said in PROXY protocol."""
        said = frozenset(markers.items())
        return frozenset(
            network.id
            for network in self._networks
            if link_id in network.link_ids or not network.markers.isdisjoint(said)
        )

    def _look_up(self, address: Address) -> frozenset[str]:
        return frozenset(
            network.id
            for network in self._ranged
            if any(one.version == address.version and address in one for one in network.ranges)
        )


NO_NETWORKS = NamedNetworks()
