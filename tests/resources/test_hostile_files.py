"""Certificates with parts that no reader expects: imported and merged all the same, or refused; never a fault."""

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from hsmvault.custody import certificate_chains as chains
from hsmvault.custody import der
from hsmvault.custody.pem_bundles import write_pem
from hsmvault.errors import BadRequest
from hsmvault.model.certificate_policies import AlternativeNames
from hsmvault.resources.certificate_imports import ImportedCertificate, _read
from tests.custody.certificates import BEGIN, Issued, issued, named
from tests.resources.certificate_stage import Stage, root, signed, soft_stage
from tests.resources.stage import VAULT

ALTERNATIVE_NAMES = x509.ObjectIdentifier("2.5.29.17")
COMMON_NAME = der.oid("2.5.4.3")
BITS_FOR_A_NAME = der.sequence(der.set_of(der.sequence(COMMON_NAME, der.bit_string(b"A"))))
ODD = {
    "an X.400 address": der.sequence(der.explicit(3, b"")),
    "a party of EDI": der.sequence(der.explicit(5, b"")),
    "a directory name of bits": der.sequence(der.explicit(4, BITS_FOR_A_NAME)),
    "no names": der.NULL,
    "nothing": b"",
    "a host beyond ASCII": der.sequence(der.tagged(der.CONTEXT | 2, b"\xff\xfe")),
    "an address of three bytes": der.sequence(der.tagged(der.CONTEXT | 7, b"\x01\x02\x03")),
}


@pytest.fixture
async def on(tmp_path: Path) -> AsyncIterator[Stage]:
    async with soft_stage(tmp_path) as made:
        yield made


def odd_extension(which: str) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(ALTERNATIVE_NAMES, ODD[which])


def odd(which: str, mine: Issued) -> bytes:
    builder = (
        x509.CertificateBuilder()
        .subject_name(named("odd"))
        .issuer_name(named("odd"))
        .public_key(mine.key.public_key())
        .serial_number(1)
        .not_valid_before(BEGIN)
        .not_valid_after(BEGIN + timedelta(days=365))
        .add_extension(odd_extension(which), critical=False)
    )
    return builder.sign(mine.key, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.mark.parametrize("which", list(ODD))
async def test_an_extension_that_cannot_be_read_is_no_reason_to_fail(on: Stage, which: str) -> None:
    mine = issued("odd", ca=False)
    content = (mine.pem_key + odd(which, mine)).decode()
    imported = await on.imports.admit(VAULT, "imported", ImportedCertificate(content))
    assert imported.policy.x509.alternative_names == AlternativeNames()
    operation = await on.create("merged")
    leaf = signed(operation.csr, extension=odd_extension(which))
    merged = await on.completion.merge(VAULT, "merged", [root().der, leaf], None, None)
    assert merged.row.certificate == leaf


@cache
def _samples() -> tuple[bytes, bytes]:
    """A certificate with every kind of extension that is looked at, and its private key."""
    mine = issued("sample", ca=False)
    names = x509.SubjectAlternativeName(
        [
            x509.DNSName("a.example"),
            x509.RFC822Name("a@b.example"),
            x509.UniformResourceIdentifier("https://a.example/"),
            x509.DirectoryName(named("a")),
            x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x03a@b"),
        ]
    )
    usage = x509.KeyUsage(True, False, True, False, True, False, False, True, False)  # it takes nine
    builder = (
        x509.CertificateBuilder()
        .subject_name(named("sample"))
        .issuer_name(named("sample"))
        .public_key(mine.key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGIN)
        .not_valid_after(BEGIN + timedelta(days=365))
        .add_extension(names, critical=False)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.3.6.1.5.5.7.3.1")]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(mine.key.public_key()), critical=False)
    )
    return builder.sign(mine.key, hashes.SHA256()).public_bytes(Encoding.DER), mine.pkcs8


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=3),
    st.booleans(),
)
def test_a_changed_byte_of_certificate_or_key_is_a_refusal_or_means_nothing(
    in_key: bool, changes: list[tuple[int, int]], cut: bool
) -> None:
    whole = list(_samples())
    changed = bytearray(whole[in_key])
    for at, value in changes:
        changed[at % len(changed)] = value
    whole[in_key] = bytes(changed[:-1] if cut else changed)
    certificate, key = whole
    try:
        read = _read(ImportedCertificate(write_pem(key, [certificate])), (65537,), BEGIN.timestamp() + 1)
        chains.subject_of(certificate)
        for chain in ((certificate, _samples()[0]), (_samples()[0], certificate)):
            chains.ordered_chain(chain[0], chain)
    except BadRequest as refusal:
        assert len(refusal.message) < 400
    else:
        assert chains.fits_key(read.certificates[0], read.material.public)
