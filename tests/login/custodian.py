"""A Custodian in memory, for speed: the same protocol and refusals, with keys that `cryptography` made beforehand."""

from dataclasses import dataclass, field
from itertools import count

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsmvault.custody.protocols import (
    PLAIN,
    Attestation,
    Binding,
    CustodyClass,
    HeldKey,
    PrivateKeyMaterial,
    Terms,
)
from hsmvault.errors import Unavailable
from hsmvault.model.algorithms import Curve, EncryptionAlgorithm, Family, Hash, KeySpec, SignatureAlgorithm


@dataclass
class MemoryHandle:
    owner: "MemoryCustodian"
    held: HeldKey
    binding: Binding

    async def sign(self, algorithm: SignatureAlgorithm, digest: bytes) -> bytes:
        assert algorithm.name == "RS256"
        assert len(digest) == 32
        if self.owner.is_out:
            raise Unavailable("The HSM is not available.", retry_after_seconds=7)
        binding, key = self.owner.keys[self.held.reference]
        if binding != self.binding:
            raise Unavailable("The key cannot be used.", detail="not its row")
        self.owner.signatures += 1
        return key.sign(digest, PKCS1v15(), Prehashed(SHA256()))

    async def encrypt(self, algorithm: EncryptionAlgorithm, plaintext: bytes, iv: bytes, aad: bytes) -> bytes:
        raise NotImplementedError

    async def decrypt(
        self, algorithm: EncryptionAlgorithm, ciphertext: bytes, iv: bytes = b"", aad: bytes = b""
    ) -> bytes:
        raise NotImplementedError

    def release(self) -> None:
        """Nothing is loaded."""


@dataclass
class MemoryCustodian:
    """spare: RSA-2048 keys that generate() hands out one after the other. is_out: the HSM is out of reach."""

    spare: list[rsa.RSAPrivateKey]
    custody: CustodyClass = CustodyClass.WRAPPED
    keys: dict[bytes, tuple[Binding, rsa.RSAPrivateKey]] = field(default_factory=dict)
    destroyed: list[Binding] = field(default_factory=list)
    is_out: bool = False
    signatures: int = 0
    _numbers: count = field(default_factory=count)

    async def generate(self, spec: KeySpec, binding: Binding, terms: Terms = PLAIN) -> HeldKey:
        assert terms == PLAIN
        assert spec == KeySpec.rsa(2048)
        if self.is_out:
            raise Unavailable("The HSM is not available.")
        number = next(self._numbers)
        key = self.spare[number % len(self.spare)]
        reference = b"\x01" + number.to_bytes(4, "big")
        self.keys[reference] = (binding, key)
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return HeldKey(self.custody, spec, public, reference)

    async def admit(self, material: PrivateKeyMaterial, binding: Binding, terms: Terms = PLAIN) -> HeldKey:
        raise NotImplementedError

    async def admit_wrapped(
        self,
        exchange: HeldKey,
        exchange_binding: Binding,
        family: Family,
        curve: Curve | None,
        wrapped: bytes,
        binding: Binding,
        terms: Terms = PLAIN,
    ) -> HeldKey:
        raise NotImplementedError

    def open(self, held: HeldKey, binding: Binding, *, secure: bool = False) -> MemoryHandle:
        assert not secure
        return MemoryHandle(self, held, binding)

    async def pack(self, held: HeldKey, binding: Binding) -> bytes:
        raise NotImplementedError

    async def unpack(self, spec: KeySpec, public: bytes, packed: bytes, source: Binding, target: Binding) -> HeldKey:
        raise NotImplementedError

    async def export(self, held: HeldKey, binding: Binding, recipient: bytes, oaep: Hash) -> bytes:
        raise NotImplementedError

    async def disclose(self, held: HeldKey, binding: Binding) -> PrivateKeyMaterial:
        raise NotImplementedError

    async def attest(self, held: HeldKey, binding: Binding) -> Attestation:
        raise NotImplementedError

    async def destroy(self, held: HeldKey, binding: Binding) -> None:
        self.keys.pop(held.reference, None)
        self.destroyed.append(binding)
