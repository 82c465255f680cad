"""Key exchange keys (BYOK): RSA keys that unwrap other keys inside the token and do nothing else.

What arrives is RSA-OAEP (SHA-1, MGF1 SHA-1) of an AES key, followed by AES key wrap with padding (RFC 5649) of the
target under it (CKM_RSA_AES_KEY_WRAP of PKCS#11 2.40, in its two steps, because SoftHSM 2.6.1 lacks the one).

All functions block. Give them a session of its own for the act (WorkSession.aside()): a refused C_UnwrapKey leaves an
unlabelled object behind on SoftHSM 2.6.1, which goes with that session alone.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import pkcs11
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from pkcs11 import MGF, Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.constants import DEFAULT

from hsmvault.errors import CiphertextRefused
from hsmvault.hsm import ec_recovery, secret_keys, session_aes
from hsmvault.hsm.objects import (
    WRAPPING,
    Stay,
    Template,
    destroy,
    expected_attributes,
    private_template,
    require_attributes,
)
from hsmvault.hsm.pairwise import PairwiseFailed
from hsmvault.hsm.public import CURVE_OID, encrypt_oaep, rsa_spki
from hsmvault.hsm.returncodes import ModuleError, Verdict, WrongAttributes, judge
from hsmvault.hsm.work import KeyObject, WorkSession
from hsmvault.model.algorithms import (
    ENCRYPTION_ALGORITHMS,
    OCT_IMPORTED_SIZES_BITS,
    RSA_SIZES_BITS,
    Curve,
    Family,
    KeySpec,
)

PUBLIC_EXPONENTS = (3, 17, 65537)
LONGEST_TARGET_BYTES = 4096
"""RSA-4096 as PKCS#8 has some 2,400 bytes."""
_WRAPPING_OVERHEAD_BYTES = 8
_SHORTEST_WRAPPED_BYTES = 24  # RFC 5649: 16 bytes, the shortest key that we serve, and 8
_OAEP_SHA1 = (Mechanism.SHA_1, MGF.SHA1, None)
_PROBE = hashlib.sha256(b"hsmvault exchange key test").digest()


def prove_exchange(work: WorkSession, key: KeyObject, public: bytes) -> None:
    """Wrap an AES key in software with the public key, let the token unwrap it, and compare one encryption with it.
    The AES key is a constant: it protects nothing. public: SPKI. Raises PairwiseFailed, or the module's error.
    """
    wrapped = encrypt_oaep(public, ENCRYPTION_ALGORITHMS["RSA-OAEP"], _PROBE)
    unwrapped = _unwrap_aes(work, key, wrapped, Attribute.ENCRYPT, Mechanism.AES_ECB)
    try:
        found = work.bind(unwrapped).encrypt(bytes(16), mechanism=Mechanism.AES_ECB)
    finally:
        destroy(unwrapped)
    expected = Cipher(algorithms.AES(_PROBE), modes.ECB()).encryptor().update(bytes(16))  # noqa: S305  # one known block
    if found != expected:
        raise PairwiseFailed


def split(modulus_bytes: int, wrapped: bytes) -> tuple[bytes, bytes]:
    """The two parts of what arrived, by length alone. Raises CiphertextRefused."""
    rest = len(wrapped) - modulus_bytes
    if type(wrapped) is not bytes or not _SHORTEST_WRAPPED_BYTES <= rest <= LONGEST_TARGET_BYTES + 8 or rest % 8:
        raise CiphertextRefused(detail="length of the wrapped key")
    return wrapped[:modulus_bytes], wrapped[modulus_bytes:]


def unwrap_ephemeral(work: WorkSession, exchange: KeyObject, wrapped: bytes) -> KeyObject:
    """The AES key that the target is wrapped under: it unwraps, and nothing else.

    When it does not open, a random key takes its place, under which nothing opens: a caller learns neither from an
    answer nor from its time which of the two parts was refused (Manger 2001).
    """
    try:
        return _unwrap_aes(work, exchange, wrapped, Attribute.UNWRAP, WRAPPING)
    except ModuleError as error:
        if judge(error) not in (Verdict.CALLER, Verdict.AMBIGUOUS):
            raise
    return session_aes.generate(work, Attribute.UNWRAP)


