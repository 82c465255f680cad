"""What is done to a secret or a certificate while the process is killed, and what is there before it (actions.py)."""

import time
from dataclasses import replace

from hsmvault.jobs.issuance import AdvanceIssuance
from hsmvault.jobs.purge import PurgeDeleted, purged_certificates, purged_keys, purged_secrets
from hsmvault.jobs.renewal import RenewCertificates
from hsmvault.model.algorithms import Curve, Family
from hsmvault.model.certificate_policies import (
    PEM,
    PKCS12,
    SELF,
    UNKNOWN,
    Action,
    CertificatePolicy,
    IssuerParameters,
    KeyProperties,
    LifetimeAction,
    X509Properties,
)
from hsmvault.model.certificate_policy_parts import KeyParts, PolicyParts
from hsmvault.model.certificates import Contact, Status
from hsmvault.model.containers import Container
from hsmvault.resources.certificate_creation import NewCertificate
from hsmvault.resources.certificate_imports import ImportedCertificate
from hsmvault.resources.certificate_issuer_objects import IssuerSettings
from hsmvault.resources.certificate_mails import CertificateMails
from hsmvault.resources.certificates import CertificateChanges
from hsmvault.resources.secrets import SecretSettings
from hsmvault.store.certificates import CERTIFICATES
from tests.faults import certificate_samples, samples
from tests.faults.actions import NAME, RESIDENT, SOFT, WRAPPED, Case, Setup, nothing, run
from tests.faults.parts import Parts
from tests.faults.vault_parts import AUTHORITY

ISSUER = "Partner"
ORIGIN = "https://crash.vault.localhost"
_RENEWAL = LifetimeAction(Action.AUTO_RENEW, days_before_expiry=300)  # due by samples.AGE_SECONDS
_TAGS = {"made": "so"}
_YEAR = 400 * 86_400


# -- secrets ----------------------------------------------------------------------------------------------------------


async def set_secret(parts: Parts, setup: Setup, value: str = "first") -> None:
    settings = SecretSettings(expires=int(time.time()) + _YEAR, content_type="text/plain", tags=_TAGS)
    await parts.vault.secrets.set(setup.container, NAME, value, settings)


async def set_another_value(parts: Parts, setup: Setup) -> None:
    await set_secret(parts, setup, "second")


async def update_secret(parts: Parts, setup: Setup) -> None:
    settings = SecretSettings(enabled=False, expires=int(time.time()) + 2 * _YEAR, tags={"changed": "yes"})
    await parts.vault.secrets.update(setup.container, NAME, None, settings)


async def delete_secret(parts: Parts, setup: Setup) -> None:
    await parts.vault.secrets.delete(setup.container, NAME)


async def recover_secret(parts: Parts, setup: Setup) -> None:
    await parts.vault.secrets.recover(setup.container, NAME)


async def purge_secret(parts: Parts, setup: Setup) -> None:
    await parts.vault.secrets.purge(setup.container, NAME)


async def restore_secret(parts: Parts, setup: Setup) -> None:
    await parts.vault.secret_backups.restore(setup.container, setup.blob, ORIGIN)


async def _two_values(parts: Parts, setup: Setup) -> None:
    await set_secret(parts, setup)
    await set_another_value(parts, setup)
    await parts.vault.secrets.get(setup.container, NAME, None)  # it is in memory, as one that somebody uses


async def _deleted_secret(parts: Parts, setup: Setup) -> None:
    await _two_values(parts, setup)
    await delete_secret(parts, setup)


async def _backed_up_secret(parts: Parts, setup: Setup) -> bytes:
    """Then it is gone."""
    await _two_values(parts, setup)
    blob = await parts.vault.secret_backups.backup(setup.container, NAME)
    await delete_secret(parts, setup)
    await purge_secret(parts, setup)
    return blob


# -- certificates -----------------------------------------------------------------------------------------------------


