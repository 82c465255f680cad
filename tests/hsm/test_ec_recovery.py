"""Public keys from signatures, against the cryptography library, which makes keys and signatures here."""

import hashlib
import os

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsmvault.hsm.ec_recovery import candidates
from hsmvault.model.algorithms import Curve

CURVES: dict[Curve, tuple[ec.EllipticCurve, hashes.HashAlgorithm]] = {
    Curve.P256: (ec.SECP256R1(), hashes.SHA256()),
    Curve.P384: (ec.SECP384R1(), hashes.SHA384()),
    Curve.P521: (ec.SECP521R1(), hashes.SHA512()),
    Curve.P256K: (ec.SECP256K1(), hashes.SHA256()),
}
EACH_CURVE = pytest.mark.parametrize("curve", list(Curve), ids=lambda curve: curve.value)


def signed(key: ec.EllipticCurvePrivateKey, curve: Curve, digest: bytes) -> bytes:
    """r || s in field length."""
    der = key.sign(digest, ec.ECDSA(utils.Prehashed(CURVES[curve][1])))
    return b"".join(part.to_bytes(curve.field_bytes, "big") for part in utils.decode_dss_signature(der))


@EACH_CURVE
def test_a_signature_leaves_two_public_keys_and_two_signatures_one(curve: Curve) -> None:
    kind, function = CURVES[curve]
    for _ in range(20):
        key = ec.generate_private_key(kind)
        digests = [hashlib.new(function.name, os.urandom(8)).digest() for _ in range(2)]
        first, second = (candidates(curve, digest, signed(key, curve, digest)) for digest in digests)
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert len(set(first)) == 2
        assert set(first) & set(second) == {public}


@EACH_CURVE
@pytest.mark.parametrize("private_value", [1, 2, 3])
def test_keys_with_the_smallest_private_values_are_recovered(curve: Curve, private_value: int) -> None:
    kind, function = CURVES[curve]
    key = ec.derive_private_key(private_value, kind)
    digest = hashlib.new(function.name, b"message").digest()
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert public in candidates(curve, digest, signed(key, curve, digest))


@EACH_CURVE
def test_what_is_no_signature_gives_no_key_or_one_that_signed_nothing_else(curve: Curve) -> None:
    length = curve.field_bytes
    digest = hashlib.new(CURVES[curve][1].name, b"message").digest()
    for r, s in ((0, 0), (0, 1), (1, 0), (2 ** (8 * length) - 1, 1), (1, 2 ** (8 * length) - 1)):
        assert len(candidates(curve, digest, r.to_bytes(length, "big") + s.to_bytes(length, "big"))) in (0, 2)
    assert candidates(curve, digest, bytes(2 * length)) == []
    for _ in range(20):
        assert len(candidates(curve, digest, os.urandom(2 * length))) in (0, 2)
