"""Keys for attested environments, put together: who is believed about an environment, and what signs a release."""

from dataclasses import dataclass

from hsmvault.app.trust import configured_authority
from hsmvault.clock import Clock, Identifiers
from hsmvault.config import Settings
from hsmvault.custody.custodians import Custodians, WorldCustody
from hsmvault.custody.intents import Intents
from hsmvault.custody.statement_keys import StatementKeys
from hsmvault.lanes import Lane
from hsmvault.resources.development_authority import ALGORITHM, DevelopmentAuthority
from hsmvault.resources.environment_assertions import AttestationAuthority, EnvironmentAssertions
from hsmvault.resources.key_cache import KeyCache
from hsmvault.resources.key_release import KeyRelease
from hsmvault.resources.key_secure_wrap import KeySecureWrap, Random
from hsmvault.store.database import Database

_RELEASE = "release"
_DEVELOPMENT_ATTESTATION = "development-attestation"


@dataclass(frozen=True, slots=True)
class Releases:
    """development: the attestation authority of `hsmvault dev`, or None."""

    release: KeyRelease
    secure_wrap: KeySecureWrap
    development: DevelopmentAuthority | None


def make_releases(
    settings: Settings,
    *,
    home: str,
    keys: KeyCache,
    custodians: Custodians,
    random: Random,
    database: Database,
    clock: Clock,
    identifiers: Identifiers,
    intents: Intents,
    generation: Lane[None],
) -> Releases:
    """home: id of the security world that the development authority's own key lives in. Raises ConfigurationError."""
    names = settings.names

    def statement_keys(purpose: str, world_id: str, world: WorldCustody, *hosts: str) -> StatementKeys:
        return StatementKeys(
            purpose,
            world_id,
            world,
            database=database,
            clock=clock,
            identifiers=identifiers,
            intents=intents,
            common_name=f"hsmvault {purpose}",
            dns_names=hosts,
        )

    hosts = names.vault_host("*"), names.pool_host("*")  # whose verifiers look for the host that they asked
    signers = {
        world_id: statement_keys(_RELEASE, world_id, world, *hosts) for world_id, world in custodians.worlds.items()
    }
    authorities = [configured_authority(authority, clock) for authority in settings.attestation_authorities]
    development = None
    if settings.attestation.development:
        own = statement_keys(_DEVELOPMENT_ATTESTATION, home, custodians.worlds[home], names.host("attest"))
        development = DevelopmentAuthority(names.attestation, own, clock, identifiers, generation)
        authorities.append(AttestationAuthority(development.issuer, development, frozenset({ALGORITHM})))
    assertions = EnvironmentAssertions(authorities, clock)
    return Releases(
        KeyRelease(keys, custodians, assertions, signers),
        KeySecureWrap(keys, custodians, assertions, clock, random),
        development,
    )
