"""How connections come in: through which listener, with which client certificate, from behind which proxy.

It is looked at once for each connection; what its requests say changes nothing.
"""

from asyncio import BaseTransport
from dataclasses import dataclass
from ssl import SSLObject
from typing import Protocol

from hsmvault.model.named_networks import NO_NETWORKS, NOTHING, NamedNetworks
from hsmvault.model.network import Address, TrustedProxies
from hsmvault.wire.client_certificates import names_of
from hsmvault.wire.proxy_protocol import ProxyHeader


@dataclass(frozen=True, slots=True)
class Entry:
    """client: whom a trusted proxy named in PROXY protocol; None: it is the peer itself. networks: ids in lower case
    of the named networks that the connection came through."""

    client: Address | None = None
    networks: frozenset[str] = NOTHING


PLAIN_ENTRY = Entry()


class Entrance(Protocol):
    """What a listener knows of its connections."""

    def look(self, transport: BaseTransport, header: ProxyHeader | None) -> Entry:
        """transport: its TLS handshake is over. header: what the proxy said, where one has to."""
        ...


class PlainEntrance:
    """The listener of everybody."""

    def look(self, transport: BaseTransport, header: ProxyHeader | None) -> Entry:
        return PLAIN_ENTRY


class NamedEntrance:
    """A further listener. proxies: who may begin with PROXY protocol, where `proxied` asks for it. certified: whether
    clients need a certificate."""

    def __init__(
        self,
        name: str,
        networks: NamedNetworks = NO_NETWORKS,
        *,
        proxies: TrustedProxies = TrustedProxies(),  # noqa: B008  # frozen
        proxied: bool = False,
        certified: bool = False,
    ) -> None:
        self._networks = networks
        self._certified = certified
        self._here = Entry(None, networks.of_listener(name))
        self.proxies = proxies
        self.proxied = proxied

    def look(self, transport: BaseTransport, header: ProxyHeader | None) -> Entry:
        if header is None and not self._certified:
            return self._here
        found = self._here.networks
        if self._certified:
            found |= self._networks.of_certificate(names_of(_certificate(transport)))
        if header is None:
            return Entry(None, found)
        return Entry(header.client, found | self._networks.of_proxy(header.link_id, header.markers))


def _certificate(transport: BaseTransport) -> bytes | None:
    """DER. The context of such a listener lets nobody in without one."""
    tls: SSLObject | None = transport.get_extra_info("ssl_object")
    return None if tls is None else tls.getpeercert(binary_form=True)
