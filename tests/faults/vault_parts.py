"""Secrets and certificates over a folder with a token and a database, put together as app/certificates.py does it."""

from dataclasses import dataclass

from hsmvault.clock import Clock, Identifiers
from hsmvault.custody.custodians import Custodians
from hsmvault.custody.intents import Intents
from hsmvault.custody.sealing import Sealer
from hsmvault.lanes import Lane
from hsmvault.model.algorithms import Curve, KeySpec
from hsmvault.model.authorities import AuthorityRules
from hsmvault.model.containers import Container
from hsmvault.pipeline.records import WorkRecords
from hsmvault.resources.authorities import Authorities
from hsmvault.resources.certificate_backups import CertificateBackups
from hsmvault.resources.certificate_completion import Completion
from hsmvault.resources.certificate_creation import Creation
from hsmvault.resources.certificate_imports import Imports
from hsmvault.resources.certificate_issuance import Issuance
from hsmvault.resources.certificate_issuer_objects import Contacts, IssuerObjects
from hsmvault.resources.certificate_issuers.local_ca import LocalCa
from hsmvault.resources.certificate_issuers.partners import PARTNERS, Partner
from hsmvault.resources.certificate_issuers.registry import Issuers
from hsmvault.resources.certificate_issuers.self_signed import SelfIssuer
from hsmvault.resources.certificate_issuers.unknown import UnknownIssuer
from hsmvault.resources.certificate_material import CertificateMaterial
from hsmvault.resources.certificate_operations import Operations
from hsmvault.resources.certificates import Certificates
from hsmvault.resources.secret_backups import SecretBackups
from hsmvault.resources.secret_cache import SecretCache
from hsmvault.resources.secrets import Secrets
from hsmvault.store.changes import ChangeFeed
from hsmvault.store.database import Database

AUTHORITY = AuthorityRules(
    name="corp",
    root_subject="CN=Test Root",
    subject="CN=Test CA",
    spec=KeySpec.ec(Curve.P256),
    base_url="http://pki.example.com",
)


@dataclass(frozen=True)
class VaultParts:
    sealer: Sealer
    secrets: Secrets
    secret_backups: SecretBackups
    certificates: Certificates
    creation: Creation
    completion: Completion
    operations: Operations
    issuance: Issuance
    imports: Imports
    backups: CertificateBackups
    issuers: IssuerObjects
    contacts: Contacts


def vault_parts(
    database: Database,
    feed: ChangeFeed,
    container: Container,
    custodians: Custodians,
    sealer: Sealer,
    lane: Lane[None],
    records: WorkRecords,
    clock: Clock,
    identifiers: Identifiers,
    intents: Intents,
) -> VaultParts:
    """container: any of those that are served."""
    sealers, geographies = {container.world_id: sealer}, {container.world_id: "local"}
    cache = SecretCache(database)
    feed.subscribe("secret", cache.forget)
    authorities = Authorities(
        (AUTHORITY,),
        custodians.worlds[container.world_id],
        database=database,
        clock=clock,
        identifiers=identifiers,
        intents=intents,
    )
    issuers = Issuers(
        database,
        sealers,
        own=(SelfIssuer(clock, identifiers), UnknownIssuer()),
        providers=[LocalCa(authorities), *(Partner(provider) for provider in PARTNERS)],
    )
    material = CertificateMaterial(custodians, sealers, lane, identifiers)
    completion = Completion(database, material, lane, clock, identifiers)
    return VaultParts(
        sealer,
        Secrets(database, cache, sealers, clock, identifiers),
        SecretBackups(database, sealers, geographies, clock),
        Certificates(database, custodians, clock, intents),
        Creation(database, material, issuers, clock, identifiers, intents),
        completion,
        Operations(database, material, issuers, clock, intents),
        Issuance(database, issuers, material, completion, records, clock),
        Imports(database, material, lane, clock, identifiers, intents),
        CertificateBackups(database, custodians, sealers, geographies, clock),
        IssuerObjects(database, sealers, issuers, clock),
        Contacts(database),
    )
