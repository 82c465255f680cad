"""Keys on their way in: in the clear as a JSON Web Key, or wrapped for the HSM (BYOK)."""

from collections.abc import Collection
from dataclasses import dataclass, field

from hsmvault.custody.admission import PUBLIC_EXPONENTS, PrivateJwk, material_from_jwk, material_from_oct
from hsmvault.custody.protocols import PrivateKeyMaterial
from hsmvault.model.algorithms import Curve, Family
from hsmvault.model.containers import Container


@dataclass(frozen=True, slots=True)
class ImportedKey:
    """jwk: as it came. modulus: as the answer repeats it (an imported n may carry a leading zero byte), or b"".
    secret: of an oct key alone, its bytes.
    """

    jwk: PrivateJwk = field(repr=False)
    modulus: bytes = b""
    secret: bytes = field(default=b"", repr=False)

    @property
    def family(self) -> Family:
        return self.jwk.family

    def material(self, public_exponents: Collection[int]) -> PrivateKeyMaterial:
        """The checked key; takes CPU time (custody/admission.py). Raises BadRequest."""
        if self.family is Family.OCT:
            return material_from_oct(self.secret)
        return material_from_jwk(self.jwk, public_exponents=public_exponents)


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A key that its owner has wrapped to a key-exchange key of the same container.

    exchange_name, exchange_version: of the key-exchange key. curve: EC alone. wrapped: see Custodian.admit_wrapped.
    """

    exchange_name: str
    exchange_version: str
    family: Family
    curve: Curve | None
    wrapped: bytes = field(repr=False)


def admitted_exponents(container: Container) -> Collection[int]:
    """Public exponents of RSA keys that may come in: those that can be made, and 3."""
    return frozenset(PUBLIC_EXPONENTS) | frozenset(container.rsa_exponents)
