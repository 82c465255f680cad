"""An issuer with a directory, on real sockets: what the tests of this folder stand on."""

import base64
import socket
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import jwt
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from hsmvault.clock import Clock, RandomIdentifiers
from hsmvault.custody.intents import Intents
from hsmvault.custody.protocols import Custodian
from hsmvault.errors import Unavailable
from hsmvault.login import bootstrap
from hsmvault.login.application import LoginApplication
from hsmvault.login.attempts import LoginAttempt
from hsmvault.login.managed_identities import IdentityEndpoints
from hsmvault.login.rotation import Rotation
from hsmvault.login.settings import LoginSettings
from hsmvault.login.signing_keys import SigningKeys
from hsmvault.model.principals import Principal, Tenant
from hsmvault.store.database import Database
from tests.login.custodian import MemoryCustodian

_GROUP = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg"
VM = f"{_GROUP}/providers/Microsoft.Compute/virtualMachines/Dev"
OTHER_VM = VM.replace("Dev", "other")
PLANES = ("vault", "managedhsm", "management", "graph")


def certificate(
    key: rsa.RSAPrivateKey,
    name: str = "test",
    *,
    issuer: tuple[x509.Certificate, rsa.RSAPrivateKey] | None = None,
    hosts: tuple[str, ...] = (),
    is_ca: bool = False,
    until: datetime = datetime(2045, 1, 1, tzinfo=UTC),
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = key if issuer is None else issuer[1]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer[0].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if hosts:
        names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(signer, SHA256())


def der(value: x509.Certificate) -> bytes:
    return value.public_bytes(Encoding.DER)


def key_pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@dataclass
class Recorder:
    """Where attempts go. is_full: no sink accepts them."""

    attempts: list[LoginAttempt] = field(default_factory=list)
    is_full: bool = False

    async def __call__(self, attempt: LoginAttempt) -> None:
        if self.is_full:
            raise Unavailable("The audit log is not available.", detail="disk full")
        self.attempts.append(attempt)

    @property
    def last(self) -> LoginAttempt:
        return self.attempts[-1]


@dataclass
class World:
    settings: LoginSettings
    clock: Clock
    database: Database
    custodian: MemoryCustodian
    signing_keys: SigningKeys
    rotation: Rotation
    recorder: Recorder
    application: LoginApplication
    identity_endpoints: IdentityEndpoints
    tenant: Tenant
    other_tenant: Tenant
    owner: Principal
    secret: str
    owner_key: rsa.RSAPrivateKey
    owner_certificate: x509.Certificate
    stranger: Principal  # an application of the other tenant
    stranger_secret: str
    group: Principal
    outer_group: Principal
    machine: Principal
    identity_header: str
    session: aiohttp.ClientSession
    url: str = ""
    identity_url: str = ""

    @property
    def vault(self) -> str:
        return self.settings.resources["vault"]

    def token_path(self, dialect: str = "oauth2/v2.0") -> str:
        return f"/{self.tenant.id}/{dialect}/token"

    def form(self, **changes: str) -> dict[str, str]:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.owner.application_id,
            "client_secret": self.secret,
            "scope": f"{self.vault}/.default",
        }
        form |= changes
        return {name: value for name, value in form.items() if value}

    async def post(self, path: str, form: object, **more: object) -> "Answer":
        async with self.session.post(self.url + path, data=form, allow_redirects=False, **more) as response:
            return await Answer.read(response)

    async def get(self, path: str, **more: object) -> "Answer":
        async with self.session.get(self.url + path, allow_redirects=False, **more) as response:
            return await Answer.read(response)

    async def token(self, **changes: str) -> "Answer":
        return await self.post(self.token_path(), self.form(**changes))

    async def claims(self, token: str) -> dict[str, object]:
        """The claims of a token, verified as a plane does it: by the published keys alone."""
        keys = jwt.PyJWKSet.from_dict((await self.get("/common/discovery/keys")).json)
        key = next(key for key in keys.keys if key.key_id == jwt.get_unverified_header(token)["kid"])
        options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False}
        return jwt.decode(token, key.key, algorithms=["RS256"], options=options)


@dataclass
class Answer:
    status: int
    headers: "aiohttp.typedefs.LooseHeaders"
    text: str
    json: dict[str, object]

    @classmethod
    async def read(cls, response: aiohttp.ClientResponse) -> "Answer":
        text = await response.text()
        is_json = response.content_type == "application/json" and text
        return cls(response.status, response.headers, text, await response.json() if is_json else {})

    @property
    def code(self) -> int:
        """The AADSTS code."""
        (code,) = self.json["error_codes"]
        assert self.json["error_description"].startswith(f"AADSTS{code}: ")
        return code


def assertion(world: World, *, algorithm: str = "RS256", header: dict | None = None, **claims: object) -> str:
    """A good client assertion of the owner; claims and header members replace or, when None, remove the good ones."""
    now = world.clock.now()
    good_header: dict[str, object] = {"x5t": thumbprint(world.owner_certificate, "sha1")}
    good: dict[str, object] = {
        "iss": world.owner.application_id,
        "sub": world.owner.application_id,
        "aud": f"{world.settings.origin}/{world.tenant.id}/oauth2/v2.0/token",
        "jti": "1",
        "exp": now + 600,
        "iat": now,
    }
    payload = {name: value for name, value in (good | claims).items() if value is not None}
    headers = {name: value for name, value in (good_header | (header or {})).items() if value is not None}
    return jwt.encode(payload, world.owner_key, algorithm=algorithm, headers=headers)


