"""Algorithms of oct keys as work in the token: which copy of the key serves, and what the thread does with it.

Lengths are checked here, before anything is queued: SoftHSM answers CKR_GENERAL_ERROR to some of them, the same as to a
bad tag. A bad tag or bad padding arrives as the module's own error; run these jobs as refusable.

The service makes the IV of GCM (threat model, 6); here it is given.
"""

from pkcs11 import Mechanism
from pkcs11.mechanisms import GCMParams

from hsmvault.errors import BadRequest, CiphertextRefused
from hsmvault.hsm import key_wrap
from hsmvault.hsm.blocks import BLOCK_BYTES, decrypting_blocks, encrypting_blocks
from hsmvault.hsm.mechanisms import GCM_IV_BYTES, GCM_TAG_BYTES, KeyJob
from hsmvault.hsm.secret_keys import Use
from hsmvault.hsm.work import KeyObject, WorkSession
from hsmvault.model.algorithms import EncryptionAlgorithm, EncryptionMode, Family, KeySpec

_GCM_TAG_BITS = 8 * GCM_TAG_BYTES
_CBC = {EncryptionMode.CBC: Mechanism.AES_CBC, EncryptionMode.CBC_PAD: Mechanism.AES_CBC_PAD}
_KEY_WRAP = (EncryptionMode.KW, EncryptionMode.KWP)


def use_of(algorithm: EncryptionAlgorithm) -> Use:
    """The copy that serves an algorithm of oct keys."""
    return Use.WRAPPING if algorithm.mode in _KEY_WRAP else Use.MODES


def encrypting(spec: KeySpec, algorithm: EncryptionAlgorithm, plaintext: bytes, iv: bytes, aad: bytes) -> KeyJob:
    """Encrypt or wrap; see KeyHandle.encrypt. Raises BadRequest when something does not fit."""
    mode = _check(spec, algorithm, plaintext, iv, aad)
    if mode is EncryptionMode.GCM:
        parameters = GCMParams(iv, aad, _GCM_TAG_BITS)
        return lambda work, key: work.use(key).encrypt(
            plaintext, mechanism=Mechanism.AES_GCM, mechanism_param=parameters
        )
    if mode in _CBC:
        if mode is EncryptionMode.CBC and (not plaintext or len(plaintext) % BLOCK_BYTES):
            raise BadRequest(f"Invalid length of 'value': {algorithm.name} requires a multiple of {BLOCK_BYTES} bytes.")
        mechanism = _CBC[mode]
        return lambda work, key: work.use(key).encrypt(plaintext, mechanism=mechanism, mechanism_param=iv)
    longest = key_wrap.LONGEST_PLAINTEXT_BYTES
    if not plaintext or len(plaintext) > longest:
        raise BadRequest(f"Invalid length of 'value': {algorithm.name} requires 1 to {longest} bytes.")
    if mode is EncryptionMode.KW and (len(plaintext) < 16 or len(plaintext) % 8):
        raise BadRequest(f"Invalid length of 'value': {algorithm.name} requires a multiple of 8 bytes, at least 16.")
    step = key_wrap.wrap if mode is EncryptionMode.KW else key_wrap.wrap_padded

    def wrap(work: WorkSession, key: KeyObject) -> bytes:
        with encrypting_blocks(work, key) as block:
            return step(block, plaintext)

    return wrap


def decrypting(spec: KeySpec, algorithm: EncryptionAlgorithm, ciphertext: bytes, iv: bytes, aad: bytes) -> KeyJob:
    """Decrypt or unwrap; see KeyHandle.decrypt. Raises BadRequest when the algorithm or iv does not fit,
    CiphertextRefused when the length of the ciphertext is wrong.
    """
    mode = _check(spec, algorithm, ciphertext, iv, aad)
    if mode is EncryptionMode.GCM:
        if len(ciphertext) < GCM_TAG_BYTES:
            raise CiphertextRefused(detail="length of the ciphertext")
        parameters = GCMParams(iv, aad, _GCM_TAG_BITS)
        return lambda work, key: work.use(key).decrypt(
            ciphertext, mechanism=Mechanism.AES_GCM, mechanism_param=parameters
        )
    if mode in _CBC:
        if not ciphertext or len(ciphertext) % BLOCK_BYTES:
            raise CiphertextRefused(detail="length of the ciphertext")
        mechanism = _CBC[mode]
        return lambda work, key: work.use(key).decrypt(ciphertext, mechanism=mechanism, mechanism_param=iv)
    shortest = 24 if mode is EncryptionMode.KW else 16
    longest = key_wrap.LONGEST_PLAINTEXT_BYTES + key_wrap.OVERHEAD_BYTES
    if not shortest <= len(ciphertext) <= longest or len(ciphertext) % 8:
        raise CiphertextRefused(detail="length of the ciphertext")
    step = key_wrap.unwrap if mode is EncryptionMode.KW else key_wrap.unwrap_padded

    def unwrap(work: WorkSession, key: KeyObject) -> bytes:
        with decrypting_blocks(work, key) as block:
            plaintext = step(block, ciphertext)
        if plaintext is None:
            raise CiphertextRefused(detail="integrity of the wrapped key")
        return plaintext

    return unwrap


def _check(spec: KeySpec, algorithm: EncryptionAlgorithm, text: bytes, iv: bytes, aad: bytes) -> EncryptionMode:
    """The mode, when algorithm and key fit, everything is bytes, and iv and aad are what the mode takes."""
    if spec.family is not Family.OCT or not algorithm.fits(spec):
        raise BadRequest(f"The algorithm {algorithm.name} does not fit the key.")
    if type(text) is not bytes or type(iv) is not bytes or type(aad) is not bytes:
        raise BadRequest("The parameter is incorrect.")  # anything else leaves the session in CKR_OPERATION_ACTIVE
    mode = algorithm.mode
    length = GCM_IV_BYTES if mode is EncryptionMode.GCM else BLOCK_BYTES if mode in _CBC else 0
    if len(iv) != length:
        raise BadRequest(f"Invalid length of 'iv': {algorithm.name} requires {length} bytes.")
    if aad and mode is not EncryptionMode.GCM:
        raise BadRequest(f"The algorithm {algorithm.name} does not take additional authenticated data.")
    return mode
