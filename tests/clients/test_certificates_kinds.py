"""Certificates of every type of key, soft and hard, in both formats: judged by `cryptography` and by OpenSSL."""

import asyncio
import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure.keyvault.certificates import CertificatePolicy, KeyVaultCertificate
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

from tests.clients import reference
from tests.clients.certificates import PEM, PKCS12, check_identity, loaded, opened
from tests.clients.flavours import Clients
from tests.clients.keys import digest_for
from tests.clients.kinds import KINDS, Kind
from tests.clients.refusals import refused
from tests.custody.certificates import openssl

QUICK = {
    ("EC-P-256", PKCS12, True),
    ("EC-HSM-P-384", PEM, False),
    ("RSA-2048", PEM, True),
}
HASHES = {"P-256": "sha256", "P-384": "sha384", "P-521": "sha512", "P-256K": "sha256", "": "sha256"}


@dataclass(frozen=True)
class Sort:
    kind: Kind
    content_type: str
    exportable: bool

    @property
    def id(self) -> str:
        words = (
            self.kind.id,
            "pem" if self.content_type == PEM else "pfx",
            "exportable" if self.exportable else "kept",
        )
        return "-".join(words)

    @property
    def policy(self) -> CertificatePolicy:
        size = {"key_curve_name": self.kind.curve} if self.kind.curve else {"key_size": self.kind.size}
        usage = ["digitalSignature", *(["keyEncipherment", "dataEncipherment"] if self.kind.is_rsa else [])]
        return CertificatePolicy(
            "Self",
            subject="CN=www.contoso.com",
            san_dns_names=["www.contoso.com"],
            key_type=self.kind.kty,
            exportable=self.exportable,
            content_type=self.content_type,
            key_usage=usage,
            **size,
        )


def sorts() -> list[object]:
    every = [
        Sort(kind, content_type, exportable)
        for kind in KINDS
        for content_type in (PKCS12, PEM)
        for exportable in ((False,) if kind.hardware else (True, False))
    ]
    return [
        pytest.param(
            one,
            id=one.id,
            marks=() if (one.kind.id, one.content_type, one.exportable) in QUICK else pytest.mark.slow,
        )
        for one in every
    ]


@pytest.mark.parametrize("sort", sorts())
async def test_a_self_signed_certificate_is_what_its_policy_says_and_its_key_works(
    sync_clients: Clients, name: str, tmp_path: Path, sort: Sort
) -> None:
    made = await sync_clients.certificates.create(name, sort.policy)
    assert isinstance(made, KeyVaultCertificate)
    check_identity(made)
    x = loaded(made)
    x.verify_directly_issued_by(x)
    assert x.signature_hash_algorithm is not None
    assert x.signature_hash_algorithm.name == HASHES[sort.kind.curve]
    await asyncio.to_thread(openssl_accepts, x, tmp_path)
    shown = made.policy
    size = {"P-256": 256, "P-256K": 256, "P-384": 384, "P-521": 521}.get(sort.kind.curve, sort.kind.size)
    assert (shown.key_type, shown.key_size, shown.key_curve_name) == (sort.kind.kty, size, sort.kind.curve or None)
    assert (shown.exportable, shown.content_type) == (sort.exportable, sort.content_type)

    secret = await sync_clients.secrets.get_secret(name)
    properties = secret.properties
    assert (properties.content_type, properties.managed) == (sort.content_type, True)
    assert (secret.id, properties.key_id) == (made.secret_id, made.key_id)
    held = opened(secret)
    assert held.chain == [x]
    assert (held.key is not None) == sort.exportable
    if held.key is not None:
        assert held.key.public_key() == x.public_key()
    if sort.content_type == PKCS12:
        await asyncio.to_thread(openssl_opens, base64.b64decode(str(secret.value)), tmp_path, has_key=sort.exportable)
    await check_key(sync_clients, made, sort.kind)


