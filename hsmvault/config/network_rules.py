"""Rules about the network that concern more than one key. See rules.py, which asks for them."""

import re
from collections.abc import Iterator

from hsmvault.config.lines import Place
from hsmvault.config.network import NamedNetwork
from hsmvault.config.settings import Settings

_PROVIDER = r"/subscriptions/[^/]+/resourcegroups/[^/]+/providers/microsoft\.network"
_IDS = {
    "subnet": re.compile(rf"{_PROVIDER}/virtualnetworks/[^/]+/subnets/[^/]+", re.IGNORECASE),
    "private-endpoint": re.compile(rf"{_PROVIDER}/privateendpoints/[^/]+", re.IGNORECASE),
}

Mistake = tuple[Place, str]


def network_mistakes(settings: Settings) -> Iterator[Mistake]:
    """Places and sentences."""
    yield from _listeners(settings)
    seen: set[str] = set()
    for index, network in enumerate(settings.network.networks):
        place: Place = ("network", "networks", index)
        if network.id.lower() in seen:
            yield (*place, "id"), f"'{network.id}' is named already"
        seen.add(network.id.lower())
        yield from _network(settings, network, place)
    for index, service in enumerate(settings.network.trusted_services):
        if service.object_id is None and service.application_id is None:
            yield ("network", "trusted_services", index), "object_id or application_id is missing: who it is"


def _listeners(settings: Settings) -> Iterator[Mistake]:
    server = settings.server
    used = {(str(address), server.port) for address in server.addresses}
    names: set[str] = set()
    for index, listener in enumerate(server.listeners):
        place: Place = ("server", "listeners", index)
        where = (str(listener.address), listener.port or server.port)
        if where in used:
            yield (*place, "address"), f"{where[0]} port {where[1]} is listened on already"
        if listener.name in names:
            yield (*place, "name"), f"'{listener.name}' is another listener's name"
        if (listener.proxy_protocol == "v2") != bool(listener.proxies):
            yield place, 'proxy_protocol = "v2" and proxies, who alone may speak it, belong together'
        used.add(where)
        names.add(listener.name)


def _network(settings: Settings, network: NamedNetwork, place: Place) -> Iterator[Mistake]:
    if not _IDS[network.kind].fullmatch(network.id):
        yield (*place, "id"), f"this is not the ARM id of a {network.kind.replace('-', ' ')}"
    listeners = settings.server.listeners
    names = {listener.name for listener in listeners}
    for name in network.listeners:
        if name not in names:
            yield (*place, "listeners"), f"there is no [[server.listeners]] with the name '{name}'"
    if network.certificates and not any(listener.client_ca_file for listener in listeners):
        yield (*place, "certificates"), "no listener asks for client certificates: set client_ca_file of one"
    said_by_proxy = "link_ids" if network.link_ids else "tlvs"
    if (network.link_ids or network.tlvs) and not any(listener.proxy_protocol == "v2" for listener in listeners):
        yield (*place, said_by_proxy), 'no listener speaks PROXY protocol: set proxy_protocol = "v2" of one'
    if not (network.ranges or network.listeners or network.certificates or network.link_ids or network.tlvs):
        yield place, "nothing is said that it would be recognised by"
