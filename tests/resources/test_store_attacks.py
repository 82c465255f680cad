"""Who can write the database, and has neither the HSM nor a right to anything, gains no key and no certificate."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsmvault.clock import RandomIdentifiers
from hsmvault.errors import BadRequest, Damaged
from hsmvault.model.certificate_policies import CertificatePolicy
from hsmvault.model.certificates import CertificateIssuer, Status
from hsmvault.model.containers import Container
from hsmvault.resources.certificate_issuance import Issuance
from hsmvault.resources.certificate_issuer_objects import IssuerObjects, IssuerSettings
from hsmvault.resources.certificate_issuers.partners import Partner
from hsmvault.resources.certificate_issuers.protocol import Account, Enrolment, Issued, Issuer, Outcome
from hsmvault.resources.certificate_issuers.registry import Issuers
from hsmvault.resources.secret_cache import SecretCache
from hsmvault.resources.secrets import Secrets
from hsmvault.store import certificate_issuers, columns
from tests.custody.certificates import named
from tests.resources.certificate_stage import BY_ISSUER, MANUAL, Stage, signed, soft_stage
from tests.resources.stage import VAULT, WORLD_ID
from tests.resources.test_issuance import Recorded

SEALED_IN_CUSTODY = replace(MANUAL, key=replace(MANUAL.key, exportable=False))
GIVEN_OUT = replace(MANUAL, key=replace(MANUAL.key, exportable=True, reuse=True))
CORPORATE = replace(BY_ISSUER, issuer=replace(BY_ISSUER.issuer, name="corporate"))


@pytest.fixture
async def on(tmp_path: Path) -> AsyncIterator[Stage]:
    async with soft_stage(tmp_path) as made:
        yield made


def write(folder: Path, statement: str, *values: object) -> None:
    """As somebody who has the file, and nothing else."""
    with closing(sqlite3.connect(folder / "hsmvault.db")) as connection, connection:
        assert connection.execute(statement, values).rowcount == 1


def column(policy: CertificatePolicy) -> object:
    return columns.value_to_column(policy)


def secrets_of(on: Stage) -> Secrets:
    return Secrets(on.database, SecretCache(on.database), {WORLD_ID: on.sealer}, on.clock, RandomIdentifiers())


async def test_the_secret_of_a_certificate_opens_for_its_own_row_alone(on: Stage, tmp_path: Path) -> None:
    """Not another certificate's, an older one, the placeholder of a pending one, and not its own key's sealed form."""
    await on.made("a")
    first = (await on.secrets("a"))[0]
    await on.made("a")
    second = (await on.secrets("a"))[1]
    await on.made("b")
    await on.create("c")
    others = [first, (await on.secrets("b"))[0], (await on.secrets("c"))[0]]
    for sealed in (*(one.sealed for one in others), (await on.keys("a"))[1].reference, b""):
        write(tmp_path, "UPDATE secret_versions SET sealed = ? WHERE version = ?", sealed, second.version)
        with pytest.raises(Damaged):
            await secrets_of(on).get(VAULT, "a", None)
        assert (await secrets_of(on).get(VAULT, "a", first.version)).value
    write(tmp_path, "UPDATE secret_versions SET sealed = ? WHERE version = ?", second.sealed, second.version)
    assert (await secrets_of(on).get(VAULT, "a", None)).value


async def test_a_policy_that_was_changed_gives_no_private_key_away(on: Stage, tmp_path: Path) -> None:
    await on.made("cert", SEALED_IN_CUSTODY)
    write(tmp_path, "UPDATE certificate_names SET policy = ?", column(GIVEN_OUT))
    with pytest.raises(BadRequest, match="cannot be used again"):
        await on.create("cert", None)
    write(tmp_path, "UPDATE certificate_names SET policy = ?", column(SEALED_IN_CUSTODY))
    operation = await on.create("cert", None)
    write(tmp_path, "UPDATE certificate_operations SET policy = ?", column(GIVEN_OUT))
    with pytest.raises(BadRequest, match="cannot be given out"):
        await on.completion.merge(VAULT, "cert", [signed(operation.csr)], None, None)
    assert (await on.certificates())[-1].is_pending
    for row in await on.keys():
        write(tmp_path, "UPDATE key_versions SET exportable = 1 WHERE version = ?", row.version)
    with pytest.raises(BadRequest, match="cannot be given out"):
        await on.completion.merge(VAULT, "cert", [signed(operation.csr)], None, None)


class CorporateIssuer:
    """Certifies whatever it is asked for."""

    provider = "Corporate"
    enrols = True

    def __init__(self) -> None:
        self.asked: list[Enrolment] = []

    async def check(self, container: Container, policy: CertificatePolicy, account: Account | None) -> None:
        """Whatever it is."""

    async def enrol(self, enrolment: Enrolment) -> Outcome:
        self.asked.append(enrolment)
        return Issued((signed(enrolment.operation.csr),))

    async def abandon(self, enrolment: Enrolment) -> None:
        """Nothing was begun."""

    async def resolve(self, container: Container, policy: CertificatePolicy) -> tuple[Issuer, Account | None]:
        return self, Account("corporate", self.provider)


def own_request() -> tuple[bytes, bytes]:
    """Public key and signing request of a stranger."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(named("bank.example")).sign(key, hashes.SHA256())
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return public, request.public_bytes(Encoding.DER)


