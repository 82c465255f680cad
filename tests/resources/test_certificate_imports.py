"""Imports of certificates: what is read, what the policy becomes, and what is refused without a trace."""

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import NameOID

from hsmvault.custody.protocols import CustodyClass
from hsmvault.errors import BadRequest, Conflict, Unavailable
from hsmvault.model.algorithms import SIGNATURE_ALGORITHMS, Curve, Family, KeySpec
from hsmvault.model.certificate_policies import (
    PEM,
    PKCS12,
    SELF,
    Action,
    AlternativeNames,
    IssuerParameters,
    KeyProperties,
    LifetimeAction,
)
from hsmvault.model.certificate_policy_parts import KeyParts, PolicyParts
from hsmvault.model.certificates import Status
from hsmvault.resources.certificate_imports import ImportedCertificate
from hsmvault.resources.certificates import Certificate
from hsmvault.resources.imported_policies import policy_of
from hsmvault.resources.key_cache import binding_of, held_by
from hsmvault.store import certificate_operations
from tests.custody import pkcs12_files
from tests.custody.certificates import BEGIN, Issued, Key, issued
from tests.resources.certificate_stage import Stage, hard_stage, intermediate, root, signed, soft_stage
from tests.resources.stage import VAULT
from tests.softhsm import SoftToken, softhsm, softhsm_template  # noqa: F401  # fixtures

PASSWORD = "Geheim-ü-1"  # of a file of this test


@pytest.fixture
async def on(tmp_path: Path) -> AsyncIterator[Stage]:
    async with soft_stage(tmp_path) as made:
        yield made


@cache
def leaf() -> Issued:
    return issued("leaf.example.com", intermediate(), ca=False)


@cache
def rsa_leaf() -> Issued:
    return issued("rsa.example.com", root(), key=rsa.generate_private_key(65537, 2048), ca=False)


def pfx(one: Issued, others: Sequence[Issued] = (), password: str = "", key: Key | None = None) -> str:
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    chain = [each.certificate for each in others]
    made = pkcs12.serialize_key_and_certificates(None, key or one.key, one.certificate, chain, encryption)
    return base64.b64encode(made).decode()


def pem(one: Issued, *others: Issued, key: Issued | None = None) -> str:
    return b"".join([(key or one).pem_key, one.pem, *(each.pem for each in others)]).decode()


async def admitted(on: Stage, content: str, name: str = "cert", **said: Any) -> Certificate:
    return await on.imports.admit(VAULT, name, replace(ImportedCertificate(content), **said))


async def test_an_imported_certificate_is_there_at_once_with_its_key_and_secret(on: Stage) -> None:
    certificate = await admitted(on, pfx(leaf(), [root(), intermediate()]), "Cert", tags={"a": "b"})
    [row], [key], [secret] = await on.certificates(), await on.keys(), await on.secrets()
    assert certificate.row == row
    assert not certificate.is_pending_open
    begins = int(BEGIN.timestamp())
    for each in (row, key, secret):
        assert (each.name, each.version) == ("Cert", row.version)
        assert (each.enabled, each.not_before, each.expires) == (True, begins, begins + 365 * 86_400)
    assert (row.certificate, row.subject, row.tags) == (leaf().der, "CN=leaf.example.com", {"a": "b"})
    assert (key.managed, key.public, key.wire_type) == (True, leaf().spki, "EC")
    assert (secret.managed, secret.content_type) == (True, PKCS12)
    assert sorted(await on.events()) == [
        (f"{kind}NewVersionCreated", row.version) for kind in ("Certificate", "Key", "Secret")
    ]
    opened = pkcs12.load_pkcs12(await on.pfx(), None)
    assert opened.cert is not None
    assert opened.key is not None
    assert opened.cert.certificate == leaf().certificate
    assert opened.key.public_key() == leaf().key.public_key()
    assert {each.certificate for each in opened.additional_certs} == {intermediate().certificate, root().certificate}


