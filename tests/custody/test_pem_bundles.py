"""PEM: written in the service's order, read in any. OpenSSL writes what is read."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from hsmvault.custody.admission import material_from_pkcs8
from hsmvault.custody.bundles import MOST_CERTIFICATES
from hsmvault.custody.pem_bundles import ENCRYPTED, LONGEST_TEXT, UNREADABLE, read_pem, write_pem
from hsmvault.errors import BadRequest
from tests.custody.certificates import Issued, issued, openssl

ROOT = issued("Root")
INTERMEDIATE = issued("Intermediate", ROOT)
LEAF = issued("leaf.example", INTERMEDIATE, ca=False)
CHAIN = (LEAF.der, INTERMEDIATE.der, ROOT.der)
PEM = write_pem(LEAF.pkcs8, CHAIN)


@pytest.fixture(scope="module")
def rsa_leaf() -> Issued:
    return issued("rsa.example", ROOT, key=rsa.generate_private_key(65537, 2048), ca=False)


def refused(text: str) -> str:
    with pytest.raises(BadRequest) as caught:
        read_pem(text)
    assert caught.value.code == "BadParameter"
    assert "MII" not in (caught.value.detail or "")
    return caught.value.message


def test_the_private_key_comes_first_then_the_certificates_leaf_first() -> None:
    expected = LEAF.pem_key + LEAF.pem + INTERMEDIATE.pem + ROOT.pem
    assert write_pem(LEAF.pkcs8, CHAIN) == expected.decode()
    assert write_pem(None, CHAIN) == (LEAF.pem + INTERMEDIATE.pem + ROOT.pem).decode()
    key = load_pem_private_key(PEM.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.private_numbers() == LEAF.key.private_numbers()
    assert [each.subject for each in x509.load_pem_x509_certificates(PEM.encode())] == [
        each.certificate.subject for each in (LEAF, INTERMEDIATE, ROOT)
    ]


def test_what_is_written_is_read(rsa_leaf: Issued) -> None:
    for leaf in (LEAF, rsa_leaf):
        bundle = read_pem(write_pem(leaf.pkcs8, (leaf.der, *CHAIN[1:])))
        assert (bundle.key_pkcs8, bundle.leaf) == (leaf.pkcs8, leaf.der)
        assert bundle.certificates == (leaf.der, *CHAIN[1:])
    bundle = read_pem(write_pem(None, CHAIN))
    assert (bundle.key_pkcs8, bundle.leaf, bundle.certificates) == (None, LEAF.der, CHAIN)


def test_certificates_may_come_in_any_order_and_around_the_key() -> None:
    text = (ROOT.pem + LEAF.pem_key + INTERMEDIATE.pem + LEAF.pem).decode()
    bundle = read_pem(text)
    assert bundle.leaf == LEAF.der
    assert bundle.certificates == (ROOT.der, INTERMEDIATE.der, LEAF.der)
    assert bundle.chain() == CHAIN
    assert bundle.chain(preserve=True) == bundle.certificates


def test_carriage_returns_blanks_and_text_between_the_blocks_do_not_matter() -> None:
    for text in (
        PEM.replace("\n", "\r\n"),
        PEM.replace("\n", "\r"),
        "Bag Attributes\n  localKeyID: 01\n" + PEM.replace("-----BEGIN CERT", "subject=CN = x\n\n-----BEGIN CERT"),
        PEM.replace("\n", " \n\n"),
        "\ufeff" + PEM,
    ):
        assert read_pem(text).certificates == CHAIN


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1(), ec.SECP256K1()], ids=str)
def test_sec1_keys_are_read(curve: ec.EllipticCurve) -> None:
    leaf = issued("leaf", key=ec.generate_private_key(curve))
    old = leaf.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    assert b"EC PRIVATE KEY" in old
    bundle = read_pem((old + ROOT.pem + leaf.pem).decode())
    assert bundle.leaf == leaf.der
    assert bundle.key_pkcs8 is not None
    assert material_from_pkcs8(bundle.key_pkcs8).public == leaf.spki


def test_pkcs1_keys_are_read(rsa_leaf: Issued) -> None:
    old = rsa_leaf.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    assert b"RSA PRIVATE KEY" in old
    bundle = read_pem((rsa_leaf.pem + old).decode())
    assert (bundle.key_pkcs8, bundle.leaf) == (rsa_leaf.pkcs8, rsa_leaf.der)


def test_what_openssl_writes_is_read(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-out", key)  # with a block EC PARAMETERS
    openssl("req", "-x509", "-key", key, "-subj", "/CN=written by OpenSSL", "-out", certificate, "-text")
    bundle = read_pem(key.read_text() + certificate.read_text())
    assert bundle.key_pkcs8 is not None
    assert len(bundle.certificates) == 1


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key_is_refused_with_a_sentence_of_its_own(form: PrivateFormat) -> None:
    key = LEAF.key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"secret"))
    assert refused((key + LEAF.pem).decode()) == ENCRYPTED


def test_what_cannot_be_read_is_refused_with_one_sentence() -> None:
    certificate, key = LEAF.pem.decode(), LEAF.pem_key.decode()
    ed25519_key = ed25519.Ed25519PrivateKey.generate()
    odd = {
        "empty": "",
        "text": "not PEM",
        "a key alone": key,
        "two keys": key + ROOT.pem_key.decode() + certificate,
        "no end": certificate.replace("-----END CERTIFICATE-----", ""),
        "another end": certificate.replace("-----END CERTIFICATE-----", "-----END PRIVATE KEY-----"),
        "begin in begin": "-----BEGIN CERTIFICATE-----\n" + certificate,
        "not base64": certificate.replace("MII", "M!I"),
        "cut": certificate.replace(certificate.splitlines()[3] + "\n", ""),
        "not a certificate": write_pem(None, [b"\x30\x03\x02\x01\x00"]),
        "something behind": write_pem(None, [LEAF.der + b"\0"]),
        "not a key": write_pem(b"\x30\x03\x02\x01\x00", [LEAF.der]),
        "not a SEC1 key": certificate + key.replace(" PRIVATE", " EC PRIVATE"),
        "a SEC1 key without a curve": certificate
        + write_pem(b"\x30\x06\x02\x01\x01\x04\x01\x01", []).replace(" PRIVATE", " EC PRIVATE"),
        "PKCS#8 called PKCS#1": certificate + key.replace(" PRIVATE", " RSA PRIVATE"),
        "a key in disguise": certificate
        + ed25519_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        .decode()
        .replace(" PRIVATE", " RSA PRIVATE"),
        "not ASCII": certificate.replace("MII", "MÍI"),
        "a lone surrogate": certificate.replace("MII", "M\ud800I"),
        "too many certificates": certificate * (MOST_CERTIFICATES + 1),
        "too long": certificate + " " * LONGEST_TEXT,
    }
    for reason, text in odd.items():
        assert refused(text) == UNREADABLE, reason


def test_a_key_of_another_type_is_left_to_admission() -> None:
    key = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    bundle = read_pem((key + LEAF.pem).decode())
    assert bundle.leaf == LEAF.der
    assert bundle.key_pkcs8 is not None
    with pytest.raises(BadRequest, match="type or curve is not supported"):
        material_from_pkcs8(bundle.key_pkcs8)
