"""Key types and what each can do, written out from the reference: the product's own table is not asked."""

from dataclasses import dataclass, replace

import pytest

RSA_SIGNATURES = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
RSA_ENCRYPTIONS = ("RSA1_5", "RSA-OAEP", "RSA-OAEP-256")
CURVES = {"P-256": ("ES256", 32), "P-384": ("ES384", 48), "P-521": ("ES512", 66), "P-256K": ("ES256K", 32)}
DIGESTS = {"256": "sha256", "384": "sha384", "512": "sha512"}


@dataclass(frozen=True)
class Kind:
    """kty: as on the wire. size: RSA modulus in bits. curve: EC."""

    kty: str
    size: int = 0
    curve: str = ""

    @property
    def id(self) -> str:
        return f"{self.kty}-{self.curve or self.size}"

    @property
    def hardware(self) -> bool:
        return self.kty.endswith("-HSM")

    @property
    def in_hardware(self) -> "Kind":
        return self if self.hardware else replace(self, kty=f"{self.kty}-HSM")

    @property
    def is_rsa(self) -> bool:
        return self.kty.startswith("RSA")

    @property
    def signatures(self) -> tuple[str, ...]:
        return RSA_SIGNATURES if self.is_rsa else (CURVES[self.curve][0],)

    @property
    def encryptions(self) -> tuple[str, ...]:
        return RSA_ENCRYPTIONS if self.is_rsa else ()

    @property
    def operations(self) -> list[str]:
        """The default key_ops."""
        return ["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"] if self.is_rsa else ["sign", "verify"]

    @property
    def signature_bytes(self) -> int:
        return self.size // 8 if self.is_rsa else 2 * CURVES[self.curve][1]


KINDS = tuple(
    kind
    for hsm in ("", "-HSM")
    for kind in (
        *(Kind("RSA" + hsm, size=size) for size in (2048, 3072, 4096)),
        *(Kind("EC" + hsm, curve=curve) for curve in CURVES),
    )
)
REPRESENTATIVES = tuple(
    Kind(kty, size, curve)
    for kty, size, curve in (("RSA", 2048, ""), ("RSA-HSM", 2048, ""), ("EC", 0, "P-256"), ("EC-HSM", 0, "P-384"))
)


def digest_of(algorithm: str) -> str:
    """The hash of RS256, PS384, ES256K, as hashlib calls it."""
    return DIGESTS[algorithm[2:5]]


def each(kinds: tuple[Kind, ...] = KINDS) -> list[object]:
    """As parameters; making long RSA keys is slow."""
    return [pytest.param(kind, id=kind.id, marks=_marks(kind)) for kind in kinds]


def representatives() -> list[object]:
    """One kind of each type, as parameters, for tests that make several keys: making RSA keys is slow."""
    return [pytest.param(kind, id=kind.id, marks=pytest.mark.slow if kind.is_rsa else ()) for kind in REPRESENTATIVES]


def each_signature() -> list[object]:
    return [
        pytest.param(kind, algorithm, id=f"{kind.id}-{algorithm}", marks=_marks(kind))
        for kind in KINDS
        for algorithm in kind.signatures
    ]


def each_encryption() -> list[object]:
    return [
        pytest.param(kind, algorithm, id=f"{kind.id}-{algorithm}", marks=_marks(kind))
        for kind in KINDS
        for algorithm in kind.encryptions
    ]


def _marks(kind: Kind) -> tuple[pytest.MarkDecorator, ...]:
    return (pytest.mark.slow,) if kind.size > 2048 else ()
