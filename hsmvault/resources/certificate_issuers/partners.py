"""DigiCert and GlobalSign, and the Test of the service's own samples: issuers whose accounts a vault keeps and that
cannot be reached from an installation of our own. A certificate of theirs is refused before anything is made; who has
one merges or imports it."""

from typing import Final

from hsmvault.errors import BadRequest
from hsmvault.model.certificate_policies import CertificatePolicy
from hsmvault.model.containers import Container
from hsmvault.resources.certificate_issuers.protocol import Account, Enrolment, Outcome, Refused

PARTNERS: Final = ("DigiCert", "GlobalSign", "Test")


class Partner:
    enrols = True  # where it can be reached: policies that renew by themselves are taken

    def __init__(self, provider: str) -> None:
        self.provider = provider

    async def check(self, container: Container, policy: CertificatePolicy, account: Account | None) -> None:
        raise BadRequest(self._sentence())

    async def enrol(self, enrolment: Enrolment) -> Outcome:
        """For a policy whose issuer object was changed meanwhile."""
        return Refused("Certificate issuer error", self._sentence())

    async def abandon(self, enrolment: Enrolment) -> None:
        """Nothing was begun."""

    def _sentence(self) -> str:
        return (
            f"The issuer provider '{self.provider}' cannot be reached from this installation. Create the certificate "
            "with the issuer 'Unknown' and merge what the provider issues, or use an issuer that is configured here."
        )
