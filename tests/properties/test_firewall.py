"""The firewall as a rule of set theory: who comes in, whatever the rules, the addresses and the networks are."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hsmvault.model.network import (
    Address,
    ConnectionStatus,
    Network,
    NetworkRules,
    PrivateEndpointConnection,
    SubnetRule,
    TrustedProxies,
    parse_address,
)
from hsmvault.model.principals import Caller
from hsmvault.pipeline.firewall import Firewall, TrustedService
from tests.pipeline.world import OBJECT_ID, TENANT, VAULT, a_call, a_caller

NAMES = st.sampled_from(["/a", "/b", "/c"])
# Close to each other, so that rules and addresses meet.
ADDRESSES: st.SearchStrategy[Address] = st.one_of(
    st.builds(lambda low: IPv4Address(0xC0000200 | low), st.integers(0, 15)),
    st.builds(lambda low: IPv6Address((0x20010DB8 << 96) | low), st.integers(0, 15)),
    st.ip_addresses(v=4),
    st.ip_addresses(network="2000::/3"),
)


@st.composite
def networks(draw: Callable[..., Any]) -> Network:
    address: Address = draw(ADDRESSES)
    least = address.max_prefixlen - 6
    return ip_network(f"{address}/{draw(st.integers(least, address.max_prefixlen))}", strict=False)


RULES = st.builds(
    NetworkRules,
    allow_by_default=st.booleans(),
    ranges=st.lists(networks(), max_size=4).map(tuple),
    public_access=st.booleans(),
    bypass=st.booleans(),
    subnets=st.lists(st.builds(SubnetRule, NAMES.map(str.upper)), max_size=2).map(tuple),
)
CONNECTIONS = st.lists(
    st.builds(PrivateEndpointConnection, st.just("one"), NAMES, st.sampled_from(ConnectionStatus)), max_size=2
).map(tuple)
THROUGH = st.frozensets(NAMES, max_size=2)
CALLERS = st.builds(a_caller, delegated=st.booleans(), object_id=st.sampled_from([OBJECT_ID, "another"]))
FIREWALL = Firewall((TrustedService(TENANT, OBJECT_ID),))


def comes_in(
    rules: NetworkRules,
    connections: tuple[PrivateEndpointConnection, ...],
    address: str,
    through: frozenset[str],
    caller: Caller,
) -> bool:
    container = replace(VAULT, network=rules, connections=connections)
    call = a_call(None, container=container, address=address, networks=through)
    return FIREWALL.admits(call) or FIREWALL.trusts(call, caller)


@given(rules=RULES, connections=CONNECTIONS, address=ADDRESSES, through=THROUGH, caller=CALLERS)
def test_in_comes_whom_a_rule_an_approved_endpoint_or_a_trusted_service_s_identity_lets_in_and_nobody_else(
    rules: NetworkRules,
    connections: tuple[PrivateEndpointConnection, ...],
    address: Address,
    through: frozenset[str],
    caller: Caller,
) -> None:
    by_address = any(address in network for network in rules.ranges if network.version == address.version)
    by_subnet = any(rule.id.lower() in through for rule in rules.subnets)
    public = rules.public_access and (rules.allow_by_default or by_address or by_subnet)
    private = any(one.endpoint_id in through for one in connections if one.status is ConnectionStatus.APPROVED)
    trusted = rules.bypass and caller.object_id == OBJECT_ID and not caller.delegated
    assert comes_in(rules, connections, str(address), through, caller) is (public or private or trusted)


@given(
    rules=RULES,
    connections=CONNECTIONS,
    address=ADDRESSES,
    through=THROUGH,
    caller=CALLERS,
    added=networks(),
    subnet=NAMES,
    endpoint=NAMES,
)
def test_a_further_rule_takes_access_from_nobody(
    rules: NetworkRules,
    connections: tuple[PrivateEndpointConnection, ...],
    address: Address,
    through: frozenset[str],
    caller: Caller,
    added: Network,
    subnet: str,
    endpoint: str,
) -> None:
    if not comes_in(rules, connections, str(address), through, caller):
        return
    more = replace(rules, ranges=(*rules.ranges, added), subnets=(*rules.subnets, SubnetRule(subnet)))
    approved = PrivateEndpointConnection("two", endpoint, ConnectionStatus.APPROVED)
    assert comes_in(more, (*connections, approved), str(address), through, caller)


@given(rules=RULES, address=st.ip_addresses(v=4), caller=CALLERS)
def test_an_ipv4_address_written_as_ipv6_is_decided_upon_as_ipv4(
    rules: NetworkRules, address: IPv4Address, caller: Caller
) -> None:
    plain = comes_in(rules, (), str(address), frozenset(), caller)
    assert comes_in(rules, (), f"::ffff:{address}", frozenset(), caller) is plain


@given(rules=RULES, peer=ADDRESSES, said=st.lists(ADDRESSES, max_size=3), proxy=networks())
def test_what_a_peer_that_is_no_proxy_forwards_changes_no_decision(
    rules: NetworkRules, peer: Address, said: list[Address], proxy: Network
) -> None:
    proxies = TrustedProxies((proxy,))
    if proxies.trusts(peer):
        return
    client = proxies.client(parse_address(str(peer)), ",".join(str(one) for one in said))
    assert rules.admits(client) is rules.admits(peer)