async def test_the_imported_key_signs(on: Stage) -> None:
    await admitted(on, pfx(leaf()))
    [key] = await on.keys()
    handle = on.custodians.soft.open(held_by(key), binding_of(VAULT.id, key.name, key.version))
    assert len(await handle.sign(SIGNATURE_ALGORITHMS["ES256"], bytes(32))) == 64


@pytest.mark.parametrize("preserve", [False, True])
async def test_pem_comes_back_key_first_and_leaf_first_in_the_order_that_was_asked_for(
    on: Stage, preserve: bool
) -> None:
    await admitted(on, pem(root(), intermediate(), leaf(), key=leaf()), preserve_order=preserve)
    value = await on.value()
    assert value.startswith("-----BEGIN PRIVATE KEY-----\n")
    others = [root(), intermediate()] if preserve else [intermediate(), root()]
    expected = [each.certificate for each in (leaf(), *others)]
    assert x509.load_pem_x509_certificates(value.encode()) == expected
    assert (await on.certificates())[0].certificate == leaf().der


async def test_the_content_says_what_it_is_unless_the_policy_does(on: Stage) -> None:
    text = pem(leaf())
    as_pem, as_pkcs12 = PolicyParts(content_type=PEM), PolicyParts(content_type=PKCS12)
    for content, policy, found in (
        (text, None, PEM),
        (base64.b64encode(text.encode()).decode(), None, PEM),
        (text, as_pem, PEM),
        (base64.encodebytes(text.encode()).decode(), as_pem, PEM),
        (pfx(leaf()), None, PKCS12),
        (pfx(leaf()), as_pkcs12, PKCS12),
    ):
        certificate = await admitted(on, content, policy=policy)
        assert certificate.policy.content_type == found
        assert (await on.secrets())[-1].content_type == found
    with pytest.raises(BadRequest, match="valid PKCS#12"):
        await admitted(on, text, policy=as_pkcs12)
    with pytest.raises(BadRequest, match="valid PEM"):
        await admitted(on, pfx(leaf()), policy=as_pem)


async def test_a_password_opens_the_file_and_is_not_the_secrets(on: Stage) -> None:
    await admitted(on, pfx(leaf(), password=PASSWORD), password=PASSWORD)
    assert pkcs12.load_pkcs12(await on.pfx(), None).key is not None
    for wrong in ("", None, PASSWORD + "!", PASSWORD.lower()):
        with pytest.raises(BadRequest, match="can not be read"):
            await admitted(on, pfx(leaf(), password=PASSWORD), "other", password=wrong)
    assert await on.counts("other") == (0, 0, 0)


# -- policies ---------------------------------------------------------------------------------------------------------


async def test_without_a_policy_it_follows_from_the_certificate(on: Stage) -> None:
    certificate = await admitted(on, pfx(rsa_leaf()))
    policy = certificate.policy
    assert policy.key == KeyProperties(Family.RSA, size_bits=2048, exportable=True)
    assert policy.issuer == IssuerParameters()
    assert policy.actions == (LifetimeAction(Action.EMAIL_CONTACTS, lifetime_percentage=80),)
    assert (policy.x509.subject, policy.x509.validity_months) == ("CN=rsa.example.com", 12)
    assert (policy.created, policy.updated) == (int(on.clock.now()), int(on.clock.now()))


async def test_a_certificate_without_key_usage_restricts_nothing(on: Stage) -> None:
    certificate = await admitted(on, pfx(rsa_leaf()))
    assert certificate.policy.x509.key_usage == ()
    assert {"sign", "verify", "wrapKey", "unwrapKey", "encrypt", "decrypt"} <= set((await on.keys())[0].operations)


