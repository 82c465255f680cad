"""Certificates from an authority of our own: issued at once, or never."""

from hsmvault.errors import BadRequest
from hsmvault.model.certificate_policies import CertificatePolicy
from hsmvault.model.containers import Container
from hsmvault.resources.authorities import Authorities, LocalAuthority, Order
from hsmvault.resources.certificate_issuers.protocol import Account, Enrolment, Issued, Outcome, Refused

PROVIDER = "LocalCA"
_REJECTED = "Request rejected"


class LocalCa:
    """The account_id of an issuer object names the authority; without one it is the only one of the installation."""

    def __init__(self, authorities: Authorities) -> None:
        self._authorities = authorities

    @property
    def provider(self) -> str:
        return PROVIDER

    @property
    def enrols(self) -> bool:
        return True

    async def check(self, container: Container, policy: CertificatePolicy, account: Account | None) -> None:
        self._authority(account).check(container, policy, policy.key.spec)

    async def enrol(self, enrolment: Enrolment) -> Outcome:
        operation = enrolment.operation
        order = Order(
            container=enrolment.container,
            policy=operation.policy,
            csr=operation.csr,
            spec=enrolment.spec,
            public=enrolment.public,
            name=operation.name,
            version=operation.version,
        )
        try:
            return Issued(await self._authority(enrolment.account).issue(order))
        except BadRequest as error:
            return Refused(_REJECTED, error.message)

    async def abandon(self, enrolment: Enrolment) -> None:
        """Nothing is begun that is not finished."""

    def _authority(self, account: Account | None) -> LocalAuthority:
        """Raises BadRequest."""
        known = self._authorities.by_name
        wanted = "" if account is None else account.account_id or ""
        if not wanted and len(known) == 1:
            return next(iter(known.values()))
        found = known.get(wanted)
        if found is None:
            raise BadRequest(
                f"This installation has no certificate authority '{wanted}'; the account_id of an issuer of the "
                f"provider {PROVIDER} names one."
            )
        return found
