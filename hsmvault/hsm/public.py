"""Public parts: SubjectPublicKeyInfo from what the token says, and verification outside the token.

Public-key work gives the same answer in software and costs no call into the module.
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from hsmvault.model.algorithms import Curve, EncryptionAlgorithm, Hash, SignatureAlgorithm, SignaturePadding

CURVE_OID = {  # CKA_EC_PARAMS: DER of the named curve (RFC 5480, 2.1.1.1; SEC 2 for secp256k1)
    Curve.P256: bytes.fromhex("06082a8648ce3d030107"),
    Curve.P384: bytes.fromhex("06052b81040022"),
    Curve.P521: bytes.fromhex("06052b81040023"),
    Curve.P256K: bytes.fromhex("06052b8104000a"),
}
_CURVE = {
    Curve.P256: ec.SECP256R1(),
    Curve.P384: ec.SECP384R1(),
    Curve.P521: ec.SECP521R1(),
    Curve.P256K: ec.SECP256K1(),
}
_HASH = {Hash.SHA256: hashes.SHA256(), Hash.SHA384: hashes.SHA384(), Hash.SHA512: hashes.SHA512()}


def rsa_spki(modulus: bytes, exponent: bytes) -> bytes:
    """SubjectPublicKeyInfo in DER from big-endian numbers."""
    numbers = rsa.RSAPublicNumbers(int.from_bytes(exponent, "big"), int.from_bytes(modulus, "big"))
    return _der(numbers.public_key())


def ec_spki(curve: Curve, point: bytes) -> bytes:
    """point: CKA_EC_POINT, which is an OCTET STRING in DER around 04 || x || y (PKCS#11 2.40) or, on some modules,
    the bare point.
    """
    length = 1 + 2 * curve.field_bytes
    if len(point) < length:
        raise ValueError("the point is too short")
    return _der(ec.EllipticCurvePublicKey.from_encoded_point(_CURVE[curve], point[-length:]))


def rsa_modulus(spki: bytes) -> int:
    key = serialization.load_der_public_key(spki)
    assert isinstance(key, rsa.RSAPublicKey)
    return key.public_numbers().n


def verifies(spki: bytes, algorithm: SignatureAlgorithm, digest: bytes, signature: bytes) -> bool:
    """Whether the signature is good; r || s for ECDSA."""
    key = serialization.load_der_public_key(spki)
    prehashed = utils.Prehashed(_HASH[algorithm.hash])
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            half = len(signature) // 2
            r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
            key.verify(utils.encode_dss_signature(r, s), digest, ec.ECDSA(prehashed))
        elif isinstance(key, rsa.RSAPublicKey):
            scheme: padding.AsymmetricPadding = padding.PKCS1v15()
            if algorithm.padding is SignaturePadding.PSS:
                scheme = padding.PSS(padding.MGF1(_HASH[algorithm.hash]), algorithm.digest_bytes)
            key.verify(signature, digest, scheme, prehashed)
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _der(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def encrypt_oaep(spki: bytes, algorithm: EncryptionAlgorithm, message: bytes) -> bytes:
    """RSA-OAEP with the algorithm's hash in both places and no label."""
    key = serialization.load_der_public_key(spki)
    assert isinstance(key, rsa.RSAPublicKey)
    function = hashes.SHA256() if algorithm.hash is Hash.SHA256 else hashes.SHA1()  # noqa: S303  # RSA-OAEP says SHA-1
    return key.encrypt(message, padding.OAEP(padding.MGF1(function), function, None))
