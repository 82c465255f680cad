"""Algorithms as mechanisms: what a worker's thread does with a key. Every function blocks.

Lengths and fit are checked here again although callers check them: CKM_RSA_PKCS signs any blob that fits,
CKM_ECDSA truncates a digest that is too long, and parameters left out mean SHA-1.
"""

from collections.abc import Callable

from pkcs11 import MGF, Mechanism
from pkcs11.mechanisms import GCMParams

from hsmvault.errors import BadRequest, CiphertextRefused
from hsmvault.hsm.digestinfo import check_digest, digest_info
from hsmvault.hsm.oaep import Unpadder
from hsmvault.hsm.work import KeyObject, KeyUses, WorkSession
from hsmvault.model.algorithms import (
    EncryptionAlgorithm,
    EncryptionMode,
    Family,
    Hash,
    KeySpec,
    SignatureAlgorithm,
    SignaturePadding,
)

Operation = Callable[[KeyUses], bytes]
"""What a thread does with a key that is bound to its session."""

KeyJob = Callable[[WorkSession, KeyObject], bytes]
"""What a thread does with a key and its session."""

_PSS = {
    Hash.SHA256: (Mechanism.SHA256, MGF.SHA256, 32),
    Hash.SHA384: (Mechanism.SHA384, MGF.SHA384, 48),
    Hash.SHA512: (Mechanism.SHA512, MGF.SHA512, 64),
}
HMAC = {
    Hash.SHA256: Mechanism.SHA256_HMAC,
    Hash.SHA384: Mechanism.SHA384_HMAC,
    Hash.SHA512: Mechanism.SHA512_HMAC,
}
_OAEP = {
    Hash.SHA1: (Mechanism.SHA_1, MGF.SHA1, None),
    Hash.SHA256: (Mechanism.SHA256, MGF.SHA256, None),
}
GCM_IV_BYTES = 12
GCM_TAG_BYTES = 16


def bound(operation: Operation) -> KeyJob:
    """An operation with the binding before it."""
    return lambda work, key: operation(work.use(key))


def signing(spec: KeySpec, algorithm: SignatureAlgorithm, digest: bytes) -> Operation:
    """Sign a digest. The operation returns r || s in field length for ECDSA, the whole MAC over the digest for HMAC
    (with a GENERIC_SECRET key: SoftHSM refuses HMAC with AES keys), else as many bytes as the modulus has.

    Raises BadRequest, before anything is queued, when the algorithm does not fit the key or the digest.
    """
    if not algorithm.fits(spec):
        raise BadRequest(f"The algorithm {algorithm.name} does not fit the key.")
    if algorithm.padding is SignaturePadding.ECDSA:
        check_digest(algorithm.hash, digest)
        return lambda key: key.sign(digest, mechanism=Mechanism.ECDSA)
    if algorithm.padding is SignaturePadding.PKCS1:
        blob = digest_info(algorithm.hash, digest)
        return lambda key: key.sign(blob, mechanism=Mechanism.RSA_PKCS)
    if algorithm.padding is SignaturePadding.PSS:
        check_digest(algorithm.hash, digest)
        parameters = _PSS[algorithm.hash]
        return lambda key: key.sign(digest, mechanism=Mechanism.RSA_PKCS_PSS, mechanism_param=parameters)
    if algorithm.padding is SignaturePadding.HMAC:
        check_digest(algorithm.hash, digest)
        mechanism = HMAC[algorithm.hash]
        return lambda key: key.sign(digest, mechanism=mechanism)
    raise BadRequest(f"The algorithm {algorithm.name} does not fit the key.")


def needs_unpadder(algorithm: EncryptionAlgorithm, native_hashes: tuple[str, ...]) -> bool:
    """The module lacks this OAEP hash: the raw fallback would have to serve it."""
    return (
        algorithm.mode is EncryptionMode.OAEP
        and algorithm.hash is not None
        and algorithm.hash.name not in native_hashes
    )


def decrypting(
    spec: KeySpec, algorithm: EncryptionAlgorithm, ciphertext: bytes, unpadder: Unpadder | None = None
) -> Operation:
    """Decrypt with RSA. unpadder: given when OAEP is to be undone outside the token.

    Raises BadRequest when the algorithm does not fit, CiphertextRefused when the length is wrong.
    """
    if spec.family is not Family.RSA or not algorithm.fits(spec):
        raise BadRequest(f"The algorithm {algorithm.name} does not fit the key.")
    if type(ciphertext) is not bytes or len(ciphertext) != spec.modulus_bytes:
        raise CiphertextRefused(detail="length of the ciphertext")
    if algorithm.mode is EncryptionMode.RSA1_5:
        return lambda key: key.decrypt(ciphertext, mechanism=Mechanism.RSA_PKCS)
    if algorithm.mode is not EncryptionMode.OAEP or algorithm.hash is None:
        raise BadRequest(f"The algorithm {algorithm.name} does not fit the key.")
    if unpadder is not None:
        undo = unpadder.unpad
        return lambda key: undo(key.decrypt(ciphertext, mechanism=Mechanism.RSA_X_509))
    parameters = _OAEP[algorithm.hash]
    return lambda key: key.decrypt(ciphertext, mechanism=Mechanism.RSA_PKCS_OAEP, mechanism_param=parameters)


def hmac_sha256(work: WorkSession, key: KeyObject, message: bytes) -> bytes:
    """32 bytes, with a GENERIC_SECRET key: SoftHSM refuses HMAC with AES keys."""
    return work.use(key).sign(message, mechanism=Mechanism.SHA256_HMAC)


def gcm_seal(work: WorkSession, key: KeyObject, iv: bytes, plaintext: bytes, bound_to: bytes) -> bytes:
    """iv: 12 bytes, never used before with this key. Returns ciphertext || tag of 16 bytes."""
    assert len(iv) == GCM_IV_BYTES
    return work.use(key).encrypt(
        plaintext, mechanism=Mechanism.AES_GCM, mechanism_param=GCMParams(iv, bound_to, 8 * GCM_TAG_BYTES)
    )


def gcm_open(work: WorkSession, key: KeyObject, iv: bytes, sealed: bytes, bound_to: bytes) -> bytes:
    """The reverse. A wrong tag arrives as the module's own error, ambiguous on SoftHSM."""
    return work.use(key).decrypt(
        sealed, mechanism=Mechanism.AES_GCM, mechanism_param=GCMParams(iv, bound_to, 8 * GCM_TAG_BYTES)
    )
