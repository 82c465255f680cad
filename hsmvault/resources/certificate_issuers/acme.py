"""The issuer "ACME": certificates from authorities that speak RFC 8555.

An issuer object names in its account_id one of the servers that the operator has configured. Nothing that a caller
sends becomes an address, a file or a program.
"""

import logging
from collections.abc import Mapping

from hsmvault.errors import BadRequest, Unavailable
from hsmvault.model.certificate_policies import CertificatePolicy
from hsmvault.model.containers import Container
from hsmvault.outbound.acme_problems import AcmeRefused, AcmeUnavailable
from hsmvault.resources.certificate_issuers.acme_names import check_provable, names_of_policy, names_of_request
from hsmvault.resources.certificate_issuers.acme_order import INVALID, Request
from hsmvault.resources.certificate_issuers.acme_server import AcmeServer
from hsmvault.resources.certificate_issuers.acme_state import decode_state
from hsmvault.resources.certificate_issuers.protocol import Account, Enrolment, Outcome, Refused

LOG = logging.getLogger("hsmvault.issuers")
_REJECTED = "Request rejected"
_ISSUER_ERROR = "Certificate issuer error"
_OF_THE_REQUEST = frozenset(
    {INVALID, "badCSR", "badPublicKey", "caa", "rejectedIdentifier", "unsupportedIdentifier"}
)  # RFC 8555, 6.7: what another request could mend; the rest is between the operator and the authority
_RETRY_SECONDS = 30


class AcmeIssuer:
    """servers: by name."""

    provider = "ACME"
    enrols = True

    def __init__(self, servers: Mapping[str, AcmeServer]) -> None:
        self._servers = dict(servers)

    async def check(self, container: Container, policy: CertificatePolicy, account: Account | None) -> None:
        check_provable(names_of_policy(policy.x509), self._server(container, account).challenge)

    async def enrol(self, enrolment: Enrolment) -> Outcome:
        try:
            server = self._server(enrolment.container, enrolment.account)
            names = names_of_request(enrolment.operation.csr)
            check_provable(names, server.challenge)
        except BadRequest as error:
            return Refused(_REJECTED, error.message)
        request = Request(names, enrolment.operation.csr, enrolment.public)
        try:
            return await server.advance(decode_state(enrolment.operation.state), request)
        except AcmeUnavailable as error:
            wait = error.retry_after_seconds or _RETRY_SECONDS
            detail = f"acme: {server.name}: {error}"
            raise Unavailable(error.text, retry_after_seconds=wait, detail=detail) from error
        except AcmeRefused as error:
            LOG.warning("acme: %s refuses: %s", server.name, error)
            return Refused(_REJECTED if error.kind in _OF_THE_REQUEST else _ISSUER_ERROR, error.text)

    async def abandon(self, enrolment: Enrolment) -> None:
        try:
            server = self._server(enrolment.container, enrolment.account)
        except BadRequest:
            return
        await server.abandon(decode_state(enrolment.operation.state))

    def _server(self, container: Container, account: Account | None) -> AcmeServer:
        """Raises BadRequest, with one text: which servers there are for others is not this vault's business."""
        name = None if account is None else account.account_id
        server = None if name is None else self._servers.get(name)
        if server is None or not server.serves(container):
            raise BadRequest("The issuer's account_id does not name an ACME server of this installation.")
        return server
