"""A worker in the test's own process: real sockets, real database, soft keys, an issuer whose keys the test holds.

Vaults: `dev` (RBAC), `empty` (RBAC, nobody may anything), `blocked` (its firewall lets nobody in), `policies` (access
policies), `protected` (purge protection), `theirs` (of the other tenant),
`hardware` (takes no soft keys). Pools, without an HSM behind them: `devhsm`, `emptyhsm`, `blockedhsm` and `theirshsm`,
as the vaults. The clock stands still until a test moves it.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hsmvault.app.certificates import CertificateBase, CertificateParts, make_certificates
from hsmvault.audit.log import AuditLog
from hsmvault.clock import RandomIdentifiers
from hsmvault.custody.custodians import Custodians, WorldCustody
from hsmvault.custody.intents import Intents
from hsmvault.custody.keyring import KeyRing
from hsmvault.custody.sealing import Sealer
from hsmvault.custody.soft import SoftCustodian
from hsmvault.lanes import Lane
from hsmvault.model import builtin_roles, local_roles, pool_roles
from hsmvault.model.containers import AccessPolicy, AuthorizationModel, Container, ContainerKind
from hsmvault.model.lifecycle import Retention
from hsmvault.model.named_networks import NO_NETWORKS, NamedNetworks
from hsmvault.model.network import NetworkRules, TrustedProxies
from hsmvault.model.roles import RoleAssignment
from hsmvault.model.worlds import ACTIVE, SystemKeyRow, WorldRow
from hsmvault.pipeline.caches import ContainerCache
from hsmvault.pipeline.call import Call
from hsmvault.pipeline.firewall import Firewall
from hsmvault.pipeline.records import WorkRecords
from hsmvault.pipeline.run import Pipeline
from hsmvault.resources.certificate_issuers.protocol import Issuer
from hsmvault.resources.environment_assertions import EnvironmentAssertions
from hsmvault.resources.key_attestation import KeyAttestations
from hsmvault.resources.key_backups import KeyBackups
from hsmvault.resources.key_cache import KeyCache
from hsmvault.resources.key_operations import KeyOperations
from hsmvault.resources.key_release import KeyRelease
from hsmvault.resources.key_rotation import KeyRotation
from hsmvault.resources.key_secure_wrap import KeySecureWrap
from hsmvault.resources.keys import Keys
from hsmvault.resources.pools.pool_settings import SettingsOfPools
from hsmvault.resources.secret_backups import SecretBackups
from hsmvault.resources.secret_cache import SecretCache
from hsmvault.resources.secret_formats import SecretFormats
from hsmvault.resources.secrets import Secrets
from hsmvault.store import containers, worlds
from hsmvault.store.changes import ChangeFeed
from hsmvault.store.data_keys import DataKeys
from hsmvault.store.database import Database
from hsmvault.wire import failures, forms
from hsmvault.wire.data_plane import BodyLimits, DataPlane
from hsmvault.wire.door import Door
from hsmvault.wire.entries import NamedEntrance
from hsmvault.wire.handlers import Handlers
from hsmvault.wire.hosts import Hosts, Plane
from hsmvault.wire.hsm_answers import HsmAnswers
from hsmvault.wire.key_lives import KeyLives
from hsmvault.wire.key_release import KeyReleases
from hsmvault.wire.key_rotation import KeyRotations
from hsmvault.wire.key_uses import KeyUses
from hsmvault.wire.paging import Pages
from hsmvault.wire.pool_settings import PoolSettingHandlers
from hsmvault.wire.secret_lives import SecretLives
from hsmvault.wire.server import Limits, Listener
from hsmvault.wire.versions import ApiVersions
from tests.custody.doubles import SoftwareSystemKey
from tests.login.world import free_socket
from tests.pipeline.world import (
    LOGIN,
    OBJECT_ID,
    OTHER_TENANT,
    POOL_RESOURCE,
    VAULT,
    MemoryAssignments,
    World,
    authorization_of,
    b64,
    rsa_key,
)

VERSION = "api-version=7.4"
SYSTEM_KEY = "system-key-1"
SHORT_LIMITS = Limits(header_bytes=4096, connections=20, header_seconds=0.05, idle_seconds=0.1, handshake_seconds=1)
VAULTS = {
    name: replace(VAULT, id=f"11111111-0000-0000-0000-0000000000{number:02}", name=name, premium=False, **changes)
    for number, (name, changes) in enumerate(
        {
            "dev": {},
            "empty": {"subscription_id": "33333333-0000-0000-0000-000000000009"},
            "blocked": {"network": NetworkRules(allow_by_default=False)},
            "policies": {
                "authorization": AuthorizationModel.ACCESS_POLICIES,
                "access_policies": (AccessPolicy(VAULT.tenant_id, OBJECT_ID, keys=frozenset({"get"})),),
            },
            "protected": {"retention": Retention(7, purge_protection=True)},
            "theirs": {"tenant_id": OTHER_TENANT},
            "hardware": {"software_keys": False},
        }.items(),
        start=1,
    )
}
POOLS = {
    name: replace(
        VAULT, id=f"11111111-0000-0000-0000-0000000001{number:02}", name=name, kind=ContainerKind.POOL, **changes
    )
    for number, (name, changes) in enumerate(
        {
            "devhsm": {},
            "emptyhsm": {},
            "blockedhsm": {"network": NetworkRules(allow_by_default=False)},
            "theirshsm": {"tenant_id": OTHER_TENANT},
            "newhsm": {"activated": False},
        }.items(),
        start=1,
    )
}


@dataclass
class Answer:
    """headers: as they came, names in lower case."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    raw: bytes

    def header(self, name: str) -> str | None:
        """The only header of this name, or None."""
        found = [value for known, value in self.headers if known == name.lower()]
        assert len(found) <= 1, found
        return found[0] if found else None

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json["error"]["code"])

    @property
    def inner(self) -> str | None:
        inner = self.json["error"].get("innererror")
        return None if inner is None else str(inner["code"])

    @property
    def message(self) -> str:
        return str(self.json["error"]["message"])


