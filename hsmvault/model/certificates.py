"""Certificates, as their rows are: a name with its life and policy, versions, the operation that makes the next
version, and what a vault knows about issuers and contacts.

A certificate is three objects with one name and one version: itself, a key and a secret. The key and the secret are
managed: they follow the certificate.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from hsmvault.model.certificate_policies import CertificatePolicy
from hsmvault.model.keys import NO_TAGS
from hsmvault.model.objects import ObjectName


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateName(ObjectName):
    """policy: for the next version."""

    policy: CertificatePolicy


@dataclass(frozen=True, slots=True)
class CertificateVersion:
    """One version of a certificate.

    certificate: in DER; empty while the first version of a name is not there yet, and in the pages of a list, which do
    not read it. thumbprint: SHA-1 of it, 20 bytes; empty while it is not there. subject: as RFC 4514 writes it.
    preserve_order: the chain stays as it came. created, updated, not_before, expires: seconds since 1970 UTC.
    """

    container_id: str
    name: str
    version: str
    sequence: int
    created: int
    updated: int
    enabled: bool = True
    not_before: int | None = None
    expires: int | None = None
    subject: str = ""
    thumbprint: bytes = b""
    preserve_order: bool = False
    tags: Mapping[str, str] = field(default_factory=lambda: NO_TAGS)
    certificate: bytes = field(default=b"", repr=False)

    @property
    def is_pending(self) -> bool:
        return not self.thumbprint


class Status(Enum):
    """Of an operation, in the words of the wire."""

    IN_PROGRESS = "inProgress"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class CertificateOperation:
    """The making of one version: there is one for each name, the last.

    version: that is being made; its rows are pending. request_id: 32 hex digits. policy: that of the version. csr:
    PKCS#10 in DER. enabled, tags, preserve_order: of the version when it comes. is_renewal: nobody called for it.
    details: a sentence about how far it is. error_code, error_message: of FAILED; of IN_PROGRESS the last that went
    wrong and is tried again. state: what the issuer wants to remember, opaque. attempts: failed ones in a row.
    retry_at: when to go on by itself, None when only a caller can. created, updated, retry_at: seconds since 1970 UTC.
    revision: goes up with every change; writes compare and swap it.
    """

    container_id: str
    name: str
    version: str
    request_id: str
    status: Status
    policy: CertificatePolicy
    csr: bytes = field(repr=False)
    created: int
    updated: int
    enabled: bool = True
    tags: Mapping[str, str] = field(default_factory=lambda: NO_TAGS)
    preserve_order: bool = False
    is_renewal: bool = False
    cancellation_requested: bool = False
    details: str = ""
    error_code: str | None = None
    error_message: str | None = None
    state: bytes = field(default=b"", repr=False)
    attempts: int = 0
    retry_at: int | None = None
    revision: int = 1

    @property
    def folded(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class AdministratorDetails:
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    phone: str | None = None


@dataclass(frozen=True, slots=True)
class Organization:
    id: str | None = None
    administrators: tuple[AdministratorDetails, ...] = ()


@dataclass(frozen=True, slots=True)
class CertificateIssuer:
    """An issuer object of a vault. provider: which issuer it is, free text. account_id, password: for the provider;
    the password is sealed for its row. created, updated: seconds since 1970 UTC."""

    container_id: str
    name: str
    provider: str
    created: int
    updated: int
    account_id: str | None = None
    password: bytes | None = field(default=None, repr=False)
    organization: Organization | None = None
    enabled: bool = True
    revision: int = 1

    @property
    def folded(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Contact:
    email: str | None = None
    name: str | None = None
    phone: str | None = None
