"""Certificates that were made elsewhere: the files that people bring, through the unmodified clients."""

import asyncio
import base64
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ResourceExistsError
from azure.keyvault.certificates import CertificatePolicy
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from tests.clients import reference
from tests.clients.certificates import (
    MANUAL,
    PEM,
    PKCS12,
    CertificatesFace,
    check_identity,
    described,
    loaded,
    opened,
    policy_members,
)
from tests.clients.flavours import Clients
from tests.clients.keys import digest_for
from tests.clients.kinds import KINDS, Kind
from tests.clients.refusals import message, refused
from tests.clients.test_certificates_kinds import check_key
from tests.custody.certificates import Issued, issued, openssl
from tests.resources.certificate_stage import intermediate, root

DAYS = 3650
EC = Kind("EC", curve="P-256")
PASSWORDS = {"none": "", "plain": "pass word", "unicode": "pässwörd Ю 🔑", "long": "x" * 100}
FORMS = {
    "default": (),
    "legacy": ("-legacy",),  # RC2 with 40 bits for certificates, 3DES for keys, SHA-1 for the MAC
    "3DES": ("-certpbe", "PBE-SHA1-3DES", "-keypbe", "PBE-SHA1-3DES", "-macalg", "sha1"),
    "modern": ("-keypbe", "AES-128-CBC", "-certpbe", "AES-256-CBC", "-macalg", "sha512", "-iter", "20000"),
    "naked": ("-keypbe", "NONE", "-certpbe", "NONE", "-nomac"),
}
QUICK = {("default", "none"), ("default", "plain"), ("legacy", "unicode")}


def leaf(kind: Kind = EC) -> Issued:
    return _leaf(kind)


@cache
def _leaf(kind: Kind) -> Issued:
    return issued(
        "www.contoso.com", intermediate(), key=reference.private_key(kind.size, kind.curve), ca=False, days=DAYS
    )


def pem_of(one: Issued, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    key = one.key.private_bytes(Encoding.PEM, form, NoEncryption())
    return key + one.pem + intermediate().pem + root().pem


def pfx_by_openssl(folder: Path, password: str, *options: str) -> bytes:
    mine = leaf()
    (folder / "all.pem").write_bytes(pem_of(mine))
    openssl(
        *("pkcs12", "-export", "-in", folder / "all.pem", "-out", folder / "x.pfx", "-name", "Größe"),
        *("-passout", f"pass:{password}", *options),
    )
    return (folder / "x.pfx").read_bytes()


async def check_chain(clients: Clients, name: str, imported: Any, *, kind: Kind = EC) -> None:
    """All of it is in the secret, without a password, and the key works."""
    check_identity(imported)
    mine = leaf(kind)
    assert loaded(imported) == mine.certificate
    held = opened(await clients.secrets.get_secret(name))
    assert held.chain == [mine.certificate, intermediate().certificate, root().certificate]
    if imported.policy.exportable:
        assert held.key.private_numbers() == mine.key.private_numbers()
    else:
        assert held.key is None
    remote = clients.keys.crypto(imported.key_id)
    algorithm = kind.signatures[0]
    signature = (await remote.sign(algorithm, digest_for(algorithm))).signature
    assert reference.verifies(mine.key.public_key(), algorithm, digest_for(algorithm), signature)


@pytest.mark.parametrize(
    ("form", "password"),
    [
        pytest.param(form, password, marks=() if (form, password) in QUICK else pytest.mark.slow)
        for form in FORMS
        for password in PASSWORDS
    ],
)
async def test_a_pfx_that_openssl_made_is_imported(
    sync_clients: Clients, name: str, tmp_path: Path, form: str, password: str
) -> None:
    word = PASSWORDS[password]
    pfx = await asyncio.to_thread(pfx_by_openssl, tmp_path, word, *FORMS[form])
    imported = await sync_clients.certificates.import_certificate(name, pfx, password=word or None)
    await check_chain(sync_clients, name, imported)


async def test_a_wrong_password_is_refused_whatever_the_file_is(
    sync_clients: Clients, name: str, tmp_path: Path
) -> None:
    certificates = sync_clients.certificates
    texts = set()
    for form in ("default", "legacy"):
        pfx = await asyncio.to_thread(pfx_by_openssl, tmp_path, "right", *FORMS[form])
        for wrong in ("wrong", "", None, "Right", "right "):
            with refused(400, "BadParameter") as caught:
                await certificates.import_certificate(name, pfx, password=wrong)
            texts.add(message(caught.value))
    assert len(texts) == 1
    assert await certificates.items("list_properties_of_certificate_versions", name) == []


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, id=kind.id, marks=() if kind.id == "EC-HSM-P-384" else pytest.mark.slow) for kind in KINDS],
)
async def test_a_key_of_every_type_is_imported_with_its_certificate(
    sync_clients: Clients, name: str, kind: Kind
) -> None:
    soft = Kind(kind.kty.removesuffix("-HSM"), kind.size, kind.curve)
    mine = leaf(soft)
    for content_type in (PKCS12, PEM):
        policy = CertificatePolicy(key_type=kind.kty, exportable=not kind.hardware, content_type=content_type)
        content = (
            pem_of(mine)
            if content_type == PEM
            else pkcs12.serialize_key_and_certificates(
                b"x", mine.key, mine.certificate, [intermediate().certificate, root().certificate], NoEncryption()
            )
        )
        imported = await sync_clients.certificates.import_certificate(name, content, policy=policy)
        assert (imported.policy.key_type, imported.policy.exportable) == (kind.kty, not kind.hardware)
        assert imported.policy.content_type == content_type
        await check_chain(sync_clients, name, imported, kind=soft)
        await check_key(sync_clients, imported, kind)
    assert len(await sync_clients.certificates.items("list_properties_of_certificate_versions", name)) == 2


