"""The issuer Unknown: somebody takes the signing request elsewhere and merges what comes back."""

from hsmvault.model.certificate_policies import UNKNOWN, CertificatePolicy
from hsmvault.model.containers import Container
from hsmvault.resources.certificate_issuers.protocol import Account, Enrolment, Outcome, Waiting


class UnknownIssuer:
    provider = UNKNOWN
    enrols = False

    async def check(self, container: Container, policy: CertificatePolicy, account: Account | None) -> None:
        """Whatever a policy may say."""

    async def enrol(self, enrolment: Enrolment) -> Outcome:
        return Waiting(b"", None)

    async def abandon(self, enrolment: Enrolment) -> None:
        """What somebody does with the request elsewhere is out of reach."""
