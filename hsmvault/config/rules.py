"""Rules that concern more than one key. Each returns the place of the mistake and a sentence."""

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

from cryptography.x509 import Name

from hsmvault.config.lines import Place
from hsmvault.config.management import USUAL_SUBSCRIPTION
from hsmvault.config.network_rules import network_mistakes
from hsmvault.config.settings import AttestationAuthority, FederatedIssuer, Settings, TrustedIssuer


class Broken(NamedTuple):
    place: Place
    reason: str


def broken_rules(settings: Settings) -> Broken | None:
    """The first rule that is broken, or None."""
    return next((broken for rule in _RULES for broken in rule(settings)), None)


def missing_for_serve(settings: Settings) -> list[str]:
    """What `hsmvault serve` cannot do without and the embedded default brings along, or cannot do yet; sentences."""
    missing: list[str] = []
    if settings.server.certificate_file is None or settings.server.key_file is None:
        missing.append("server.certificate_file and server.key_file are missing: the TLS certificate and its key")
    if settings.hsm.pin_file is None and not settings.hsm.pin_env:
        missing.append("hsm.pin_file or hsm.pin_env is missing: where the PIN of the token comes from")
    if not settings.issuers and not settings.login.enabled:
        missing.append("nobody could log in: switch login.enabled on, or add an [[issuers]] table")
    if settings.attestation.development:
        missing.append(
            "attestation.development: the development attestation authority vouches for anybody and is for "
            "`hsmvault dev` alone; leave it off and name your authorities under [[attestation_authorities]]"
        )
    return missing


def _ports(settings: Settings) -> Iterator[Broken]:
    used: dict[int, str] = {settings.server.port: "server.port"}
    others = [("metrics", "port", settings.metrics_port)] if settings.metrics.enabled else []
    if settings.login.managed_identities:
        others.append(("login", "identity_port", settings.identity_port))
    if settings.serves_pki and not settings.shares_pki:
        others.append(("pki", "port", settings.pki_port))
    for table, key, port in others:
        if port > 65_535:
            yield Broken((table, key), f"port {port} (it follows from server.port) does not exist; set it")
        if port in used:
            yield Broken((table, key), f"port {port} is already the one of {used[port]}")
        used[port] = f"{table}.{key}"


def _pairs(settings: Settings) -> Iterator[Broken]:
    server, hsm = settings.server, settings.hsm
    if (server.certificate_file is None) != (server.key_file is None):
        given, other = ("certificate_file", "key_file") if server.key_file is None else ("key_file", "certificate_file")
        yield Broken(("server", given), f"it needs server.{other}")
    if hsm.pin_file is not None and hsm.pin_env:
        yield Broken(("hsm", "pin_env"), "the PIN comes from one place: hsm.pin_file is set too")
    if hsm.so_pin_file is not None and hsm.so_pin_env:
        yield Broken(("hsm", "so_pin_env"), "the PIN comes from one place: hsm.so_pin_file is set too")


def _issuers(settings: Settings) -> Iterator[Broken]:
    seen: set[str] = set()
    for index, issuer in enumerate(settings.issuers):
        place: Place = ("issuers", index)
        if (issuer.jwks_file is None) == (not issuer.jwks_uri):
            yield Broken(place, "the key set comes from one place: give either jwks_file or jwks_uri")
        if (issuer.tenant is None) == (not issuer.tenant_claim):
            yield Broken(place, "give either tenant (a fixed GUID) or tenant_claim (the claim that names it)")
        if not any((issuer.audiences.vault, issuer.audiences.managedhsm, issuer.audiences.management)):
            yield Broken((*place, "audiences"), "no plane has an audience, so that no token would be accepted")
        yield from _addresses(issuer, place, (("jwks_uri", issuer.jwks_uri), ("authorization", issuer.authorization)))
        for iss in issuer.issuers:
            if iss in seen:
                yield Broken((*place, "issuer"), f"'{iss}' stands in another [[issuers]] table too")
            seen.add(iss)


def _authorities(settings: Settings) -> Iterator[Broken]:
    seen: set[str] = set()
    for index, authority in enumerate(settings.attestation_authorities):
        place: Place = ("attestation_authorities", index)
        if (authority.jwks_file is None) == (not authority.jwks_uri):
            yield Broken(place, "the key set comes from one place: give either jwks_file or jwks_uri")
        yield from _addresses(authority, place, (("jwks_uri", authority.jwks_uri),))
        name = authority.issuer.removesuffix("/")
        if name in seen:
            yield Broken((*place, "issuer"), f"'{name}' stands in another [[attestation_authorities]] table too")
        seen.add(name)