def policy_of(setup: Setup, issuer: str = SELF, *, content_type: str = PEM, reuse: bool = False) -> CertificatePolicy:
    return CertificatePolicy(
        KeyProperties(Family.EC, setup.hardware, 256, Curve.P256, exportable=not setup.hardware, reuse=reuse),
        content_type,
        X509Properties("CN=www.example.org", key_usage=("digitalSignature",)),
        () if issuer == UNKNOWN else (_RENEWAL,),
        IssuerParameters(issuer),
    )


async def create(parts: Parts, setup: Setup, policy: CertificatePolicy | None = None) -> None:
    new = NewCertificate(policy or policy_of(setup), tags=_TAGS)
    await parts.vault.creation.create(setup.container, NAME, new)


async def create_for_merge(parts: Parts, setup: Setup) -> None:
    await create(parts, setup, policy_of(setup, UNKNOWN))


async def create_with_the_same_key(parts: Parts, setup: Setup) -> None:
    await create(parts, setup, policy_of(setup, reuse=True))


async def issue(parts: Parts, setup: Setup) -> None:
    """What the engine does of itself."""
    await parts.vault.issuance.advance(setup.container, NAME)


async def issue_by_job(parts: Parts, setup: Setup) -> None:
    await run(AdvanceIssuance(parts.database, parts.vault.issuance, parts.clock))


async def merge(parts: Parts, setup: Setup) -> None:
    operation = await parts.vault.operations.get(setup.container, NAME)
    signed = certificate_samples.signed(operation.csr)
    await parts.vault.completion.merge(setup.container, NAME, [signed], None, {"merged": "yes"})


async def renew_by_job(parts: Parts, setup: Setup) -> None:
    """Up to the operation, which is left to the engine's job."""
    vault = parts.vault
    mails = CertificateMails(enabled=True)
    await run(RenewCertificates(parts.database, vault.creation, _Left(), mails, parts.records))


class _Left:
    def start(self, container: Container, name: str) -> None:
        """It is left to whoever comes."""


async def admit_pfx(parts: Parts, setup: Setup) -> None:
    policy = PolicyParts(key=KeyParts(hardware=setup.hardware), content_type=PKCS12)
    content = ImportedCertificate(certificate_samples.pfx(), certificate_samples.PASSWORD, policy, tags=_TAGS)
    await parts.vault.imports.admit(setup.container, NAME, content)


async def admit_pem(parts: Parts, setup: Setup) -> None:
    policy = PolicyParts(key=KeyParts(hardware=setup.hardware))
    await parts.vault.imports.admit(setup.container, NAME, ImportedCertificate(certificate_samples.pem(), None, policy))


async def disable(parts: Parts, setup: Setup) -> None:
    """The key and the secret with it, and the renewal rests."""
    changes = CertificateChanges(enabled=False, tags={"changed": "yes"})
    await parts.vault.certificates.update(setup.container, NAME, None, changes)


async def update_pending(parts: Parts, setup: Setup) -> None:
    """What the operation is to publish."""
    async with parts.database.read() as tx:
        row = (await CERTIFICATES.all_versions(tx, setup.container.id, NAME))[-1]
    changes = CertificateChanges(enabled=False, tags={"changed": "yes"})
    await parts.vault.certificates.update(setup.container, NAME, row.version, changes)


async def update_policy(parts: Parts, setup: Setup) -> None:
    await parts.vault.certificates.update_policy(setup.container, NAME, lambda policy: replace(policy, actions=()))


async def delete(parts: Parts, setup: Setup) -> None:
    await parts.vault.certificates.delete(setup.container, NAME)


async def recover(parts: Parts, setup: Setup) -> None:
    await parts.vault.certificates.recover(setup.container, NAME)


async def purge(parts: Parts, setup: Setup) -> None:
    await parts.vault.certificates.purge(setup.container, NAME)


async def purge_by_job(parts: Parts, setup: Setup) -> None:
    vault = parts.vault
    kinds = [purged_certificates(vault.certificates), purged_keys(parts.keys), purged_secrets(vault.secrets)]
    await run(PurgeDeleted(parts.database, parts.records, kinds))


