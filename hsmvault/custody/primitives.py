"""The names of model/algorithms.py as objects of the `cryptography` library: one place, for public and soft keys."""

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils

from hsmvault.model.algorithms import Curve, EncryptionAlgorithm, EncryptionMode, Hash

CURVES: dict[Curve, ec.EllipticCurve] = {
    Curve.P256: ec.SECP256R1(),
    Curve.P384: ec.SECP384R1(),
    Curve.P521: ec.SECP521R1(),
    Curve.P256K: ec.SECP256K1(),
}

CURVES_BY_LIBRARY_NAME: dict[str, Curve] = {curve.name: ours for ours, curve in CURVES.items()}

HASHES: dict[Hash, hashes.HashAlgorithm] = {
    Hash.SHA1: hashes.SHA1(),  # noqa: S303 - only inside RSA-OAEP, where RFC 7518, 4.3 prescribes it
    Hash.SHA256: hashes.SHA256(),
    Hash.SHA384: hashes.SHA384(),
    Hash.SHA512: hashes.SHA512(),
}

PREHASHED: dict[Hash, utils.Prehashed] = {name: utils.Prehashed(function) for name, function in HASHES.items()}

ECDSA: dict[Hash, ec.ECDSA] = {name: ec.ECDSA(prehashed) for name, prehashed in PREHASHED.items()}

PKCS1 = padding.PKCS1v15()

PSS: dict[Hash, padding.PSS] = {
    name: padding.PSS(mgf=padding.MGF1(function), salt_length=name.digest_bytes)  # RFC 7518, 3.5
    for name, function in HASHES.items()
}

OAEP: dict[Hash, padding.OAEP] = {
    name: padding.OAEP(mgf=padding.MGF1(function), algorithm=function, label=None) for name, function in HASHES.items()
}


def oaep_of(algorithm: EncryptionAlgorithm) -> padding.OAEP:
    """RSA-OAEP and RSA-OAEP-256 alone: MGF1 with the same hash, no label."""
    assert algorithm.mode is EncryptionMode.OAEP
    assert algorithm.hash is not None
    return OAEP[algorithm.hash]
