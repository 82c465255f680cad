"""Completion of certificates: what is published, what a merge takes, and that it happens once or not at all."""

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    pkcs12,
)

from hsmvault.errors import BadRequest, Conflict, Forbidden, NotFound, Unavailable
from hsmvault.model.algorithms import SIGNATURE_ALGORITHMS, Curve, Family
from hsmvault.model.certificate_policies import (
    PEM,
    Action,
    CertificatePolicy,
    IssuerParameters,
    KeyProperties,
    LifetimeAction,
)
from hsmvault.model.certificates import CertificateVersion, Status
from hsmvault.resources.key_cache import binding_of, held_by
from hsmvault.store import certificate_operations, schedule
from hsmvault.store.certificates import CERTIFICATES
from hsmvault.store.schedule import What
from tests.custody.certificates import BEGIN
from tests.resources.certificate_stage import (
    BY_ISSUER,
    MANUAL,
    P256,
    SIGNING,
    Stage,
    hard_stage,
    intermediate,
    root,
    signed,
    soft_stage,
)
from tests.resources.stage import VAULT
from tests.softhsm import SoftToken, softhsm, softhsm_template  # noqa: F401  # fixtures

YEAR = 365 * 86_400
BEGINS = int(BEGIN.timestamp())


@pytest.fixture
async def on(tmp_path: Path) -> AsyncIterator[Stage]:
    async with soft_stage(tmp_path) as made:
        yield made


async def test_completion_publishes_the_three_with_the_dates_of_the_certificate(on: Stage) -> None:
    operation = await on.create(tags={"a": "b"})
    on.clock.move(60)
    der = signed(operation.csr)
    certificate = await on.completion.complete(VAULT, operation, [der])
    [row], [key], [secret] = await on.certificates(), await on.keys(), await on.secrets()
    assert certificate.row == row
    assert certificate.is_pending_open
    for each in (row, key, secret):
        assert (each.enabled, each.not_before, each.expires) == (True, BEGINS, BEGINS + YEAR)
        assert (each.created, each.updated) == (operation.created, operation.created + 60)
    assert (row.certificate, row.subject, row.tags) == (der, "CN=www.example.com", {"a": "b"})
    assert row.thumbprint == x509.load_der_x509_certificate(der).fingerprint(SHA1())  # noqa: S303  # x5t is SHA-1
    assert key.operations == ("sign", "verify")


async def test_the_operation_is_completed_and_stays(on: Stage) -> None:
    operation = await on.create()
    await on.completion.complete(VAULT, operation, [signed(operation.csr)])
    done = await on.operations.get(VAULT, "cert", operation.request_id)
    assert (done.status, done.retry_at, done.details, done.error_code) == (Status.COMPLETED, None, "", None)


async def test_the_secret_opens_as_pkcs12_with_the_key_and_the_chain_in_order(on: Stage) -> None:
    operation = await on.create()
    leaf = signed(operation.csr, intermediate())
    await on.completion.complete(VAULT, operation, [leaf, root().der, intermediate().der])
    opened = pkcs12.load_pkcs12(await on.pfx(), None)
    assert opened.key is not None
    assert opened.cert is not None
    [key] = await on.keys()
    assert opened.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == key.public
    assert opened.cert.certificate.public_bytes(Encoding.DER) == leaf
    others = [each.certificate.public_bytes(Encoding.DER) for each in opened.additional_certs]
    assert sorted(others) == sorted([intermediate().der, root().der])


@pytest.mark.parametrize("preserve", [False, True])
async def test_the_secret_in_pem_has_the_key_first_and_the_chain_in_its_order(on: Stage, preserve: bool) -> None:
    operation = await on.create(policy=replace(MANUAL, content_type=PEM), preserve_order=preserve)
    leaf = signed(operation.csr, intermediate())
    certificate = await on.completion.complete(VAULT, operation, [root().der, intermediate().der, leaf])
    value = await on.value()
    assert value.startswith("-----BEGIN PRIVATE KEY-----\n")
    found = [each.public_bytes(Encoding.DER) for each in x509.load_pem_x509_certificates(value.encode())]
    others = [root().der, intermediate().der] if preserve else [intermediate().der, root().der]
    assert found == [leaf, *others]
    assert certificate.row.certificate == leaf
    assert certificate.row.preserve_order is preserve


@pytest.mark.parametrize("content_type", [MANUAL.content_type, PEM])
async def test_the_secret_of_a_certificate_that_is_not_exportable_has_no_key(on: Stage, content_type: str) -> None:
    policy = replace(MANUAL, key=replace(P256, exportable=False), content_type=content_type)
    await on.made(policy=policy)
    if content_type == PEM:
        assert "PRIVATE KEY" not in await on.value()
        return
    opened = pkcs12.load_pkcs12(await on.pfx(), None)
    assert opened.key is None
    assert opened.cert is None
    assert len(opened.additional_certs) == 1


