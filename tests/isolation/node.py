"""A node as an operator sets it up: own token, `hsmvault init`, two vaults of two tenants, `hsmvault serve`.

Each tenant has an issuer of its own, outside of the node, whose tokens are minted here.
"""

import datetime
import ipaddress
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from azure.core.credentials import AccessToken
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.instance import ROOT, free_ports

_READY_SECONDS = 60.0
PIN = "a-user-pin"
SO_PIN = "an-so-pin"


@dataclass
class Tenant:
    """A tenant, its issuer and its principals. vault: the one that is its own."""

    vault: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    owner: str = field(default_factory=lambda: str(uuid.uuid4()))
    nobody: str = field(default_factory=lambda: str(uuid.uuid4()))
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    @property
    def issuer(self) -> str:
        return f"https://issuer.invalid/{self.id}/"

    def jwks(self) -> str:
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return json.dumps({"keys": [{**public, "kid": "key-1", "use": "sig"}]})

    def token(self, audience: str, principal: str | None = None, **claims: object) -> str:
        now = int(time.time())
        payload = {
            "iss": self.issuer,
            "aud": audience,
            "tid": self.id,
            "oid": principal or self.owner,
            "appid": str(uuid.uuid5(uuid.NAMESPACE_URL, principal or self.owner)),
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
            **claims,
        }
        return jwt.encode(payload, self.key, "RS256", {"kid": "key-1"})


@dataclass
class Credential:
    """What a client takes as a credential: it asks for the audience that the challenge named."""

    tenant: Tenant
    principal: str | None = None

    def get_token(self, *scopes: str, **_: object) -> AccessToken:
        (scope,) = scopes
        audience = scope.removesuffix("/.default")
        return AccessToken(self.tenant.token(audience, self.principal), int(time.time()) + 3600)


@dataclass
class Node:
    """folder: configuration, TLS, token, and the data directory in data/."""

    folder: Path
    port: int
    north: Tenant
    south: Tenant
    hard: str = "wrapped"
    process: "subprocess.Popen[bytes] | None" = None
    was_killed: bool = False

    @property
    def configuration(self) -> Path:
        return self.folder / "hsmvault.toml"

    @property
    def certificate(self) -> Path:
        return self.folder / "tls.pem"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def audience(self) -> str:
        return f"https://vault.localhost:{self.port}"

    def url(self, tenant: Tenant) -> str:
        return f"https://{tenant.vault}.vault.localhost:{self.port}"

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """`hsmvault ARGUMENTS --config …`"""
        return subprocess.run(
            [*_HSMVAULT, *arguments, "--config", str(self.configuration)],
            cwd=ROOT,
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=60,
        )

    @contextmanager
    def serving(self) -> Iterator[None]:
        self.log.unlink(missing_ok=True)
        self.was_killed = False
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [*_HSMVAULT, "serve", "--config", str(self.configuration)],
                cwd=ROOT,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_ready(self.process)
            yield
            self.process.terminate()
            assert self.process.wait(30) == (-signal.SIGKILL if self.was_killed else 0), self.log.read_text()
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def kill(self) -> None:
        """Every process of it, at once."""
        assert self.process is not None
        self.was_killed = True
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _wait_ready(self, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while '"message": "ready"' not in self.log.read_text():
            assert process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)


_HSMVAULT = (sys.executable, "-m", "hsmvault")


def set_up(folder: Path, *, hard: str = "wrapped") -> Node:
    """Everything but init: token, TLS, key sets, configuration. hard: custody of HSM-backed keys."""
    node = Node(folder, free_ports(), Tenant("north"), Tenant("south"), hard)
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\n")
    for name, content in (("pin", PIN), ("so-pin", SO_PIN)):
        (folder / name).write_text(content + "\n")
        (folder / name).chmod(0o600)
    prepare_token(node)
    write_certificate(node.certificate)
    for tenant in (node.north, node.south):
        (folder / f"{tenant.vault}.json").write_text(tenant.jwks())
    node.configuration.write_text(_configuration(node))
    return node


def prepare_token(node: Node) -> None:
    """As softhsm/prepare does it."""
    subprocess.run(
        [
            *(sys.executable, "-m", "hsmvault.hsm.prepare", "--label", "node"),
            *("--profile", str(ROOT / "conf" / "hsm" / "softhsm.toml")),
            *("--so-pin-file", str(node.folder / "so-pin"), "--pin-file", str(node.folder / "pin")),
        ],
        cwd=ROOT,
        env={**_environment(), "SOFTHSM2_CONF": str(node.folder / "softhsm2.conf")},
        check=True,
        capture_output=True,
        timeout=60,
    )


def _configuration(node: Node) -> str:
    lines = f"""
[server]
data_dir = "data"
port = {node.port}
workers = 2
certificate_file = "tls.pem"
key_file = "tls.key"

[hsm]
token_label = "node"
pin_file = "pin"
so_pin_file = "so-pin"
softhsm_conf = "softhsm2.conf"

[custody]
hard = "{node.hard}"
"""
    for tenant in (node.north, node.south):
        lines += f"""
[[issuers]]
issuer = "{tenant.issuer}"
jwks_file = "{tenant.vault}.json"
tenant = "{tenant.id}"
authorization = "https://login.invalid/{tenant.id}"
[issuers.audiences]
vault = ["{node.audience}"]

[[containers]]
name = "{tenant.vault}"
tenant = "{tenant.id}"
retention_days = 7
authorization = "{"access-policies" if tenant is node.south else "rbac"}"
"""
        for principal in (node.north.owner, node.south.owner):  # the other tenant's by mistake: it must not help
            lines += _rights(tenant, principal, by_policy=tenant is node.south)
    return lines


def _rights(tenant: Tenant, principal: str, *, by_policy: bool) -> str:
    """The one vault goes by roles, the other by access policies."""
    if not by_policy:
        return f'[[containers.role_assignments]]\nprincipal = "{principal}"\nrole = "Key Vault Administrator"\n'
    kept = "get list delete recover purge backup restore"
    permissions = f"{kept} create import update sign verify decrypt encrypt"
    return (
        f'[[containers.access_policies]]\ntenant = "{tenant.id}"\nobject_id = "{principal}"\n'
        f"keys = {[*permissions.split(), 'wrapkey', 'unwrapkey']}\n"
        f"secrets = {[*kept.split(), 'set']}\n"
        f"certificates = {[*kept.split(), 'create', 'import', 'update']}\n"
    )


def write_certificate(certificate_file: Path) -> None:
    """One certificate that vouches for itself; its key goes beside it, into a file that ends in .key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "node")])
    now = datetime.datetime.now(datetime.UTC)
    hosts = (
        "*.vault.localhost",
        "*.managedhsm.localhost",
        *(f"{role}.localhost" for role in ("login", "management", "graph")),
    )
    names = [*(x509.DNSName(host) for host in hosts), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    certificate_file.write_bytes(certificate.public_bytes(Encoding.PEM))
    path = certificate_file.with_suffix(".key")
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)


def _environment() -> Mapping[str, Any]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("HSMVAULT_", "SOFTHSM"))}
