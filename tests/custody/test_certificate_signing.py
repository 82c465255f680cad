"""Certificates and requests that a key in custody signs. `cryptography` and OpenSSL are the judges."""

import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hsmvault.clock import MovedClock, RandomIdentifiers
from hsmvault.custody import certificate_extensions as made
from hsmvault.custody import der
from hsmvault.custody.certificate_signing import (
    NO_END,
    CertificateTemplate,
    RequestTemplate,
    Signer,
    algorithm_identifier,
    encoded_time,
    enveloped,
    sign_certificate,
    sign_request,
    sign_tbs,
    signature_algorithm,
)
from hsmvault.custody.keyring import KeyRing
from hsmvault.custody.protocols import Binding
from hsmvault.custody.sealing import Sealer
from hsmvault.custody.self_signed import self_signed
from hsmvault.custody.soft import SoftCustodian
from hsmvault.errors import BadRequest, Unavailable
from hsmvault.lanes import Lane
from hsmvault.model.algorithms import Curve, EncryptionAlgorithm, KeySpec, SignatureAlgorithm
from hsmvault.model.certificate_policies import AlternativeNames
from tests.custody.certificates import named, openssl
from tests.custody.doubles import MemoryDataKeyStore, SoftwareSystemKey

P256 = KeySpec.ec(Curve.P256)
SPECS = (KeySpec.rsa(2048), *(KeySpec.ec(curve) for curve in Curve))
HASHES = {
    "RSA": hashes.SHA256(),
    "P-256": hashes.SHA256(),
    "P-256K": hashes.SHA256(),
    "P-384": hashes.SHA384(),
    "P-521": hashes.SHA512(),
}
BEGIN, END = 1_750_000_000, 1_780_000_000
Extensions = Sequence["x509.Extension[x509.ExtensionType]"]


def label(spec: KeySpec) -> str:
    return spec.curve.value if spec.curve else "RSA"


class Keys:
    """Keys in soft custody, made once."""

    def __init__(self, custodian: SoftCustodian) -> None:
        self._custodian = custodian
        self._signers: dict[KeySpec, Signer] = {}

    async def __call__(self, spec: KeySpec) -> Signer:
        if spec not in self._signers:
            binding = Binding("c-1", "key", "key", os.urandom(16).hex())
            held = await self._custodian.generate(spec, binding)
            self._signers[spec] = Signer(self._custodian.open(held, binding), held.spec, held.public)
        return self._signers[spec]


@pytest.fixture
async def keys() -> AsyncIterator[Keys]:
    clock = MovedClock()
    work: Lane[None] = Lane("work", None, limit=100)
    sealer = Sealer(KeyRing(SoftwareSystemKey()), MemoryDataKeyStore(), clock, RandomIdentifiers())
    yield Keys(SoftCustodian(sealer, clock, work=work, generation=work))
    await work.close()


def present(*extensions: made.AnyExtension | None) -> Extensions:
    return [each for each in extensions if each is not None]


def policy_extensions(public: bytes) -> Extensions:
    return present(
        made.key_usage(("digitalSignature", "keyEncipherment")),
        made.end_entity(),
        made.extended_key_usage(("1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2")),
        made.alternative_names(
            AlternativeNames(
                dns_names=("leaf.example", "*.leaf.example"),
                emails=("somebody@leaf.example",),
                upns=("jürgen@leaf.example",),
                uris=("https://leaf.example/path",),
                ip_addresses=("192.0.2.7", "2001:db8::7"),
            )
        ),
        made.authority_key_identifier(public),
        made.subject_key_identifier(public),
    )


def self_signed_template(public: bytes, extensions: Extensions = ()) -> CertificateTemplate:
    name = named("leaf.example")
    return CertificateTemplate(name, name, public, int.from_bytes(b"\x7f" + bytes(15), "big"), BEGIN, END, extensions)


