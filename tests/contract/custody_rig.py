"""What the custody suite (custody.py) works with: its tables, the rig, and checks by the cryptography library alone."""

import base64
import hashlib
import os
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)

from hsmvault.custody.protocols import Binding, Custodian, HeldKey, PrivateKeyMaterial
from hsmvault.errors import Unavailable
from hsmvault.model.algorithms import (
    ENCRYPTION_ALGORITHMS,
    RSA_SIZES_BITS,
    SIGNATURE_ALGORITHMS,
    Curve,
    EncryptionAlgorithm,
    Family,
    KeySpec,
    SignatureAlgorithm,
    SignaturePadding,
)
from tests.vectors import encodings

RSA_SPECS = [KeySpec.rsa(bits) for bits in RSA_SIZES_BITS]
EC_SPECS = [KeySpec.ec(curve) for curve in Curve]
SPECS = [*RSA_SPECS, *EC_SPECS]
SIGNERS = [row for row in SIGNATURE_ALGORITHMS.values() if row.family is not Family.OCT]
DECRYPTERS = [row for row in ENCRYPTION_ALGORITHMS.values() if row.family is Family.RSA]
SIGNING = [(spec, row) for spec in SPECS for row in SIGNERS if row.fits(spec)]
NOT_SIGNING = [(spec, row) for spec in SPECS for row in SIGNATURE_ALGORITHMS.values() if not row.fits(spec)]
DECRYPTING = [(spec, row) for spec in RSA_SPECS for row in DECRYPTERS]


def by_length(cases: Iterable[Any]) -> list[Any]:
    """As parameters: specs, or tuples that begin with one; those with an RSA key beyond 2048 bits are slow."""
    long = [spec for spec in RSA_SPECS if spec.size_bits > 2048]
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow)
        if (case[0] if isinstance(case, tuple) else case) in long
        else case
        for case in cases
    ]


RSA_2048 = RSA_SPECS[0]
P256 = KeySpec.ec(Curve.P256)
ES256 = SIGNATURE_ALGORITHMS["ES256"]
RS256 = SIGNATURE_ALGORITHMS["RS256"]
OAEP_256 = ENCRYPTION_ALGORITHMS["RSA-OAEP-256"]
JOSE = Path(__file__).parent.parent / "vectors" / "jose.json"
DIGEST = hashlib.sha256(b"a message").digest()
HASHES = {
    "sha1": hashes.SHA1(),  # noqa: S303 - RSA-OAEP
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}


def named(value: object) -> str:
    if isinstance(value, KeySpec):
        return value.curve.value if value.curve else f"RSA-{value.size_bits}"
    return value.name if isinstance(value, SignatureAlgorithm | EncryptionAlgorithm) else str(value)


def unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "==")


def row(name: str = "key", container_id: str = "c-1", kind: str = "key") -> Binding:
    return Binding(container_id, kind, name, os.urandom(16).hex())


@dataclass
class Rig:
    """A custodian under test. forget: drops what it has loaded, as after a restart. keys: made once per spec."""

    custodian: Custodian
    forget: Callable[[], Awaitable[None]]
    keys: dict[KeySpec, tuple[HeldKey, Binding]] = field(default_factory=dict)

    async def key(self, spec: KeySpec) -> tuple[HeldKey, Binding]:
        if spec not in self.keys:
            binding = row()
            self.keys[spec] = (await self.custodian.generate(spec, binding), binding)
        return self.keys[spec]

    async def refuses(self, held: HeldKey, binding: Binding) -> None:
        """Neither a loaded key nor a cold start helps to use what is not as it was made."""
        algorithm = RS256 if held.spec.family is Family.RSA else ES256
        for _ in range(2):
            with pytest.raises(Unavailable) as caught:
                await self.custodian.open(held, binding).sign(algorithm, DIGEST)
            assert caught.value.detail
            assert binding.name not in caught.value.message
            await self.forget()


def public_key(held: HeldKey) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey:
    key = load_der_public_key(held.public)
    assert isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)
    return key


def is_good(held: HeldKey, algorithm: SignatureAlgorithm, digest: bytes, signature: bytes) -> bool:
    key, function = public_key(held), HASHES[algorithm.hash.value]
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            half = len(signature) // 2
            r, s = (int.from_bytes(part, "big") for part in (signature[:half], signature[half:]))
            key.verify(utils.encode_dss_signature(r, s), digest, ec.ECDSA(utils.Prehashed(function)))
        elif algorithm.padding is SignaturePadding.PSS:
            pss = padding.PSS(padding.MGF1(function), salt_length=function.digest_size)
            key.verify(signature, digest, pss, utils.Prehashed(function))
        else:
            key.verify(signature, digest, padding.PKCS1v15(), utils.Prehashed(function))
    except InvalidSignature:
        return False
    return True


def encrypted(held: HeldKey, algorithm: EncryptionAlgorithm, message: bytes) -> bytes:
    key = public_key(held)
    assert isinstance(key, rsa.RSAPublicKey)
    if algorithm.hash is None:
        return key.encrypt(message, padding.PKCS1v15())
    function = HASHES[algorithm.hash.value]
    return key.encrypt(message, padding.OAEP(padding.MGF1(function), function, None))


def bad_ciphertexts(held: HeldKey, algorithm: EncryptionAlgorithm) -> dict[str, bytes]:
    key = public_key(held)
    assert isinstance(key, rsa.RSAPublicKey)
    numbers, length = key.public_numbers(), held.spec.modulus_bytes
    others = made_for(DECRYPTERS[DECRYPTERS.index(algorithm) - 1], length)
    good = encrypted(held, algorithm, b"message")
    bad = {
        **{each.name: each.ciphertext(numbers.n, numbers.e) for each in made_for(algorithm, length) if not each.good},
        "another algorithm": others[0].ciphertext(numbers.n, numbers.e),
        "the modulus": numbers.n.to_bytes(length, "big"),
        "modulus less one": (numbers.n - 1).to_bytes(length, "big"),
        "beyond the modulus": b"\xff" * length,
        "one byte short": good[:-1],
        "one byte more": good + b"\0",
        "a zero before": b"\0" + good,
        "nothing": b"",
    }
    if algorithm.hash is not None:  # with RSA1_5 one in some 100,000 changed ciphertexts is good again
        bad["one bit"] = good[:-1] + bytes([good[-1] ^ 1])
    return bad


def made_for(algorithm: EncryptionAlgorithm, length: int) -> list[encodings.Encoding]:
    if algorithm.hash is None:
        return list(encodings.pkcs1(length))
    return list(encodings.oaep(length, algorithm.hash.value))


def callers_key(spec: KeySpec) -> tuple[rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, PrivateKeyMaterial]:
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    if spec.curve is None:
        key = rsa.generate_private_key(spec.public_exponent, spec.size_bits)
    else:
        curves = {
            Curve.P256: ec.SECP256R1(),
            Curve.P384: ec.SECP384R1(),
            Curve.P521: ec.SECP521R1(),
            Curve.P256K: ec.SECP256K1(),
        }
        key = ec.generate_private_key(curves[spec.curve])
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pkcs8 = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return key, PrivateKeyMaterial(spec, public, pkcs8)