@pytest.mark.parametrize("changed", ["request", "request and key"])
async def test_no_issuer_is_asked_to_certify_a_key_that_is_not_in_custody(
    on: Stage, tmp_path: Path, changed: str
) -> None:
    issuer, records = CorporateIssuer(), Recorded()
    issuance = Issuance(on.database, issuer, on.material, on.completion, records, on.clock)
    begun = await on.create("cert", CORPORATE)
    public, request = own_request()
    write(tmp_path, "UPDATE certificate_operations SET csr = ?", request)
    if changed == "request and key":
        write(tmp_path, "UPDATE key_versions SET public = ?", public)
    assert await issuance.advance(VAULT, "cert") is Status.IN_PROGRESS
    assert issuer.asked == []
    operation = await on.operations.get(VAULT, "cert")
    assert (operation.attempts, operation.error_message) == (1, "The object is not available.")
    write(tmp_path, "UPDATE certificate_operations SET csr = ?", begun.csr)
    write(tmp_path, "UPDATE key_versions SET public = ?", x509_public(begun.csr))
    assert await issuance.advance(VAULT, "cert") is Status.COMPLETED
    assert len(issuer.asked) == 1
    await issuance.close()


def x509_public(request: bytes) -> bytes:
    return x509.load_der_x509_csr(request).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


async def test_the_password_of_an_issuer_opens_for_its_own_row_alone(on: Stage, tmp_path: Path) -> None:
    issuers = Issuers(on.database, {WORLD_ID: on.sealer}, (), (Partner("DigiCert"),))
    objects = IssuerObjects(on.database, {WORLD_ID: on.sealer}, issuers, on.clock)
    for name in ("corporate", "mine"):
        await objects.set(VAULT, name, IssuerSettings("DigiCert", "account", f"word of {name}"))
    _, account = await issuers.resolve(VAULT, CORPORATE)
    assert account is not None
    assert account.password == "word of corporate"
    assert "word of" not in repr(account) + repr(IssuerSettings("DigiCert", "account", "word of corporate"))
    theirs = await row_of(on, "corporate")
    assert "word of" not in repr(theirs)
    mine = replace(CORPORATE, issuer=replace(CORPORATE.issuer, name="mine"))
    write(tmp_path, "UPDATE certificate_issuers SET password = ? WHERE folded = 'mine'", theirs.password)
    with pytest.raises(Damaged):
        await issuers.resolve(VAULT, mine)
    write(tmp_path, "UPDATE certificate_issuers SET name = 'mine2', folded = 'mine2' WHERE folded = 'corporate'")
    with pytest.raises(Damaged):
        await issuers.resolve(VAULT, replace(mine, issuer=replace(mine.issuer, name="mine2")))


async def row_of(on: Stage, name: str) -> CertificateIssuer:
    async with on.database.read() as tx:
        found = await certificate_issuers.find(tx, VAULT.id, name)
    assert found is not None
    return found
