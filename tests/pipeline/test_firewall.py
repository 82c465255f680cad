"""The firewall: who reaches a vault, in which words the others are refused, and who they are for it."""

from dataclasses import replace

import pytest

from hsmvault.model.network import NetworkRules, parse_address
from hsmvault.pipeline import firewall
from tests.pipeline.world import APPLICATION_ID, OBJECT_ID, TENANT, VAULT, a_call, a_caller

CALLER = f"appid={APPLICATION_ID};oid={OBJECT_ID};iss=https://login.localhost:8443/{TENANT}/"
CLOSED = NetworkRules(allow_by_default=False)


def rules(*ranges: str) -> NetworkRules:
    return NetworkRules.of(allow_by_default=False, ranges=ranges)


@pytest.mark.parametrize(
    ("network", "address", "admitted"),
    [
        (NetworkRules(), "192.0.2.7", True),
        (CLOSED, "192.0.2.7", False),
        (rules("192.0.2.7"), "192.0.2.7", True),
        (rules("192.0.2.7"), "192.0.2.8", False),
        (rules("192.0.2.0/29"), "192.0.2.7", True),
        (rules("192.0.2.0/29"), "192.0.2.8", False),
        (rules("192.0.2.0/29"), "::ffff:192.0.2.7", True),
        (rules("10.0.0.0/8"), "::ffff:10.0.0.4", True),
        (rules("::/64"), "10.0.0.4", False),
        (rules("::/0"), "192.0.2.7", False),
        (rules("0.0.0.0/0"), "2001:db8::1", False),
        (rules("2001:db8::/32"), "2001:db8:ffff::1", True),
        (rules("2001:db8::/32"), "2001:db9::1", False),
        (rules("192.0.2.1", "2001:db8::/32", "198.51.100.0/24"), "198.51.100.200", True),
        (NetworkRules(public_access=False), "192.0.2.7", False),
        (NetworkRules(True, (), public_access=False), "127.0.0.1", False),
    ],
)
def test_an_address_is_admitted_by_a_rule_of_its_own_family(
    network: NetworkRules, address: str, admitted: bool
) -> None:
    assert firewall.admits(a_call(None, container=replace(VAULT, network=network), address=address)) is admitted


def test_the_refusal_names_address_caller_and_vault() -> None:
    refusal = firewall.refusal(a_call(None, container=replace(VAULT, network=CLOSED)), a_caller())
    assert (refusal.code, refusal.inner) == ("Forbidden", "ForbiddenByFirewall")
    assert refusal.message == (
        "Client address is not authorized and caller is not a trusted service.\r\nClient address: 192.0.2.7\r\n"
        f"Caller: {CALLER}\r\nVault: north;location=westeurope"
    )


def test_a_mapped_address_is_named_as_ipv4() -> None:
    call = a_call(None, container=replace(VAULT, network=CLOSED), address="::ffff:10.0.0.4")
    assert "Client address: 10.0.0.4\r\n" in firewall.refusal(call, None).message


def test_a_closed_vault_has_words_of_its_own() -> None:
    network = replace(CLOSED, public_access=False)
    refusal = firewall.refusal(a_call(None, container=replace(VAULT, network=network)), a_caller())
    assert refusal.inner == "ForbiddenByConnection"
    assert refusal.message == (
        "Public network access is disabled and request is not from a trusted service nor via an approved private "
        f"link.\r\nCaller: {CALLER}\r\nVault: north;location=westeurope"
    )


def test_a_caller_who_is_not_proved_is_not_named() -> None:
    assert "Caller: \r\n" in firewall.refusal(a_call(None, container=replace(VAULT, network=CLOSED)), None).message


def test_groups_are_counted_not_listed() -> None:
    caller = a_caller(groups=frozenset({"a", "b"}))
    assert firewall.describe(caller) == CALLER.replace(";iss", ";numgroups=2;iss")


def test_parse_is_the_one_of_the_rules() -> None:
    assert str(parse_address("::ffff:a00:4")) == "10.0.0.4"
