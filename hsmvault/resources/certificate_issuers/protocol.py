"""What an issuer of certificates is asked, and what it answers.

An issuer is asked again and again until it has an outcome that is final; what it wants to remember in between lies
with the operation in the database, so that any worker can go on after a crash.
"""

from dataclasses import dataclass, field
from typing import Protocol

from hsmvault.custody.protocols import KeyHandle
from hsmvault.model.algorithms import KeySpec
from hsmvault.model.certificate_policies import CertificatePolicy
from hsmvault.model.certificates import CertificateOperation, Organization
from hsmvault.model.containers import Container


@dataclass(frozen=True, slots=True)
class Account:
    """What an issuer object of a vault says. name: of the object. provider: which issuer it is. password: None when
    none was given."""

    name: str
    provider: str
    account_id: str | None = None
    password: str | None = field(default=None, repr=False)
    organization: Organization | None = None


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What is to be issued. operation: with the signing request, the policy and the issuer's own state. spec, public:
    of the key; public is a SubjectPublicKeyInfo in DER. key: signs with it. account: None for Self and Unknown."""

    container: Container
    operation: CertificateOperation
    spec: KeySpec
    public: bytes
    key: KeyHandle
    account: Account | None = None


@dataclass(frozen=True, slots=True)
class Issued:
    """chain: certificates in DER, the new one first, then as far towards the root as the issuer gives them."""

    chain: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not yet. state: to be remembered, in place of the one before. retry_at: when to ask again, seconds since 1970
    UTC; None: only a merge can go on. details: a sentence for whoever polls."""

    state: bytes
    retry_at: int | None
    details: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """Final. code: as the operation's error has it, for instance "Request rejected". message: for the caller."""

    code: str
    message: str


Outcome = Issued | Waiting | Refused


class Issuer(Protocol):
    """provider: as issuer objects name it; Self and Unknown are issuers without an object. enrols: whether it issues by
    itself, so that renewal can be automatic."""

    @property
    def provider(self) -> str: ...

    @property
    def enrols(self) -> bool: ...

    async def check(self, container: Container, policy: CertificatePolicy, account: Account | None) -> None:
        """Before anything is made. Raises BadRequest when it could never issue such a certificate, or is not reachable
        from this installation at all."""
        ...

    async def enrol(self, enrolment: Enrolment) -> Outcome:
        """Go as far as it goes within about ten seconds. Asked twice with the same state it does no harm. Raises
        Unavailable and Throttled for what is worth trying again."""
        ...

    async def abandon(self, enrolment: Enrolment) -> None:
        """The operation was cancelled or forgotten: clean up what was begun elsewhere. Raises nothing that matters."""
        ...
