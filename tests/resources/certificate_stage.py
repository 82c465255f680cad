"""Certificates in a real database, with soft keys alone or with a real token; the issuers are stand-ins, and what they
would issue is signed here."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from hsmvault.clock import MovedClock, RandomIdentifiers
from hsmvault.custody.custodians import Custodians
from hsmvault.custody.intents import Intents
from hsmvault.custody.keyring import KeyRing
from hsmvault.custody.protocols import CustodyClass
from hsmvault.custody.sealing import Sealer
from hsmvault.custody.soft import SoftCustodian
from hsmvault.errors import BadRequest
from hsmvault.lanes import Lane
from hsmvault.model.algorithms import Curve, Family
from hsmvault.model.certificate_policies import (
    SELF,
    CertificatePolicy,
    IssuerParameters,
    KeyProperties,
    X509Properties,
)
from hsmvault.model.certificates import CertificateOperation, CertificateVersion
from hsmvault.model.containers import Container
from hsmvault.model.keys import KeyName, KeyVersion
from hsmvault.model.secrets import SecretVersion
from hsmvault.resources.certificate_completion import Completion
from hsmvault.resources.certificate_creation import Creation, NewCertificate
from hsmvault.resources.certificate_imports import Imports
from hsmvault.resources.certificate_issuers.protocol import Account, Enrolment, Issuer, Outcome, Waiting
from hsmvault.resources.certificate_material import CertificateMaterial
from hsmvault.resources.certificate_operations import Operations
from hsmvault.resources.certificates import Certificate
from hsmvault.resources.secret_cache import binding_of
from hsmvault.store import containers, outbox
from hsmvault.store.certificates import CERTIFICATES
from hsmvault.store.database import Database
from hsmvault.store.intents import of_owner
from hsmvault.store.keys import KEYS
from hsmvault.store.migrations import migrate
from hsmvault.store.secrets import SECRETS
from tests.custody.certificates import BEGIN, Issued, issued
from tests.custody.doubles import MemoryDataKeyStore, SoftwareSystemKey
from tests.resources.stage import VAULT, WORLD_ID, stage
from tests.softhsm import SoftToken

P256 = KeyProperties(Family.EC, size_bits=256, curve=Curve.P256)
SIGNING = X509Properties("CN=www.example.com", key_usage=("digitalSignature",))
MANUAL = CertificatePolicy(key=P256, x509=SIGNING)
BY_ISSUER = replace(MANUAL, issuer=IssuerParameters(SELF))


@dataclass
class StandIn:
    """An Issuer that never issues by itself. refuses: what check() raises."""

    provider: str = "StandIn"
    enrols: bool = True
    refuses: BadRequest | None = None
    abandoned: list[Enrolment] = field(default_factory=list)

    async def check(self, container: Container, policy: CertificatePolicy, account: Account | None) -> None:
        if self.refuses is not None:
            raise self.refuses

    async def enrol(self, enrolment: Enrolment) -> Outcome:
        return Waiting(b"", None)

    async def abandon(self, enrolment: Enrolment) -> None:
        self.abandoned.append(enrolment)


@dataclass
class StandIns:
    """Whatever the policy says, it is this one."""

    issuer: StandIn = field(default_factory=StandIn)

    async def resolve(self, container: Container, policy: CertificatePolicy) -> tuple[Issuer, Account | None]:
        return self.issuer, None


@dataclass
class Stage:
    clock: MovedClock
    database: Database
    custodians: Custodians
    sealer: Sealer
    intents: Intents
    material: CertificateMaterial
    issuers: StandIns
    creation: Creation
    completion: Completion
    operations: Operations
    imports: Imports

    async def create(
        self, name: str = "cert", policy: CertificatePolicy | None = MANUAL, *, is_renewal: bool = False, **said: Any
    ) -> CertificateOperation:
        new = replace(NewCertificate(policy), **said)
        return await self.creation.create(VAULT, name, new, is_renewal=is_renewal)

    async def made(self, name: str = "cert", policy: CertificatePolicy = MANUAL, **said: Any) -> Certificate:
        """Created and completed."""
        operation = await self.create(name, policy, **said)
        return await self.completion.complete(VAULT, operation, [signed(operation.csr)])

    async def certificates(self, name: str = "cert") -> list[CertificateVersion]:
        async with self.database.read() as tx:
            return await CERTIFICATES.all_versions(tx, VAULT.id, name)

    async def keys(self, name: str = "cert") -> list[KeyVersion]:
        async with self.database.read() as tx:
            return await KEYS.all_versions(tx, VAULT.id, name)

    async def key_name(self, name: str = "cert") -> KeyName | None:
        async with self.database.read() as tx:
            return await KEYS.name(tx, VAULT.id, name)

    async def secrets(self, name: str = "cert") -> list[SecretVersion]:
        async with self.database.read() as tx:
            return await SECRETS.all_versions(tx, VAULT.id, name)

    async def counts(self, name: str = "cert") -> tuple[int, int, int]:
        """Versions of the certificate, the key and the secret."""
        return len(await self.certificates(name)), len(await self.keys(name)), len(await self.secrets(name))

    async def value(self, name: str = "cert") -> str:
        """Of the latest version of the secret."""
        row = (await self.secrets(name))[-1]
        return (await self.sealer.open(row.sealed, binding_of(VAULT.id, row.name, row.version))).decode()

    async def pfx(self, name: str = "cert") -> bytes:
        return base64.b64decode(await self.value(name))

    async def events(self) -> list[tuple[str, str]]:
        """Type and version, the oldest first."""
        async with self.database.read() as tx:
            return [(event.type, event.version) for _, event in await outbox.page(tx, 0, 1000)]

    async def planned(self) -> int:
        """Intents: resident keys that no row answers for."""
        async with self.database.read() as tx:
            return len(await of_owner(tx, "test"))


def signed(
    csr: bytes, by: Issued | None = None, *, days: int = 365, extension: x509.ExtensionType | None = None
) -> bytes:
    """A certificate in DER for the key of a signing request, by an authority."""
    request = x509.load_der_x509_csr(csr)
    authority = by or root()
    builder = (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(authority.certificate.subject)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGIN)
        .not_valid_after(BEGIN + timedelta(days=days))
    )
    if extension is not None:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(Encoding.DER)


@cache
def root() -> Issued:
    return issued("Test Root", days=3650)


@cache
def intermediate() -> Issued:
    return issued("Test CA", root(), days=3650)


@cache
def _empty_database() -> bytes:
    """With the schema: a migration takes longer than most tests."""
    with TemporaryDirectory() as folder:
        migrate(f"sqlite:///{folder}/hsmvault.db")
        return (Path(folder) / "hsmvault.db").read_bytes()


@asynccontextmanager
async def soft_stage(folder: Path, beside: Stage | None = None) -> AsyncIterator[Stage]:
    """Without a token. beside: the first worker of the same installation."""
    clock = MovedClock() if beside is None else beside.clock
    path, identifiers = folder / "hsmvault.db", RandomIdentifiers()
    if beside is None:
        path.write_bytes(_empty_database())
    lanes: list[Lane[None]] = [Lane(name, None, limit=100) for name in ("soft", "generation")]
    database = await Database.open(f"sqlite:///{path}", clock=clock)
    if beside is None:
        async with database.write() as tx:
            await containers.insert(tx, VAULT)
        sealer = Sealer(KeyRing(SoftwareSystemKey()), MemoryDataKeyStore(), clock, identifiers)
    else:
        sealer = beside.sealer
    custodians = Custodians(SoftCustodian(sealer, clock, work=lanes[0], generation=lanes[1]), {})
    try:
        async with _parts(database, custodians, sealer, clock, Intents(database, "test", clock)) as made:
            yield made
    finally:
        for lane in lanes:
            await lane.close()
        await database.close()


@asynccontextmanager
async def hard_stage(
    token: SoftToken, folder: Path, default: CustodyClass = CustodyClass.WRAPPED
) -> AsyncIterator[Stage]:
    """With a token. default: the class of new hard keys."""
    async with stage(token, folder / "hsmvault.db", default) as below:
        sealer = Sealer(KeyRing(SoftwareSystemKey()), MemoryDataKeyStore(), below.clock, RandomIdentifiers())
        async with _parts(below.database, below.custodians, sealer, below.clock, below.intents) as made:
            yield made


@asynccontextmanager
async def _parts(
    database: Database, custodians: Custodians, sealer: Sealer, clock: MovedClock, intents: Intents
) -> AsyncIterator[Stage]:
    identifiers, issuers = RandomIdentifiers(), StandIns()
    work: Lane[None] = Lane("certificates", None, limit=100)
    reading: Lane[None] = Lane("imports", None, limit=100)
    material = CertificateMaterial(custodians, {WORLD_ID: sealer}, work, identifiers)
    try:
        yield Stage(
            clock,
            database,
            custodians,
            sealer,
            intents,
            material,
            issuers,
            Creation(database, material, issuers, clock, identifiers, intents),
            Completion(database, material, work, clock, identifiers),
            Operations(database, material, issuers, clock, intents),
            Imports(database, material, reading, clock, identifiers, intents),
        )
    finally:
        await asyncio.gather(work.close(), reading.close())