async def test_the_key_of_an_rsa_certificate_does_what_its_key_usage_says(on: Stage) -> None:
    x509_properties = replace(SIGNING, key_usage=("digitalSignature", "keyEncipherment"))
    await on.made(policy=CertificatePolicy(key=KeyProperties(), x509=x509_properties))
    [key] = await on.keys()
    assert key.operations == ("sign", "verify", "wrapKey", "unwrapKey")
    assert key.public_members["e"] == b"\1\0\1"
    opened = pkcs12.load_pkcs12(await on.pfx(), None)
    assert isinstance(opened.key, rsa.RSAPrivateKey)


async def test_a_certificate_that_was_to_be_disabled_is_and_so_are_its_key_and_secret(on: Stage) -> None:
    certificate = await on.made(enabled=False)
    [key], [secret] = await on.keys(), await on.secrets()
    assert (certificate.row.enabled, key.enabled, secret.enabled) == (False, False, False)


async def test_events_of_the_three_are_told_once_the_version_is_there(on: Stage) -> None:
    version = (await on.made()).row.version
    assert sorted(await on.events()) == [
        ("CertificateNewVersionCreated", version),
        ("KeyNewVersionCreated", version),
        ("SecretNewVersionCreated", version),
    ]


async def test_what_is_to_happen_is_scheduled_for_the_new_version(on: Stage) -> None:
    actions = (LifetimeAction(Action.AUTO_RENEW, lifetime_percentage=50),)
    policy = replace(BY_ISSUER, actions=actions)
    await on.made(policy=policy)
    async with on.database.read() as tx:
        certificate = await schedule.of_object(tx, VAULT.id, "certificates", "cert")
        key = await schedule.of_object(tx, VAULT.id, "keys", "cert")
    assert certificate[What.RENEW] == BEGINS + YEAR // 2
    assert certificate[What.EXPIRED] == key[What.EXPIRED] == BEGINS + YEAR


async def test_a_second_version_becomes_the_latest_and_the_first_stays(on: Stage) -> None:
    first, second = await on.made(), await on.made()
    async with on.database.read() as tx:
        latest = await CERTIFICATES.version(tx, VAULT.id, "cert", None)
        old = await CERTIFICATES.version(tx, VAULT.id, "cert", first.row.version)
    assert (latest, old) == (second.row, first.row)
    assert [row.previous_version for row in await on.secrets()] == [None, first.row.version]


async def test_a_certificate_for_another_key_is_refused(on: Stage) -> None:
    operation = await on.create()
    with pytest.raises(BadRequest, match="does not match the public part"):
        await on.completion.complete(VAULT, operation, [root().der])
    assert (await on.certificates())[0].is_pending
    assert await on.operations.get(VAULT, "cert") == operation


async def test_a_secret_over_the_limit_is_refused(on: Stage) -> None:
    operation = await on.create()
    long = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), bytes(20_000))
    with pytest.raises(BadRequest, match="25600 bytes"):
        await on.completion.complete(VAULT, operation, [signed(operation.csr, extension=long)])
    assert (await on.certificates())[0].is_pending


async def test_an_operation_is_completed_once(on: Stage) -> None:
    operation = await on.create()
    der = signed(operation.csr)
    outcomes = await asyncio.gather(
        *(on.completion.complete(VAULT, operation, [der]) for _ in range(3)), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in outcomes) == ["Certificate", "Conflict", "Conflict"]
    assert len(await on.events()) == 3
    with pytest.raises(Conflict):
        await on.completion.complete(VAULT, operation, [der])


async def test_an_operation_that_has_changed_since_it_was_read_is_not_completed(on: Stage) -> None:
    operation = await on.create(policy=BY_ISSUER)
    await on.operations.request_cancellation(VAULT, "cert")
    with pytest.raises(Conflict):
        await on.completion.complete(VAULT, operation, [signed(operation.csr)])
    await on.operations.forget(VAULT, "cert")
    with pytest.raises(Conflict):
        await on.completion.complete(VAULT, operation, [signed(operation.csr)])


async def test_the_record_is_accepted_before_the_commit_or_nothing_happens(on: Stage) -> None:
    operation = await on.create()

    async def refuse(_: CertificateVersion) -> None:
        raise Unavailable("no audit")

    with pytest.raises(Unavailable):
        await on.completion.complete(VAULT, operation, [signed(operation.csr)], refuse)
    assert (await on.certificates())[0].is_pending
    assert await on.events() == []
    seen: list[CertificateVersion] = []

    async def accept(row: CertificateVersion) -> None:
        seen.append(row)

    certificate = await on.completion.complete(VAULT, operation, [signed(operation.csr)], accept)
    assert seen == [certificate.row]


@pytest.mark.parametrize("point", ["commit:before", "commit:after"])
async def test_a_completion_that_breaks_off_at_its_commit_is_there_wholly_or_not_at_all(on: Stage, point: str) -> None:
    operation = await on.create()
    der = signed(operation.csr)

    class Killed(BaseException):
        """Like a process that dies: nothing is undone."""

    def fail(at: str) -> None:
        if at == point:
            raise Killed

    on.database.fault = fail
    with pytest.raises(Killed):
        await on.completion.complete(VAULT, operation, [der])
    on.database.fault = None
    is_there = point == "commit:after"
    [row], [key], [secret] = await on.certificates(), await on.keys(), await on.secrets()
    assert (row.is_pending, row.enabled, key.enabled, secret.enabled) == (not is_there, is_there, is_there, is_there)
    assert len(await on.events()) == 3 * is_there
    again = await on.operations.get(VAULT, "cert")
    assert (again.status is Status.COMPLETED) is is_there
    if not is_there:
        await on.completion.complete(VAULT, again, [der])