def test_everything_that_a_policy_can_say_is_derived() -> None:
    upn = x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x09user@corp")
    names = x509.SubjectAlternativeName(
        [
            x509.DNSName("a.example.com"),
            x509.DNSName("*.example.com"),
            x509.RFC822Name("a@example.com"),
            upn,
            x509.OtherName(x509.ObjectIdentifier("1.2.3"), b"\x05\x00"),
            x509.UniformResourceIdentifier("https://a.example.com/x"),
            x509.IPAddress(IPv4Address("10.0.0.1")),
        ]
    )
    usage = _usage(digital_signature=True, key_agreement=True, decipher_only=True)
    ekus = x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.3.6.1.5.5.7.3.1"), x509.ObjectIdentifier("1.2.3.4")])
    policy = policy_of(_certificate("CN=a,O=Tests", names, usage, ekus, days=730), KeySpec.ec(Curve.P256), PEM)
    assert policy.x509.subject == "CN=a, O=Tests"
    assert policy.x509.alternative_names == AlternativeNames(
        ("a.example.com", "*.example.com"),
        ("a@example.com",),
        ("user@corp",),
        ("https://a.example.com/x",),
        ("10.0.0.1",),
    )
    assert set(policy.x509.key_usage) == {"digitalSignature", "keyAgreement", "decipherOnly"}
    assert policy.x509.ekus == ("1.3.6.1.5.5.7.3.1", "1.2.3.4")
    assert (policy.x509.validity_months, policy.content_type) == (24, PEM)


async def test_a_certificate_that_says_more_than_a_policy_can_is_taken_all_the_same(on: Stage) -> None:
    names = x509.SubjectAlternativeName([x509.DNSName(f"host-{number}.example.com") for number in range(120)])
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "a"),
            x509.NameAttribute(NameOID.X500_UNIQUE_IDENTIFIER, b"\1\2", x509.name._ASN1Type.BitString),
        ]
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(BEGIN)
        .not_valid_after(BEGIN + timedelta(days=365 * 500))
        .add_extension(names, critical=False)
    )
    one = Issued(key, builder.sign(key, hashes.SHA256()))
    certificate = await admitted(on, pem(one))
    assert len(certificate.policy.x509.alternative_names.dns_names) == 100
    assert (certificate.policy.x509.subject, certificate.policy.x509.validity_months) == ("CN=a", 1200)
    assert certificate.row.certificate == one.der


async def test_a_policy_says_what_the_next_version_is_to_be(on: Stage) -> None:
    parts = PolicyParts(key=KeyParts(exportable=True, reuse=True), issuer=IssuerParameters(SELF))
    certificate = await admitted(on, pfx(leaf()), policy=parts)
    assert certificate.policy.key == KeyProperties(
        Family.EC, size_bits=256, curve=Curve.P256, exportable=True, reuse=True
    )
    assert certificate.policy.issuer.name == SELF
    assert certificate.policy.actions[0].action is Action.AUTO_RENEW
    operation = await on.create(policy=None)
    assert x509.load_der_x509_csr(operation.csr).public_key() == leaf().key.public_key()
    await on.completion.complete(VAULT, operation, [signed(operation.csr)])


async def test_a_key_that_is_not_to_be_exportable_does_not_come_out_again(on: Stage) -> None:
    await admitted(on, pem(leaf()), policy=PolicyParts(key=KeyParts(exportable=False)))
    assert "PRIVATE" not in await on.value()


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (KeyParts(family=Family.RSA), "kty"),
        (KeyParts(size_bits=384), "key_size"),
        (KeyParts(curve=Curve.P384), "key_size"),
        (KeyParts(curve=Curve.P256K), "crv"),
        (KeyParts(hardware=True, exportable=True), "exportable"),
        (KeyParts(size_bits=4096), "Unsupported key size"),
    ],
)
async def test_a_policy_that_speaks_of_another_key_is_refused(on: Stage, parts: KeyParts, text: str) -> None:
    with pytest.raises(BadRequest, match=text):
        await admitted(on, pfx(leaf()), policy=PolicyParts(key=parts))
    assert await on.counts() == (0, 0, 0)


# -- refusals ---------------------------------------------------------------------------------------------------------


