"""What applications do with a certificate of the vault: they serve TLS with it, call with it, and sign with its key."""

import asyncio
import base64
import hashlib
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import azure.identity
import azure.identity.aio
import azure.keyvault.secrets.aio
import pytest
from azure.keyvault.certificates import CertificateClient, CertificatePolicy
from azure.keyvault.keys import KeyClient
from azure.keyvault.keys.crypto import CryptographyClient, EncryptionAlgorithm, KeyWrapAlgorithm, SignatureAlgorithm
from azure.keyvault.secrets import SecretClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12

from tests.clients.certificates import PEM, PKCS12
from tests.instance import DevInstance

HOST = "www.contoso.com"
P256 = {"key_type": "EC", "key_curve_name": "P-256"}
RSA = {"key_type": "RSA", "key_size": 2048}


class Application:
    """Knows the vault's address and whatever DefaultAzureCredential finds; nothing else of these tests."""

    def __init__(self, url: str, credential: Any) -> None:
        self.url, self.credential = url, credential
        self.certificates = CertificateClient(url, credential)
        self.secrets = SecretClient(url, credential)
        self.keys = KeyClient(url, credential)

    def certificate(self, name: str, issuer: str = "Self", **settings: Any) -> x509.Certificate:
        policy = CertificatePolicy(issuer, subject=f"CN={HOST}", san_dns_names=[HOST], **settings)
        made = self.certificates.begin_create_certificate(name, policy, _polling_interval=0).result()
        return x509.load_der_x509_certificate(bytes(made.cer))

    def files(self, name: str, folder: Path) -> "tuple[Path, Path | None]":
        """The secret as the files that the ssl module takes: chain and key in one, or in two."""
        secret = self.secrets.get_secret(name)
        value, path = str(secret.value), folder / f"{name}.pem"
        if secret.properties.content_type == PEM:
            path.write_text(value)
            return path, None
        found = pkcs12.load_pkcs12(base64.b64decode(value), None)
        assert found.key is not None
        assert found.cert is not None
        key = folder / f"{name}.key"
        key.write_bytes(found.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        chain = [found.cert.certificate, *(one.certificate for one in found.additional_certs)]
        path.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in chain))
        return path, key

    def context(self, name: str, folder: Path, protocol: int = ssl.PROTOCOL_TLS_SERVER) -> ssl.SSLContext:
        """It trusts nobody yet."""
        context = ssl.SSLContext(protocol)
        context.load_cert_chain(*self.files(name, folder))
        return context

    def close(self) -> None:
        for client in (self.certificates, self.secrets, self.keys, self.credential):
            client.close()


@pytest.fixture(scope="module")
def application(dev_instance: DevInstance) -> Iterator[Application]:
    credential = azure.identity.DefaultAzureCredential(disable_instance_discovery=True)  # no authority of Azure's own
    application = Application(dev_instance.environment["AZURE_KEYVAULT_URL"], credential)
    yield application
    application.close()