def unwrap_target(work: WorkSession, key: KeyObject, wrapped: bytes, family: Family, stay: Stay) -> KeyObject:
    """Open a private key of a family whose size is not known yet. Everything else about it is read back.

    Raises CiphertextRefused when the module says that it is no such key; the module's error when it is ambiguous.
    """
    spec = _ANY[family]
    wanted = private_template(work.profile, spec, stay)
    # python-pkcs11 would send these for private keys as well; SoftHSM answers AttributeTypeInvalid.
    omitted: Template = {Attribute.ENCRYPT: DEFAULT, Attribute.WRAP: DEFAULT, Attribute.VERIFY: DEFAULT}
    kind = KeyType.RSA if family is Family.RSA else KeyType.EC
    with _refusing():
        made = work.bind(key).unwrap_key(
            ObjectClass.PRIVATE_KEY,
            kind,
            wrapped,
            mechanism=WRAPPING,
            capabilities=0,
            template=omitted | wanted,
        )
    expected = expected_attributes(wanted, spec)
    expected.pop(Attribute.EC_PARAMS, None)
    require_attributes(made, expected)
    return work.hold(made, kind)


def unwrap_secret(work: WorkSession, key: KeyObject, wrapped: bytes, stay: Stay) -> tuple[KeyObject, KeySpec]:
    """Open an oct key, whose size is told by the length of what arrived; otherwise as unwrap_target().

    RFC 5649 rounds up to 8 bytes, and so does SoftHSM when it wraps the key again (profile: key_wrap_pad). An AES key
    of another length than 16, 24 or 32 bytes is refused because it encrypts nothing. A key for HMAC of 41 to 47 or 57
    to 63 bytes becomes one of 48 or 64 with zeros at its end, which makes the same MACs (RFC 2104, 2).
    """
    spec = KeySpec.oct(8 * (len(wrapped) - _WRAPPING_OVERHEAD_BYTES))
    if spec.size_bits not in OCT_IMPORTED_SIZES_BITS:
        raise CiphertextRefused(detail="length of the wrapped oct key")
    secret_keys.require_served(work.profile, spec)
    with _refusing():
        if secret_keys.key_type(spec) is KeyType.AES:
            _require_encrypts(work, key, wrapped)
        return secret_keys.unwrap_leaving(work, key, wrapped, secret_keys.key_type(spec), stay), spec


def read_spec(work: WorkSession, private: KeyObject, family: Family, curve: Curve | None) -> tuple[KeySpec, bytes]:
    """What the token says about a private key that came in, and its public key as SPKI. The object must sign.

    curve: the one it must have. Raises CiphertextRefused when it is none that we serve.
    """
    if family is Family.RSA:
        return _read_rsa(private)
    found = _attribute(private, Attribute.EC_PARAMS)
    served = [each for each, oid in CURVE_OID.items() if oid == found and each.value in work.profile.curves]
    if not served or curve not in (None, served[0]):
        raise CiphertextRefused(detail="curve of the wrapped key")
    spec = KeySpec.ec(served[0])
    return spec, ec_recovery.recover(work, private, served[0])


def _read_rsa(private: KeyObject) -> tuple[KeySpec, bytes]:
    modulus = _attribute(private, Attribute.MODULUS)
    exponent = _attribute(private, Attribute.PUBLIC_EXPONENT)
    n, e = int.from_bytes(modulus, "big"), int.from_bytes(exponent, "big")
    if n.bit_length() not in RSA_SIZES_BITS or n % 2 == 0 or e not in PUBLIC_EXPONENTS:
        raise CiphertextRefused(detail="size or exponent of the wrapped key")
    return KeySpec.rsa(n.bit_length(), e), rsa_spki(modulus, exponent)


def _attribute(found: KeyObject, kind: Attribute) -> bytes:
    try:
        return cast(bytes, found.origin[kind])
    except (pkcs11.AttributeTypeInvalid, pkcs11.AttributeSensitive) as error:
        raise WrongAttributes(f"the token does not tell {kind.name}") from error


def _require_encrypts(work: WorkSession, key: KeyObject, wrapped: bytes) -> None:
    trial = session_aes.unwrap(work, key, wrapped, Attribute.ENCRYPT, Mechanism.AES_ECB, by=WRAPPING)
    work.bind(trial).encrypt(bytes(16), mechanism=Mechanism.AES_ECB)
    destroy(trial)


@contextmanager
def _refusing() -> Iterator[None]:
    """What the module calls our mistake is the maker's here: an AES key of 20 bytes is KeySizeRange."""
    try:
        yield
    except ModuleError as error:
        if judge(error) is Verdict.FAULT:
            raise CiphertextRefused(detail=type(error).__name__) from error
        raise


def _unwrap_aes(
    work: WorkSession, exchange: KeyObject, wrapped: bytes, usage: Attribute, mechanism: Mechanism
) -> KeyObject:
    by = Mechanism.RSA_PKCS_OAEP
    return session_aes.unwrap(work, exchange, wrapped, usage, mechanism, by=by, parameter=_OAEP_SHA1)


_ANY = {Family.RSA: KeySpec.rsa(2048), Family.EC: KeySpec.ec(Curve.P256)}
"""Templates depend on the family alone."""
