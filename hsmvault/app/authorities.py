"""Certificate authorities of our own: from the configuration to their rules, and what a start refuses."""

from ipaddress import ip_address, ip_network

from hsmvault.config import Settings
from hsmvault.config.certificates import AuthorityProfile, CertificateAuthority
from hsmvault.custody.authority_certificates import mismatch
from hsmvault.errors import ConfigurationError
from hsmvault.model.algorithms import Curve, KeySpec
from hsmvault.model.authorities import DEFAULT_PROFILE, AuthorityRules, NameConstraints, Profile
from hsmvault.store import authorities as store
from hsmvault.store.database import Database

_SPECS = {
    "P-256": KeySpec.ec(Curve.P256),
    "P-384": KeySpec.ec(Curve.P384),
    "RSA-3072": KeySpec.rsa(3072),
    "RSA-4096": KeySpec.rsa(4096),
}


def rules_of(settings: Settings) -> tuple[AuthorityRules, ...]:
    """The configured authorities."""
    return tuple(_rules(settings, one) for one in settings.authorities)


async def refuse_changed(settings: Settings, database: Database) -> None:
    """Raises ConfigurationError when an authority was made otherwise than it is configured now."""
    for rules in rules_of(settings):
        async with database.read() as tx:
            rows = await store.of_name(tx, rules.name)
        if (reason := mismatch(rules, rows)) is not None:
            raise ConfigurationError(reason)


def _rules(settings: Settings, one: CertificateAuthority) -> AuthorityRules:
    profiles = {DEFAULT_PROFILE: Profile()} | {profile.name: _profile(profile) for profile in one.profiles}
    return AuthorityRules(
        name=one.name,
        root_subject=one.root_subject,
        subject=one.subject,
        spec=_SPECS[one.key_type],
        base_url=one.base_url or _own_url(settings),
        root_years=one.root_years,
        years=one.years,
        longest_months=one.longest_months,
        crl_hours=one.crl_hours,
        containers=frozenset(one.containers),
        constraints=NameConstraints(
            permitted_dns=one.permitted_dns,
            excluded_dns=one.excluded_dns,
            permitted_emails=one.permitted_emails,
            excluded_emails=one.excluded_emails,
            permitted_addresses=tuple(ip_network(text) for text in one.permitted_addresses),
            excluded_addresses=tuple(ip_network(text) for text in one.excluded_addresses),
        ),
        profiles=profiles,
    )


def _profile(one: AuthorityProfile) -> Profile:
    return Profile(
        name=one.name,
        ekus=frozenset(one.ekus),
        key_usages=frozenset(one.key_usages),
        names=frozenset(one.names),
        key_types=frozenset(one.key_types),
        longest_months=one.longest_months,
    )


def _own_url(settings: Settings) -> str:
    address = ip_address(settings.pki.address)
    host = f"[{address}]" if address.version == 6 else str(address)
    return f"http://{host}:{settings.pki_port}"