def openssl_accepts(certificate: x509.Certificate, folder: Path) -> None:
    (folder / "x.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    told = openssl(
        *("verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "www.contoso.com"),
        *("-CAfile", folder / "x.pem", folder / "x.pem"),
    )
    assert told.strip().endswith("OK")


def openssl_opens(pfx: bytes, folder: Path, *, has_key: bool) -> None:
    """OpenSSL 3 without its legacy provider; MAC and encryption are what it would use itself."""
    (folder / "x.pfx").write_bytes(pfx)
    told = openssl("pkcs12", "-in", folder / "x.pfx", "-passin", "pass:", "-nodes", "-info")
    assert told.count("BEGIN CERTIFICATE") == 1
    assert ("BEGIN PRIVATE KEY" in told) == has_key
    assert "PBES2, PBKDF2, AES-256-CBC" in told


async def check_key(clients: Clients, made: KeyVaultCertificate, kind: Kind) -> None:
    """By the id that the certificate names, as applications do."""
    remote = clients.keys.crypto(str(made.key_id))
    algorithm = kind.signatures[-1]
    digest = digest_for(algorithm)
    signature = (await remote.sign(algorithm, digest)).signature
    public = loaded(made).public_key()
    assert reference.verifies(public, algorithm, digest, signature)
    assert (await remote.verify(algorithm, digest, signature)).is_valid
    for name in kind.encryptions:
        ciphertext = public.encrypt(b"data", reference.encryption_padding(name))
        assert (await remote.decrypt(name, ciphertext)).plaintext == b"data"
        wrapped = (await remote.wrap_key(name, b"data")).encrypted_key
        assert (await remote.unwrap_key(name, wrapped)).key == b"data"


@pytest.mark.parametrize("exportable", [True, False], ids=["exportable", "kept"])
@pytest.mark.parametrize("content_type", [PKCS12, PEM], ids=["pfx", "pem"])
async def test_the_secret_is_asked_for_in_the_other_format(
    sync_clients: Clients, name: str, content_type: str, exportable: bool
) -> None:
    sort = Sort(Kind("EC", curve="P-256"), content_type, exportable)
    made = await sync_clients.certificates.create(name, sort.policy)
    for wanted in (PKCS12, PEM):
        secret = await sync_clients.secrets.get_secret(name, out_content_type=wanted)
        assert secret.properties.content_type == wanted
        held = opened(secret)
        assert held.chain == [loaded(made)]
        assert (held.key is not None) == exportable
        if wanted == PEM:  # the key first, as the service has it
            first = "PRIVATE KEY" if exportable else "CERTIFICATE"
            assert str(secret.value).startswith(f"-----BEGIN {first}-----\n")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({}, (256, "P-256")),
        ({"key_size": 384}, (384, "P-384")),
        ({"key_size": 521}, (521, "P-521")),
        ({"key_curve_name": "P-256K"}, (256, "P-256K")),
        ({"key_size": 256, "key_curve_name": "P-256K"}, (256, "P-256K")),
    ],
    ids=str,
)
async def test_a_size_or_a_curve_is_enough(
    sync_clients: Clients, name: str, given: dict[str, Any], shown: tuple[int, str]
) -> None:
    made = await sync_clients.certificates.create(
        name, CertificatePolicy("Self", subject="CN=a", key_type="EC", exportable=False, **given)
    )
    assert (made.policy.key_size, made.policy.key_curve_name) == shown
    assert loaded(made).public_key().key_size == shown[0]


async def test_a_hard_key_is_never_exportable(sync_clients: Clients, name: str) -> None:
    for kty in ("EC-HSM", "RSA-HSM"):
        wanted = CertificatePolicy("Self", subject="CN=a", key_type=kty, exportable=True)
        with refused(400, "BadParameter"):
            await sync_clients.certificates.create(name, wanted)
    wanted = CertificatePolicy("Self", subject="CN=a", key_type="EC-HSM")
    assert (await sync_clients.certificates.create(name, wanted)).policy.exportable is False


async def test_what_is_exported_is_the_key_itself(sync_clients: Clients, name: str) -> None:
    """What the exported key signs the vault verifies, and the other way round."""
    sort = Sort(Kind("EC", curve="P-384"), PKCS12, exportable=True)
    made = await sync_clients.certificates.create(name, sort.policy)
    secret = await sync_clients.secrets.get_secret(name)
    key: Any = pkcs12.load_pkcs12(base64.b64decode(str(secret.value)), None).key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    digest = digest_for("ES384")
    remote = sync_clients.keys.remote(await sync_clients.keys.get_key(name))
    assert (await remote.verify("ES384", digest, reference.sign(key, "ES384", digest))).is_valid
    signature = (await remote.sign("ES384", digest)).signature
    assert reference.verifies(key.public_key(), "ES384", digest, signature)
    assert key.public_key() == loaded(made).public_key()