def _federated(settings: Settings) -> Iterator[Broken]:
    seen = {iss for issuer in settings.issuers for iss in issuer.issuers}
    for index, issuer in enumerate(settings.login.federated_issuers):
        place: Place = ("login", "federated_issuers", index)
        if (issuer.jwks_file is None) == (not issuer.jwks_uri):
            yield Broken(place, "the key set comes from one place: give either jwks_file or jwks_uri")
        yield from _addresses(issuer, place, (("jwks_uri", issuer.jwks_uri),))
        if issuer.issuer in seen:
            yield Broken((*place, "issuer"), f"'{issuer.issuer}' stands in another table too, or under [[issuers]]")
        seen.add(issuer.issuer)


def _addresses(
    issuer: TrustedIssuer | AttestationAuthority | FederatedIssuer, place: Place, addresses: tuple[tuple[str, str], ...]
) -> Iterator[Broken]:
    for key, address in addresses:
        if address:
            yield from _https(place, key, address)
    if issuer.ca_file is not None and not issuer.jwks_uri:
        yield Broken((*place, "ca_file"), "it is for the TLS of jwks_uri, which is not set")


def _acme(settings: Settings) -> Iterator[Broken]:
    seen: set[str] = set()
    for index, server in enumerate(settings.acme):
        place: Place = ("acme", index)
        if server.name in seen:
            yield Broken((*place, "name"), f"'{server.name}' stands in another [[acme]] table too")
        seen.add(server.name)
        yield from _https(place, "directory", server.directory)
        if not server.terms_agreed:
            yield Broken(place, "without terms_agreed = true no account is made: read the authority's terms first")
        if (not server.eab_kid) != (server.eab_key_file is None):
            yield Broken(place, "eab_kid and eab_key_file belong together")
        if server.challenge == "dns-01" and not server.hook:
            yield Broken((*place, "challenge"), "dns-01 needs a hook, which writes the DNS record")
        if server.challenge == "http-01" and server.webroot is None and not server.hook and not settings.serves_pki:
            yield Broken((*place, "challenge"), "http-01 needs [pki], a webroot or a hook to be answered by")
        if server.webroot is not None and (server.hook or server.challenge == "dns-01"):
            yield Broken((*place, "webroot"), "it is one way to answer http-01; there is another one beside it")
        if server.hook and not server.hook[0].startswith("/"):
            yield Broken((*place, "hook"), "the program is named by its whole path")


def _own_authorities(settings: Settings) -> Iterator[Broken]:
    seen: set[str] = set()
    for index, authority in enumerate(settings.authorities):
        place: Place = ("authorities", index)
        if authority.name in seen:
            yield Broken((*place, "name"), f"'{authority.name}' stands in another [[authorities]] table too")
        seen.add(authority.name)
        for key, subject in (("root_subject", authority.root_subject), ("subject", authority.subject)):
            try:
                Name.from_rfc4514_string(subject)
            except ValueError:
                yield Broken((*place, key), "this is not a name as RFC 4514 writes it, like CN=Example Root,O=Example")
        if authority.root_subject == authority.subject:
            yield Broken((*place, "subject"), "the root has this name; the issuing certificate needs one of its own")
        if authority.years > authority.root_years:
            yield Broken((*place, "years"), "the issuing certificate would outlive its root (root_years)")
        if authority.base_url and not _is_plain_url(authority.base_url):
            yield Broken((*place, "base_url"), "this must be an http or https URL without a slash at its end")
        profiles: set[str] = set()
        for number, profile in enumerate(authority.profiles):
            if profile.name in profiles:
                yield Broken((*place, "profiles", number, "name"), f"'{profile.name}' is there already")
            profiles.add(profile.name)


def _is_plain_url(address: str) -> bool:
    try:
        parts = urlsplit(address)
        has_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    others = parts.username or parts.query or parts.fragment or address.endswith(("/", "?", "#"))
    return parts.scheme in ("http", "https") and has_host and not others and address.isascii() and " " not in address


def _events(settings: Settings) -> Iterator[Broken]:
    seen: set[str] = set()
    for index, subscription in enumerate(settings.events):
        place: Place = ("events", index)
        name = subscription.name.lower()
        if name in seen:
            yield Broken((*place, "name"), f"'{name}' stands in another [[events]] table too")
        seen.add(name)
        is_plain = subscription.url.lower().startswith("http://")
        if not (is_plain and _is_loopback(_host(subscription.url))):
            yield from _https(place, "url", subscription.url)
        if is_plain and subscription.ca_file is not None:
            yield Broken((*place, "ca_file"), "it is for TLS, and url is http")


