"""The issuer "ACME" with everything real but the server, the clock and the pauses; and a caller who asks until there is
an answer, as the job does that keeps the state.
"""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from hsmvault.clock import MovedClock, RandomIdentifiers
from hsmvault.custody.custodians import WorldCustody
from hsmvault.custody.intents import Intents
from hsmvault.custody.protocols import CustodyClass
from hsmvault.custody.statement_keys import StatementKeys
from hsmvault.errors import Unavailable
from hsmvault.model.algorithms import Curve, KeySpec
from hsmvault.model.certificate_policies import AlternativeNames, CertificatePolicy, X509Properties
from hsmvault.model.certificates import CertificateOperation, Status
from hsmvault.outbound.acme import AcmeClient
from hsmvault.outbound.acme_jws import ExternalBinding
from hsmvault.resources.certificate_issuers.acme import AcmeIssuer
from hsmvault.resources.certificate_issuers.acme_account import PURPOSE, AcmeAccount
from hsmvault.resources.certificate_issuers.acme_challenges import Publisher
from hsmvault.resources.certificate_issuers.acme_server import AcmeServer
from hsmvault.resources.certificate_issuers.protocol import Account, Enrolment, Issued, Outcome, Refused, Waiting
from hsmvault.store import acme_challenges
from hsmvault.store.database import Database
from tests.acme_server import AcmeDouble
from tests.login.custodian import MemoryCustodian
from tests.login.world import serve_on
from tests.outbound.acme_parts import REQUEST_KEY, public_of, signing_request
from tests.pebble import Pebble
from tests.pipeline.world import rsa_key
from tests.resources.stage import VAULT, WORLD_ID

NAME = "test"
ACCOUNT = Account("issuer-of-the-vault", "ACME", account_id=NAME)


class _NoHandle:
    """The key of a certificate: an ACME issuer never uses it."""


@dataclass
class Rig:
    """directory, context: of the server. waits: what every Waiting said."""

    server: AcmeDouble | Pebble
    database: Database
    publisher: Publisher
    clock: MovedClock = field(default_factory=MovedClock)
    custodian: MemoryCustodian = field(default_factory=lambda: MemoryCustodian([rsa_key(1), rsa_key(2)]))
    world: WorldCustody | None = None
    contacts: Sequence[str] = ("pki@example.com",)
    binding: ExternalBinding | None = None
    pauses: list[float] = field(default_factory=list)
    waits: list[Waiting] = field(default_factory=list)
    failures: list[Unavailable] = field(default_factory=list)

    def issuer(self) -> AcmeIssuer:
        """As another worker has it: nothing is remembered but in the database."""

        async def mac(_: str, __: bytes) -> bytes:
            raise NotImplementedError

        world = self.world or WorldCustody(CustodyClass.WRAPPED, {CustodyClass.WRAPPED: self.custodian}, mac)
        keys = StatementKeys(
            PURPOSE + NAME,
            WORLD_ID,
            world,
            database=self.database,
            clock=self.clock,
            identifiers=RandomIdentifiers(),
            intents=Intents(self.database, "node", self.clock),
            common_name="hsmvault acme",
        )
        directory = self.server.directory
        account = AcmeAccount(NAME, directory, keys, self.database, contacts=self.contacts, binding=self.binding)
        client = AcmeClient(directory, self.server.context, self.clock)
        server = AcmeServer(NAME, client, account, self.publisher, self.clock, pause=self._pause)
        return AcmeIssuer({NAME: server})

    async def _pause(self, seconds: float) -> None:
        """In no time for us, and in a hundredth of the time for a stranger's process."""
        self.pauses.append(seconds)
        self.clock.move(seconds)
        if isinstance(self.server, Pebble):
            await asyncio.sleep(seconds / 100)

    async def issue(self, enrolment: Enrolment, *, visits: int = 30) -> Issued | Refused:
        """Each visit by another worker, which has nothing but the state."""
        for _ in range(visits):
            outcome = await self.visit(enrolment)
            if isinstance(outcome, Issued | Refused):
                return outcome
            enrolment = kept(enrolment, outcome)
        raise AssertionError(f"it does not come to an end: {self.waits[-3:]}, {self.failures[-3:]}")

    async def visit(self, enrolment: Enrolment) -> Outcome | None:
        """None: it raised what is worth trying again."""
        try:
            outcome = await self.issuer().enrol(enrolment)
        except Unavailable as error:
            self.failures.append(error)
            self.clock.move(error.retry_after_seconds)
            return None
        if isinstance(outcome, Waiting):
            assert outcome.retry_at is not None
            assert outcome.retry_at >= int(self.clock.now())
            self.waits.append(outcome)
            self.clock.wall = max(self.clock.wall, float(outcome.retry_at))
        return outcome


def kept(enrolment: Enrolment, outcome: Outcome | None) -> Enrolment:
    if not isinstance(outcome, Waiting):
        return enrolment
    return replace(enrolment, operation=replace(enrolment.operation, state=outcome.state))


def enrolment(
    *names: str | x509.GeneralName,
    common_name: str = "",
    account: Account | None = ACCOUNT,
    key: ec.EllipticCurvePrivateKey = REQUEST_KEY,
) -> Enrolment:
    general = [x509.DNSName(name) if isinstance(name, str) else name for name in names]
    operation = CertificateOperation(
        container_id=VAULT.id,
        name="web",
        version="0" * 32,
        request_id="1" * 32,
        status=Status.IN_PROGRESS,
        policy=CertificatePolicy(x509=X509Properties(alternative_names=AlternativeNames(dns_names=("unused.test",)))),
        csr=signing_request(*general, common_name=common_name, key=key),
        created=1,
        updated=1,
    )
    return Enrolment(VAULT, operation, KeySpec.ec(Curve.P256), public_of(key), _NoHandle(), account)  # type: ignore[arg-type]  # unused


@asynccontextmanager
async def served(database: Database, port: int) -> AsyncIterator[list[str]]:
    """What the listener for plain HTTP does with the database. Gives the paths that were asked for."""
    asked: list[str] = []

    async def handle(request: web.BaseRequest) -> web.Response:
        asked.append(request.path)
        async with database.read() as tx:
            found = await acme_challenges.find(tx, request.path.removeprefix("/.well-known/acme-challenge/"))
        return web.Response(status=404) if found is None else web.Response(body=found)

    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    runner, _ = await serve_on(handle, listener, None)
    try:
        yield asked
    finally:
        await runner.cleanup()


@asynccontextmanager
async def opened(template: Path, path: Path, clock: MovedClock) -> AsyncIterator[Database]:
    """A database of the test's own. template: a migrated file."""
    shutil.copy(template, path)
    database = await Database.open(f"sqlite:///{path}", clock=clock)
    try:
        yield database
    finally:
        await database.close()


async def get(url: str) -> tuple[int, bytes]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.read()