def _hostile() -> dict[str, tuple[str, str]]:
    """Content and a part of the refusal's text."""
    other = issued("other", ca=False)
    small = issued("small", key=rsa.generate_private_key(65537, 1024), ca=False)  # noqa: S505  # refused, that is the test
    twisted = ed25519.Ed25519PrivateKey.generate()
    odd = twisted.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    without = pkcs12.serialize_key_and_certificates(None, None, leaf().certificate, None, NoEncryption())
    file = base64.b64decode(pfx(leaf()))
    return {
        "nothing": ("", "can not be read"),
        "no base64": ("§§§", "can not be read"),
        "rubbish": (base64.b64encode(b"rubbish").decode(), "can not be read"),
        "cut": (base64.b64encode(file[:-1]).decode(), "can not be read"),
        "longer": (base64.b64encode(file + b"\0").decode(), "can not be read"),
        "pem of nothing": ("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "valid PEM"),
        "a surrogate": ("-----BEGIN CERTIFICATE-----\n\ud800", "valid PEM"),
        "pem without a key": (leaf().pem.decode(), "Private key is not specified"),
        "pkcs12 without a key": (base64.b64encode(without).decode(), "No certificate with private key found"),
        "pem without a certificate": (leaf().pem_key.decode(), "valid PEM"),
        "two keys": (pem(leaf()) + other.pem_key.decode(), "valid PEM"),
        "another key": (pem(leaf(), key=other), "does not match the public part"),
        "a small key": (pem(small), "Unsupported key size"),
        "another algorithm": (odd + leaf().pem.decode(), "not supported"),
    }


@pytest.mark.parametrize("which", list(_hostile()))
async def test_what_is_not_good_is_refused_and_leaves_nothing(on: Stage, which: str) -> None:
    content, text = _hostile()[which]
    with pytest.raises(BadRequest, match=text):
        await admitted(on, content)
    assert await on.counts() == (0, 0, 0)
    assert await on.events() == []


async def test_a_file_that_asks_for_ten_million_iterations_is_refused_at_once(on: Stage) -> None:
    scheme = pkcs12_files.pbes2(1, claims=10_000_000)
    parts = [pkcs12_files.sealed(scheme, pkcs12_files.certificate_bag(leaf().der))]
    hostile = pkcs12_files.pfx(parts, pkcs12_files.mac_data(pkcs12_files.safe_of(parts), claims=10_000_000))
    async with asyncio.timeout(1):  # the derivations would take seconds
        for password in (pkcs12_files.PASSWORD, None):
            with pytest.raises(BadRequest, match="can not be read"):
                await admitted(on, base64.b64encode(hostile).decode(), password=password)
    assert await on.counts() == (0, 0, 0)


async def test_a_chain_that_is_over_is_refused(on: Stage) -> None:
    ca = issued("Old CA", root(), days=30)
    old, of_old = issued("old", days=30, ca=False), issued("of old", ca, ca=False)
    on.clock.move(31 * 86_400)
    for content in (pem(old), pem(of_old, ca)):
        with pytest.raises(BadRequest, match="expired"):
            await admitted(on, content)
    await admitted(on, pem(of_old))


async def test_a_certificate_that_is_not_yet_good_is_taken(on: Stage) -> None:
    begin = BEGIN + timedelta(days=100)
    certificate = await admitted(on, pem(issued("next year", begin=begin, ca=False)))
    assert certificate.row.not_before == int(begin.timestamp())


async def test_a_certificate_too_large_for_a_secret_is_refused_and_leaves_nothing(on: Stage) -> None:
    long = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), bytes(20_000))
    other = x509.load_der_x509_certificate(_certificate("CN=large", long, days=365))
    with pytest.raises(BadRequest, match="25600 bytes"):
        await admitted(on, pem(leaf()) + other.public_bytes(Encoding.PEM).decode())
    assert await on.counts() == (0, 0, 0)


async def test_an_import_is_refused_while_a_version_is_in_progress(on: Stage) -> None:
    operation = await on.create()
    with pytest.raises(Conflict, match="inProgress") as refusal:
        await admitted(on, pfx(leaf()))
    assert refusal.value.code == "Forbidden"
    assert await on.operations.get(VAULT, "cert") == operation