async def test_an_import_may_keep_its_key_inside(clients: Clients, name: str) -> None:
    mine, others = leaf(), [root().certificate, intermediate().certificate]
    pfx = pkcs12.serialize_key_and_certificates(b"x", mine.key, mine.certificate, others, NoEncryption())
    for content, content_type in ((pfx, PKCS12), (pem_of(mine), PEM)):
        policy = CertificatePolicy(exportable=False, key_type="EC", key_curve_name="P-256", content_type=content_type)
        imported = await clients.certificates.import_certificate(name, content, policy=policy)
        assert imported.policy.exportable is False
        await check_chain(clients, name, imported)


@pytest.mark.parametrize(
    "form", [PrivateFormat.PKCS8, pytest.param(PrivateFormat.TraditionalOpenSSL, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    "kind", [EC, pytest.param(Kind("RSA", 2048), marks=pytest.mark.slow)], ids=lambda kind: kind.id
)
async def test_pem_is_read_with_or_without_a_policy(
    sync_clients: Clients, name: str, form: PrivateFormat, kind: Kind
) -> None:
    content = pem_of(leaf(kind), form)
    certificates = sync_clients.certificates
    for value in (content, content.replace(b"\n", b"\r\n"), b"Bag Attributes\n    a: b\n" + content):
        imported = await certificates.import_certificate(name, value, policy=CertificatePolicy(content_type=PEM))
        assert imported.policy.content_type == PEM
        await check_chain(sync_clients, name, imported, kind=kind)
    imported = await certificates.import_certificate(name, content)  # the client sends base64 of it then
    assert imported.policy.content_type == PEM
    await check_chain(sync_clients, name, imported, kind=kind)


async def test_the_policy_of_an_import_is_what_the_certificate_says(clients: Clients, name: str) -> None:
    names = [x509.DNSName("www.contoso.com"), x509.RFC822Name("a@contoso.com"), x509.DNSName("contoso.com")]
    mine = leaf()
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name.from_rfc4514_string("CN=www.contoso.com,O=Contoso,ST=WA,C=US"))
        .issuer_name(intermediate().certificate.subject)
        .public_key(mine.key.public_key())
        .serial_number(1)
        .not_valid_before(mine.certificate.not_valid_before_utc)
        .not_valid_after(mine.certificate.not_valid_after_utc)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.3.6.1.5.5.7.3.3")]), critical=False)
    )
    certificate = builder.sign(intermediate().key, mine.certificate.signature_hash_algorithm)
    pfx = pkcs12.serialize_key_and_certificates(b"x", mine.key, certificate, None, BestAvailableEncryption(b"pw"))
    imported = await clients.certificates.import_certificate(name, pfx, password="pw", tags={"a": "b"}, enabled=True)
    assert (imported.properties.tags, imported.properties.enabled) == ({"a": "b"}, True)
    assert imported.properties.expires_on == certificate.not_valid_after_utc
    shown = imported.policy
    assert (shown.issuer_name, shown.subject) == ("Unknown", "CN=www.contoso.com, O=Contoso, S=WA, C=US")
    assert (shown.key_type, shown.key_size, shown.key_curve_name) == ("EC", 256, "P-256")
    assert (shown.exportable, shown.reuse_key, shown.content_type) == (True, False, PKCS12)
    assert (shown.san_dns_names, shown.san_emails) == (["www.contoso.com", "contoso.com"], ["a@contoso.com"])
    assert shown.enhanced_key_usage == ["1.3.6.1.5.5.7.3.3"]
    assert (shown.validity_in_months, shown.key_usage) == (120, None)  # of the client: an empty list
    assert policy_members(shown)["lifetime_actions"] == [("EmailContacts", 80, None)]
    assert described(await clients.certificates.get_certificate(name)) == described(imported)
    assert policy_members(await clients.certificates.get_certificate_policy(name)) == policy_members(shown)


