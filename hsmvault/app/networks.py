"""What the configuration says about the network, as the firewall and the listeners need it."""

from hsmvault.app.base import Base
from hsmvault.config import Settings
from hsmvault.config.network import FurtherListener
from hsmvault.model.named_networks import NamedNetwork, NamedNetworks, NetworkKind
from hsmvault.model.network import TrustedProxies, parse_network
from hsmvault.pipeline.firewall import Firewall, TrustedService
from hsmvault.resources.private_endpoints import PrivateEndpoints
from hsmvault.wire.entries import NamedEntrance
from hsmvault.wire.management.private_endpoints import PrivateEndpointHandlers


def named_networks(settings: Settings) -> NamedNetworks:
    return NamedNetworks(
        NamedNetwork(
            id=network.id.lower(),
            kind=NetworkKind(network.kind),
            ranges=tuple(parse_network(text) for text in network.ranges),
            listeners=frozenset(network.listeners),
            certificates=frozenset(str(name) for name in network.certificates),
            link_ids=frozenset(network.link_ids),
            markers=frozenset((one.type, one.value.encode()) for one in network.tlvs),
        )
        for network in settings.network.networks
    )


def trusted_proxies(settings: Settings) -> TrustedProxies:
    return TrustedProxies(tuple(parse_network(text) for text in settings.server.trusted_proxies))


def firewall(settings: Settings) -> Firewall:
    return Firewall(
        TrustedService(str(service.tenant), str(service.object_id or ""), str(service.application_id or ""))
        for service in settings.network.trusted_services
    )


def private_endpoint_handlers(base: Base) -> PrivateEndpointHandlers:
    return PrivateEndpointHandlers(PrivateEndpoints(base.database, base.clock), base.settings.server.suffix)


def entrance_of(settings: Settings, listener: FurtherListener) -> NamedEntrance:
    return NamedEntrance(
        listener.name,
        named_networks(settings),
        proxies=TrustedProxies(tuple(parse_network(text) for text in listener.proxies)),
        proxied=listener.proxy_protocol == "v2",
        certified=listener.client_ca_file is not None,
    )