async def test_an_import_takes_the_place_of_what_failed(on: Stage) -> None:
    operation = await on.create()
    async with on.database.write() as tx:
        await certificate_operations.update(tx, replace(operation, status=Status.FAILED))
    certificate = await admitted(on, pfx(leaf()))
    assert await on.certificates() == [certificate.row]
    assert await on.counts() == (1, 1, 1)
    async with on.database.read() as tx:
        assert await certificate_operations.find(tx, VAULT.id, "cert") is None


async def test_an_import_over_a_name_adds_a_version(on: Stage) -> None:
    first, second = await admitted(on, pfx(leaf())), await admitted(on, pfx(rsa_leaf()), "CERT")
    assert await on.certificates() == [first.row, second.row]
    assert [key.wire_type for key in await on.keys()] == ["EC", "RSA"]
    assert second.row.name == "cert"
    assert (await on.secrets())[1].previous_version == first.row.version


async def test_of_two_imports_at_once_each_is_there_or_was_refused(on: Stage) -> None:
    outcomes = await asyncio.gather(*(admitted(on, pfx(leaf())) for _ in range(3)), return_exceptions=True)
    there = [each.row.version for each in outcomes if isinstance(each, Certificate)]
    assert sorted(row.version for row in await on.certificates()) == sorted(there)
    assert there
    assert all(isinstance(each, Certificate | Conflict) for each in outcomes)


@pytest.mark.parametrize("point", ["commit:before", "commit:after"])
async def test_an_import_that_breaks_off_at_its_commit_is_there_wholly_or_not_at_all(on: Stage, point: str) -> None:
    class Killed(BaseException):
        """Like a process that dies: nothing is undone."""

    def fail(at: str) -> None:
        if at == point:
            raise Killed

    on.database.fault = fail
    with pytest.raises(Killed):
        await admitted(on, pfx(leaf()))
    on.database.fault = None
    there = int(point == "commit:after")
    assert await on.counts() == (there, there, there)
    assert len(await on.events()) == 3 * there


def test_what_is_imported_does_not_show(on: Stage) -> None:
    new = ImportedCertificate(pem(leaf()), PASSWORD)
    assert "PRIVATE" not in repr(new)
    assert PASSWORD not in repr(new)


# -- keys in the token ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("custody", [CustodyClass.WRAPPED, CustodyClass.RESIDENT])
async def test_a_key_is_imported_into_the_token_and_does_not_come_out_again(
    softhsm: SoftToken,  # noqa: F811  # a fixture
    tmp_path: Path,
    custody: CustodyClass,
) -> None:
    async with hard_stage(softhsm, tmp_path, custody) as on:
        parts = PolicyParts(key=KeyParts(hardware=True))
        certificate = await admitted(on, pfx(leaf()), policy=parts)
        assert not certificate.policy.key.exportable
        [key] = await on.keys()
        assert (key.wire_type, key.custody) == ("EC-HSM", custody.value)
        assert pkcs12.load_pkcs12(await on.pfx(), None).key is None
        handle = on.custodians.holding(VAULT, key.custody).open(
            held_by(key), binding_of(VAULT.id, key.name, key.version)
        )
        assert len(await handle.sign(SIGNATURE_ALGORITHMS["ES256"], bytes(32))) == 64
        commits: list[str] = []

        def fail(point: str) -> None:
            commits.append(point)
            if commits.count("commit:before") == (2 if custody is CustodyClass.RESIDENT else 1):
                on.database.fault = None
                raise Unavailable("disk full")

        on.database.fault = fail
        with pytest.raises(Unavailable):
            await admitted(on, pfx(leaf()), "other", policy=parts)
        assert await on.counts("other") == (0, 0, 0)
        assert await on.planned() == 0


def _usage(**flags: bool) -> x509.KeyUsage:
    every = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: flags.get(name, False) for name in every})


def _certificate(subject: str, *extensions: x509.ExtensionType, days: int) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name.from_rfc4514_string(subject)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(BEGIN)
        .not_valid_after(BEGIN + timedelta(days=days))
    )
    for each in extensions:
        builder = builder.add_extension(each, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
