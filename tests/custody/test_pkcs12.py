"""PKCS#12: written for OpenSSL and everybody else, read in bounded time. OpenSSL and `cryptography` are the judges."""

import base64
import json
import subprocess
import time
from pathlib import Path

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import RC2
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from hsmvault.clock import RandomIdentifiers
from hsmvault.custody import der, rc2
from hsmvault.custody import pkcs12_keys as names
from hsmvault.custody.bundles import MOST_CERTIFICATES, Bundle
from hsmvault.custody.pkcs12 import write_pkcs12
from hsmvault.custody.pkcs12_reading import LONGEST_CONTENT_BYTES, UNREADABLE, read_pkcs12
from hsmvault.errors import BadRequest
from tests.custody import pkcs12_files as files
from tests.custody.certificates import Issued, issued, openssl

ROOT = issued("Root")
INTERMEDIATE = issued("Intermediate", ROOT)
LEAF = issued("leaf.example", INTERMEDIATE, ca=False)
CHAIN = (LEAF.der, INTERMEDIATE.der, ROOT.der)
RANDOM = RandomIdentifiers()


@pytest.fixture(scope="module")
def rsa_leaf() -> Issued:
    return issued("rsa.example", ROOT, key=rsa.generate_private_key(65537, 2048), ca=False)


def opened(pfx: bytes, folder: Path, *options: str) -> list[str]:
    """The PEM blocks that `openssl pkcs12` finds under the empty password, without their ends."""
    file = folder / "file.pfx"
    file.write_bytes(pfx)
    text = openssl("pkcs12", "-in", file, "-passin", "pass:", "-nodes", *options)
    return [block.split("-----END")[0] for block in text.split("-----BEGIN ")[1:]]


def exported(leaf: Issued, folder: Path, password: str, *options: str) -> bytes:
    """A file that OpenSSL wrote, with the leaf and two more certificates."""
    key, certificate, others, file = (folder / name for name in ("key.pem", "leaf.pem", "others.pem", "out.p12"))
    key.write_bytes(leaf.pem_key)
    certificate.write_bytes(leaf.pem)
    others.write_bytes(INTERMEDIATE.pem + ROOT.pem)
    secret = folder / "password"
    secret.write_text(password + "\n")
    inputs = ("-inkey", key, "-in", certificate, "-certfile", others)
    openssl("pkcs12", "-export", *inputs, "-out", file, "-passout", f"file:{secret}", *options)
    return file.read_bytes()


def refused(content: bytes, password: str = files.PASSWORD) -> str:
    """The detail of the one refusal."""
    with pytest.raises(BadRequest) as caught:
        read_pkcs12(content, password)
    assert caught.value.message == UNREADABLE
    assert caught.value.code == "BadParameter"
    assert caught.value.detail
    return caught.value.detail


def holds_the_chain(bundle: Bundle, leaf: Issued = LEAF) -> bool:
    others = set(bundle.certificates) - {leaf.der}
    return bundle.key_pkcs8 == leaf.pkcs8 and bundle.leaf == leaf.der and others == {INTERMEDIATE.der, ROOT.der}