async def test_a_policy_says_nothing_of_a_certificate_that_is_there(clients: Clients, name: str) -> None:
    """Recorded from the service: of the policy of an import everything is taken but what the certificate itself is."""
    wanted = CertificatePolicy(
        "Self",
        subject="CN=DefaultPolicy",
        exportable=True,
        key_type="EC",
        key_size=256,
        reuse_key=True,
        content_type=PEM,
        validity_in_months=12,
        key_usage=["digitalSignature"],
    )
    shown = (await clients.certificates.import_certificate(name, pem_of(leaf()), policy=wanted)).policy
    assert (shown.subject, shown.validity_in_months) == ("CN=www.contoso.com", 120)
    assert not shown.key_usage
    assert not shown.enhanced_key_usage
    assert (shown.issuer_name, shown.exportable, shown.reuse_key, shown.content_type) == ("Self", True, True, PEM)
    assert policy_members(shown)["lifetime_actions"] == [("AutoRenew", 80, None)]


async def test_the_order_of_the_file_is_kept_when_it_is_asked_for(clients: Clients, name: str) -> None:
    content = pem_of(leaf())
    swapped = leaf().pem_key + root().pem + leaf().pem + intermediate().pem
    policy = CertificatePolicy(content_type=PEM)
    imported = await clients.certificates.import_certificate(name, swapped, policy=policy)
    await check_chain(clients, name, imported)  # leaf to root
    assert imported.properties.preserve_order is False
    swapped = content.replace(intermediate().pem + root().pem, root().pem + intermediate().pem)
    imported = await clients.certificates.import_certificate(name, swapped, policy=policy, preserve_order=True)
    assert imported.properties.preserve_order is True
    assert opened(await clients.secrets.get_secret(name)).chain == [
        leaf().certificate,
        root().certificate,
        intermediate().certificate,
    ]


async def test_an_exported_certificate_is_imported_again(clients: Clients, name: str) -> None:
    for content_type in (PKCS12, PEM):
        policy = CertificatePolicy(
            "Self", subject="CN=a", key_type="EC", key_curve_name="P-256", exportable=True, content_type=content_type
        )
        made = await clients.certificates.create(name, policy)
        value = str((await clients.secrets.get_secret(name)).value)
        content = value.encode() if content_type == PEM else base64.b64decode(value)
        copy = await clients.certificates.import_certificate(
            f"{name}-copy", content, policy=CertificatePolicy(content_type=content_type)
        )
        assert bytes(copy.cer) == bytes(made.cer)
        held = opened(await clients.secrets.get_secret(f"{name}-copy"))
        assert held.key.private_numbers() == opened(await clients.secrets.get_secret(name)).key.private_numbers()


async def test_what_does_not_fit_together_is_not_imported(certificates: CertificatesFace, name: str) -> None:
    other = issued("www.contoso.com", intermediate(), ca=False, days=DAYS)
    old = issued("old", days=1)
    for content in (
        leaf().pem_key + other.pem,  # the key of another
        leaf().pem + intermediate().pem,  # no key
        leaf().pem_key,  # no certificate
        leaf().pem_key + other.pem_key + leaf().pem,  # two keys
        old.pem_key + old.pem,  # over
        b"nonsense",
    ):
        with refused(400, "BadParameter"):
            await certificates.import_certificate(name, content, policy=CertificatePolicy(content_type=PEM))
    for content in (b"nonsense", leaf().der, b"\x30\x80"):
        with refused(400, "BadParameter"):
            await certificates.import_certificate(name, content)
    with refused(400, "BadParameter"):
        policy = CertificatePolicy(key_type="RSA", content_type=PEM)
        await certificates.import_certificate(name, pem_of(leaf()), policy=policy)
    assert await certificates.items("list_properties_of_certificate_versions", name) == []
    await certificates.create(name, MANUAL)
    with refused(409, "Forbidden", kind=ResourceExistsError):
        await certificates.import_certificate(name, pem_of(leaf()), policy=CertificatePolicy(content_type=PEM))
