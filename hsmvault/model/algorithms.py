"""Every key type and algorithm, as data: code and tests are driven from these tables.

Sources: RFC 7518 (RS, PS, ES, RSA-OAEP), RFC 8812 (ES256K), RFC 8017 (RSA), RFC 3394 and 5649 (key wrap),
SP 800-38D (GCM), and the algorithms page of the Azure Key Vault documentation.
"""

from dataclasses import dataclass
from enum import Enum


class Family(Enum):
    """What a key is, wherever it lives. The wire adds -HSM for keys in hardware."""

    RSA = "RSA"
    EC = "EC"
    OCT = "oct"


class Curve(Enum):
    P256 = "P-256"
    P384 = "P-384"
    P521 = "P-521"
    P256K = "P-256K"

    @property
    def field_bytes(self) -> int:
        """Length of one coordinate, of r and of s: 32, 48, 66, 32."""
        return _FIELD_BYTES[self]


_FIELD_BYTES = {Curve.P256: 32, Curve.P384: 48, Curve.P521: 66, Curve.P256K: 32}

RSA_SIZES_BITS = (2048, 3072, 4096)
EC_SIZES_BITS = (256, 384, 521)
OCT_SIZES_BITS = (128, 192, 256)  # of AES keys, and of those that a caller may have made
OCT_IMPORTED_SIZES_BITS = (*OCT_SIZES_BITS, 384, 512)  # the longer ones serve HMAC alone (HS384, HS512)


@dataclass(frozen=True, slots=True)
class KeySpec:
    """What to generate, or what a key is.

    size_bits: RSA modulus or oct length; for EC the size of the field. curve: EC only.
    """

    family: Family
    size_bits: int
    curve: Curve | None = None
    public_exponent: int = 65537

    @staticmethod
    def rsa(size_bits: int, public_exponent: int = 65537) -> "KeySpec":
        return KeySpec(Family.RSA, size_bits, None, public_exponent)

    @staticmethod
    def ec(curve: Curve) -> "KeySpec":
        return KeySpec(Family.EC, {Curve.P521: 521, Curve.P384: 384}.get(curve, 256), curve)

    @staticmethod
    def oct(size_bits: int) -> "KeySpec":
        return KeySpec(Family.OCT, size_bits)

    @property
    def modulus_bytes(self) -> int:
        """RSA only: length of the modulus, of a signature and of a ciphertext."""
        return self.size_bits // 8


