"""Chains, leaves and what certificates say, against certificates of the `cryptography` library and OpenSSL."""

import hashlib
import itertools
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from hsmvault.custody.certificate_chains import (
    LONGEST_CERTIFICATE_BYTES,
    expired_in,
    fits_key,
    leaf_of,
    load,
    ordered_chain,
    subject_of,
    thumbprint,
    validity,
)
from hsmvault.errors import BadRequest
from tests.custody.certificates import BEGIN, Issued, issued

ROOT = issued("Root")
FIRST = issued("First", ROOT)
SECOND = issued("Second", FIRST)
LEAF = issued("leaf.example", SECOND, ca=False)
STRANGER = issued("Stranger")
CHAIN = (LEAF.der, SECOND.der, FIRST.der, ROOT.der)


def test_a_chain_comes_out_leaf_first_whatever_order_it_came_in() -> None:
    for others in itertools.permutations(CHAIN[1:]):
        assert ordered_chain(LEAF.der, others) == CHAIN


def test_what_does_not_belong_to_the_chain_comes_last_in_the_order_given() -> None:
    other = issued("Other")
    given = (other.der, ROOT.der, STRANGER.der, FIRST.der, SECOND.der)
    assert ordered_chain(LEAF.der, given) == (*CHAIN, other.der, STRANGER.der)
    assert ordered_chain(LEAF.der, (STRANGER.der, ROOT.der)) == (LEAF.der, STRANGER.der, ROOT.der)


def test_each_certificate_comes_once() -> None:
    assert ordered_chain(LEAF.der, (LEAF.der, *CHAIN, *CHAIN)) == CHAIN
    assert ordered_chain(LEAF.der, ()) == (LEAF.der,)


@pytest.mark.parametrize("identifiers", [True, False])
def test_the_issuer_is_the_one_whose_key_signed_not_the_first_with_its_name(identifiers: bool) -> None:
    namesake, true = issued("Same"), issued("Same", identifiers=identifiers)
    leaf = issued("leaf", true, identifiers=identifiers)
    assert ordered_chain(leaf.der, (namesake.der, true.der)) == (leaf.der, true.der, namesake.der)
    assert ordered_chain(leaf.der, (namesake.der,)) == (leaf.der, namesake.der)


def test_a_renewed_issuer_with_the_same_name_and_another_key_is_told_apart() -> None:
    old = issued("Same", ROOT)
    new = issued("Same", ROOT)
    leaf = issued("leaf", new)
    assert ordered_chain(leaf.der, (old.der, new.der, ROOT.der)) == (leaf.der, new.der, ROOT.der, old.der)


def test_certificates_that_issued_each_other_come_to_an_end() -> None:
    first_key, second_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    a = issued("A", issued("B", key=second_key), key=first_key)
    b = issued("B", issued("A", key=first_key), key=second_key)
    leaf = issued("leaf", a)
    assert ordered_chain(leaf.der, (a.der, b.der)) == (leaf.der, a.der, b.der)


def test_the_leaf_is_the_certificate_with_the_keys_public_part() -> None:
    assert leaf_of(LEAF.spki, CHAIN[::-1]) == LEAF.der
    assert leaf_of(STRANGER.spki, CHAIN) is None
    assert fits_key(LEAF.der, LEAF.spki)
    assert not fits_key(LEAF.der, ROOT.spki)


def test_a_certificate_for_a_key_of_another_type_fits_no_key_of_ours() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Ed25519")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, BEGIN, BEGIN.replace(year=2030))
        .sign(key, None)
        .public_bytes(Encoding.DER)
    )
    assert not fits_key(certificate, LEAF.spki)
    assert ordered_chain(LEAF.der, (certificate, SECOND.der)) == (LEAF.der, SECOND.der, certificate)


def test_the_expired_certificate_of_a_chain_is_named() -> None:
    old = issued("Old", ROOT, days=10)
    leaf = issued("leaf", old, days=20)
    chain = (leaf.der, old.der, ROOT.der)
    begin = int(BEGIN.timestamp())
    ends = begin + 10 * 86_400
    assert validity(old.der) == (begin, ends)
    assert expired_in(chain, begin) is None
    assert expired_in(chain, ends) is None
    assert expired_in(chain, ends + 1) == old.der
    assert expired_in(chain, ends + 11 * 86_400) == leaf.der


def test_the_thumbprint_is_sha_1_of_the_certificate() -> None:
    assert thumbprint(LEAF.der) == hashlib.sha1(LEAF.der, usedforsecurity=False).digest()


def test_the_subject_is_text_as_rfc_4514_has_it() -> None:
    assert subject_of(LEAF.der) == "CN=leaf.example"
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Smith, Jones & Co"),
            x509.NameAttribute(NameOID.COMMON_NAME, "größe.example"),
        ]
    )
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, BEGIN, BEGIN.replace(year=2030))
    certificate = Issued(key, builder.sign(key, hashes.SHA256()))
    assert subject_of(certificate.der) == r"CN=größe.example,O=Smith\, Jones & Co,C=DE"


def test_dates_beyond_2050_are_read() -> None:
    late = issued("late", begin=datetime(2049, 12, 31, tzinfo=UTC), days=10)
    assert validity(late.der) == (2_524_521_600, 2_525_385_600)


@pytest.mark.parametrize(
    "bad", [b"", b"text", LEAF.der[:-1], LEAF.der + b"\0", bytes(LONGEST_CERTIFICATE_BYTES + 1)], ids=len
)
def test_what_is_no_certificate_is_refused(bad: bytes) -> None:
    for use in (load, validity, subject_of, lambda der: ordered_chain(LEAF.der, [der])):
        with pytest.raises(BadRequest, match="cannot be read"):
            use(bad)


def test_a_name_of_a_type_that_the_library_does_not_expect_is_refused() -> None:
    text, bits = b"\x0c\x04\0abc", b"\x03\x04\0abc"  # UTF8String, BIT STRING
    odd = issued("\0abc").der.replace(text, bits)
    with pytest.raises(BadRequest, match="cannot be read"):
        load(odd)
