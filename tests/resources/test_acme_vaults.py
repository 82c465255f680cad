"""Which vaults an ACME server of the configuration is for. Nothing is asked of any server here."""

from dataclasses import replace
from typing import cast

import pytest

from hsmvault.clock import MovedClock
from hsmvault.errors import BadRequest
from hsmvault.model.certificate_policies import CertificatePolicy, X509Properties
from hsmvault.outbound.acme import AcmeClient
from hsmvault.outbound.acme_hook import Hook
from hsmvault.resources.certificate_issuers.acme import AcmeIssuer
from hsmvault.resources.certificate_issuers.acme_account import AcmeAccount
from hsmvault.resources.certificate_issuers.acme_challenges import HttpHook
from hsmvault.resources.certificate_issuers.acme_server import AcmeServer
from hsmvault.resources.certificate_issuers.protocol import Refused
from tests.resources.acme_rig import ACCOUNT, NAME, enrolment
from tests.resources.stage import VAULT

POLICY = CertificatePolicy(x509=X509Properties("CN=www.example.com; E=pki@example.com"))
OTHER = replace(VAULT, id="11111111-0000-0000-0000-00000000000f", name="payments")
NO_SERVER = "does not name an ACME server of this installation"


def issuer(*containers: str) -> AcmeIssuer:
    """Whose server is never asked."""
    client, account = cast(AcmeClient, None), cast(AcmeAccount, None)
    publisher = HttpHook(Hook(("/bin/false",), 1.0))
    return AcmeIssuer(
        {NAME: AcmeServer(NAME, client, account, publisher, MovedClock(), containers=frozenset(containers))}
    )


async def test_a_server_serves_the_vaults_that_are_named_and_without_names_all() -> None:
    await issuer("payments").check(OTHER, POLICY, ACCOUNT)
    await issuer().check(VAULT, POLICY, ACCOUNT)
    with pytest.raises(BadRequest, match=NO_SERVER) as refused:
        await issuer("payments").check(VAULT, POLICY, ACCOUNT)
    with pytest.raises(BadRequest) as unknown:
        await issuer().check(VAULT, POLICY, replace(ACCOUNT, account_id="another"))
    assert refused.value.message == unknown.value.message, "whose servers there are is nobody else's business"


async def test_what_was_begun_before_a_vault_was_left_out_is_refused() -> None:
    outcome = await issuer("payments").enrol(enrolment("www.example.com"))
    assert isinstance(outcome, Refused)
    assert NO_SERVER in outcome.message
    await issuer("payments").abandon(enrolment("www.example.com"))