async def ask_to_cancel(parts: Parts, setup: Setup) -> None:
    await parts.vault.operations.request_cancellation(setup.container, NAME)


async def forget(parts: Parts, setup: Setup) -> None:
    await parts.vault.operations.forget(setup.container, NAME)


async def restore(parts: Parts, setup: Setup) -> None:
    await parts.vault.backups.restore(setup.container, setup.blob, ORIGIN)


async def set_issuer(parts: Parts, setup: Setup, account: str = "first") -> None:
    settings = IssuerSettings("DigiCert", account, "a password of somebody's")
    await parts.vault.issuers.set(setup.container, ISSUER, settings)


async def set_another_issuer(parts: Parts, setup: Setup) -> None:
    await set_issuer(parts, setup, "second")


async def delete_issuer(parts: Parts, setup: Setup) -> None:
    await parts.vault.issuers.delete(setup.container, ISSUER)


async def set_contacts(parts: Parts, setup: Setup) -> None:
    await parts.vault.contacts.set(setup.container, (Contact("ada@example.org"), Contact("bob@example.org")))


async def issued(parts: Parts, setup: Setup) -> None:
    await create(parts, setup)
    await issue(parts, setup)
    assert (await parts.vault.operations.get(setup.container, NAME)).status is Status.COMPLETED


async def _two_versions(parts: Parts, setup: Setup) -> None:
    """The newer one is to be renewed, is in memory, and its operation is over."""
    await admit_pfx(parts, setup)
    await issued(parts, setup)
    await parts.operations.sign(setup.container, NAME, None, "ES256", samples.DIGEST)
    await parts.vault.secrets.get(setup.container, NAME, None)


async def _begun_at_our_own(parts: Parts, setup: Setup) -> None:
    """An authority that has no keys yet."""
    await parts.vault.issuers.set(setup.container, ISSUER, IssuerSettings("LocalCA", AUTHORITY.name))
    await create(parts, setup, policy_of(setup, ISSUER))


async def _renewal_begun(parts: Parts, setup: Setup) -> None:
    await issued(parts, setup)
    await parts.vault.creation.create(setup.container, NAME, NewCertificate(), is_renewal=True)


async def _renewed(parts: Parts, setup: Setup) -> None:
    """Which the contacts are to be told; and that is not to be renewed again."""
    await set_contacts(parts, setup)
    await _renewal_begun(parts, setup)
    await issue(parts, setup)
    await update_policy(parts, setup)


async def _another_begun(parts: Parts, setup: Setup) -> None:
    await issued(parts, setup)
    await create(parts, setup)


async def _cancelled(parts: Parts, setup: Setup) -> None:
    """What was to be the first version; its rows are left."""
    await create(parts, setup)
    await ask_to_cancel(parts, setup)
    await issue(parts, setup)


async def _another_cancelled(parts: Parts, setup: Setup) -> None:
    await issued(parts, setup)
    await _cancelled(parts, setup)


async def _asked_to_cancel(parts: Parts, setup: Setup) -> None:
    await create(parts, setup)
    await ask_to_cancel(parts, setup)


async def _asked_to_cancel_a_merge(parts: Parts, setup: Setup) -> None:
    await create_for_merge(parts, setup)
    await ask_to_cancel(parts, setup)


async def _deleted(parts: Parts, setup: Setup) -> None:
    await _two_versions(parts, setup)
    await delete(parts, setup)


async def _deleted_while_begun(parts: Parts, setup: Setup) -> None:
    await _another_begun(parts, setup)
    await delete(parts, setup)


async def _backed_up(parts: Parts, setup: Setup) -> bytes:
    """With a version under way, which is not part of it. Then it is gone."""
    await _two_versions(parts, setup)
    await create(parts, setup)
    blob = await parts.vault.backups.backup(setup.container, NAME)
    await delete(parts, setup)
    await purge(parts, setup)
    return blob


