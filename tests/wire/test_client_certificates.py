"""What a client certificate is known by."""

import hashlib
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from hsmvault.wire.client_certificates import names_of
from tests.login.world import certificate
from tests.pipeline.world import rsa_key


def test_a_certificate_is_known_by_fingerprint_subject_and_alternative_names() -> None:
    name = x509.Name.from_rfc4514_string("CN=proxy,O=Example\\, Inc.")
    made = (
        x509.CertificateBuilder(name, name, rsa_key().public_key(), 1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2045, 1, 1, tzinfo=UTC))
        .add_extension(
            x509.SubjectAlternativeName(
                [
                    x509.DNSName("Proxy.Example.com"),
                    x509.UniformResourceIdentifier("spiffe://site/Proxy"),
                    x509.RFC822Name("ada@example.org"),
                ]
            ),
            critical=False,
        )
        .sign(rsa_key(), SHA256())
        .public_bytes(Encoding.DER)
    )
    assert names_of(made) == {
        f"sha256:{hashlib.sha256(made).hexdigest()}",
        "subject:CN=proxy,O=Example\\, Inc.",
        "dns:proxy.example.com",
        "uri:spiffe://site/Proxy",
    }


def test_a_certificate_without_alternative_names_has_the_others() -> None:
    made = certificate(rsa_key(), "proxy").public_bytes(Encoding.DER)
    assert names_of(made) == {f"sha256:{hashlib.sha256(made).hexdigest()}", "subject:CN=proxy"}


def test_what_cannot_be_read_has_no_name_and_nobody_has_none() -> None:
    assert names_of(b"nonsense") == {f"sha256:{hashlib.sha256(b'nonsense').hexdigest()}"}
    assert names_of(None) == frozenset()
