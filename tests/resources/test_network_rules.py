"""networkAcls of a body, and of an answer."""

from dataclasses import replace

import pytest

from hsmvault.errors import BadRequest
from hsmvault.model.containers import ContainerKind
from hsmvault.model.network import NetworkRules, SubnetRule, parse_network
from hsmvault.resources.network_rules import (
    IpRule,
    NetworkRuleSet,
    ServiceTagRule,
    VirtualNetworkRule,
    rules_of,
    shown,
    shown_access,
)

SUBNET = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/office/subnets/desks"


def read(
    body: NetworkRuleSet | None = None,
    access: str | None = None,
    existing: NetworkRules = NetworkRules(),  # frozen
    kind: ContainerKind = ContainerKind.VAULT,
    subnets: frozenset[str] = frozenset(),
) -> NetworkRules:
    return rules_of(body, access, existing, kind=kind, subnets=subnets)


def addresses(*values: str) -> NetworkRuleSet:
    return NetworkRuleSet(defaultAction="Deny", ipRules=[IpRule(value) for value in values])


def refusal(
    body: NetworkRuleSet | None = None, access: str | None = None, kind: ContainerKind = ContainerKind.VAULT
) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        read(body, access, kind=kind)
    return caught.value


def test_what_is_read_is_shown_again_with_single_addresses_as_ranges_of_one() -> None:
    body = NetworkRuleSet(
        bypass="none",
        defaultAction="deny",
        ipRules=[IpRule("203.0.113.7"), IpRule("198.51.100.0/24"), IpRule("203.0.113.7/32")],
        virtualNetworkRules=[VirtualNetworkRule(SUBNET), VirtualNetworkRule(SUBNET.lower() + "2", True)],
    )
    rules = read(body, "enabled", subnets=frozenset({SUBNET.lower()}))
    assert rules.set
    assert shown(rules, ContainerKind.VAULT) == {
        "bypass": "None",
        "defaultAction": "Deny",
        "ipRules": [{"value": "203.0.113.7/32"}, {"value": "198.51.100.0/24"}],
        "virtualNetworkRules": [
            {"id": SUBNET, "ignoreMissingVnetServiceEndpoint": False},
            {"id": SUBNET.lower() + "2", "ignoreMissingVnetServiceEndpoint": True},
        ],
    }


def test_what_was_never_set_is_not_shown() -> None:
    assert shown(NetworkRules(), ContainerKind.VAULT) is None
    assert shown(read(None, "Enabled"), ContainerKind.VAULT) is None
    assert shown(read(NetworkRuleSet()), ContainerKind.VAULT) == {
        "bypass": "AzureServices",
        "defaultAction": "Allow",
        "ipRules": [],
        "virtualNetworkRules": [],
    }
    assert shown(NetworkRules.of(allow_by_default=False, ranges=["10.0.0.0/8"]), ContainerKind.VAULT) is not None


def test_a_pool_has_service_tags_and_a_vault_has_none() -> None:
    body = NetworkRuleSet(serviceTags=[ServiceTagRule("AzureMonitor")])
    answer = shown(read(body, kind=ContainerKind.POOL), ContainerKind.POOL)
    assert answer is not None
    assert answer["serviceTags"] == [{"tag": "AzureMonitor"}]
    assert read(body).service_tags == ()


@pytest.mark.parametrize(
    ("given", "shown_as", "public"),
    [
        ("Enabled", "Enabled", True),
        ("DISABLED", "Disabled", False),
        ("securedByPerimeter", "SecuredByPerimeter", False),
    ],
)
def test_public_access_is_compared_without_case(given: str, shown_as: str, public: bool) -> None:
    rules = read(None, given)
    assert (rules.public_access, shown_access(rules)) == (public, shown_as)
    assert shown_access(read(None, "Enabled", rules)) == "Enabled"


def test_what_a_client_has_closed_is_the_client_s() -> None:
    assert read(None, "Disabled").set
    assert read(None, "Enabled", read(None, "Disabled")).set
    assert not read(None, "Enabled").set