@pytest.mark.parametrize("spec", SPECS, ids=label)
async def test_a_self_signed_certificate_is_good_for_openssl(keys: Keys, spec: KeySpec, tmp_path: Path) -> None:
    signer = await keys(spec)
    certificate_der = await sign_certificate(
        signer, self_signed_template(signer.public, policy_extensions(signer.public))
    )
    certificate = x509.load_der_x509_certificate(certificate_der)
    certificate.verify_directly_issued_by(certificate)
    assert type(certificate.signature_hash_algorithm) is type(HASHES[label(spec)])
    assert certificate.public_bytes(Encoding.DER) == certificate_der
    file = tmp_path / "certificate.pem"
    file.write_bytes(certificate.public_bytes(Encoding.PEM))
    told = openssl("verify", "-x509_strict", "-attime", str(BEGIN + 1), "-CAfile", file, file)
    assert told.endswith("OK\n")


async def test_a_certificate_says_what_its_template_says(keys: Keys) -> None:
    signer = await keys(P256)
    template = self_signed_template(signer.public, policy_extensions(signer.public))
    certificate = x509.load_der_x509_certificate(await sign_certificate(signer, template))
    assert certificate.version is x509.Version.v3
    assert certificate.serial_number == template.serial
    assert certificate.subject == certificate.issuer == named("leaf.example")
    assert certificate.not_valid_before_utc == datetime.fromtimestamp(BEGIN, UTC)
    assert certificate.not_valid_after_utc == datetime.fromtimestamp(END, UTC)
    assert certificate.public_key() == load_der_public_key(signer.public)
    assert [(each.oid, each.critical) for each in certificate.extensions] == [
        (each.oid, each.critical) for each in template.extensions
    ]
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert (usage.value.digital_signature, usage.value.key_encipherment) == (True, True)
    assert (usage.value.key_cert_sign, usage.value.data_encipherment) == (False, False)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["leaf.example", "*.leaf.example"]
    assert names.get_values_for_type(x509.RFC822Name) == ["somebody@leaf.example"]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["https://leaf.example/path"]
    assert names.get_values_for_type(x509.IPAddress) == [ip_address("192.0.2.7"), ip_address("2001:db8::7")]
    (principal,) = names.get_values_for_type(x509.OtherName)
    assert principal == x509.OtherName(made.USER_PRINCIPAL_NAME, der.tagged(0x0C, "jürgen@leaf.example".encode()))
    own = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert own == x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())
    issuer = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert issuer.key_identifier == own.digest


async def test_the_library_would_have_written_the_same_bytes(keys: Keys) -> None:
    """The body of a certificate, byte for byte, also with dates on both sides of 2050 and without extensions."""
    signer = await keys(P256)
    throwaway = ec.generate_private_key(ec.SECP256R1())
    public = throwaway.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Größe, GmbH"),
            x509.NameAttribute(NameOID.COMMON_NAME, "leaf.example"),
        ]
    )
    for serial, begin, end, extensions in (
        (1, BEGIN, END, policy_extensions(public)),
        (128, 0, 2_524_607_999, ()),
        ((1 << 159) - 1, 2_524_608_000, NO_END, policy_extensions(public)[:1]),
    ):
        template = CertificateTemplate(name, name, public, serial, begin, end, extensions)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(throwaway.public_key())
            .serial_number(serial)
            .not_valid_before(datetime.fromtimestamp(begin, UTC))
            .not_valid_after(datetime.fromtimestamp(end, UTC))
        )
        for each in extensions:
            builder = builder.add_extension(each.value, critical=each.critical)
        ours = x509.load_der_x509_certificate(await sign_certificate(signer, template))
        assert ours.tbs_certificate_bytes == builder.sign(throwaway, hashes.SHA256()).tbs_certificate_bytes


