"""The firewall: who reaches a vault, in which words the others are refused, and who they are for it."""

from dataclasses import replace

import pytest

from hsmvault.model.network import (
    ConnectionStatus,
    NetworkRules,
    PrivateEndpointConnection,
    SubnetRule,
    parse_address,
)
from hsmvault.model.principals import Caller
from hsmvault.pipeline import firewall
from hsmvault.pipeline.firewall import Firewall, TrustedService
from tests.pipeline.world import APPLICATION_ID, OBJECT_ID, OTHER_TENANT, TENANT, VAULT, a_call, a_caller

CALLER = f"appid={APPLICATION_ID};oid={OBJECT_ID};iss=https://login.localhost:8443/{TENANT}/"
CLOSED = NetworkRules(allow_by_default=False)
_NETWORK = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network"
SUBNET = f"{_NETWORK}/virtualNetworks/Office/subnets/Desks"
ENDPOINT = f"{_NETWORK}/privateEndpoints/Branch"


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
    assert Firewall().admits(a_call(None, container=replace(VAULT, network=network), address=address)) is admitted


def through(*networks: str, rules: NetworkRules = CLOSED, status: ConnectionStatus | None = None) -> bool:
    """Whether a call that came through these networks is admitted. status: of a connection of ENDPOINT."""
    connections = () if status is None else (PrivateEndpointConnection("one", ENDPOINT, status),)
    container = replace(VAULT, network=rules, connections=connections)
    return Firewall().admits(a_call(None, container=container, networks=networks))


def test_a_subnet_rule_admits_what_comes_through_the_network_of_its_id() -> None:
    named = replace(CLOSED, subnets=(SubnetRule(SUBNET), SubnetRule(SUBNET + "2", ignore_missing_endpoint=True)))
    assert through(SUBNET.lower(), rules=named)
    assert through("/elsewhere", SUBNET.lower() + "2", rules=named)
    assert not through(rules=named)
    assert not through("/elsewhere", ENDPOINT.lower(), rules=named)
    assert not through(SUBNET.lower(), rules=CLOSED)
    assert not through(SUBNET.lower(), rules=replace(named, public_access=False))


@pytest.mark.parametrize("rules", [CLOSED, replace(CLOSED, public_access=False), NetworkRules.closed()])
@pytest.mark.parametrize("status", ConnectionStatus)
def test_a_private_endpoint_admits_while_its_connection_is_approved(
    rules: NetworkRules, status: ConnectionStatus
) -> None:
    assert through(ENDPOINT.lower(), rules=rules, status=status) is (status is ConnectionStatus.APPROVED)
    assert not through("/elsewhere", rules=rules, status=status)
    assert not through(rules=rules, status=status)


def test_rules_that_cannot_be_read_let_nobody_in() -> None:
    closed = NetworkRules.closed()
    container = replace(VAULT, network=closed)
    everywhere = Firewall((TrustedService(TENANT, OBJECT_ID),))
    assert not everywhere.admits(a_call(None, container=container, address="127.0.0.1"))
    assert not everywhere.trusts(a_call(None, container=container), a_caller())


BY_OBJECT, BY_APPLICATION = TrustedService(TENANT, OBJECT_ID), TrustedService(TENANT, "", APPLICATION_ID)


@pytest.mark.parametrize(
    ("service", "caller", "trusted"),
    [
        (BY_OBJECT, a_caller(), True),
        (BY_APPLICATION, a_caller(), True),
        (TrustedService(TENANT, OBJECT_ID, APPLICATION_ID), a_caller(), True),
        (TrustedService(TENANT, OBJECT_ID, OBJECT_ID), a_caller(), False),
        (TrustedService(OTHER_TENANT, OBJECT_ID), a_caller(), False),
        (TrustedService(TENANT), a_caller(application_id=""), False),
        (BY_OBJECT, a_caller(object_id=APPLICATION_ID), False),
        (BY_APPLICATION, a_caller(application_id=""), False),
        (BY_OBJECT, a_caller(delegated=True), False),
        (BY_APPLICATION, a_caller(delegated=True), False),
        (BY_APPLICATION, a_caller(upn="ada@example.org"), False),
        (BY_OBJECT, a_caller(upn="service-account-backup"), True),
        (BY_APPLICATION, a_caller(groups=frozenset({OBJECT_ID}), object_id="x"), True),
        (BY_OBJECT, a_caller(groups=frozenset({OBJECT_ID}), object_id="x"), False),
    ],
)
@pytest.mark.parametrize("rules", [CLOSED, replace(CLOSED, public_access=False)])
def test_a_trusted_service_is_an_application_by_its_own_identity(
    rules: NetworkRules, service: TrustedService, caller: Caller, trusted: bool
) -> None:
    call = a_call(None, container=replace(VAULT, network=rules))
    assert Firewall((TrustedService(OTHER_TENANT, "a", "b"), service)).trusts(call, caller) is trusted
    assert not Firewall((service,)).trusts(
        a_call(None, container=replace(VAULT, network=replace(rules, bypass=False))), caller
    )
    assert not Firewall().trusts(call, caller)


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