class Hash(Enum):
    """A hash function; the value is its name in hashlib."""

    SHA1 = "sha1"
    SHA256 = "sha256"
    SHA384 = "sha384"
    SHA512 = "sha512"

    @property
    def digest_bytes(self) -> int:
        return {"sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}[self.value]


class SignaturePadding(Enum):
    PKCS1 = "RSASSA-PKCS1-v1_5"
    PSS = "RSASSA-PSS"
    ECDSA = "ECDSA"
    HMAC = "HMAC"


@dataclass(frozen=True, slots=True)
class SignatureAlgorithm:
    """name: as on the wire. curve: the only curve it works with (EC). since: first api-version of a client."""

    name: str
    family: Family
    padding: SignaturePadding
    hash: Hash
    curve: Curve | None = None
    since: str = "2015-06-01"

    @property
    def digest_bytes(self) -> int:
        """The only accepted length of a digest."""
        return self.hash.digest_bytes

    def signature_bytes(self, spec: KeySpec) -> int:
        """Length of a signature by a key of this spec."""
        if self.padding is SignaturePadding.ECDSA:
            assert spec.curve is not None
            return 2 * spec.curve.field_bytes
        return self.digest_bytes if self.padding is SignaturePadding.HMAC else spec.modulus_bytes

    def fits(self, spec: KeySpec) -> bool:
        """An HMAC key is at least as long as the hash's output (RFC 7518, 3.2)."""
        if self.padding is SignaturePadding.HMAC and spec.size_bits < 8 * self.digest_bytes:
            return False
        return self.family is spec.family and (self.curve is None or self.curve is spec.curve)


class EncryptionMode(Enum):
    RSA1_5 = "RSAES-PKCS1-v1_5"
    OAEP = "RSAES-OAEP"
    GCM = "AES-GCM"
    CBC = "AES-CBC"
    CBC_PAD = "AES-CBC with PKCS#7"
    KW = "RFC 3394"
    KWP = "RFC 5649"


@dataclass(frozen=True, slots=True)
class EncryptionAlgorithm:
    """hash: of OAEP and its MGF1. size_bits: the only AES key size, or None for any."""

    name: str
    family: Family
    mode: EncryptionMode
    hash: Hash | None = None
    size_bits: int | None = None
    since: str = "2015-06-01"

    def fits(self, spec: KeySpec) -> bool:
        if self.family is Family.OCT and spec.size_bits not in OCT_SIZES_BITS:
            return False
        return self.family is spec.family and self.size_bits in (None, spec.size_bits)

    def serves(self, operation: str) -> bool:
        """operation: encrypt, decrypt, wrapKey or unwrapKey. RSA serves all; AES key wrap only wraps, and the modes of
        AES only encrypt, so that no AES key object in a token needs both usages.
        """
        if self.family is Family.RSA:
            return True
        return (operation in ("wrapKey", "unwrapKey")) is (self.mode in (EncryptionMode.KW, EncryptionMode.KWP))

    def longest_plaintext(self, spec: KeySpec) -> int:
        """RSA only: the longest message in bytes (RFC 8017, 7.1.1 and 7.2.1)."""
        overhead = 11 if self.hash is None else 2 * self.hash.digest_bytes + 2
        return spec.modulus_bytes - overhead


SIGNATURE_ALGORITHMS: dict[str, SignatureAlgorithm] = {
    row.name: row
    for row in (
        SignatureAlgorithm("RS256", Family.RSA, SignaturePadding.PKCS1, Hash.SHA256),
        SignatureAlgorithm("RS384", Family.RSA, SignaturePadding.PKCS1, Hash.SHA384),
        SignatureAlgorithm("RS512", Family.RSA, SignaturePadding.PKCS1, Hash.SHA512),
        SignatureAlgorithm("PS256", Family.RSA, SignaturePadding.PSS, Hash.SHA256),
        SignatureAlgorithm("PS384", Family.RSA, SignaturePadding.PSS, Hash.SHA384),
        SignatureAlgorithm("PS512", Family.RSA, SignaturePadding.PSS, Hash.SHA512),
        SignatureAlgorithm("ES256", Family.EC, SignaturePadding.ECDSA, Hash.SHA256, Curve.P256),
        SignatureAlgorithm("ES256K", Family.EC, SignaturePadding.ECDSA, Hash.SHA256, Curve.P256K),
        SignatureAlgorithm("ES384", Family.EC, SignaturePadding.ECDSA, Hash.SHA384, Curve.P384),
        SignatureAlgorithm("ES512", Family.EC, SignaturePadding.ECDSA, Hash.SHA512, Curve.P521),
        SignatureAlgorithm("HS256", Family.OCT, SignaturePadding.HMAC, Hash.SHA256, since="7.6"),
        SignatureAlgorithm("HS384", Family.OCT, SignaturePadding.HMAC, Hash.SHA384, since="7.6"),
        SignatureAlgorithm("HS512", Family.OCT, SignaturePadding.HMAC, Hash.SHA512, since="7.6"),
    )
}

# RSNULL (PKCS#1 padding over a raw value, "reserved for TLS") is left out on purpose: it would sign anything,
# a DigestInfo of another hash included. docs/divergences.md has it.

ENCRYPTION_ALGORITHMS: dict[str, EncryptionAlgorithm] = {
    row.name: row
    for row in (
        EncryptionAlgorithm("RSA1_5", Family.RSA, EncryptionMode.RSA1_5),
        EncryptionAlgorithm("RSA-OAEP", Family.RSA, EncryptionMode.OAEP, Hash.SHA1),
        EncryptionAlgorithm("RSA-OAEP-256", Family.RSA, EncryptionMode.OAEP, Hash.SHA256),
        EncryptionAlgorithm("CKM_AES_KEY_WRAP", Family.OCT, EncryptionMode.KW, since="7.6"),
        EncryptionAlgorithm("CKM_AES_KEY_WRAP_PAD", Family.OCT, EncryptionMode.KWP, since="7.6"),
        *(
            EncryptionAlgorithm(f"A{bits}{suffix}", Family.OCT, mode, size_bits=bits, since="7.2")
            for bits in OCT_SIZES_BITS
            for suffix, mode in (
                ("GCM", EncryptionMode.GCM),
                ("CBC", EncryptionMode.CBC),
                ("CBCPAD", EncryptionMode.CBC_PAD),
                ("KW", EncryptionMode.KW),
            )
        ),
    )
}

KEY_OPERATIONS = (
    *("encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey", "import", "export"),
    *("secureWrapKey", "secureUnwrapKey"),  # 2026-04-01
)

_DEFAULT_KEY_OPERATIONS: dict[Family, tuple[str, ...]] = {
    Family.RSA: ("encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"),
    Family.EC: ("sign", "verify"),
    Family.OCT: ("encrypt", "decrypt", "wrapKey", "unwrapKey"),
}


def default_key_operations(spec: KeySpec) -> tuple[str, ...]:
    """key_ops of a new key whose maker says none."""
    if spec.family is Family.OCT and spec.size_bits not in OCT_SIZES_BITS:
        return ("sign", "verify")
    return _DEFAULT_KEY_OPERATIONS[spec.family]
