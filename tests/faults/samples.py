"""What callers bring: private keys, wrapped keys, policies. The private keys are made before a process is forked."""

import hashlib
import os
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap_with_padding, aes_key_wrap_with_padding
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)

from hsmvault.custody.admission import PrivateJwk
from hsmvault.model.algorithms import Curve, Family
from hsmvault.model.durations import Duration
from hsmvault.model.release_policies import ReleasePolicy
from hsmvault.model.rotation import ActionType, LifetimeAction, RotationPolicy

DIGEST = hashlib.sha256(b"a message").digest()
SECRET = bytes(range(32))
ROTATION = RotationPolicy(
    (
        LifetimeAction(ActionType.ROTATE, after_create=Duration(days=90)),
        LifetimeAction(ActionType.NOTIFY, before_expiry=Duration(days=30)),
    ),
    Duration(years=2),
    0,
    0,
)
OTHER_ROTATION = RotationPolicy(
    (LifetimeAction(ActionType.ROTATE, before_expiry=Duration(days=30)),), Duration(years=1), 0, 0
)
POOL_ROTATION = RotationPolicy(
    (LifetimeAction(ActionType.ROTATE, after_create=Duration(days=90)),), Duration(years=2), 0, 0
)
AGE_SECONDS = 100 * 86_400
"""Of what is there before: ROTATION has a rotation due by then, and a deleted key is to be purged."""


def release_policy(claim: str) -> ReleasePolicy:
    return ReleasePolicy(
        b'{"version":"1.0.0","anyOf":[{"authority":"https://attest.localhost","allOf":[{"claim":"%s","equals":"1"}]}]}'
        % claim.encode()
    )


def warm() -> None:
    """Make everything that takes time."""
    _ec_key()
    _rsa_key()
    _recipient()


def ec_jwk() -> PrivateJwk:
    numbers = _ec_key().private_numbers()
    public = numbers.public_numbers
    x, y, d = (number.to_bytes(32, "big") for number in (public.x, public.y, numbers.private_value))
    return PrivateJwk(Family.EC, Curve.P256, x=x, y=y, d=d)


def rsa_jwk() -> PrivateJwk:
    numbers = _rsa_key().private_numbers()
    public = numbers.public_numbers
    n, e, d, p, q = (
        number.to_bytes((number.bit_length() + 7) // 8, "big")
        for number in (public.n, public.e, numbers.d, numbers.p, numbers.q)
    )
    return PrivateJwk(Family.RSA, n=n, e=e, d=d, p=p, q=q)


def wrapped_for(exchange_public: bytes) -> bytes:
    """The EC key, for a key-exchange key: as a caller wraps it."""
    to, aes = load_der_public_key(exchange_public), os.urandom(32)
    assert isinstance(to, rsa.RSAPublicKey)
    encoded = _ec_key().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    sha1 = SHA1()  # noqa: S303  # RSA-OAEP of BYOK
    return to.encrypt(aes, padding.OAEP(padding.MGF1(sha1), sha1, None)) + aes_key_wrap_with_padding(aes, encoded)


def recipient() -> bytes:
    """SubjectPublicKeyInfo of somebody who takes exported keys."""
    return _recipient().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def public_of_exported(exported: bytes) -> bytes:
    """SubjectPublicKeyInfo of the P-256 key that was wrapped to recipient() with RSA-OAEP of SHA-1."""
    sha1 = SHA1()  # noqa: S303  # RSA-OAEP
    aes = _recipient().decrypt(exported[:256], padding.OAEP(padding.MGF1(sha1), sha1, None))
    encoded = aes_key_unwrap_with_padding(aes, exported[256:])
    assert encoded[0] == 0x30 and encoded[1] < 0x80  # a P-256 key is short
    key = load_der_private_key(encoded[: 2 + encoded[1]], None)  # SoftHSM pads with zeros
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@cache
def _ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def _rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def _recipient() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)