# -- merge ------------------------------------------------------------------------------------------------------------


async def test_a_merge_takes_der_and_base64_of_it_in_any_order(on: Stage) -> None:
    for encode in (bytes, base64.b64encode, base64.encodebytes):
        operation = await on.create()
        leaf = signed(operation.csr, intermediate())
        given = [encode(each) for each in (root().der, leaf, intermediate().der)]
        certificate = await on.completion.merge(VAULT, "CERT", given, None, None)
        assert certificate.row.certificate == leaf
        assert certificate.row.enabled
        assert len(pkcs12.load_pkcs12(await on.pfx(), None).additional_certs) == 2


async def test_attributes_and_tags_of_a_merge_stand_over_those_of_the_creation(on: Stage) -> None:
    operation = await on.create(tags={"a": "b"})
    certificate = await on.completion.merge(VAULT, "cert", [signed(operation.csr)], enabled=False, tags={"c": "d"})
    assert (certificate.row.enabled, certificate.row.tags) == (False, {"c": "d"})
    assert not (await on.keys())[0].enabled


async def test_a_merge_of_another_key_of_rubbish_or_of_nothing_is_refused(on: Stage) -> None:
    operation = await on.create()
    with pytest.raises(BadRequest, match="The public key of the end-entity certificate"):
        await on.completion.merge(VAULT, "cert", [root().der], None, None)
    good = signed(operation.csr)
    for bad in (b"", b"0", b"\x30\x82", good[:-1], b"rubbish!", base64.b64encode(b"rubbish"), good + b"\0"):
        with pytest.raises(BadRequest):
            await on.completion.merge(VAULT, "cert", [good, bad], None, None)
    with pytest.raises(BadRequest, match="x5c"):
        await on.completion.merge(VAULT, "cert", [], None, None)
    with pytest.raises(BadRequest, match="x5c"):
        await on.completion.merge(VAULT, "cert", [good] * 21, None, None)
    assert await on.operations.get(VAULT, "cert") == operation
    await on.completion.merge(VAULT, "cert", [good], None, None)


async def test_a_merge_of_a_certificate_that_is_over_is_refused(on: Stage) -> None:
    operation = await on.create()
    der = signed(operation.csr, days=30)
    on.clock.move(YEAR / 12)
    with pytest.raises(BadRequest, match="expired"):
        await on.completion.merge(VAULT, "cert", [der], None, None)


async def test_a_merge_needs_an_operation_that_waits_for_one(on: Stage) -> None:
    with pytest.raises(NotFound, match="Pending certificate not found: cert") as refusal:
        await on.completion.merge(VAULT, "cert", [b""], None, None)
    assert refusal.value.code == "PendingCertificateNotFound"
    operation = await on.create()
    await on.completion.merge(VAULT, "cert", [signed(operation.csr)], None, None)
    with pytest.raises(Forbidden, match="completed"):
        await on.completion.merge(VAULT, "cert", [signed(operation.csr)], None, None)
    named = replace(MANUAL, issuer=IssuerParameters("corp"))
    operation = await on.create("other", named)
    with pytest.raises(Forbidden, match="issuer : corp while"):
        await on.completion.merge(VAULT, "other", [signed(operation.csr)], None, None)


async def test_where_an_issuer_failed_a_merge_may_complete(on: Stage) -> None:
    operation = await on.create(policy=BY_ISSUER)
    async with on.database.write() as tx:
        failed = replace(operation, status=Status.FAILED, error_code="Request rejected", retry_at=None)
        await certificate_operations.update(tx, failed)
    certificate = await on.completion.merge(VAULT, "cert", [signed(operation.csr)], None, None)
    assert certificate.row.enabled
    assert (await on.operations.get(VAULT, "cert")).error_code is None


# -- keys in the token ------------------------------------------------------------------------------------------------


async def test_a_certificate_of_a_key_in_the_token_has_a_secret_without_the_key(
    softhsm: SoftToken,  # noqa: F811  # a fixture
    tmp_path: Path,
) -> None:
    hard = KeyProperties(Family.EC, hardware=True, size_bits=384, curve=Curve.P384, exportable=False)
    async with hard_stage(softhsm, tmp_path) as on:
        await on.made(policy=CertificatePolicy(key=hard, x509=SIGNING))
        [key] = await on.keys()
        assert (key.wire_type, key.enabled) == ("EC-HSM", True)
        assert pkcs12.load_pkcs12(await on.pfx(), None).key is None
        handle = on.custodians.holding(VAULT, key.custody).open(
            held_by(key), binding_of(VAULT.id, key.name, key.version)
        )
        assert len(await handle.sign(SIGNATURE_ALGORITHMS["ES384"], bytes(48))) == 96
