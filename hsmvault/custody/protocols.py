"""Custody: where private key material lives and is used. Two protocols, several implementations, one suite.

A Custodian makes, takes in, opens and destroys keys; a KeyHandle uses one. Above custody nobody asks whether a key
is hard or soft. Public-key work (verify, encrypt, RSA wrap) needs no custodian: see public.py.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from hsmvault.model.algorithms import Curve, EncryptionAlgorithm, Family, Hash, KeySpec, SignatureAlgorithm


class CustodyClass(Enum):
    """The classes of custody; the value is stored with every key version."""

    WRAPPED = "wrapped"  # hard: a blob under the world key, in the database; used inside the token
    RESIDENT = "resident"  # hard: a token object that never leaves
    SOFT = "soft"  # used in software, sealed under the system key at rest

    @property
    def is_hardware(self) -> bool:
        return self is not CustodyClass.SOFT


@dataclass(frozen=True, slots=True)
class Binding:
    """The row that material belongs to. Everything sealed or wrapped is bound to it, so that a copy in another
    row does not open (threat model, 7). kind: 'key', 'secret', ...; name in lower case; version: 32 hex digits.
    """

    container_id: str
    kind: str
    name: str
    version: str

    def encode(self, *more: bytes) -> bytes:
        """Unambiguous bytes for a MAC or for additional data: each part behind its length in four bytes."""
        parts = (self.container_id.encode(), self.kind.encode(), self.name.encode(), self.version.encode(), *more)
        return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a key may ever do, beyond the operations of its family. Fixed when it is made and bound to its material:
    no row can change it.

    exchange: a key-exchange key (BYOK). It unwraps other keys inside the token and does nothing else. RSA alone.
    exportable: it may be released, wrapped to a key of somebody who was attested (export()).
    secure: it wraps and unwraps data keys for attested environments and does nothing else: an ordinary handle refuses
    it, and one that is opened for it refuses every other key (open()). RSA and oct.
    disclosable: a soft key whose private part may be given out, inside the secret of an exportable certificate
    (disclose()).
    """

    exchange: bool = False
    exportable: bool = False
    secure: bool = False
    disclosable: bool = False


PLAIN = Terms()
NOT_DISCLOSED = "The private part of the key cannot be given out."  # every custodian's refusal of disclose()