async def test_an_issuer_signs_certificates_of_other_keys(keys: Keys, tmp_path: Path) -> None:
    root, leaf = await keys(KeySpec.ec(Curve.P384)), await keys(P256)
    constraints = x509.BasicConstraints(ca=True, path_length=0)
    root_der = await sign_certificate(
        root,
        replace(
            self_signed_template(
                root.public,
                present(
                    x509.Extension(constraints.oid, True, constraints),
                    made.key_usage(("keyCertSign", "cRLSign")),
                    made.subject_key_identifier(root.public),
                ),
            ),
            subject=named("Root"),
            issuer=named("Root"),
        ),
    )
    leaf_der = await sign_certificate(
        root,
        CertificateTemplate(
            named("leaf.example"),
            named("Root"),
            leaf.public,
            2,
            BEGIN,
            END,
            present(
                made.end_entity(),
                made.key_usage(("digitalSignature",)),
                made.subject_key_identifier(leaf.public),
                made.authority_key_identifier(root.public),
            ),
        ),
    )
    files = []
    for name, encoded in (("root.pem", root_der), ("leaf.pem", leaf_der)):
        files.append(tmp_path / name)
        files[-1].write_bytes(x509.load_der_x509_certificate(encoded).public_bytes(Encoding.PEM))
    assert openssl("verify", "-x509_strict", "-attime", str(BEGIN), "-CAfile", *files).endswith("OK\n")


@pytest.mark.parametrize("spec", SPECS, ids=label)
async def test_a_request_is_good_for_openssl(keys: Keys, spec: KeySpec, tmp_path: Path) -> None:
    signer = await keys(spec)
    extensions = policy_extensions(signer.public)[:4]
    request_der = await sign_request(signer, RequestTemplate(named("leaf.example"), extensions))
    request = x509.load_der_x509_csr(request_der)
    assert request.is_signature_valid
    assert request.subject == named("leaf.example")
    assert list(request.extensions) == list(extensions)
    file = tmp_path / "request.der"
    file.write_bytes(request_der)
    told = openssl("req", "-inform", "DER", "-in", file, "-verify", "-noout", "-text")
    assert "verify OK" in told
    assert "DNS:leaf.example" in told


async def test_a_request_may_ask_for_nothing(keys: Keys) -> None:
    signer = await keys(P256)
    request = x509.load_der_x509_csr(await sign_request(signer, RequestTemplate(x509.Name([]))))
    assert request.is_signature_valid
    assert list(request.extensions) == []


@pytest.mark.parametrize("spec", SPECS, ids=label)
async def test_other_structures_are_signed_the_same_way(keys: Keys, spec: KeySpec) -> None:
    signer, tbs = await keys(spec), der.sequence(der.integer(1))
    algorithm, signature = await sign_tbs(signer, tbs)
    assert algorithm == algorithm_identifier(spec)
    key, function = load_der_public_key(signer.public), HASHES[label(spec)]
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, tbs, padding.PKCS1v15(), function)
    else:
        assert isinstance(key, ec.EllipticCurvePublicKey)
        key.verify(signature, tbs, ec.ECDSA(function))
    assert enveloped(tbs, algorithm, signature) == der.sequence(tbs, algorithm, der.tagged(3, b"\0" + signature))


