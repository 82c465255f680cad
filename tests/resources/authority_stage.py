"""A certificate authority in a real token and a real database, and orders for it."""

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsmvault.clock import RandomIdentifiers
from hsmvault.custody.authority_keys import AuthorityKeys
from hsmvault.model.algorithms import Curve, KeySpec
from hsmvault.model.authorities import AuthorityRules
from hsmvault.model.certificate_policies import AlternativeNames, CertificatePolicy, X509Properties
from hsmvault.resources.authorities import Authorities, LocalAuthority, Order
from tests.resources.stage import VAULT, WORLD_ID, Stage

RULES = AuthorityRules(
    name="corp",
    root_subject="CN=Test Root,O=Tests,C=DE",
    subject="CN=Test CA 1,O=Tests,C=DE",
    spec=KeySpec.ec(Curve.P256),
    base_url="http://pki.example.com",
)
POLICY = CertificatePolicy(
    x509=X509Properties(
        subject="CN=www.example.com",
        alternative_names=AlternativeNames(dns_names=("www.example.com", "example.com")),
        key_usage=("digitalSignature",),
        validity_months=12,
    )
)
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def keys_of(on: Stage, rules: AuthorityRules = RULES) -> AuthorityKeys:
    """As one worker has them: nothing is remembered from others."""
    return AuthorityKeys(
        rules,
        on.custodians.worlds[WORLD_ID],
        database=on.database,
        clock=on.clock,
        identifiers=RandomIdentifiers(),
        intents=on.intents,
    )


def authorities_of(on: Stage, *rules: AuthorityRules) -> Authorities:
    return Authorities(
        rules or (RULES,),
        on.custodians.worlds[WORLD_ID],
        database=on.database,
        clock=on.clock,
        identifiers=RandomIdentifiers(),
        intents=on.intents,
    )


def authority_of(on: Stage, rules: AuthorityRules = RULES) -> LocalAuthority:
    return authorities_of(on, rules).by_name[rules.name]


def public_of(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def order(policy: CertificatePolicy = POLICY, key: PrivateKey | None = None, **changed: object) -> Order:
    """For a key of its own; the request's subject is not the policy's."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name.from_rfc4514_string("CN=what the request says")
    names = x509.SubjectAlternativeName([x509.DNSName("evil.example.org")])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).add_extension(names, critical=False)
    spec = KeySpec.ec(Curve.P256) if isinstance(key, ec.EllipticCurvePrivateKey) else KeySpec.rsa(key.key_size)
    made = Order(
        container=VAULT,
        policy=policy,
        csr=csr.sign(key, SHA256()).public_bytes(Encoding.DER),
        spec=spec,
        public=public_of(key),
        name="www",
        version="0" * 32,
    )
    return replace(made, **changed)  # type: ignore[arg-type]  # the members of Order


def certificate(content: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(content)


def pem(path: Path, *chain: bytes) -> str:
    """Write certificates as PEM. Returns the path."""
    path.write_bytes(b"".join(certificate(one).public_bytes(Encoding.PEM) for one in chain))
    return str(path)


def openssl(*arguments: str | Sequence[str]) -> str:
    """Standard output and standard error. Fails when it does."""
    command = ["openssl", *(str(argument) for argument in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout + done.stderr
