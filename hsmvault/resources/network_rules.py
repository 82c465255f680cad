"""networkAcls and publicNetworkAccess of vaults and pools: what a client may say, and how it is read back.

Sources: "Configure Azure Key Vault networking settings", "Service limits" and the Microsoft.KeyVault specification. An
answer gives single addresses as /32.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from typing import TypedDict

import msgspec

from hsmvault.errors import BadRequest
from hsmvault.model.containers import ContainerKind
from hsmvault.model.network import Network, NetworkRules, SubnetRule

_SUBNET = re.compile(
    r"/subscriptions/[^/\s]{1,64}/resourcegroups/[^/\s]{1,90}/providers/microsoft\.network"
    r"/virtualnetworks/[^/\s]{1,64}/subnets/[^/\s]{1,80}",
    re.IGNORECASE,
)
_TAG = re.compile(r"[A-Za-z0-9.]{1,128}", re.ASCII)
_LONGEST_SHOWN = 128
# RFC 1918. The addresses of clients within a site are named networks of the configuration.
_PRIVATE = tuple(IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
_ACTIONS = {"allow": True, "deny": False}
_BYPASSES = {"azureservices": True, "none": False}


@dataclass(frozen=True, slots=True)
class _Limits:
    """How many rules of each kind one container may have."""

    addresses: int
    subnets: int
    tags: int


_LIMITS = {ContainerKind.VAULT: _Limits(1000, 200, 0), ContainerKind.POOL: _Limits(10, 200, 200)}


class IpRule(msgspec.Struct, frozen=True):
    """value: an IPv4 address, or a range in CIDR notation."""

    value: str


class VirtualNetworkRule(msgspec.Struct, frozen=True):
    """id: ARM id of a subnet."""

    id: str
    ignoreMissingVnetServiceEndpoint: bool | None = None


class ServiceTagRule(msgspec.Struct, frozen=True):
    tag: str


class NetworkRuleSet(msgspec.Struct, frozen=True):
    """networkAcls of a body. serviceTags: of pools."""

    bypass: str | None = None
    defaultAction: str | None = None
    ipRules: list[IpRule] | None = None
    virtualNetworkRules: list[VirtualNetworkRule] | None = None
    serviceTags: list[ServiceTagRule] | None = None


class ShownRules(TypedDict, total=False):
    """networkAcls of an answer."""

    bypass: str
    defaultAction: str
    ipRules: list[dict[str, str]]
    virtualNetworkRules: list[dict[str, str | bool]]
    serviceTags: list[dict[str, str]]


def rules_of(
    body: NetworkRuleSet | None,
    public_network_access: str | None,
    existing: NetworkRules,
    *,
    kind: ContainerKind,
    subnets: Collection[str],
) -> NetworkRules:
    """The rules of a container after a PUT or PATCH. Raises BadRequest, with the code of the resource manager.

    body, public_network_access: None when the client has left it out, which keeps what `existing` has (NetworkRules()
    for a container that is made). A body replaces every rule. subnets: ids in lower case that the configuration
    knows; any other one has to be in `existing` already, or come with ignoreMissingVnetServiceEndpoint.
    """
    rules = existing if body is None else _read(body, existing, _LIMITS[kind], kind, subnets)
    if public_network_access is None:
        return rules
    match public_network_access.lower():
        case "enabled":
            return replace(rules, public_access=True, perimeter=False)
        case "disabled":
            return replace(rules, public_access=False, perimeter=False, set=True)
        case "securedbyperimeter" if kind is ContainerKind.VAULT:
            return replace(rules, public_access=False, perimeter=True, set=True)
    raise _refused(f"The value '{_short(public_network_access)}' of the property 'publicNetworkAccess' is not valid.")


def shown(rules: NetworkRules, kind: ContainerKind) -> ShownRules | None:
    """networkAcls as answers have it; None while nobody has set any."""
    plain = replace(rules, public_access=True, perimeter=False)
    if plain == NetworkRules():
        return None
    answer = ShownRules(
        bypass="AzureServices" if rules.bypass else "None",
        defaultAction="Allow" if rules.allow_by_default else "Deny",
        ipRules=[{"value": str(network)} for network in rules.ranges],
        virtualNetworkRules=[
            {"id": rule.id, "ignoreMissingVnetServiceEndpoint": rule.ignore_missing_endpoint}
            if kind is ContainerKind.VAULT
            else {"id": rule.id}
            for rule in rules.subnets
        ],
    )
    if kind is ContainerKind.POOL:
        answer["serviceTags"] = [{"tag": tag} for tag in rules.service_tags]
    return answer


def shown_access(rules: NetworkRules) -> str:
    """publicNetworkAccess as answers have it."""
    if rules.public_access:
        return "Enabled"
    return "SecuredByPerimeter" if rules.perimeter else "Disabled"


def _read(
    body: NetworkRuleSet, existing: NetworkRules, limits: _Limits, kind: ContainerKind, subnets: Collection[str]
) -> NetworkRules:
    addresses, networks, tags = body.ipRules or [], body.virtualNetworkRules or [], body.serviceTags or []
    for name, given, most in (
        ("ipRules", addresses, limits.addresses),
        ("virtualNetworkRules", networks, limits.subnets),
        ("serviceTags", tags if kind is ContainerKind.POOL else [], limits.tags),
    ):
        if len(given) > most:
            raise _refused(f"The property 'networkAcls.{name}' has {len(given)} rules; at most {most} are allowed.")
    known = {rule.id.lower() for rule in existing.subnets}.union(subnets)
    kept = {str(network): network for network in existing.ranges}
    return replace(
        existing,
        allow_by_default=_one_of(_ACTIONS, body.defaultAction, "defaultAction", default=True),
        bypass=_one_of(_BYPASSES, body.bypass, "bypass", default=True),
        ranges=tuple(dict.fromkeys(_range(rule.value, kind, kept) for rule in addresses)),
        subnets=tuple({rule.id.lower(): _subnet(rule, known) for rule in networks}.values()),
        service_tags=tuple(dict.fromkeys(_tag(rule.tag) for rule in tags)) if kind is ContainerKind.POOL else (),
        set=True,
    )


def _one_of(values: dict[str, bool], given: str | None, name: str, *, default: bool) -> bool:
    if given is None:
        return default
    value = values.get(given.lower())
    if value is None:
        raise _refused(f"The value '{_short(given)}' of the property 'networkAcls.{name}' is not valid.")
    return value


def _range(text: str, kind: ContainerKind, kept: Mapping[str, Network]) -> Network:
    """kept: what is there already. The configuration may have set what no client can: IPv6, and private ranges."""
    if text in kept:
        return kept[text]
    try:
        network = IPv4Network(IPv4Address(text)) if "/" not in text else IPv4Network(text, strict=True)
    except ValueError:
        network = None
    if network is None or not _has_prefix_length(text):
        raise _refused(
            f"The value '{_short(text)}' of the property 'networkAcls.ipRules' is not valid: it must be an IPv4 "
            "address, or an IPv4 range in CIDR notation without host bits."
        )
    if kind is ContainerKind.POOL and any(network.subnet_of(private) for private in _PRIVATE):
        raise _refused(
            f"The value '{_short(text)}' of the property 'networkAcls.ipRules' is not valid: addresses of private "
            "networks (RFC 1918) are not allowed."
        )
    return network


def _has_prefix_length(text: str) -> bool:
    """Behind the slash stands a number, not a netmask, which ipaddress reads too."""
    _, slash, length = text.partition("/")
    return not slash or (length.isascii() and length.isdigit() and length == str(int(length)))


def _subnet(rule: VirtualNetworkRule, known: Collection[str]) -> SubnetRule:
    if not _SUBNET.fullmatch(rule.id):
        raise _refused(
            f"The value '{_short(rule.id)}' of the property 'networkAcls.virtualNetworkRules' is not the id of a "
            "subnet."
        )
    ignore = bool(rule.ignoreMissingVnetServiceEndpoint)
    if not ignore and rule.id.lower() not in known:
        parts = rule.id.split("/")
        raise _refused(
            f"Subnets {parts[10]} of virtual network {parts[8]} do not have ServiceEndpoints for Microsoft.KeyVault "
            "resources configured. Add Microsoft.KeyVault to subnet's ServiceEndpoints collection before trying to ACL "
            "Microsoft.KeyVault resources to these subnets.",
            code="SubnetsHaveNoServiceEndpointsConfigured",
        )
    return SubnetRule(rule.id, ignore)


def _tag(text: str) -> str:
    if not _TAG.fullmatch(text):
        raise _refused(f"The value '{_short(text)}' of the property 'networkAcls.serviceTags' is not valid.")
    return text


def _short(text: str) -> str:
    """For a refusal: printable, and not as long as somebody likes."""
    return "".join(character for character in text[:_LONGEST_SHOWN] if character.isprintable())


def _refused(message: str, code: str = "BadRequest") -> BadRequest:
    return BadRequest(message, code=code)
