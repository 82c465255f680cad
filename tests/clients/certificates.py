"""One face for the synchronous and the asynchronous client of certificates (the clients themselves are unmodified), and
what certificates and the secrets behind them hold, read by the `cryptography` library."""

import base64
import hashlib
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import azure.keyvault.certificates
import azure.keyvault.certificates.aio
from azure.keyvault.certificates import CertificatePolicy, DeletedCertificate, KeyVaultCertificate
from azure.keyvault.secrets import KeyVaultSecret
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12

from tests.clients.vault import Listings

PKCS12, PEM = "application/x-pkcs12", "application/x-pem-file"
SELF = CertificatePolicy("Self", subject="CN=www.contoso.com", key_type="EC", key_curve_name="P-256", exportable=True)
MANUAL = CertificatePolicy("Unknown", subject="CN=www.contoso.com", key_type="EC", key_curve_name="P-256")
MODULES: dict[str, ModuleType] = {"sync": azure.keyvault.certificates, "async": azure.keyvault.certificates.aio}


class CertificatesFace(Listings):
    """A CertificateClient as its tests see it."""

    def __init__(self, flavour: str, url: str, credential: Any, **options: Any) -> None:
        self.url = url
        super().__init__(MODULES[flavour].CertificateClient(url, credential, **options))

    async def create(self, name: str, policy: CertificatePolicy, **settings: Any) -> Any:
        """Until the client says that it is done: a KeyVaultCertificate, or the operation where it does not wait."""
        if hasattr(self.client, "begin_create_certificate"):
            return self.client.begin_create_certificate(name, policy, _polling_interval=0, **settings).result()
        return await self.client.create_certificate(name, policy, _polling_interval=0, **settings)

    async def delete(self, name: str) -> DeletedCertificate:
        if hasattr(self.client, "begin_delete_certificate"):
            poller = self.client.begin_delete_certificate(name)
            poller.wait()
            return poller.result()
        return await self.client.delete_certificate(name)

    async def recover(self, name: str) -> KeyVaultCertificate:
        if hasattr(self.client, "begin_recover_deleted_certificate"):
            poller = self.client.begin_recover_deleted_certificate(name)
            poller.wait()
            return poller.result()
        return await self.client.recover_deleted_certificate(name)


@dataclass(frozen=True)
class Opened:
    """What the secret of a certificate holds, in the order of the file."""

    key: Any | None
    chain: list[x509.Certificate]


def opened(secret: KeyVaultSecret) -> Opened:
    """By its content type; a PKCS#12 has no password."""
    value = str(secret.value)
    if secret.properties.content_type == PEM:
        key = load_pem_private_key(value.encode(), None) if "PRIVATE KEY" in value else None
        return Opened(key, x509.load_pem_x509_certificates(value.encode()))
    assert secret.properties.content_type == PKCS12
    key, leaf, others = pkcs12.load_key_and_certificates(base64.b64decode(value, validate=True), None)
    return Opened(key, [*([] if leaf is None else [leaf]), *others])


def loaded(certificate: KeyVaultCertificate) -> x509.Certificate:
    assert certificate.cer is not None
    return x509.load_der_x509_certificate(bytes(certificate.cer))


def check_identity(certificate: KeyVaultCertificate) -> None:
    """The three objects have one name and one version; the thumbprint is that of what is shown."""
    properties: Any = certificate.properties
    base = properties.vault_url.rstrip("/")
    where = f"{certificate.name}/{properties.version}"
    assert certificate.id == f"{base}/certificates/{where}"
    assert certificate.key_id == f"{base}/keys/{where}"
    assert certificate.secret_id == f"{base}/secrets/{where}"
    assert len(properties.version) == 32
    assert properties.x509_thumbprint == hashlib.sha1(bytes(certificate.cer or b""), usedforsecurity=False).digest()


def described(certificate: KeyVaultCertificate) -> tuple[object, ...]:
    """Everything that a client shows of a certificate beside its policy, to compare two of its sights."""
    properties: Any = certificate.properties
    members = ("enabled", "not_before", "expires_on", "created_on", "updated_on", "recovery_level", "recoverable_days")
    return (
        *(certificate.id, certificate.key_id, certificate.secret_id, bytes(certificate.cer or b"")),
        *(getattr(properties, member) for member in members),
        *(properties.tags, properties.version, properties.x509_thumbprint),
    )


_POLICY = (
    *("issuer_name", "subject", "san_emails", "san_dns_names", "san_user_principal_names", "san_uris"),
    *("san_ip_addresses", "exportable", "key_type", "key_size", "reuse_key", "key_curve_name", "enhanced_key_usage"),
    *("key_usage", "content_type", "validity_in_months", "certificate_type", "certificate_transparency"),
)


def policy_members(policy: Any) -> dict[str, object]:
    """Every member that a client can set."""
    members: dict[str, object] = {member: getattr(policy, member) for member in _POLICY}
    actions = [(one.action, one.lifetime_percentage, one.days_before_expiry) for one in policy.lifetime_actions or []]
    return members | {"lifetime_actions": actions}