class TestWriting:
    @pytest.mark.parametrize("legacy", [False, True])
    def test_openssl_finds_the_key_and_the_certificates_in_their_order(self, tmp_path: Path, legacy: bool) -> None:
        pfx = write_pkcs12(LEAF.pkcs8, CHAIN, legacy=legacy, identifiers=RANDOM)
        blocks = opened(pfx, tmp_path, *(("-legacy",) if legacy else ()))
        assert [block.split("-----")[0] for block in blocks] == [*["CERTIFICATE"] * 3, "PRIVATE KEY"]
        found = [base64.b64decode(block.split("-----")[1]) for block in blocks]
        assert found == [*CHAIN, LEAF.pkcs8]

    def test_what_openssl_3_opens_is_sealed_with_aes_256_and_sha_256(self, tmp_path: Path) -> None:
        file = tmp_path / "file.pfx"
        file.write_bytes(write_pkcs12(LEAF.pkcs8, CHAIN, identifiers=RANDOM))
        told = openssl("pkcs12", "-in", file, "-passin", "pass:", "-info", "-noout")
        assert "MAC: sha256" in told
        assert told.count("PBES2, PBKDF2, AES-256-CBC, Iteration 2048, PRF hmacWithSHA256") == 2

    @pytest.mark.parametrize("legacy", [False, True])
    @pytest.mark.parametrize("password", [None, b""])
    def test_cryptography_finds_them_with_and_without_an_empty_password(
        self, legacy: bool, password: bytes | None
    ) -> None:
        loaded = pkcs12.load_pkcs12(write_pkcs12(LEAF.pkcs8, CHAIN, legacy=legacy, identifiers=RANDOM), password)
        assert isinstance(loaded.key, ec.EllipticCurvePrivateKey)
        assert loaded.key.private_numbers() == LEAF.key.private_numbers()
        assert loaded.cert is not None
        assert loaded.cert.certificate == LEAF.certificate
        assert {each.certificate for each in loaded.additional_certs} == {INTERMEDIATE.certificate, ROOT.certificate}

    def test_the_local_key_id_marks_the_keys_certificate_wherever_it_stands(self) -> None:
        loaded = pkcs12.load_pkcs12(write_pkcs12(LEAF.pkcs8, CHAIN[::-1], leaf=2, identifiers=RANDOM), None)
        assert loaded.cert is not None
        assert loaded.cert.certificate == LEAF.certificate

    def test_without_a_key_there_are_certificates_alone(self, tmp_path: Path) -> None:
        pfx = write_pkcs12(None, CHAIN, identifiers=RANDOM)
        blocks = opened(pfx, tmp_path)
        assert [base64.b64decode(block.split("-----")[1]) for block in blocks] == list(CHAIN)
        assert pkcs12.load_pkcs12(pfx, None).key is None
        bundle = read_pkcs12(pfx, "")
        assert (bundle.key_pkcs8, bundle.certificates) == (None, CHAIN)

    @pytest.mark.parametrize("legacy", [False, True])
    def test_what_is_written_is_read(self, rsa_leaf: Issued, legacy: bool) -> None:
        for key in (LEAF, rsa_leaf):
            chain = (key.der, *CHAIN[1:])
            bundle = read_pkcs12(write_pkcs12(key.pkcs8, chain, legacy=legacy, identifiers=RANDOM), "")
            assert (bundle.key_pkcs8, bundle.leaf, bundle.certificates) == (key.pkcs8, key.der, chain)

    def test_no_two_files_are_the_same(self) -> None:
        assert len({write_pkcs12(LEAF.pkcs8, CHAIN, identifiers=RANDOM) for _ in range(3)}) == 3

    @pytest.mark.slow
    def test_node_serves_tls_with_it(self, tmp_path: Path, rsa_leaf: Issued) -> None:
        for number, leaf in enumerate((LEAF, rsa_leaf)):
            (tmp_path / f"{number}.pfx").write_bytes(
                write_pkcs12(leaf.pkcs8, (leaf.der, *CHAIN[1:]), identifiers=RANDOM)
            )
        script = (
            "const tls = require('tls'), fs = require('fs');"
            "for (const file of process.argv.slice(1)) tls.createSecureContext({pfx: fs.readFileSync(file)});"
            "console.log(JSON.stringify('good'));"
        )
        out = subprocess.run(
            ["node", "-e", script, tmp_path / "0.pfx", tmp_path / "1.pfx"],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout
        assert json.loads(out) == "good"


class TestReading:
    @pytest.mark.parametrize(
        ("password", "options"),
        [
            ("secret", ()),
            ("sécret – пароль 🔑", ()),
            ("sécret – пароль 🔑", ("-legacy",)),
            ("", ()),
            ("", ("-legacy",)),
            ("secret", ("-legacy",)),
            ("secret", ("-legacy", "-certpbe", "PBE-SHA1-RC2-128", "-keypbe", "PBE-SHA1-2DES", "-macalg", "sha384")),
            ("secret", ("-certpbe", "AES-128-CBC", "-keypbe", "DES-EDE3-CBC", "-macalg", "sha512")),
            ("secret", ("-certpbe", "AES-192-CBC", "-keypbe", "NONE", "-nomaciter")),
            ("secret", ("-certpbe", "NONE", "-keypbe", "NONE")),
            ("secret", ("-nomac",)),
        ],
        ids=str,
    )
    def test_what_openssl_writes_is_read_with_its_password_alone(
        self, tmp_path: Path, password: str, options: tuple[str, ...]
    ) -> None:
        content = exported(LEAF, tmp_path, password, *options)
        assert holds_the_chain(read_pkcs12(content, password))
        for wrong in ("another", password + "x", "" if password else "secret"):
            refused(content, wrong)

    def test_rsa_keys_and_what_cryptography_writes_are_read(self, rsa_leaf: Issued) -> None:
        content = pkcs12.serialize_key_and_certificates(
            "föhn".encode(), rsa_leaf.key, rsa_leaf.certificate, [ROOT.certificate], BestAvailableEncryption(b"secret")
        )
        bundle = read_pkcs12(content, "secret")
        assert (bundle.key_pkcs8, bundle.leaf) == (rsa_leaf.pkcs8, rsa_leaf.der)
        assert set(bundle.certificates) == {rsa_leaf.der, ROOT.der}

    def test_a_file_without_any_password_is_read_without_one(self) -> None:
        """Which is not the same as an empty one: the derivation of PKCS#12 ends its passwords with two zero bytes."""
        safe = files.safe_of([files.plain(files.certificate_bag(ROOT.der))])
        key = names.derived(names.NO_PASSWORD, "sha256", names.FOR_MAC, files.SALT, 5, 32)
        digest = der.sequence(der.sequence(names.SHA256, der.NULL), der.octet_string(names.mac(key, "sha256", safe)))
        mac = der.sequence(digest, der.octet_string(files.SALT), der.integer(5))
        content = files.pfx([files.plain(files.certificate_bag(ROOT.der))], mac)
        assert read_pkcs12(content, "").certificates == (ROOT.der,)
        refused(content, "secret")

    def test_the_leaf_is_the_keys_certificate_and_the_order_is_the_files(self) -> None:
        bags = [files.certificate_bag(each) for each in (ROOT.der, LEAF.der, INTERMEDIATE.der)]
        bundle = read_pkcs12(files.pfx([files.plain(*bags), files.plain(files.key_bag(LEAF.pkcs8))]), files.PASSWORD)
        assert bundle.leaf == LEAF.der
        assert bundle.certificates == (ROOT.der, LEAF.der, INTERMEDIATE.der)
        assert bundle.chain() == CHAIN
        assert bundle.chain(preserve=True) == bundle.certificates

    def test_a_key_of_another_certificate_leaves_the_first_one_as_leaf(self) -> None:
        """Whether they fit is asked by who imports (certificate_chains.fits_key)."""
        bags = [files.certificate_bag(ROOT.der), files.key_bag(LEAF.pkcs8)]
        bundle = read_pkcs12(files.pfx([files.plain(*bags)]), files.PASSWORD)
        assert (bundle.leaf, bundle.key_pkcs8) == (ROOT.der, LEAF.pkcs8)

    def test_ber_with_indefinite_lengths_is_read(self, tmp_path: Path) -> None:
        content = exported(LEAF, tmp_path, "secret")
        assert holds_the_chain(read_pkcs12(files.indefinite(content), "secret"))
        file = tmp_path / "ber.p12"
        file.write_bytes(files.indefinite(content))
        assert "PRIVATE KEY" in openssl("pkcs12", "-in", file, "-passin", "pass:secret", "-nodes")

    def test_bags_in_bags_are_read(self) -> None:
        bags = [files.certificate_bag(LEAF.der), files.key_bag(LEAF.pkcs8)]
        bundle = read_pkcs12(files.pfx([files.plain(files.nested(3, *bags))]), files.PASSWORD)
        assert (bundle.leaf, bundle.key_pkcs8) == (LEAF.der, LEAF.pkcs8)

    def test_pbmac1_is_read(self) -> None:
        parts = [files.plain(files.certificate_bag(LEAF.der))]
        safe = files.safe_of(parts)
        content = files.pfx(parts, files.pbmac1_data(safe, iterations=3))
        assert read_pkcs12(content, files.PASSWORD).leaf == LEAF.der
        refused(content, "another")
        for iterations, length in ((3, 8), (3, 65)):
            assert "length" in refused(files.pfx(parts, files.pbmac1_data(safe, iterations=iterations, length=length)))

    def test_a_bundle_shows_nothing_of_the_key(self) -> None:
        bundle = read_pkcs12(write_pkcs12(LEAF.pkcs8, CHAIN, identifiers=RANDOM), "")
        assert repr(bundle) == "Bundle()"


class TestHostileFiles:
    MANY = 10_000_000

    def test_too_many_iterations_are_refused_before_anything_is_derived(self) -> None:
        plain = files.plain(files.certificate_bag(LEAF.der))
        costly = files.pbes2(1, claims=self.MANY)
        hidden = files.sealed(files.pbes2(1), files.shrouded_key_bag(LEAF.pkcs8, costly))
        old = (files.pbes1(names.PBE_SHA1_3DES, self.MANY), bytes(32), bytes(16))
        safe = files.safe_of([plain])
        started = time.monotonic()
        for content in (
            files.pfx([plain], files.mac_data(safe, claims=self.MANY)),
            files.pfx([plain], files.pbmac1_data(safe, iterations=1).replace(der.integer(1), der.integer(0))),
            files.pfx([plain, files.sealed(costly, files.certificate_bag(LEAF.der))]),
            files.pfx([plain, files.plain(files.shrouded_key_bag(LEAF.pkcs8, costly))]),
            files.pfx([plain, files.plain(files.nested(2, files.shrouded_key_bag(LEAF.pkcs8, costly)))]),
            files.pfx([plain, hidden]),
            files.pfx([plain, files.plain(files.shrouded_key_bag(LEAF.pkcs8, old))]),
            files.pfx([plain], files.mac_data(safe, claims=1 << 62)),
        ):
            assert refused(content) == "PKCS#12: the number of iterations is out of range"
        assert "INTEGER" in refused(files.pfx([plain], files.mac_data(safe, claims=1 << 64)))
        assert time.monotonic() - started < 2

    @pytest.mark.slow
    def test_derivations_are_paid_for_from_one_purse(self) -> None:
        scheme = files.pbes2(900_000)
        parts = [files.sealed(scheme, files.certificate_bag(LEAF.der)) for _ in range(20)]
        assert refused(files.pfx(parts)) == "PKCS#12: it costs too many hashes"

    @pytest.mark.slow
    def test_what_firefox_writes_is_within_the_limits(self, tmp_path: Path) -> None:
        content = exported(
            LEAF, tmp_path, "secret", "-iter", "600000", "-certpbe", "AES-256-CBC", "-keypbe", "AES-256-CBC"
        )
        assert holds_the_chain(read_pkcs12(content, "secret"))

    def test_more_than_one_private_key_is_refused(self) -> None:
        bags = [files.certificate_bag(LEAF.der), files.key_bag(LEAF.pkcs8)]
        for second in (files.key_bag(ROOT.pkcs8), files.shrouded_key_bag(ROOT.pkcs8, files.pbes2(1))):
            assert "more than one" in refused(files.pfx([files.plain(*bags), files.plain(second)]))

    def test_what_goes_beyond_what_is_read_is_refused(self) -> None:
        certificate, key = files.certificate_bag(LEAF.der), files.key_bag(LEAF.pkcs8)
        ed25519 = der.oid("1.3.101.112")
        odd = {
            "empty": b"",
            "text": b"not a file",
            "no bag": files.pfx([]),
            "no certificate": files.pfx([files.plain(key)]),
            "too many certificates": files.pfx([files.plain(*[certificate] * (MOST_CERTIFICATES + 1))]),
            "bags too deep": files.pfx([files.plain(files.nested(6, certificate))]),
            "elements too deep": files.pfx([files.plain(files.nested(2000, certificate))]),
            "too many elements": files.pfx([files.plain(certificate, *[der.sequence(der.NULL) * 3] * 2000)]),
            "another version": files.pfx([files.plain(certificate)], version=2),
            "no certificate in the bag": files.pfx([files.plain(files.certificate_bag(b"\x30\x03\x02\x01\x00"))]),
            "no key in the bag": files.pfx([files.plain(certificate, files.key_bag(der.sequence(der.integer(0))))]),
            "a key of many bytes": files.pfx(
                [
                    files.plain(
                        certificate,
                        files.key_bag(
                            der.sequence(der.integer(0), der.sequence(ed25519), der.octet_string(bytes(9000)))
                        ),
                    )
                ]
            ),
            "something behind": files.pfx([files.plain(certificate)]) + b"\0",
            "too long": files.pfx([files.plain(certificate)]) + bytes(LONGEST_CONTENT_BYTES),
            "a certificate with something behind": files.pfx([files.plain(files.certificate_bag(LEAF.der + b"\0"))]),
        }
        for reason, content in odd.items():
            assert refused(content), reason

    def test_a_key_type_that_is_not_ours_is_not_given_to_the_library(self) -> None:
        """Diffie-Hellman keys, for instance, cost as much time as who made them likes. Admission refuses them."""
        other = der.sequence(
            der.integer(0), der.sequence(der.oid("1.2.840.113549.1.3.1")), der.octet_string(der.integer(1))
        )
        bags = [files.certificate_bag(LEAF.der), files.key_bag(other)]
        bundle = read_pkcs12(files.pfx([files.plain(*bags)]), files.PASSWORD)
        assert (bundle.key_pkcs8, bundle.leaf) == (other, LEAF.der)

    def test_no_flipped_bit_is_read_as_something_else(self, tmp_path: Path) -> None:
        content = exported(LEAF, tmp_path, "secret", "-iter", "1", "-nomaciter")
        good = read_pkcs12(content, "secret")
        changed = bytearray(content)
        for at in range(len(content)):
            changed[at] ^= 1 << at % 8
            try:
                assert read_pkcs12(bytes(changed), "secret") == good
            except BadRequest as error:
                assert error.message == UNREADABLE
            changed[at] = content[at]

    def test_no_cut_file_is_read(self, tmp_path: Path) -> None:
        content = exported(LEAF, tmp_path, "secret", "-iter", "1", "-nomaciter")
        for kind in (content, files.indefinite(content)):
            for length in range(0, len(kind), 7):
                refused(kind[:length], "secret")

    def test_passwords_that_no_file_can_have_are_refused(self) -> None:
        content = files.pfx([files.plain(files.certificate_bag(LEAF.der))])
        assert "surrogates" in refused(content, "\ud800")
        assert "too long" in refused(content, "x" * 1025)
        refused(content, "secret\0")


class TestRc2:
    """RFC 2268, 5; and against `cryptography`, which knows keys of 128 bits alone."""

    @pytest.mark.parametrize(
        ("key", "plaintext", "ciphertext"),
        [
            ("ffffffffffffffff", "ffffffffffffffff", "278b27e42e2f0d49"),
            ("3000000000000000", "1000000000000001", "30649edf9be7d2c2"),
        ],
    )
    def test_the_vectors_of_the_rfc(self, key: str, plaintext: str, ciphertext: str) -> None:
        assert rc2.decrypt_cbc(bytes.fromhex(key), bytes(8), bytes.fromhex(ciphertext)).hex() == plaintext

    def test_cryptography_agrees(self) -> None:
        key, iv, plaintext = RANDOM.random(16), RANDOM.random(8), RANDOM.random(64)
        encryptor = Cipher(RC2(key), CBC(iv)).encryptor()
        ciphertext = encryptor.update(plaintext) + encryptor.finalize()
        assert rc2.decrypt_cbc(key, iv, ciphertext) == plaintext