@asynccontextmanager
async def serving(context: ssl.SSLContext) -> AsyncIterator[int]:
    """Answers every line with the common name of the client's certificate. Yields the port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        peer = writer.get_extra_info("peercert") or {"subject": ((("commonName", "nobody"),),)}
        writer.write(dict(part[0] for part in peer["subject"])["commonName"].encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def call(port: int, trusted: x509.Certificate, context: ssl.SSLContext | None = None) -> tuple[bytes, bytes]:
    """As a client that trusts this certificate alone and verifies the host's name. Returns the server's certificate in
    DER and its answer."""
    context = context or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=trusted.public_bytes(Encoding.PEM).decode())
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=HOST)
    writer.write(b"hello\n")
    answer = await reader.read()
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return shown, answer


@pytest.mark.parametrize("content_type", [PKCS12, PEM])
@pytest.mark.parametrize("key", [P256, pytest.param(RSA, marks=pytest.mark.slow)], ids=["EC", "RSA"])
async def test_tls_is_served_with_a_certificate_of_the_vault(
    application: Application, name: str, tmp_path: Path, key: dict[str, Any], content_type: str
) -> None:
    certificate = application.certificate(name, content_type=content_type, exportable=True, **key)
    async with serving(application.context(name, tmp_path)) as port:
        assert await call(port, certificate) == (certificate.public_bytes(Encoding.DER), b"nobody")
        other = application.certificate(f"{name}-other", exportable=True, **P256)
        with pytest.raises(ssl.SSLCertVerificationError):
            await call(port, other)


@pytest.mark.parametrize("content_type", [PKCS12, PEM])
async def test_a_server_shows_the_chain_and_its_clients_trust_the_root_alone(
    application: Application, name: str, tmp_path: Path, content_type: str
) -> None:
    """Both sides have a certificate: the caller shows its own."""
    application.certificates.create_issuer(name, "LocalCA", account_id="dev-ca")
    usual = {"content_type": content_type, "exportable": True, "key_usage": ["digitalSignature"], **P256}
    certificate = application.certificate(name, name, **usual)
    application.certificate(f"{name}-caller", name, **usual)
    chain, _ = application.files(name, tmp_path)
    root = x509.load_pem_x509_certificates(chain.read_bytes())[-1]
    assert root.subject == root.issuer

    server = application.context(name, tmp_path)
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(cadata=root.public_bytes(Encoding.PEM).decode())
    caller = application.context(f"{name}-caller", tmp_path, ssl.PROTOCOL_TLS_CLIENT)
    async with serving(server) as port:
        assert await call(port, root, caller) == (certificate.public_bytes(Encoding.DER), HOST.encode())


async def test_a_server_changes_to_the_new_version_by_asking_again(
    application: Application, name: str, tmp_path: Path
) -> None:
    first = application.certificate(name, exportable=True, **P256)
    context = application.context(name, tmp_path)
    async with serving(context) as port:
        assert (await call(port, first))[0] == first.public_bytes(Encoding.DER)
        second = application.certificate(name, exportable=True, **P256)
        context.load_cert_chain(*application.files(name, tmp_path))
        assert (await call(port, second))[0] == second.public_bytes(Encoding.DER)


@pytest.mark.parametrize("kty", ["EC", "EC-HSM"])
def test_a_document_is_signed_with_the_key_of_a_certificate(application: Application, name: str, kty: str) -> None:
    """The private key never leaves; whoever has the certificate verifies."""
    certificate = application.certificate(
        name, key_type=kty, key_curve_name="P-256", exportable=False, key_usage=["digitalSignature"]
    )
    key_id = application.certificates.get_certificate(name).key_id
    digest = hashlib.sha256(b"document").digest()
    with CryptographyClient(str(key_id), application.credential) as client:
        signature = client.sign(SignatureAlgorithm.es256, digest).signature
        assert client.verify(SignatureAlgorithm.es256, digest, signature).is_valid
        assert not client.verify(SignatureAlgorithm.es256, bytes(32), signature).is_valid
    public = certificate.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    der = utils.encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
    public.verify(der, b"document", ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize("kty", ["RSA", pytest.param("RSA-HSM", marks=pytest.mark.slow)])
def test_what_is_encrypted_for_a_certificate_is_decrypted_by_its_key(
    application: Application, name: str, kty: str
) -> None:
    usages = ["keyEncipherment", "dataEncipherment"]
    certificate = application.certificate(name, key_type=kty, key_size=2048, exportable=False, key_usage=usages)
    public = certificate.public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    ciphertext = public.encrypt(b"data", padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))
    key = application.keys.get_key(name)
    with CryptographyClient(key, application.credential) as client:
        assert client.decrypt(EncryptionAlgorithm.rsa_oaep_256, ciphertext).plaintext == b"data"
        assert client.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, ciphertext).key == b"data"
        wrapped = client.wrap_key(KeyWrapAlgorithm.rsa_oaep, b"key").encrypted_key
        assert client.unwrap_key(KeyWrapAlgorithm.rsa_oaep, wrapped).key == b"key"


@pytest.mark.slow
async def test_the_asynchronous_clients_serve_tls_as_well(
    dev_instance: DevInstance, name: str, application: Application, tmp_path: Path
) -> None:
    certificate = application.certificate(name, content_type=PEM, exportable=True, **P256)
    path = tmp_path / "served.pem"
    url = dev_instance.environment["AZURE_KEYVAULT_URL"]
    async with (
        azure.identity.aio.DefaultAzureCredential() as credential,
        azure.keyvault.secrets.aio.SecretClient(url, credential) as client,
    ):
        path.write_text(str((await client.get_secret(name)).value))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    async with serving(context) as port:
        assert (await call(port, certificate))[0] == certificate.public_bytes(Encoding.DER)