@dataclass
class Service(World):
    port: int = 0
    calls: list[Call] = field(default_factory=list)
    further: list[int] = field(default_factory=list)

    def __init__(self) -> None:
        super().__init__()
        self.port, self.calls, self.further = 0, [], []
        role = builtin_roles.BY_NAME["Key Vault Administrator"].id
        scope = f"/subscriptions/{VAULT.subscription_id}"
        everywhere = local_roles.stored_scope(POOLS["devhsm"].id, local_roles.ALL)
        self.assignments = MemoryAssignments(
            [
                RoleAssignment("a", scope, role, OBJECT_ID),
                *(RoleAssignment(one.id, everywhere, one.id, OBJECT_ID) for one in pool_roles.BUILT_IN),
            ]
        )
        self.audit_path = Path()
        self.database: Database
        self.sealer: Sealer
        self.certificates: CertificateParts
        self.listener: Listener | None = None
        self.context: ssl.SSLContext | None = None  # of the client, where the service speaks TLS

    def request(
        self,
        method: str,
        target: str,
        body: object = None,
        *,
        host: str = "dev.vault.localhost:8443",
        token: str | None = "good",  # noqa: S107  # the word for a good one
        more: list[str] | None = None,
    ) -> bytes:
        """A whole request. body: JSON of a value, or bytes. token: 'good' for the owner's, None for none."""
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *(more or [])]
        if token is not None:
            audience = {"aud": POOL_RESOURCE} if ".managedhsm." in host else {}
            good = self.token(self.claims(**audience)) if token == "good" else token
            lines.append(f"Authorization: Bearer {good}")
        if body is not None or method in ("POST", "PUT", "PATCH"):
            lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + content

    async def raw(self, content: bytes, *, answers: int = 1) -> list[Answer]:
        """Send these bytes on a new connection and read so many answers, or fewer when it is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.context)
        try:
            writer.write(content)
            return [answer for _ in range(answers) if (answer := await read_answer(reader)) is not None]
        finally:
            writer.close()

    async def ask(self, method: str, target: str, body: object = None, **more: Any) -> Answer:
        """target: with api-version=7.4 unless it has a query."""
        if "?" not in target:
            target += "?" + VERSION
        (answer,) = await self.raw(self.request(method, target, body, **more))
        return answer

    async def create_ec(self, name: str = "ec", vault: str = "dev", **members: object) -> str:
        """A soft P-256 key; returns its version."""
        body = {"kty": "EC", "crv": "P-256"} | members
        answer = await self.ask("POST", f"/keys/{name}/create", body, host=f"{vault}.vault.localhost:8443")
        assert answer.status == 200, answer.body
        return str(answer.json["key"]["kid"]).rpartition("/")[2]

    async def import_rsa(self, name: str = "rsa", **members: object) -> str:
        """The issuer's own test key; returns its version."""
        numbers = rsa_key().private_numbers()
        public = numbers.public_numbers
        given = {"n": public.n, "e": public.e, "d": numbers.d, "p": numbers.p, "q": numbers.q}
        given |= {"dp": numbers.dmp1, "dq": numbers.dmq1, "qi": numbers.iqmp}
        jwk = {"kty": "RSA"} | {
            name: b64(value.to_bytes((value.bit_length() + 7) // 8)) for name, value in given.items()
        }
        answer = await self.ask("PUT", f"/keys/{name}", {"key": jwk} | members)
        assert answer.status == 200, answer.body
        return str(answer.json["key"]["kid"]).rpartition("/")[2]

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.audit_path.read_bytes().splitlines()]


async def read_answer(reader: asyncio.StreamReader, *, head: bool = False) -> Answer | None:
    """None when the connection ends before an answer."""
    try:
        top = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    line, *lines = top.decode("latin-1").split("\r\n")[:-2]
    headers = [(name.lower(), value.strip()) for name, _, value in (one.partition(":") for one in lines)]
    answer = Answer(int(line.split(" ")[1]), headers, b"", top)
    length = int(answer.header("content-length") or "0")
    answer.body = await reader.readexactly(0 if head else length)
    return answer


@asynccontextmanager
async def serving(
    path: Path,
    audit_directory: Path,
    *,
    limits: Limits = Limits(),  # noqa: B008  # frozen
    bodies: BodyLimits = BodyLimits(),  # noqa: B008  # frozen
    versions: ApiVersions | None = None,
    proxies: TrustedProxies = TrustedProxies(),  # noqa: B008  # frozen
    tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None,
    more: Iterable[Container] = (),
    hard: WorldCustody | None = None,
    issuers: Iterable[Issuer] = (),
    networks: NamedNetworks = NO_NETWORKS,
    firewall: Firewall | None = None,
    further: Iterable[tuple[NamedEntrance, ssl.SSLContext | None]] = (),
) -> AsyncIterator[Service]:
    """path: an empty database with its schema. tls: contexts of the server and of the client. more: containers beside
    VAULTS and POOLS. hard: who holds HSM-backed keys; without, nobody does. issuers: of certificates, beside those
    that need no configuration. further: listeners beside the main one, for their ports see Service.further."""
    service, identifiers = Service(), RandomIdentifiers()
    service.database = database = await Database.open(f"sqlite:///{path}", clock=service.clock)
    async with database.write() as tx:
        await worlds.insert_world(tx, WorldRow(VAULT.world_id, "default", "local", "token", b"", b"m", "wrapped", 0))
        await worlds.insert_system_key(tx, SystemKeyRow(SYSTEM_KEY, VAULT.world_id, b"s", ACTIVE, 0))
        for container in (*VAULTS.values(), *POOLS.values(), *more):
            await containers.insert(tx, container)
    lanes: list[Lane[None]] = [Lane(name, None, limit=100) for name in ("soft", "generation", "checks", "verification")]
    audit = AuditLog(audit_directory, "0", service.clock)
    service.audit_path = audit_directory / "audit-0-000001.jsonl"
    ring = KeyRing(SoftwareSystemKey(SYSTEM_KEY))
    service.sealer = sealer = Sealer(ring, DataKeys(database), service.clock, identifiers)
    worlds_served = {} if hard is None else {VAULT.world_id: hard}
    custodians = Custodians(SoftCustodian(sealer, service.clock, work=lanes[0], generation=lanes[1]), worlds_served)
    intents = Intents(database, "test", service.clock)
    cache = KeyCache(database, custodians)
    feed = ChangeFeed(database)
    feed.subscribe("key", cache.forget)
    keys = Keys(database, custodians, cache, lanes[2], service.clock, identifiers, intents)
    sealers = {VAULT.world_id: sealer}
    backups = KeyBackups(database, custodians, sealers, {}, service.clock, identifiers)
    secret_cache = SecretCache(database)
    feed.subscribe("secret", secret_cache.forget)
    assertions = EnvironmentAssertions((), service.clock)
    records = WorkRecords(audit, service.clock, identifiers, _origin, failures.status_of)
    service.certificates = make_certificates(
        CertificateBase(
            database,
            custodians,
            sealers,
            {},
            Pages(sealer),
            records,
            lanes[0],
            lanes[2],
            service.clock,
            identifiers,
            intents,
        ),
        issuers,
    )
    handlers = Handlers(
        KeyLives(keys, backups, Pages(sealer)),
        KeyUses(KeyOperations(cache, service.clock, lanes[3], identifiers)),
        KeyRotations(KeyRotation(database, keys, service.clock)),
        KeyReleases(
            KeyRelease(cache, custodians, assertions, {}),
            KeySecureWrap(cache, custodians, assertions, service.clock, _random),
        ),
        HsmAnswers(KeyAttestations(cache, custodians), _random),
        PoolSettingHandlers(SettingsOfPools(database)),
        SecretLives(
            Secrets(database, secret_cache, sealers, service.clock, identifiers),
            SecretBackups(database, sealers, {}, service.clock),
            SecretFormats(lanes[2], identifiers),
            Pages(sealer),
        ),
        *service.certificates.handlers,
    )
    cached = ContainerCache(database)
    feed.subscribe("container", lambda _, name: cached.forget(name))
    pipeline = Pipeline(
        service.authentication,
        authorization_of(service.assignments),
        audit,
        service.clock,
        failures.status_of,
        firewall,
    )
    planes = {
        plane: DataPlane(
            form,
            feed,
            cached,
            pipeline,
            handlers.table,
            versions or ApiVersions(),
            service.clock,
            lambda tenant_id: f"{LOGIN}/{tenant_id}",
            service.calls.append,
            bodies,
            networks,
        )
        for plane, form in ((Plane.VAULT, forms.VAULT), (Plane.POOL, forms.POOL))
    }
    door = Door(
        Hosts("localhost", 8443),
        planes,
        None,
        proxies,
        identifiers,
        lambda _: None,
    )
    listening = free_socket()
    service.listener = await Listener.start(door.handle, [listening], tls[0] if tls else None, limits)
    service.port, service.context = listening.getsockname()[1], tls[1] if tls else None
    others: list[Listener] = []
    for entrance, context in further:
        socket_of_it = free_socket()
        socket_of_it.listen()
        socket_of_it.setblocking(False)
        service.further.append(socket_of_it.getsockname()[1])
        others.append(await Listener.start_further(door.handle, socket_of_it, context, limits, entrance))
    try:
        yield service
    finally:
        for other in others:
            await other.stop(1.0)
        await service.listener.stop(1.0)
        await service.certificates.issuance.close()
        await feed.close()
        for lane in lanes:
            await lane.close()
        await audit.close()
        await database.close()


def _origin(container: Container) -> str:
    return f"https://{container.name}.vault.localhost:8443"


async def _random(_: Container, length: int) -> bytes:
    """In place of a token's."""
    return RandomIdentifiers().random(length)


def vault(name: str) -> Container:
    return VAULTS[name]
