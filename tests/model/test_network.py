"""Addresses and ranges have one meaning each, for peers, rules and proxies alike."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsmvault.errors import BadRequest
from hsmvault.model.network import NetworkRules, TrustedProxies, parse_address, parse_network

V4 = st.ip_addresses(v=4)
V6 = st.ip_addresses(v=6).filter(lambda address: address.ipv4_mapped is None)
ADDRESSES = st.one_of(V4, V6)


def networks(address: ipaddress.IPv4Address | ipaddress.IPv6Address, bits: int) -> str:
    length = 32 if address.version == 4 else 128
    return str(ipaddress.ip_network((address, min(bits, length)), strict=False))


@given(address=ADDRESSES)
def test_an_address_is_read_as_it_is_written(address: ipaddress.IPv4Address) -> None:
    assert parse_address(str(address)) == address


@given(address=V4)
def test_a_mapped_address_is_the_ipv4_address(address: ipaddress.IPv4Address) -> None:
    packed = f"{int(address):08x}"
    for text in (f"::ffff:{address}", f"::FFFF:{address}", f"0:0:0:0:0:ffff:{packed[:4]}:{packed[4:]}"):
        assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "1", "127.1", "0177.0.0.1", "010.0.0.1", "0x7f.0.0.1", "0x7f000001", "2130706433", "1.2.3.4.5",
        "1.2.3.256", "1.2.3.4 ", " 1.2.3.4", "1.2.3.4:80", "[::1]", "::1%eth0", "fe80::1%1", "::g", ":::", "1.2.3.4/32",
        "localhost", "unknown", "_hidden", "١.2.3.4", "1.2.3.4\n", "1.2.3.4\0",
    ],
)  # fmt: skip
def test_any_other_spelling_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="The client address cannot be read"):
        parse_address(text)


@pytest.mark.parametrize(
    "text",
    ["", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/-1", "10/8", "010.0.0.0/8", "2001:db8::1/32", "::ffff:10.0.0.0/104",
     "::ffff:10.0.0.4", "::/129", "0.0.0.0/0/0", "*", "10.0.0.0-10.0.0.9", " 10.0.0.0/8"],
)  # fmt: skip
def test_a_rule_that_has_no_one_meaning_is_refused_and_named(text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_network(text)
    assert f"'{text}'" in caught.value.message


@given(address=ADDRESSES, other=ADDRESSES, bits=st.integers(0, 128))
def test_a_range_admits_exactly_the_addresses_that_share_its_first_bits(
    address: ipaddress.IPv4Address, other: ipaddress.IPv4Address, bits: int
) -> None:
    length = 32 if address.version == 4 else 128
    bits = min(bits, length)
    rules = NetworkRules.of(allow_by_default=False, ranges=[networks(address, bits)])
    same = address.version == other.version and int(address) >> (length - bits) == int(other) >> (length - bits)
    assert rules.admits(other) is same
    assert rules.admits(address)


@given(address=ADDRESSES)
def test_defaults_and_closed_access_need_no_rule(address: ipaddress.IPv4Address) -> None:
    everything = ["0.0.0.0/0", "::/0"]
    assert NetworkRules().admits(address)
    assert not NetworkRules(allow_by_default=False).admits(address)
    assert NetworkRules.of(allow_by_default=False, ranges=everything).admits(address)
    assert not NetworkRules.of(allow_by_default=True, ranges=everything, public_access=False).admits(address)


# proxies

PROXIES = TrustedProxies((parse_network("10.0.0.0/8"), parse_network("2001:db8::/32")))
TRUSTED = st.one_of(st.ip_addresses(network="10.0.0.0/8"), st.ip_addresses(network="2001:db8::/32"))
STRANGERS = ADDRESSES.filter(lambda address: not PROXIES.trusts(address))


def joined(addresses: list[ipaddress.IPv4Address]) -> str:
    return ", ".join(str(address) for address in addresses)


@given(peer=STRANGERS, forged=st.lists(ADDRESSES, max_size=4))
def test_a_stranger_is_its_own_address_whatever_it_says(
    peer: ipaddress.IPv4Address, forged: list[ipaddress.IPv4Address]
) -> None:
    assert PROXIES.client(peer, joined(forged)) == peer
    assert PROXIES.client(peer, "rubbish") == peer
    assert TrustedProxies().client(peer, joined(forged)) == peer


@given(
    peer=TRUSTED,
    forged=st.lists(ADDRESSES, max_size=3),
    client=STRANGERS,
    proxies=st.lists(TRUSTED, max_size=3),
)
def test_behind_proxies_the_rightmost_address_that_is_not_trusted_counts(
    peer: ipaddress.IPv4Address,
    forged: list[ipaddress.IPv4Address],
    client: ipaddress.IPv4Address,
    proxies: list[ipaddress.IPv4Address],
) -> None:
    assert PROXIES.client(peer, joined([*forged, client, *proxies])) == client


@given(peer=TRUSTED, chain=st.lists(TRUSTED, max_size=3))
def test_a_chain_of_proxies_alone_is_the_first_of_them(
    peer: ipaddress.IPv4Address, chain: list[ipaddress.IPv4Address]
) -> None:
    assert PROXIES.client(peer, joined(chain)) == (chain[0] if chain else peer)
    assert PROXIES.client(peer, None) == peer


@pytest.mark.parametrize("text", ["rubbish", "192.0.2.1, ", "192.0.2.1,rubbish", "unknown", ",", "192.0.2.1:80"])
def test_what_a_proxy_forwards_must_be_readable_where_it_counts(text: str) -> None:
    with pytest.raises(BadRequest):
        PROXIES.client(parse_address("10.0.0.1"), text)
    assert str(PROXIES.client(parse_address("10.0.0.1"), f"{text}, 192.0.2.9")) == "192.0.2.9"


def test_a_mapped_entry_is_the_ipv4_address() -> None:
    assert str(PROXIES.client(parse_address("::ffff:10.0.0.1"), "192.0.2.1, ::ffff:10.0.0.2")) == "192.0.2.1"