_ALL = (SOFT, WRAPPED, RESIDENT)
SECRET_CASES = {
    "secret: set": Case(nothing, set_secret, (SOFT,)),
    "secret: set another value": Case(set_secret, set_another_value, (SOFT,)),
    "secret: update": Case(_two_values, update_secret, (SOFT,)),
    "secret: delete": Case(_two_values, delete_secret, (SOFT,)),
    "secret: recover": Case(_deleted_secret, recover_secret, (SOFT,)),
    "secret: purge": Case(_deleted_secret, purge_secret, (SOFT,)),
    "secret: purge by the job": Case(_deleted_secret, purge_by_job, (SOFT,), recorded="SecretPurge"),
    "secret: restore": Case(_backed_up_secret, restore_secret, (SOFT,)),
}
CERTIFICATE_CASES = {
    "certificate: create": Case(nothing, create, _ALL),
    "certificate: create for a merge": Case(nothing, create_for_merge, (SOFT, RESIDENT)),
    "certificate: create another": Case(issued, create, (WRAPPED,)),
    "certificate: create with the same key": Case(issued, create_with_the_same_key, (SOFT, WRAPPED)),
    "certificate: create in place of a cancelled one": Case(_cancelled, create, (SOFT, RESIDENT)),
    "certificate: issue": Case(create, issue, _ALL, recorded="CertificateEnroll"),
    "certificate: issue another": Case(_another_begun, issue_by_job, (RESIDENT,), recorded="CertificateEnroll"),
    "certificate: issue by an authority of our own": Case(
        _begun_at_our_own, issue, (WRAPPED, RESIDENT), recorded="CertificateEnroll"
    ),
    "certificate: issue a renewal": Case(_renewal_begun, issue_by_job, _ALL, recorded="CertificateRenew"),
    "certificate: merge": Case(create_for_merge, merge, _ALL),
    "certificate: merge after an issuer gave up": Case(_another_cancelled, merge, (SOFT,)),
    "certificate: write to the contacts": Case(_renewed, renew_by_job, (SOFT,)),
    "certificate: renew by the job": Case(issued, renew_by_job, (SOFT, RESIDENT)),
    "certificate: import": Case(nothing, admit_pfx, _ALL),
    "certificate: import another": Case(issued, admit_pem, (SOFT,)),
    "certificate: import in place of a cancelled one": Case(_another_cancelled, admit_pfx, (RESIDENT,)),
    "certificate: disable": Case(_two_versions, disable, (SOFT,)),
    "certificate: update one that is under way": Case(_another_begun, update_pending, (SOFT,)),
    "certificate: update the policy": Case(_two_versions, update_policy, (SOFT,)),
    "certificate: delete": Case(_two_versions, delete, (RESIDENT,)),
    "certificate: delete one that is under way": Case(_another_begun, delete, (RESIDENT,)),
    "certificate: recover": Case(_deleted, recover, (RESIDENT,)),
    "certificate: recover one that was under way": Case(_deleted_while_begun, recover, (SOFT,)),
    "certificate: purge": Case(_deleted, purge, _ALL),
    "certificate: purge one that was under way": Case(_deleted_while_begun, purge, (RESIDENT,)),
    "certificate: purge by the job": Case(_deleted, purge_by_job, (SOFT, RESIDENT), recorded="CertificatePurge"),
    "certificate: ask to cancel": Case(create, ask_to_cancel, (SOFT,)),
    "certificate: cancel": Case(_asked_to_cancel, issue, (SOFT,)),
    "certificate: cancel one that awaits a merge": Case(_asked_to_cancel_a_merge, issue, (SOFT,)),
    "certificate: forget": Case(create, forget, _ALL),
    "certificate: forget another": Case(_another_begun, forget, (RESIDENT,)),
    "certificate: restore": Case(_backed_up, restore, (SOFT, WRAPPED)),  # a resident key never leaves its token
    "certificate: set an issuer": Case(nothing, set_issuer, (SOFT,)),
    "certificate: set another issuer": Case(set_issuer, set_another_issuer, (SOFT,)),
    "certificate: delete an issuer": Case(set_issuer, delete_issuer, (SOFT,)),
    "certificate: set contacts": Case(nothing, set_contacts, (SOFT,)),
}