def test_what_a_body_leaves_out_stays_and_what_it_names_is_replaced() -> None:
    before = read(addresses("192.0.2.1"), "Disabled")
    assert read(None, None, before) == before
    after = read(addresses("192.0.2.2"), None, before)
    assert after.ranges == (parse_network("192.0.2.2"),)
    assert not after.public_access


@pytest.mark.parametrize(
    "value",
    ["", "10.0.0.1/8", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/024", "192.0.2.0/255.255.255.0", "192.0.2.0/",
     "2001:db8::/32", "::1", "::ffff:192.0.2.1", "192.0.2.1-192.0.2.9", "*", "192.0.2.1 ", "010.0.0.1", "1.2.3.4/٣٢"],
)  # fmt: skip
def test_an_address_rule_that_cannot_be_read_is_refused(value: str) -> None:
    error = refusal(addresses("192.0.2.1", value))
    assert error.code == "BadRequest"
    assert "networkAcls.ipRules" in error.message


@pytest.mark.parametrize("value", ["10.0.0.0/8", "10.1.2.3", "172.31.0.0/16", "192.168.255.255"])
def test_a_pool_takes_no_private_addresses(value: str) -> None:
    assert "private" in refusal(addresses(value), kind=ContainerKind.POOL).message
    assert read(addresses(value)).ranges


def test_what_the_configuration_has_set_survives_that_a_client_sends_it_back() -> None:
    existing = NetworkRules.of(allow_by_default=False, ranges=["2001:db8::/32", "10.0.0.0/8"])
    sent = addresses("2001:db8::/32", "10.0.0.0/8")
    assert read(sent, existing=existing, kind=ContainerKind.POOL).ranges == existing.ranges


@pytest.mark.parametrize(
    ("kind", "name", "most"),
    [
        (ContainerKind.VAULT, "ipRules", 1000),
        (ContainerKind.VAULT, "virtualNetworkRules", 200),
        (ContainerKind.POOL, "ipRules", 10),
        (ContainerKind.POOL, "serviceTags", 200),
    ],
)
def test_a_list_has_an_end(kind: ContainerKind, name: str, most: int) -> None:
    def body(count: int) -> NetworkRuleSet:
        match name:
            case "ipRules":
                rules = [IpRule(f"198.51.{number // 256}.{number % 256}") for number in range(count)]
                return NetworkRuleSet(ipRules=rules)
            case "serviceTags":
                return NetworkRuleSet(serviceTags=[ServiceTagRule(f"Tag{number}") for number in range(count)])
        subnets = [VirtualNetworkRule(f"{SUBNET}{number}", True) for number in range(count)]
        return NetworkRuleSet(virtualNetworkRules=subnets)

    assert read(body(most), kind=kind).set
    assert f"at most {most}" in refusal(body(most + 1), kind=kind).message


@pytest.mark.parametrize(
    ("body", "access"),
    [
        (NetworkRuleSet(bypass="Everybody"), None),
        (NetworkRuleSet(defaultAction="Perhaps"), None),
        (NetworkRuleSet(virtualNetworkRules=[VirtualNetworkRule("office", True)]), None),
        (NetworkRuleSet(virtualNetworkRules=[VirtualNetworkRule(SUBNET + "/more", True)]), None),
        (None, "Sometimes"),
    ],
)
def test_a_word_that_nobody_knows_is_refused(body: NetworkRuleSet | None, access: str | None) -> None:
    assert refusal(body, access).code == "BadRequest"


def test_an_unknown_subnet_needs_the_client_s_word_for_it_or_to_be_there_already() -> None:
    body = NetworkRuleSet(virtualNetworkRules=[VirtualNetworkRule(SUBNET)])
    error = refusal(body)
    assert error.code == "SubnetsHaveNoServiceEndpointsConfigured"
    assert "Subnets desks of virtual network office" in error.message
    existing = replace(NetworkRules(), subnets=(SubnetRule(SUBNET.upper()),))
    assert read(body, existing=existing).subnets == (SubnetRule(SUBNET),)