@dataclass(frozen=True, slots=True)
class Attestation:
    """What a token says about a key, signed by the attestation key of its world (custody/attestation.py).

    certificates: PEM, the attestation key's first. private_key, public_key: compact JWS (RFC 7515); public_key is empty
    for oct keys.
    """

    certificates: bytes
    private_key: bytes
    public_key: bytes
    version: str


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key as its row keeps it.

    public: SubjectPublicKeyInfo in DER (RFC 5280, 4.1), empty for oct keys.
    reference: opaque; only the custodian that made it reads it. Starts with a format version.
    """

    custody: CustodyClass
    spec: KeySpec
    public: bytes
    reference: bytes


@dataclass(frozen=True, slots=True, repr=False)
class PrivateKeyMaterial:
    """A private key on its way in. Its repr shows nothing.

    encoded: PrivateKeyInfo in DER (RFC 5208), already checked for consistency (custody/admission.py); for oct the
    bytes of the key. public: empty for oct.
    """

    spec: KeySpec
    public: bytes
    encoded: bytes

    def __repr__(self) -> str:
        return f"PrivateKeyMaterial({self.spec.family.value} {self.spec.size_bits})"


class KeyHandle(Protocol):
    """A key in use. A handle stays good while the row is: it finds its way back by itself after a lost session
    or token, and refuses with Unavailable while the token is out of reach.
    """

    async def sign(self, algorithm: SignatureAlgorithm, digest: bytes) -> bytes:
        """Sign a digest that the caller has computed.

        digest: exactly algorithm.digest_bytes long; the algorithm fits the key (both checked by the caller, and
        again here because a token signs whatever fits).
        Returns r || s for ECDSA, each big-endian in field length, not DER (RFC 7518, 3.4); for RSA as many bytes
        as the modulus has; for HMAC the whole MAC over the digest. Raises BadRequest, Unavailable, Throttled.
        """
        ...

    async def encrypt(self, algorithm: EncryptionAlgorithm, plaintext: bytes, iv: bytes, aad: bytes) -> bytes:
        """oct only: encrypt, or wrap (public-key encryption needs no handle: public.py).

        iv: 12 bytes for GCM, never used before with this key; 16 for CBC; empty for key wrap. aad: GCM alone.
        plaintext: of CBC a multiple of 16 bytes; of RFC 3394 a multiple of 8, at least 16; of RFC 5649 at least 1.
        Returns the ciphertext, for GCM with the tag of 16 bytes behind it. Raises BadRequest, Unavailable, Throttled.
        """
        ...

    async def decrypt(
        self, algorithm: EncryptionAlgorithm, ciphertext: bytes, iv: bytes = b"", aad: bytes = b""
    ) -> bytes:
        """Decrypt, or unwrap.

        ciphertext: for RSA exactly as long as the modulus; for AES as encrypt() returns it. Returns the message.
        Raises CiphertextRefused with one text for every cause, BadRequest when the algorithm does not fit,
        Unavailable, Throttled.
        """
        ...

    def release(self) -> None:
        """Drop what is loaded of the key: its row has changed or is gone, or it was not used for long. What is being
        loaded just now serves those who wait for it and is not kept. Operations under way finish, and the next one
        loads again. To be called in the event loop; returns at once.
        """
        ...


class Custodian(Protocol):
    custody: CustodyClass

    async def generate(self, spec: KeySpec, binding: Binding, terms: Terms = PLAIN) -> HeldKey:
        """Make a key. It has signed and verified (or decrypted) once, and for a wrapped key its blob has been opened
        again and compared, before this returns. Nothing has to be undone when the caller never stores the result,
        except for resident keys: destroy() them. Raises Unavailable, Throttled, BadRequest (spec or terms not served).
        """
        ...

    async def admit(self, material: PrivateKeyMaterial, binding: Binding, terms: Terms = PLAIN) -> HeldKey:
        """Take in a caller's key; otherwise as generate."""
        ...

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
        """Take in a key that was wrapped for the HSM (BYOK); it is opened wholly inside the token.

        exchange: of the same world, made with Terms(exchange=True). wrapped: RSA-OAEP (SHA-1, MGF1 SHA-1) of an AES key
        of 16, 24 or 32 bytes, as long as exchange's modulus, followed by AES key wrap with padding (RFC 5649) of the
        target under it: PrivateKeyInfo in DER, for oct the bytes of the key. curve: EC alone. Size and public part of
        the result are read from the token. Raises CiphertextRefused with one text for every cause in wrapped;
        otherwise as generate.
        """
        ...

    def open(self, held: HeldKey, binding: Binding, *, secure: bool = False) -> KeyHandle:
        """A handle for a stored key. Cheap and without I/O: the first use loads the material and checks that it
        belongs to this binding; a copy from another row, or a changed one, raises Unavailable with the reason in
        the operator's log, and never works. Keep the handle: it is made once per key version.

        secure: for the work of Terms.secure. Whether the key was made for that is decided by what is bound to its
        material, at the first use: a handle and a key that do not fit each other raise BadRequest.
        """
        ...

    async def pack(self, held: HeldKey, binding: Binding) -> bytes:
        """The key for a backup: opaque, still protected by the world key or the system key, and complete: it needs no
        row of the container that it came from. Fails like the first use when the key is not bound to this binding.
        Raises BadRequest when the key cannot leave its token, Unavailable, Throttled."""
        ...

    async def unpack(self, spec: KeySpec, public: bytes, packed: bytes, source: Binding, target: Binding) -> HeldKey:
        """A key out of an authenticated backup, bound to its new row. source: what it was packed with.

        Raises BadRequest when it does not fit, Unavailable, Throttled.
        """
        ...

    async def export(self, held: HeldKey, binding: Binding, recipient: bytes, oaep: Hash) -> bytes:
        """A key that was made with Terms(exportable=True), wrapped to somebody else's RSA key.

        recipient: SubjectPublicKeyInfo in DER, 2048 to 4096 bits. oaep: the hash of RSA-OAEP and its MGF1: SHA-1,
        SHA-256 or SHA-384. Returns RSA-OAEP of a fresh AES-256 key, as long as recipient's modulus, followed by AES
        key wrap with padding (RFC 5649) of the private key: PrivateKeyInfo in DER, for oct the bytes of the key.
        Raises BadRequest when the key is not exportable, Unavailable, Throttled.
        """
        ...

    async def disclose(self, held: HeldKey, binding: Binding) -> PrivateKeyMaterial:
        """The private part of a key that was made with Terms(disclosable=True), in the clear. Whether it was is decided
        by what is sealed, not by its row. Raises BadRequest when the key was not made for that, Unavailable, Throttled.
        """
        ...

    async def attest(self, held: HeldKey, binding: Binding) -> Attestation:
        """What the token says about the key now. Raises BadRequest for a soft key, Unavailable, Throttled."""
        ...

    async def destroy(self, held: HeldKey, binding: Binding) -> None:
        """Forget a key: cached handles and, for resident keys, the token object. Not an error when it is gone."""
        ...


class SystemKey(Protocol):
    """The key at the root of everything sealed: AES-256, made in the HSM, never extractable."""

    @property
    def id(self) -> str:
        """Stored beside everything that it sealed."""
        ...

    async def seal(self, plaintext: bytes, bound_to: bytes) -> bytes:
        """AES-256-GCM inside the token; at most 4 KiB (data keys). Returns IV || ciphertext || tag."""
        ...

    async def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        """The reverse. Raises CiphertextRefused when anything, bound_to included, is not as it was sealed."""
        ...