def _destinations(settings: Settings) -> Iterator[Broken]:
    """Of audit records."""
    keys = {"file": {"path"}, "webhook": {"url", "header_file"}, "syslog": {"address"}}
    seen: set[str] = set()
    for index, one in enumerate(settings.audit.destinations):
        place: Place = ("audit", "destinations", index)
        for key, text in (("name", one.name), ("id", one.id.lower())):
            if text and text in seen:
                yield Broken((*place, key), f"'{text}' stands in another [[audit.destinations]] table too")
            seen.add(text)
        given = {key for key in ("path", "url", "header_file", "address") if getattr(one, key)}
        for key in sorted(given - keys[one.kind]):
            yield Broken((*place, key), f'it has no meaning with kind = "{one.kind}"')
        needed = next(iter(keys[one.kind] - {"header_file"}))
        if needed not in given:
            yield Broken(place, f'kind = "{one.kind}" needs {needed}')
        if one.kind == "webhook":
            is_plain = one.url.lower().startswith("http://")
            if one.url and not (is_plain and _is_loopback(_host(one.url))):
                yield from _https(place, "url", one.url)
        if one.kind == "syslog" and one.address and not _is_address(one.address):
            yield Broken((*place, "address"), "this must be a host and a port, like siem.example.com:6514")
    for name in settings.audit.all_to:
        if name not in {one.name for one in settings.audit.destinations}:
            yield Broken(("audit", "all_to"), f"there is no [[audit.destinations]] table with the name '{name}'")


def _is_address(text: str) -> bool:
    """'host:port', '[IPv6]:port'."""
    try:
        parts = urlsplit(f"//{text}")
        return bool(parts.hostname) and bool(parts.port) and parts.username is None and parts.netloc == text
    except ValueError:
        return False


def _subscriptions(settings: Settings) -> Iterator[Broken]:
    tenants: dict[str, str] = {}
    for index, one in enumerate(settings.subscriptions):
        if one.id in tenants:
            yield Broken(("subscriptions", index, "id"), f"'{one.id}' stands in another [[subscriptions]] table too")
        tenants[one.id] = one.tenant
    for index, vault in enumerate(settings.containers):
        is_named = vault.subscription != USUAL_SUBSCRIPTION
        if is_named and tenants.get(vault.subscription, vault.tenant) != vault.tenant:
            yield Broken(("containers", index, "tenant"), "its subscription belongs to another tenant")


def _smtp(settings: Settings) -> Iterator[Broken]:
    smtp = settings.smtp
    if not smtp.host:
        return
    if not re.fullmatch(r"[A-Za-z0-9:._-]+", smtp.host):
        yield Broken(("smtp", "host"), "this must be a host name or an address")
    if not re.fullmatch(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+", smtp.sender):
        yield Broken(("smtp", "sender"), "the address that mail comes from is needed, without a name beside it")
    if smtp.tls == "none" and not _is_loopback(smtp.host):
        yield Broken(("smtp", "tls"), '"none" is for a server on this machine alone')
    if smtp.tls == "none" and smtp.ca_file is not None:
        yield Broken(("smtp", "ca_file"), 'it is for TLS, and tls is "none"')
    if (not smtp.username) != (smtp.password_file is None):
        yield Broken(("smtp",), "username and password_file belong together")


def _host(url: str) -> str:
    """Empty for what is no URL, or has a user name in it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return "" if parts.username is not None else parts.hostname or ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _https(place: Place, key: str, address: str) -> Iterator[Broken]:
    try:
        parts = urlsplit(address)
    except ValueError:
        yield Broken((*place, key), "this is not a URL")
        return
    if parts.scheme != "https" or not parts.hostname or parts.username is not None:
        yield Broken((*place, key), "this must be an https URL without a user name")


def _names(settings: Settings) -> Iterator[Broken]:
    rules: set[tuple[str, str]] = set()
    for index, rule in enumerate(settings.network.containers):
        if (rule.kind, rule.name) in rules:
            yield Broken(("network", "containers", index, "name"), f"'{rule.name}' has rules already")
        rules.add((rule.kind, rule.name))
    vaults: set[str] = set()
    for index, vault in enumerate(settings.containers):
        if vault.name in vaults:
            yield Broken(("containers", index, "name"), f"'{vault.name}' is declared already")
        vaults.add(vault.name)
        if vault.authorization == "rbac" and vault.access_policies:
            yield Broken(("containers", index, "access_policies"), 'they have no effect under authorization = "rbac"')


def _network(settings: Settings) -> Iterator[Broken]:
    for place, reason in network_mistakes(settings):
        yield Broken(place, reason)


def _worlds(settings: Settings) -> Iterator[Broken]:
    """Every world has a token of its own: what one pool's purge destroys is nobody else's."""
    labels, names = {settings.hsm.token_label: "hsm.token_label"}, {"default"}
    for index, world in enumerate(settings.worlds):
        place: Place = ("worlds", index)
        if world.name in names:
            yield Broken((*place, "name"), f"'{world.name}' is the name of another world too")
        if world.token_label in labels:
            yield Broken((*place, "token_label"), f"'{world.token_label}' is already {labels[world.token_label]}")
        names.add(world.name)
        labels[world.token_label] = f"the token of the world '{world.name}'"


_RULES: tuple[Callable[[Settings], Iterator[Broken]], ...] = (
    _ports,
    _pairs,
    _issuers,
    _federated,
    _authorities,
    _acme,
    _events,
    _destinations,
    _subscriptions,
    _smtp,
    _own_authorities,
    _names,
    _network,
    _worlds,
)