class Wrong:
    """A KeyHandle whose signatures are not good."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    async def sign(self, algorithm: SignatureAlgorithm, digest: bytes) -> bytes:
        signature = await self._signer.handle.sign(algorithm, digest)
        return signature[:-1] + bytes((signature[-1] ^ 1,))

    async def encrypt(self, algorithm: EncryptionAlgorithm, plaintext: bytes, iv: bytes, aad: bytes) -> bytes:
        raise NotImplementedError

    async def decrypt(
        self, algorithm: EncryptionAlgorithm, ciphertext: bytes, iv: bytes = b"", aad: bytes = b""
    ) -> bytes:
        raise NotImplementedError

    def release(self) -> None:
        raise NotImplementedError


async def test_a_signature_that_is_not_good_goes_nowhere(keys: Keys) -> None:
    for spec in (P256, KeySpec.ec(Curve.P384), KeySpec.rsa(2048)):
        signer = await keys(spec)
        with pytest.raises(Unavailable) as caught:
            await sign_certificate(replace(signer, handle=Wrong(signer)), self_signed_template(signer.public))
        assert "is not good" in (caught.value.detail or "")
    stranger = await keys(KeySpec.ec(Curve.P256K))
    with pytest.raises(BadRequest):
        await sign_certificate(replace(stranger, spec=P256), self_signed_template(stranger.public))


async def test_the_envelope_of_a_system_key_names_its_host(keys: Keys) -> None:
    signer = await keys(KeySpec.rsa(2048))
    certificate = x509.load_der_x509_certificate(
        await self_signed(
            signer.handle,
            signer.public,
            host="a" * 70,
            serial=7,
            not_before=BEGIN,
            not_after=END,
            dns_names=("vault.example",),
        )
    )
    certificate.verify_directly_issued_by(certificate)
    assert certificate.subject == named("a" * 64)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["vault.example"]


def test_oct_keys_sign_no_certificates() -> None:
    with pytest.raises(BadRequest):
        signature_algorithm(KeySpec.oct(256))


def test_times_are_utc_time_until_2049() -> None:
    assert encoded_time(2_524_607_999) == b"\x17\x0d491231235959Z"
    assert encoded_time(2_524_608_000) == b"\x18\x0f20500101000000Z"
    assert encoded_time(NO_END) == b"\x18\x0f99991231235959Z"


class TestExtensions:
    def test_each_word_of_a_policy_is_its_own_bit(self) -> None:
        for at, word in enumerate(made.KEY_USAGES):
            extension = made.key_usage((word, "keyAgreement"))
            assert extension is not None
            assert extension.critical
            content = der.read(extension.value.public_bytes(), der.Budget(1)).content[1:]
            bits = int.from_bytes(content.ljust(2, b"\0"), "big")
            assert bits == 1 << 15 - at | 1 << 15 - 4
        assert made.key_usage(()) is None
        assert made.key_usage(("encipherOnly", "decipherOnly")) is None

    def test_what_is_not_asked_for_is_not_there(self) -> None:
        assert made.extended_key_usage(()) is None
        assert made.alternative_names(AlternativeNames()) is None

    def test_extended_usages_are_object_identifiers(self) -> None:
        extension = made.extended_key_usage(("1.3.6.1.5.5.7.3.1", "1.2.3.4.5"))
        assert extension is not None
        assert isinstance(extension.value, x509.ExtendedKeyUsage)
        assert ExtendedKeyUsageOID.SERVER_AUTH in extension.value
        for bad in ("", "serverAuth", "1", "1.2.x", "9.9.9"):
            with pytest.raises(BadRequest):
                made.extended_key_usage((bad,))

    @pytest.mark.parametrize("kind", ["dns_names", "emails", "uris", "upns"])
    @pytest.mark.parametrize("bad", ["", "a\0b", "a\nb", "a\ud800b"])
    def test_names_with_control_characters_are_refused(self, kind: str, bad: str) -> None:
        with pytest.raises(BadRequest):
            made.alternative_names(AlternativeNames(**{kind: (bad,)}))

    @pytest.mark.parametrize(
        ("kind", "bad"), [("dns_names", "größe.example"), ("emails", "jürgen@x"), ("ip_addresses", "10.0.0.0/8")]
    )
    def test_names_that_are_not_in_their_ascii_form_are_refused(self, kind: str, bad: str) -> None:
        with pytest.raises(BadRequest):
            made.alternative_names(AlternativeNames(**{kind: (bad,)}))

    def test_the_names_of_a_certificate_without_a_subject_are_critical(self) -> None:
        extension = made.alternative_names(AlternativeNames(dns_names=("leaf.example",)), critical=True)
        assert extension is not None
        assert extension.critical