def thumbprint(value: x509.Certificate, hash_name: str, *, padded: bool = False) -> str:
    import hashlib

    text = base64.urlsafe_b64encode(hashlib.new(hash_name, der(value)).digest()).decode()
    return text if padded else text.rstrip("=")


def proof(text: str) -> dict[str, str]:
    """Form members that replace the secret by an assertion."""
    return {
        "client_secret": "",
        "client_assertion": text,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    }


async def serve(handler: web.RequestHandler, context: ssl.SSLContext | None = None) -> tuple[web.ServerRunner, int]:
    """A listener of 127.0.0.1 on a free port, as the real one calls the application."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return await handler.handle(request, request.remote or "")

    return await serve_on(handle, free_socket(), context)


def free_socket() -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    return listener


async def serve_on(
    handle: object, listener: socket.socket, context: ssl.SSLContext | None
) -> tuple[web.ServerRunner, int]:
    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    await web.SockSite(runner, listener, ssl_context=context).start()
    return runner, listener.getsockname()[1]


async def build(
    database: Database,
    clock: Clock,
    *,
    origin: str,
    keys: list[rsa.RSAPrivateKey],
    session: aiohttp.ClientSession,
    custodian: Custodian | None = None,
) -> World:
    """A directory with two tenants, and an issuer for it; nothing listens yet."""
    identifiers = RandomIdentifiers()
    owner_key, *spare = keys
    owner_certificate = certificate(owner_key, "dev-owner")
    async with database.write() as tx:
        tenant = await bootstrap.create_tenant(tx, identifiers, display_name="Dev", domain="dev.example")
        other = await bootstrap.create_tenant(tx, identifiers, display_name="Other", domain="other.example")
        owner, secret = await bootstrap.create_application(
            tx, identifiers, tenant_id=tenant.id, display_name="dev-owner", certificate_der=der(owner_certificate)
        )
        stranger, stranger_secret = await bootstrap.create_application(
            tx, identifiers, tenant_id=other.id, display_name="dev-other-tenant"
        )
        machine, header = await bootstrap.create_managed_identity(
            tx, identifiers, tenant_id=tenant.id, display_name="dev-machine", resource_id=VM
        )
        group = await bootstrap.create_group(
            tx, identifiers, tenant_id=tenant.id, display_name="inner", members=(owner.object_id,)
        )
        outer = await bootstrap.create_group(
            tx, identifiers, tenant_id=tenant.id, display_name="outer", members=(group.object_id,)
        )
    assert secret is not None
    assert stranger_secret is not None
    suffix = origin.removeprefix("https://login.")
    settings = LoginSettings(
        origin=origin,
        default_tenant_id=tenant.id,
        resources={plane: f"https://{plane}.{suffix}" for plane in PLANES},
        managed_identities=(VM, OTHER_VM),
        body_seconds=5.0,
    )
    custodian = custodian or MemoryCustodian(spare)
    signing_keys = SigningKeys(database=database, custodian=custodian, clock=clock)
    rotation = Rotation(
        settings,
        database=database,
        custodian=custodian,
        clock=clock,
        identifiers=identifiers,
        intents=Intents(database, "node", clock),
        owner="worker-1",
    )
    await rotation.run_once()
    recorder = Recorder()
    parts = {
        "database": database,
        "keys": signing_keys,
        "clock": clock,
        "identifiers": identifiers,
        "record_attempt": recorder,
    }
    return World(
        settings=settings,
        clock=clock,
        database=database,
        custodian=custodian,
        signing_keys=signing_keys,
        rotation=rotation,
        recorder=recorder,
        application=LoginApplication(settings, **parts),
        identity_endpoints=IdentityEndpoints(settings, **parts),
        tenant=tenant,
        other_tenant=other,
        owner=owner,
        secret=secret.reveal(),
        owner_key=owner_key,
        owner_certificate=owner_certificate,
        stranger=stranger,
        stranger_secret=stranger_secret.reveal(),
        group=group,
        outer_group=outer,
        machine=machine,
        identity_header=header.reveal(),
        session=session,
    )


def tls_context(directory: Path, host: str, keys: list[rsa.RSAPrivateKey]) -> tuple[ssl.SSLContext, Path]:
    """A server's context for one host, and the file of the CA that a client must trust."""
    ca_key, host_key = keys[0], keys[1]
    ca = certificate(ca_key, "test CA", is_ca=True)
    leaf = certificate(host_key, host, issuer=(ca, ca_key), hosts=(host,))
    ca_file, chain_file = directory / "ca.pem", directory / "chain.pem"
    ca_file.write_bytes(ca.public_bytes(Encoding.PEM))
    chain_file.write_bytes(key_pem(host_key) + leaf.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain_file)
    return context, ca_file
