"""What the rules of the directory need of the issuer: secrets, passwords and certificates, made and read as it reads
them at a login.
"""

from hsmvault.clock import Identifiers
from hsmvault.login.certificates import read_registered
from hsmvault.login.password_rules import problem
from hsmvault.login.passwords import hash_password
from hsmvault.login.secrets import HINT_CHARACTERS, generate_secret, hash_secret
from hsmvault.resources.directory.proofs import CertificateFacts, MadeSecret


class IssuerProofs:
    """resources/directory/proofs.py, Proofs."""

    def __init__(self, identifiers: Identifiers) -> None:
        self._identifiers = identifiers

    def new_secret(self) -> MadeSecret:
        secret = generate_secret(self._identifiers)
        return MadeSecret(secret, hash_secret(self._identifiers, secret), secret.reveal()[:HINT_CHARACTERS])

    async def hash_password(self, password: str) -> str:
        return await hash_password(self._identifiers, password)

    def password_problem(self, password: str, names: tuple[str, ...]) -> str:
        return problem(password, names=names)

    def read_certificate(self, certificate_der: bytes) -> CertificateFacts:
        facts = read_registered(certificate_der)
        return CertificateFacts(facts.thumbprint_sha1, facts.thumbprint_sha256, facts.expires)
