"""A node of rig.py with certificates: the whole way of them, from creation over issuers to the jobs, with soft keys.

The issuer `Test` issues as Self does, or fails as the test says. Contacts and issuer object are set from the start.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from hsmvault.clock import RandomIdentifiers
from hsmvault.errors import RequestError
from hsmvault.jobs.events import DropEvents
from hsmvault.jobs.expiry import AnnounceExpiry
from hsmvault.jobs.issuance import AdvanceIssuance
from hsmvault.jobs.purge import PurgeDeleted, purged_certificates, purged_keys, purged_secrets
from hsmvault.jobs.renewal import RenewCertificates
from hsmvault.jobs.runner import Runner
from hsmvault.model.algorithms import Curve, Family
from hsmvault.model.certificate_policies import (
    Action,
    CertificatePolicy,
    IssuerParameters,
    KeyProperties,
    LifetimeAction,
    X509Properties,
)
from hsmvault.model.certificates import CertificateIssuer, CertificateOperation, CertificateVersion, Contact
from hsmvault.model.containers import Container
from hsmvault.resources.certificate_backups import CertificateBackups
from hsmvault.resources.certificate_completion import Completion
from hsmvault.resources.certificate_creation import Creation, NewCertificate
from hsmvault.resources.certificate_issuance import Issuance
from hsmvault.resources.certificate_issuers.protocol import Account, Enrolment, Outcome
from hsmvault.resources.certificate_issuers.registry import Issuers
from hsmvault.resources.certificate_issuers.self_signed import SelfIssuer
from hsmvault.resources.certificate_issuers.unknown import UnknownIssuer
from hsmvault.resources.certificate_mails import CertificateMails
from hsmvault.resources.certificate_material import CertificateMaterial
from hsmvault.resources.certificate_operations import Operations
from hsmvault.resources.certificates import Certificate, Certificates
from hsmvault.resources.key_cache import KeyCache
from hsmvault.resources.key_operations import KeyOperations
from hsmvault.resources.secret_cache import SecretCache
from hsmvault.resources.secrets import Secrets
from hsmvault.store import certificate_issuers, certificate_operations, mails, schedule
from hsmvault.store.certificates import CERTIFICATES
from hsmvault.store.changes import ChangeFeed
from hsmvault.store.keys import KEYS
from hsmvault.store.mails import Mail
from hsmvault.store.schedule import What
from hsmvault.store.secrets import SECRETS
from tests.jobs.rig import VAULT, Node

CONTACTS = (Contact(email="ada@example.org"), Contact(name="without an address"), Contact(email="bob@example.org"))
RENEW = LifetimeAction(Action.AUTO_RENEW, lifetime_percentage=80)
P256 = KeyProperties(Family.EC, size_bits=256, curve=Curve.P256)


def policy_of(*actions: LifetimeAction, issuer: str = "Self", months: int = 12, **more: Any) -> CertificatePolicy:
    x509 = X509Properties(subject="CN=www.example.org", key_usage=("digitalSignature",), validity_months=months)
    return CertificatePolicy(P256, x509=x509, actions=actions, issuer=IssuerParameters(issuer), **more)


@dataclass
class ScriptedIssuer:
    """outcomes: one for each time it is asked, then it issues. asked: request ids. refuses: what check() raises."""

    issuer: SelfIssuer
    outcomes: list[Outcome | RequestError] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    refuses: RequestError | None = None
    provider: str = "Test"
    enrols: bool = True

    async def check(self, container: Container, policy: CertificatePolicy, account: Account | None) -> None:
        if self.refuses is not None:
            raise self.refuses

    async def enrol(self, enrolment: Enrolment) -> Outcome:
        self.asked.append(enrolment.operation.request_id)
        if not self.outcomes:
            return await self.issuer.enrol(enrolment)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, RequestError):
            raise outcome
        return outcome

    async def abandon(self, enrolment: Enrolment) -> None:
        pass


@dataclass
class CertificateNode:
    node: Node
    certificates: Certificates
    creation: Creation
    completion: Completion
    operations: Operations
    issuance: Issuance
    backups: CertificateBackups
    issuer: ScriptedIssuer
    secrets: Secrets
    uses: KeyOperations
    runner: Runner

    def now(self) -> int:
        return int(self.node.clock.now())

    async def begin(self, policy: CertificatePolicy | None = None, name: str = "site") -> CertificateOperation:
        return await self.creation.create(VAULT, name, NewCertificate(policy or policy_of(), tags={"a": "b"}))

    async def create(self, policy: CertificatePolicy | None = None, name: str = "site") -> Certificate:
        await self.begin(policy, name)
        await self.issuance.advance(VAULT, name)
        return await self.certificates.get(VAULT, name, None)

    async def move(self, seconds: float) -> None:
        """Time passes, and the node runs at the end of it."""
        self.node.clock.move(seconds)
        await self.tick()

    async def tick(self) -> None:
        """The jobs, and what they have begun in the background."""
        await self.runner.tick()
        await asyncio.gather(*self.issuance._running.values())

    async def move_to(self, moment: int) -> None:
        await self.move(moment - self.node.clock.now())

    async def versions(self, name: str = "site") -> list[CertificateVersion]:
        async with self.node.database.read() as tx:
            return await CERTIFICATES.all_versions(tx, VAULT.id, name)

    async def counts(self, name: str = "site") -> tuple[int, int, int]:
        """Rows of versions: of the certificate, its key and its secret, deleted or not."""
        async with self.node.database.read() as tx:
            return (
                len(await CERTIFICATES.all_versions(tx, VAULT.id, name)),
                len(await KEYS.all_versions(tx, VAULT.id, name)),
                len(await SECRETS.all_versions(tx, VAULT.id, name)),
            )

    async def operation(self, name: str = "site") -> CertificateOperation | None:
        async with self.node.database.read() as tx:
            return await certificate_operations.find_any(tx, VAULT.id, name)

    async def scheduled(self, kind: str = "certificates", name: str = "site") -> dict[What, int]:
        async with self.node.database.read() as tx:
            return await schedule.of_object(tx, VAULT.id, kind, name)

    async def mails(self) -> list[Mail]:
        """What was written since the last call: nobody sends it here."""
        async with self.node.database.write() as tx:
            waiting = await mails.due(tx, self.now(), 1, 1000)
            for one in waiting:
                await mails.done(tx, one)
        return [one.mail for one in waiting]

    async def subjects(self) -> list[tuple[str, str]]:
        """Recipients and subjects of mails()."""
        return [(mail.recipient, mail.subject) for mail in await self.mails()]

    async def told(self) -> list[str]:
        """Types of the events in the outbox, which stay there for a day."""
        return [event.type for event in await self.node.events()]

    def recorded(self, *operations: str) -> list[tuple[str, int]]:
        return [one for one in self.node.recorded() if not operations or one[0] in operations]


def told_to_all(subject: str) -> list[tuple[str, str]]:
    """What subjects() gives when every contact got one mail."""
    return [(contact.email, subject) for contact in CONTACTS if contact.email is not None]


@asynccontextmanager
async def certificates_of(node: Node, *, mail: bool = True) -> AsyncIterator[CertificateNode]:
    database, clock, identifiers = node.database, node.clock, RandomIdentifiers()
    sealers = {VAULT.world_id: node.sealer}
    material = CertificateMaterial(node.custodians, sealers, node.work, identifiers)
    issuer = ScriptedIssuer(SelfIssuer(clock, identifiers))
    issuers = Issuers(database, sealers, [SelfIssuer(clock, identifiers), UnknownIssuer()], [issuer])
    creation = Creation(database, material, issuers, clock, identifiers, node.intents)
    completion = Completion(database, material, node.work, clock, identifiers)
    issuance = Issuance(database, issuers, material, completion, node.records, clock)
    certificates = Certificates(database, node.custodians, clock, node.intents)
    feed, key_cache, secret_cache = ChangeFeed(database), KeyCache(database, node.custodians), SecretCache(database)
    feed.subscribe("key", key_cache.forget)
    feed.subscribe("secret", secret_cache.forget)
    secrets = Secrets(database, secret_cache, sealers, clock, identifiers)
    runner = Runner(
        database,
        [
            RenewCertificates(database, creation, issuance, CertificateMails(enabled=mail), node.records),
            AnnounceExpiry(database, node.records, clock, identifiers),
            PurgeDeleted(
                database,
                node.records,
                [purged_certificates(certificates), purged_keys(node.keys), purged_secrets(secrets)],
            ),
            DropEvents(database),
        ],
        clock,
        f"certificates-{identifiers.guid()}",
        apart=[AdvanceIssuance(database, issuance, clock)],
    )
    async with database.write() as tx:
        await certificate_issuers.set_contacts(tx, VAULT.id, CONTACTS)
        if await certificate_issuers.find(tx, VAULT.id, "test") is None:
            now = int(clock.now())
            await certificate_issuers.insert(tx, CertificateIssuer(VAULT.id, "test", "Test", now, now))
    try:
        yield CertificateNode(
            node,
            certificates,
            creation,
            completion,
            Operations(database, material, issuers, clock, node.intents),
            issuance,
            CertificateBackups(database, node.custodians, sealers, {VAULT.world_id: "local"}, clock),
            issuer,
            secrets,
            KeyOperations(key_cache, clock, node.work, identifiers),
            runner,
        )
    finally:
        await issuance.close()
        await feed.close()
