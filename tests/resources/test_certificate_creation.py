"""Creation of certificates: the key, the signing request and the pending rows, and what two requests do at once."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from hsmvault.custody.protocols import CustodyClass
from hsmvault.errors import BadRequest, Conflict, NotFound, RequestError, Unavailable
from hsmvault.model.algorithms import Curve, Family, KeySpec
from hsmvault.model.certificate_policies import PEM, AlternativeNames, CertificatePolicy, KeyProperties, X509Properties
from hsmvault.model.certificates import CertificateOperation, Status
from hsmvault.model.secrets import SecretName, SecretVersion
from hsmvault.resources.certificate_creation import AWAITS_MERGE, CLAIM_SECONDS, IN_PROGRESS, NewCertificate
from hsmvault.resources.certificate_rows import names_of
from hsmvault.resources.certificates import Certificate
from hsmvault.store import certificate_operations
from hsmvault.store.certificates import CERTIFICATES
from hsmvault.store.keys import KEYS
from hsmvault.store.secrets import SECRETS
from tests.resources.certificate_stage import (
    BY_ISSUER,
    MANUAL,
    P256,
    SIGNING,
    Stage,
    hard_stage,
    signed,
    soft_stage,
)
from tests.resources.stage import VAULT
from tests.softhsm import SoftToken, softhsm, softhsm_template  # noqa: F401  # fixtures

HARD = replace(MANUAL, key=replace(P256, hardware=True, exportable=False))
REUSED = replace(MANUAL, key=replace(P256, reuse=True))


@pytest.fixture
async def on(tmp_path: Path) -> AsyncIterator[Stage]:
    async with soft_stage(tmp_path) as made:
        yield made


async def test_a_creation_leaves_three_pending_rows_and_an_operation(on: Stage) -> None:
    operation = await on.create("Cert", tags={"a": "b"})
    now = int(on.clock.now())
    [certificate], [key], [secret] = await on.certificates(), await on.keys(), await on.secrets()
    assert operation.name == certificate.name == key.name == secret.name == "Cert"
    assert operation.version == certificate.version == key.version == secret.version
    assert certificate.is_pending
    assert (certificate.enabled, key.enabled, secret.enabled) == (False, False, False)
    assert certificate.tags == {"a": "b"}
    assert (key.managed, key.operations, key.spec) == (True, ("sign", "verify"), KeySpec.ec(Curve.P256))
    assert (secret.managed, secret.content_type, secret.previous_version) == (True, "application/x-pkcs12", None)
    assert await on.value() == ""
    assert (operation.status, operation.created, operation.enabled) == (Status.IN_PROGRESS, now, True)
    assert await on.operations.get(VAULT, "cert") == operation
    assert await on.events() == []


async def test_the_request_is_signed_by_the_key_and_asks_for_what_the_policy_says(on: Stage) -> None:
    names = AlternativeNames(("a.example.com",), ("a@example.com",), ("user@corp",), ("https://a/",), ("10.0.0.1",))
    wanted = X509Properties("CN=a, O=Tests", names, ("1.3.6.1.5.5.7.3.1",), ("digitalSignature", "keyAgreement"))
    operation = await on.create(policy=replace(MANUAL, x509=wanted))
    request = x509.load_der_x509_csr(operation.csr)
    [key] = await on.keys()
    assert request.is_signature_valid
    assert request.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == key.public
    assert request.subject.rfc4514_string() == "CN=a,O=Tests"
    usage = request.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert usage.value.key_agreement
    assert not usage.value.key_encipherment
    assert [each.dotted_string for each in request.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value] == [
        "1.3.6.1.5.5.7.3.1"
    ]
    alternative = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert not alternative.critical
    assert len(list(alternative.value)) == 5


async def test_a_request_without_a_subject_has_critical_alternative_names(on: Stage) -> None:
    wanted = X509Properties(alternative_names=AlternativeNames(dns_names=("a.example.com",)))
    request = x509.load_der_x509_csr((await on.create(policy=replace(MANUAL, x509=wanted))).csr)
    assert list(request.subject) == []
    assert request.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical


async def test_whoever_goes_on_is_said_with_the_operation(on: Stage) -> None:
    manual, other = await on.create("manual"), await on.create("other", BY_ISSUER)
    assert (manual.retry_at, manual.details) == (None, AWAITS_MERGE)
    assert (other.retry_at, other.details) == (int(on.clock.now()) + CLAIM_SECONDS, IN_PROGRESS)


async def test_a_new_version_leaves_the_latest_until_it_is_there(on: Stage) -> None:
    first = await on.made()
    operation = await on.create(is_renewal=True)
    assert operation.is_renewal
    async with on.database.read() as tx:
        names = await names_of(tx, VAULT.id, "cert")
    assert names is not None
    assert names.certificate.latest_version == names.key.latest_version == names.secret.latest_version
    assert names.key.latest_version == first.row.version
    assert await on.counts() == (2, 2, 2)
    assert (await on.secrets())[-1].previous_version == first.row.version


async def test_without_a_policy_the_one_of_the_name_holds(on: Stage) -> None:
    with pytest.raises(BadRequest, match="Property policy"):
        await on.create(policy=None)
    await on.made(policy=replace(MANUAL, content_type=PEM))
    on.clock.move(60)
    assert (await on.create(policy=None)).policy.content_type == PEM


async def test_the_policy_of_a_new_version_becomes_that_of_the_name(on: Stage) -> None:
    begun = int(on.clock.now())
    await on.made()
    on.clock.move(60)
    await on.create(policy=replace(MANUAL, content_type=PEM))
    async with on.database.read() as tx:
        name = await CERTIFICATES.name(tx, VAULT.id, "cert")
    assert name is not None
    assert (name.policy.content_type, name.policy.created, name.policy.updated) == (PEM, begun, begun + 60)


async def test_while_one_is_in_progress_a_second_creation_is_refused(on: Stage) -> None:
    first = await on.create()
    with pytest.raises(Conflict, match="inProgress") as refusal:
        await on.create("CERT")
    assert refusal.value.code == "Forbidden"
    assert await on.operations.get(VAULT, "cert") == first
    assert await on.counts() == (1, 1, 1)


async def test_of_two_creations_at_once_one_wins_and_nothing_is_left_of_the_other(on: Stage) -> None:
    outcomes = await asyncio.gather(*(on.create() for _ in range(3)), return_exceptions=True)
    assert sorted(type(each).__name__ for each in outcomes) == ["CertificateOperation", "Conflict", "Conflict"]
    assert await on.counts() == (1, 1, 1)


async def test_of_two_workers_that_create_complete_and_forget_one_wins(on: Stage, tmp_path: Path) -> None:
    async with soft_stage(tmp_path, beside=on) as other:
        for name in ("one", "two", "three"):
            created = await asyncio.gather(on.create(name), other.create(name), return_exceptions=True)
            [operation] = [each for each in created if isinstance(each, CertificateOperation)]
            assert [type(each) for each in created if each is not operation] == [Conflict]
            der = signed(operation.csr)
            completions = (each.completion.complete(VAULT, operation, [der]) for each in (on, other))
            completed = await asyncio.gather(*completions, return_exceptions=True)
            assert sorted(type(each).__name__ for each in completed) == ["Certificate", "Conflict"]
            assert await on.counts(name) == await other.counts(name) == (1, 1, 1)
            again = await on.create(name)
            merge = on.completion.merge(VAULT, name, [signed(again.csr)], None, None)
            merged, forgotten = await asyncio.gather(
                merge, other.operations.forget(VAULT, name), return_exceptions=True
            )
            versions = [row.version for row in await other.certificates(name)]
            assert (again.version in versions) is isinstance(merged, Certificate)
            assert isinstance(merged, Certificate | Conflict | NotFound)
            assert isinstance(forgotten, CertificateOperation | Conflict)


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED])
async def test_what_is_left_of_a_version_that_failed_goes_with_the_next_creation(on: Stage, status: Status) -> None:
    for has_another in (False, True):
        await _end(on, await on.create(), status)
        operation = await on.create("Cert")
        assert [row.version for row in await on.certificates()][has_another:] == [operation.version]
        assert await on.counts() == (1 + has_another, 1 + has_another, 1 + has_another)
        certificate = await on.completion.complete(VAULT, operation, [signed(operation.csr)])
        assert certificate.row.name == "Cert"


async def test_what_is_pending_without_an_operation_goes_too(on: Stage) -> None:
    await on.create()
    async with on.database.write() as tx:
        await certificate_operations.remove(tx, VAULT.id, "cert")
    operation = await on.create()
    assert [row.version for row in await on.keys()] == [operation.version]


async def test_the_name_of_a_key_or_a_secret_is_not_taken(on: Stage) -> None:
    await on.create("other")
    async with on.database.write() as tx:
        [key] = await KEYS.all_versions(tx, VAULT.id, "other")
        name = await KEYS.name(tx, VAULT.id, "other")
        assert name is not None
        await KEYS.insert_name(tx, replace(name, name="Key"), replace(key, name="Key"))
        secret = SecretVersion(VAULT.id, "Secret", "0" * 32, 1, b"", 1, 1)
        await SECRETS.insert_name(tx, SecretName(VAULT.id, "Secret", "0" * 32, 2, 1, 1), secret)
    with pytest.raises(Conflict, match="in use by a key") as refusal:
        await on.create("key")
    assert refusal.value.code == "Conflict"
    with pytest.raises(Conflict, match="in use by a secret"):
        await on.create("secret")
    async with on.database.write() as tx:
        await SECRETS.mark_deleted(tx, SecretName(VAULT.id, "Secret", "0" * 32, 2, 1, 1), 1, 2)
    with pytest.raises(Conflict, match="deleted but recoverable") as refusal:
        await on.create("secret")
    assert refusal.value.inner == "ObjectIsDeletedButRecoverable"
    assert await on.certificates("key") == await on.certificates("secret") == []


async def test_a_deleted_certificate_takes_no_new_version(on: Stage) -> None:
    await on.made()
    async with on.database.write() as tx:
        names = await names_of(tx, VAULT.id, "cert")
        assert names is not None
        await CERTIFICATES.mark_deleted(tx, names.certificate, 1, 2)
        await KEYS.mark_deleted(tx, names.key, 1, 2)
        await SECRETS.mark_deleted(tx, names.secret, 1, 2)
    with pytest.raises(Conflict, match="Certificate cert is currently in a deleted") as refusal:
        await on.create()
    assert refusal.value.inner == "ObjectIsDeletedButRecoverable"


async def test_what_the_issuer_refuses_is_refused_before_anything_is_made(on: Stage) -> None:
    on.issuers.issuer.refuses = BadRequest("out of reach")
    with pytest.raises(BadRequest, match="out of reach"):
        await on.create(policy=BY_ISSUER)
    assert await on.counts() == (0, 0, 0)


async def test_a_key_that_the_vault_does_not_take_is_refused(on: Stage) -> None:
    with pytest.raises(BadRequest, match="premium"):
        await on.creation.create(replace(VAULT, premium=False), "cert", NewCertificate(HARD))
    with pytest.raises(BadRequest, match="HSM-backed keys only"):
        await on.creation.create(replace(VAULT, software_keys=False), "cert", NewCertificate(MANUAL))


# -- the same key again -----------------------------------------------------------------------------------------------


async def test_a_version_may_keep_the_key_of_the_one_before(on: Stage) -> None:
    first = await on.made(policy=REUSED)
    operation = await on.create(policy=REUSED)
    old, new = await on.keys()
    assert (new.public, new.version) == (old.public, operation.version)
    assert new.reference != old.reference
    certificate = await on.completion.complete(VAULT, operation, [signed(operation.csr)])
    assert certificate.row.version != first.row.version
    third = await on.create(policy=MANUAL)
    assert x509.load_der_x509_csr(third.csr).public_key() != load_der_public_key(old.public)


async def test_a_pending_key_is_not_used_again(on: Stage) -> None:
    await _end(on, await on.create(policy=REUSED), Status.FAILED)
    [old] = await on.keys()
    await on.create(policy=REUSED)
    assert [row.public for row in await on.keys()] != [old.public]


@pytest.mark.parametrize(
    "key", [replace(P256, curve=Curve.P384, size_bits=384, reuse=True), KeyProperties(Family.RSA, reuse=True)]
)
async def test_a_key_of_another_type_cannot_be_used_again(on: Stage, key: KeyProperties) -> None:
    await on.made()
    with pytest.raises(BadRequest, match="reuse_key"):
        await on.create(policy=CertificatePolicy(key=key, x509=SIGNING))
    assert await on.counts() == (1, 1, 1)


async def test_a_key_that_was_not_exportable_does_not_become_so_by_being_used_again(on: Stage) -> None:
    await on.made(policy=replace(MANUAL, key=replace(P256, exportable=False)))
    with pytest.raises(BadRequest, match="reuse_key"):
        await on.create(policy=REUSED)
    assert await on.counts() == (1, 1, 1)


# -- crashes ----------------------------------------------------------------------------------------------------------


async def test_a_creation_whose_commit_fails_leaves_nothing(on: Stage) -> None:
    def fail(point: str) -> None:
        if point == "commit:before":
            raise Unavailable("disk full")

    on.database.fault = fail
    with pytest.raises(Unavailable):
        await on.create()
    on.database.fault = None
    assert await on.counts() == (0, 0, 0)
    await on.create()


async def test_a_creation_that_ends_behind_its_commit_is_there_and_goes_on(on: Stage) -> None:
    class Killed(BaseException):
        """Like a process that dies: nothing is undone."""

    def fail(point: str) -> None:
        if point == "commit:after":
            raise Killed

    on.database.fault = fail
    with pytest.raises(Killed):
        await on.create(policy=BY_ISSUER)
    on.database.fault = None
    async with on.database.read() as tx:
        [operation] = await certificate_operations.due(tx, int(on.clock.now()) + CLAIM_SECONDS, 10)
    certificate = await on.completion.complete(VAULT, operation, [signed(operation.csr)])
    assert certificate.row.enabled


# -- keys in the token ------------------------------------------------------------------------------------------------


async def test_a_wrapped_key_signs_its_request_in_the_token_and_may_be_used_again(
    softhsm: SoftToken,  # noqa: F811  # a fixture
    tmp_path: Path,
) -> None:
    async with hard_stage(softhsm, tmp_path) as on:
        reused = replace(HARD, key=replace(HARD.key, reuse=True))
        operation = await on.create(policy=reused)
        [key] = await on.keys()
        assert key.custody == "wrapped"
        assert x509.load_der_x509_csr(operation.csr).is_signature_valid
        await on.completion.complete(VAULT, operation, [signed(operation.csr)])
        again = await on.create(policy=reused)
        assert [row.public for row in await on.keys()] == [key.public] * 2
        assert x509.load_der_x509_csr(again.csr).is_signature_valid
        with pytest.raises(BadRequest):
            await on.create("other", replace(HARD, key=replace(HARD.key, exportable=True)))


async def test_resident_keys_of_what_did_not_come_to_be_leave_the_token(
    softhsm: SoftToken,  # noqa: F811  # a fixture
    tmp_path: Path,
) -> None:
    async with hard_stage(softhsm, tmp_path, CustodyClass.RESIDENT) as on:
        resident = on.custodians.for_new(VAULT, hardware=True)

        async def objects() -> int:
            return len(await resident.objects())  # type: ignore[attr-defined]  # of this class of custody alone

        before = await objects()

        commits: list[str] = []

        def fail(point: str) -> None:
            commits.append(point)
            if commits.count("commit:before") == 2:  # the first commit is that of the intent
                on.database.fault = None
                raise Unavailable("disk full")

        on.database.fault = fail
        with pytest.raises(Unavailable):
            await on.create(policy=HARD)
        assert (await objects(), await on.planned()) == (before, 0)
        operation = await on.create(policy=HARD)
        assert (await objects(), await on.planned()) == (before + 1, 0)
        await _end(on, operation, Status.FAILED)
        operation = await on.create(policy=HARD)
        assert (await objects(), await on.planned()) == (before + 1, 0)
        await on.operations.forget(VAULT, "cert")
        assert (await objects(), await on.planned()) == (before, 0)
        operation = await on.create(policy=HARD)
        await on.completion.complete(VAULT, operation, [signed(operation.csr)])
        with pytest.raises(BadRequest, match="reuse_key"):
            await on.create(policy=replace(HARD, key=replace(HARD.key, reuse=True)))
        assert (await objects(), await on.planned()) == (before + 1, 0)


async def test_a_damaged_certificate_is_reported_and_nothing_is_made(on: Stage) -> None:
    await on.made()
    async with on.database.write() as tx:
        name = await KEYS.name(tx, VAULT.id, "cert")
        assert name is not None
        await KEYS.remove(tx, name)
    with pytest.raises(RequestError, match="not available"):
        await on.create()


async def _end(on: Stage, operation: CertificateOperation, status: Status) -> None:
    """As the engine does."""
    async with on.database.write() as tx:
        await certificate_operations.update(tx, replace(operation, status=status, retry_at=None))
