"""Public-key work: verify, encrypt, JWK members."""

import hashlib
import os
from dataclasses import FrozenInstanceError

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from hsmvault.custody import public
from hsmvault.custody.public import EcMembers, PublicKey, RsaMembers
from hsmvault.errors import BadRequest
from hsmvault.model.algorithms import ENCRYPTION_ALGORITHMS, SIGNATURE_ALGORITHMS, Curve, Family, KeySpec

RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEYS = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES256K": ec.generate_private_key(ec.SECP256K1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
}
HASHES = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
RSA_SIGNERS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]


def key_of(name: str) -> PublicKey:
    private = EC_KEYS.get(name, RSA_KEY)
    return PublicKey.load(private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def digest_of(name: str) -> bytes:
    return hashlib.new(SIGNATURE_ALGORITHMS[name].hash.value, b"a message").digest()


def signature_of(name: str, salt_length: int | None = None) -> bytes:
    algorithm, digest = SIGNATURE_ALGORITHMS[name], digest_of(name)
    function = HASHES[algorithm.hash.value]
    if name in EC_KEYS:
        r, s = utils.decode_dss_signature(EC_KEYS[name].sign(digest, ec.ECDSA(utils.Prehashed(function))))
        width = algorithm.signature_bytes(key_of(name).spec) // 2
        return r.to_bytes(width, "big") + s.to_bytes(width, "big")
    if name.startswith("RS"):
        return RSA_KEY.sign(digest, padding.PKCS1v15(), utils.Prehashed(function))
    salt_length = function.digest_size if salt_length is None else salt_length
    pss = padding.PSS(padding.MGF1(function), salt_length)
    return RSA_KEY.sign(digest, pss, utils.Prehashed(function))


@pytest.mark.parametrize("name", [*RSA_SIGNERS, *EC_KEYS])
def test_a_good_signature_is_true_and_any_changed_byte_is_false(name: str) -> None:
    key, algorithm, digest, signature = key_of(name), SIGNATURE_ALGORITHMS[name], digest_of(name), signature_of(name)
    assert key.verify(algorithm, digest, signature) is True
    assert key.verify(algorithm, bytes([digest[0] ^ 1]) + digest[1:], signature) is False
    for at in range(0, len(signature), 7):
        changed = bytes([*signature[:at], signature[at] ^ 1, *signature[at + 1 :]])
        assert key.verify(algorithm, digest, changed) is False


@pytest.mark.parametrize("name", [*RSA_SIGNERS, *EC_KEYS])
def test_a_signature_of_another_length_is_false(name: str) -> None:
    key, algorithm, digest, signature = key_of(name), SIGNATURE_ALGORITHMS[name], digest_of(name), signature_of(name)
    for other in (b"", signature[:-1], signature[1:], b"\0" + signature, signature + b"\0", signature * 2):
        assert key.verify(algorithm, digest, other) is False


@pytest.mark.parametrize("name", EC_KEYS)
def test_forged_numbers_are_false(name: str) -> None:
    key, algorithm, digest, signature = key_of(name), SIGNATURE_ALGORITHMS[name], digest_of(name), signature_of(name)
    width, order = len(signature) // 2, EC_KEYS[name].curve.group_order
    r, s = int.from_bytes(signature[:width], "big"), int.from_bytes(signature[width:], "big")
    top = 256**width - 1
    for bad_r, bad_s in ((0, 0), (0, s), (r, 0), (order, s), (r, order), (r, order + 1), (top, s), (r, top), (1, 1)):
        forged = bad_r.to_bytes(width, "big") + bad_s.to_bytes(width, "big")
        assert key.verify(algorithm, digest, forged) is False
    if r + order <= top:
        assert key.verify(algorithm, digest, (r + order).to_bytes(width, "big") + signature[width:]) is False


@pytest.mark.parametrize("name", EC_KEYS)
def test_a_der_signature_is_false(name: str) -> None:
    signature = signature_of(name)
    width = len(signature) // 2
    numbers = (int.from_bytes(part, "big") for part in (signature[:width], signature[width:]))
    der = utils.encode_dss_signature(*numbers)
    for form in (der, der.ljust(2 * width, b"\0"), der[: 2 * width]):
        assert key_of(name).verify(SIGNATURE_ALGORITHMS[name], digest_of(name), form) is False


@pytest.mark.parametrize("name", ["PS256", "PS384", "PS512"])
@pytest.mark.parametrize("salt_length", [0, 20, 31, 100])
def test_pss_with_another_salt_length_is_false(name: str, salt_length: int) -> None:
    signature = signature_of(name, salt_length)
    assert key_of(name).verify(SIGNATURE_ALGORITHMS[name], digest_of(name), signature) is False


def test_pkcs1_and_pss_are_not_taken_for_each_other() -> None:
    for name, other in (("RS256", "PS256"), ("PS256", "RS256"), ("RS256", "RS512")):
        algorithm = SIGNATURE_ALGORITHMS[other]
        assert key_of(name).verify(algorithm, digest_of(other), signature_of(name)) is False


def test_hand_made_pkcs1_garbage_is_false() -> None:
    """Bleichenbacher 2006 and its kin: bytes behind the digest, short padding, a missing NULL, raw digests."""
    numbers = RSA_KEY.private_numbers()
    n, d = numbers.public_numbers.n, numbers.d
    digest = digest_of("RS256")
    info = bytes.fromhex("3031300d060960864801650304020105000420") + digest
    without_null = bytes.fromhex("302f300b0609608648016503040201" + "0420") + digest

    def signed(encoded: bytes) -> bytes:
        return pow(int.from_bytes(encoded, "big"), d, n).to_bytes(256, "big")

    def padded(tail: bytes, head: bytes = b"\0\1", fill: bytes = b"\xff") -> bytes:
        return head + fill * (256 - 3 - len(tail)) + b"\0" + tail

    key, algorithm = key_of("RS256"), SIGNATURE_ALGORITHMS["RS256"]
    assert key.verify(algorithm, digest, signed(padded(info))) is True
    for bad in (
        b"\0\1" + b"\xff" * 8 + b"\0" + info + b"\0" * (256 - 11 - len(info)),
        padded(info + b"\0"),
        padded(without_null),
        padded(digest),
        padded(info, head=b"\0\2"),
        padded(info, fill=b"\xfe"),
        padded(info[:-1]),
    ):
        assert key.verify(algorithm, digest, signed(bad)) is False
    signature = int.from_bytes(signed(padded(info)), "big")
    if signature + n < 256**256:
        assert key.verify(algorithm, digest, (signature + n).to_bytes(256, "big")) is False


@given(st.binary(max_size=140))
def test_no_bytes_make_verify_raise(noise: bytes) -> None:
    for name in EC_KEYS:
        assert key_of(name).verify(SIGNATURE_ALGORITHMS[name], digest_of(name), noise) is False
        width = len(signature_of(name))
        padded = noise[:width].ljust(width, b"\0")
        assert key_of(name).verify(SIGNATURE_ALGORITHMS[name], digest_of(name), padded) is False


@pytest.mark.parametrize("name", [*RSA_SIGNERS, *EC_KEYS])
def test_a_digest_of_another_length_is_refused(name: str) -> None:
    algorithm = SIGNATURE_ALGORITHMS[name]
    for length in {0, 20, 32, 48, 64, 100} - {algorithm.digest_bytes}:
        with pytest.raises(BadRequest):
            key_of(name).verify(algorithm, bytes(length), signature_of(name))


def test_an_algorithm_of_another_key_is_refused() -> None:
    for name in (*RSA_SIGNERS, *EC_KEYS):
        key = key_of(name)
        for algorithm in SIGNATURE_ALGORITHMS.values():
            if not algorithm.fits(key.spec):
                with pytest.raises(BadRequest):
                    key.verify(algorithm, bytes(algorithm.digest_bytes), b"signature")
        for encryption in ENCRYPTION_ALGORITHMS.values():
            if not encryption.fits(key.spec):
                with pytest.raises(BadRequest):
                    key.encrypt(encryption, b"message")


@pytest.mark.parametrize("name", ["RSA1_5", "RSA-OAEP", "RSA-OAEP-256"])
def test_what_was_encrypted_decrypts_elsewhere_up_to_the_longest_message(name: str) -> None:
    algorithm, key = ENCRYPTION_ALGORITHMS[name], key_of("RS256")
    longest = algorithm.longest_plaintext(key.spec)
    assert longest == {"RSA1_5": 245, "RSA-OAEP": 214, "RSA-OAEP-256": 190}[name]
    function = {"RSA-OAEP": hashes.SHA1(), "RSA-OAEP-256": hashes.SHA256()}.get(name)  # noqa: S303 - RSA-OAEP
    used = padding.OAEP(padding.MGF1(function), function, None) if function else padding.PKCS1v15()
    for message in (b"", b"m", os.urandom(longest)):
        ciphertext = key.encrypt(algorithm, message)
        assert len(ciphertext) == 256
        assert RSA_KEY.decrypt(ciphertext, used) == message
    with pytest.raises(BadRequest, match=str(longest)):
        key.encrypt(algorithm, bytes(longest + 1))


def test_members_are_of_fixed_width_and_lead_back_to_the_key() -> None:
    members = key_of("RS256").members()
    assert isinstance(members, RsaMembers)
    assert (len(members.n), members.e) == (256, b"\1\0\1")
    assert public.spki_from_jwk(members) == key_of("RS256").spki
    for name, width in (("ES256", 32), ("ES256K", 32), ("ES384", 48), ("ES512", 66)):
        point = key_of(name).members()
        assert isinstance(point, EcMembers)
        assert (len(point.x), len(point.y)) == (width, width)
        assert public.spki_from_jwk(point) == key_of(name).spki


def test_short_coordinates_keep_their_leading_zeros() -> None:
    """Private keys 1, 2, 3 ... until a coordinate is short: one in 128 is."""
    for number in range(1, 2000):
        point = PublicKey.of(ec.derive_private_key(number, ec.SECP256R1()).public_key()).members()
        assert isinstance(point, EcMembers)
        assert len(point.x) == len(point.y) == 32
        if point.x[0] == 0:
            return
    pytest.fail("no short coordinate found")


def test_a_coordinate_that_is_not_reduced_is_refused() -> None:
    """The library takes x + p for x."""
    members = key_of("ES512").members()
    assert isinstance(members, EcMembers)
    beyond = int.from_bytes(members.x, "big") + 2**521 - 1
    with pytest.raises(BadRequest):
        public.spki_from_jwk(EcMembers(Curve.P521, beyond.to_bytes(66, "big"), members.y))


def test_leading_zeros_of_members_are_ignored() -> None:
    members = key_of("RS256").members()
    assert isinstance(members, RsaMembers)
    padded = RsaMembers(b"\0" + members.n, b"\0" + members.e)
    assert public.public_from_jwk(padded).spec == KeySpec.rsa(2048)


@pytest.mark.parametrize(
    "members",
    [
        EcMembers(Curve.P256, b"\1" * 32, b"\2" * 32),
        EcMembers(Curve.P256, b"\0", b"\0"),
        EcMembers(Curve.P256, b"\xff" * 32, b"\2" * 32),
        EcMembers(Curve.P521, b"\xff" * 500, b"\2" * 66),
        RsaMembers(b"\xff" * 256, b"\2"),
        RsaMembers(b"\xff" * 256, b"\1"),
        RsaMembers(b"", b""),
    ],
)
def test_members_that_are_no_key_are_refused(members: RsaMembers | EcMembers) -> None:
    with pytest.raises(BadRequest):
        public.spki_from_jwk(members)


def test_keys_of_other_types_and_garbage_are_refused() -> None:
    others = (
        ed25519.Ed25519PrivateKey.generate().public_key(),
        ec.generate_private_key(ec.SECP224R1()).public_key(),
        dsa.generate_private_key(2048).public_key(),
    )
    for other in others:
        with pytest.raises(BadRequest):
            PublicKey.load(other.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    for garbage in (b"", b"\x30\x00", key_of("ES256").spki[:-1], key_of("ES256").spki + b"\0"):
        with pytest.raises(BadRequest):
            PublicKey.load(garbage)


def test_the_one_shot_functions_insist_on_the_spec() -> None:
    key, digest, signature = key_of("ES256"), digest_of("ES256"), signature_of("ES256")
    algorithm = SIGNATURE_ALGORITHMS["ES256"]
    assert public.verify(key.spki, key.spec, algorithm, digest, signature) is True
    with pytest.raises(BadRequest):
        public.verify(key.spki, KeySpec.ec(Curve.P384), algorithm, digest, signature)
    rsa_key = key_of("RS256")
    assert len(public.encrypt(rsa_key.spki, rsa_key.spec, ENCRYPTION_ALGORITHMS["RSA-OAEP"], b"m")) == 256
    with pytest.raises(BadRequest):
        public.encrypt(rsa_key.spki, KeySpec.rsa(2048, 3), ENCRYPTION_ALGORITHMS["RSA-OAEP"], b"m")


def test_a_public_key_is_frozen_and_knows_its_family() -> None:
    key = key_of("ES256")
    assert key.spec.family is Family.EC
    with pytest.raises(FrozenInstanceError):
        key.spec = KeySpec.rsa(2048)  # type: ignore[misc]  # the point of the test
