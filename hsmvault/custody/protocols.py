"""Custody: where private key material lives and is used. Two protocols, several implementations, one suite.

A Custodian makes, takes in, opens and destroys keys; a KeyHandle uses one. Above custody nobody asks whether a key
is hard or soft. Public-key work (verify, encrypt, RSA wrap) needs no custodian: see public.py.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from hsmvault.model.algorithms import EncryptionAlgorithm, KeySpec, SignatureAlgorithm


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

    pkcs8: PrivateKeyInfo in DER (RFC 5208), already checked for consistency (custody/admission.py).
    """

    spec: KeySpec
    public: bytes
    pkcs8: bytes

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
        as the modulus has. Raises BadRequest, Unavailable, Throttled.
        """
        ...

    async def decrypt(self, algorithm: EncryptionAlgorithm, ciphertext: bytes) -> bytes:
        """RSA only so far: decrypt, or unwrap, which is the same for RSA.

        ciphertext: exactly as long as the modulus. Returns the message. Raises CiphertextRefused with one text
        for every cause, BadRequest when the algorithm does not fit, Unavailable, Throttled.
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

    async def generate(self, spec: KeySpec, binding: Binding) -> HeldKey:
        """Make a key. It has signed and verified (or decrypted) once, and for a wrapped key its blob has been opened
        again and compared, before this returns. Nothing has to be undone when the caller never stores the result,
        except for resident keys: destroy() them. Raises Unavailable, Throttled, BadRequest (spec not served).
        """
        ...

    async def admit(self, material: PrivateKeyMaterial, binding: Binding) -> HeldKey:
        """Take in a caller's key; otherwise as generate."""
        ...

    def open(self, held: HeldKey, binding: Binding) -> KeyHandle:
        """A handle for a stored key. Cheap and without I/O: the first use loads the material and checks that it
        belongs to this binding; a copy from another row, or a changed one, raises Unavailable with the reason in
        the operator's log, and never works. Keep the handle: it is made once per key version.
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
