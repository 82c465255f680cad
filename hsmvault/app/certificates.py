"""Certificates, put together: issuers, the engine that has them issue, and what serves calls."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hsmvault.app.acme import acme_issuer
from hsmvault.app.served_worlds import ServedWorlds
from hsmvault.clock import Clock, Identifiers
from hsmvault.config import Settings
from hsmvault.custody.custodians import Custodians
from hsmvault.custody.intents import Intents
from hsmvault.custody.sealing import Sealer
from hsmvault.lanes import Lane
from hsmvault.resources.authorities import Authorities
from hsmvault.resources.certificate_backups import CertificateBackups
from hsmvault.resources.certificate_completion import Completion
from hsmvault.resources.certificate_creation import Creation
from hsmvault.resources.certificate_imports import Imports
from hsmvault.resources.certificate_issuance import Issuance, Records
from hsmvault.resources.certificate_issuer_objects import Contacts, IssuerObjects
from hsmvault.resources.certificate_issuers.local_ca import LocalCa
from hsmvault.resources.certificate_issuers.partners import PARTNERS, Partner
from hsmvault.resources.certificate_issuers.protocol import Issuer
from hsmvault.resources.certificate_issuers.registry import Issuers
from hsmvault.resources.certificate_issuers.self_signed import SelfIssuer
from hsmvault.resources.certificate_issuers.unknown import UnknownIssuer
from hsmvault.resources.certificate_material import CertificateMaterial
from hsmvault.resources.certificate_operations import Operations
from hsmvault.resources.certificates import Certificates
from hsmvault.store.database import Database
from hsmvault.wire.certificate_issuers import CertificateIssuers
from hsmvault.wire.certificate_lives import CertificateLives
from hsmvault.wire.certificate_pending import CertificatePending
from hsmvault.wire.paging import Pages


@dataclass(frozen=True, slots=True)
class CertificateParts:
    """handlers: of the calls. The others are what the jobs work with."""

    certificates: Certificates
    creation: Creation
    issuance: Issuance
    handlers: tuple[CertificateLives, CertificatePending, CertificateIssuers]


@dataclass(frozen=True, slots=True)
class CertificateBase:
    """What the parts are made with. sealers, geographies: of each security world, by its id. records: of what nobody
    called for. lanes: work for what is short, checks for what callers bring. legacy: see CertificateMaterial."""

    database: Database
    custodians: Custodians
    sealers: Mapping[str, Sealer]
    geographies: Mapping[str, str]
    pages: Pages
    records: Records
    work: Lane[None]
    checks: Lane[None]
    clock: Clock
    identifiers: Identifiers
    intents: Intents
    legacy: bool = False


def make_certificates(base: CertificateBase, providers: Iterable[Issuer]) -> CertificateParts:
    """providers: of issuer objects, beside those that every installation has."""
    database, clock, identifiers, intents = base.database, base.clock, base.identifiers, base.intents
    issuers = Issuers(
        database,
        base.sealers,
        own=(SelfIssuer(clock, identifiers), UnknownIssuer()),
        providers=(*providers, *(Partner(provider) for provider in PARTNERS)),
    )
    material = CertificateMaterial(base.custodians, base.sealers, base.work, identifiers, legacy=base.legacy)
    creation = Creation(database, material, issuers, clock, identifiers, intents)
    completion = Completion(database, material, base.checks, clock, identifiers)
    operations = Operations(database, material, issuers, clock, intents)
    issuance = Issuance(database, issuers, material, completion, base.records, clock)
    certificates = Certificates(database, base.custodians, clock, intents)
    imports = Imports(database, material, base.checks, clock, identifiers, intents)
    backups = CertificateBackups(database, base.custodians, base.sealers, base.geographies, clock)
    handlers = (
        CertificateLives(certificates, imports, backups, base.pages, clock),
        CertificatePending(creation, operations, completion, issuance, clock),
        CertificateIssuers(IssuerObjects(database, base.sealers, issuers, clock), Contacts(database), base.pages),
    )
    return CertificateParts(certificates, creation, issuance, handlers)


def configured_certificates(
    settings: Settings,
    database: Database,
    served: ServedWorlds,
    custodians: Custodians,
    authorities: Authorities,
    records: Records,
    lanes: Mapping[str, Lane[None]],
    clock: Clock,
    identifiers: Identifiers,
    intents: Intents,
) -> CertificateParts:
    """authorities: of our own, for the provider LocalCA. lanes: as in composition. Raises ConfigurationError."""
    acme = acme_issuer(
        settings.acme,
        home=served.default.id,
        world=served.default.custody,
        database=database,
        clock=clock,
        identifiers=identifiers,
        intents=intents,
    )
    base = CertificateBase(
        database,
        custodians,
        served.sealers,
        served.geographies,
        Pages(served.default.sealer),
        records,
        lanes["soft"],
        lanes["admission"],
        clock,
        identifiers,
        intents,
        legacy=settings.certificates.pkcs12 == "legacy",
    )
    return make_certificates(base, (LocalCa(authorities), acme))
