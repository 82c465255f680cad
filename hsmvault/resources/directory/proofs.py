"""What the rules of the directory need of those who make and read proofs; login/proofs.py does it."""

from dataclasses import dataclass
from typing import Protocol


class NewSecret(Protocol):
    """A secret that has just been made, to be shown once. Its repr shows nothing."""

    def reveal(self) -> str: ...


@dataclass(frozen=True, slots=True)
class MadeSecret:
    """verifier: what the directory keeps. hint: its first three characters."""

    secret: NewSecret
    verifier: str
    hint: str

    def __repr__(self) -> str:
        return "MadeSecret()"


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What the directory keeps about a registered certificate. thumbprints: base64url without padding. expires: seconds
    since 1970 UTC.
    """

    thumbprint_sha1: str
    thumbprint_sha256: str
    expires: int


class Proofs(Protocol):
    def new_secret(self) -> MadeSecret: ...

    async def hash_password(self, password: str) -> str:
        """What is stored; takes a tenth of a second, off the event loop."""
        ...

    def password_problem(self, password: str, names: tuple[str, ...]) -> str:
        """What is wrong with a password that somebody has chosen; empty when it is good. names: of the user."""
        ...

    def read_certificate(self, certificate_der: bytes) -> CertificateFacts:
        """Raises BadRequest for what cannot be registered."""
        ...
