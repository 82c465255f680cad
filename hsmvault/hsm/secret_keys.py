"""oct keys in the token: AES and HMAC. One blob under the world key, and a working copy of its own for every use.

A token object that encrypts, wraps and signs with one value is what the attacks of Clulow and Tookan need, and no
token makes one anyway: SoftHSM refuses HMAC with AES keys. So nothing ever has more than one use:

    what is wrapped      no use at all; may be wrapped by a trusted key, and is destroyed after that
    Use.MODES            AES, ENCRYPT and DECRYPT with GCM, CBC and CBC_PAD alone
    Use.WRAPPING         AES, ENCRYPT and DECRYPT with ECB alone, block by block (key_wrap.py)
    Use.MAC              GENERIC_SECRET, SIGN with the HMACs alone for which the key is long enough

The blob (RFC 5649) knows no type, so that each of them opens from it. Every attribute is passed and read back as
objects.py does; VALUE_LEN and CHECK_VALUE are not, since SoftHSM 2.6.1 reports none for what was unwrapped: the length
of the blob says how long the key is.

All functions block and run in the thread of the session that they are given.
"""

import hashlib
import hmac
from collections.abc import Iterable
from enum import Enum

import pkcs11
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass

from hsmvault.errors import BadRequest
from hsmvault.hsm.blocks import decrypting_blocks, encrypting_blocks
from hsmvault.hsm.mechanisms import HMAC
from hsmvault.hsm.objects import SECRET_USAGE, WORKING_COPY, WRAPPING, Stay, Template, require_attributes
from hsmvault.hsm.pairwise import PairwiseFailed
from hsmvault.hsm.profile import Profile
from hsmvault.hsm.returncodes import WrongAttributes
from hsmvault.hsm.work import KeyObject, WorkSession
from hsmvault.model.algorithms import (
    OCT_IMPORTED_SIZES_BITS,
    OCT_SIZES_BITS,
    SIGNATURE_ALGORITHMS,
    Family,
    Hash,
    KeySpec,
    SignaturePadding,
)

MODES_MECHANISMS = frozenset({Mechanism.AES_GCM, Mechanism.AES_CBC, Mechanism.AES_CBC_PAD})

_BLOB_OVERHEAD_BYTES = 8
_PROBE = b"hsmvault AES key"  # one block that no mode here ever encrypts by itself
_DIGEST = hashlib.sha256(b"hsmvault HMAC key").digest()


class Use(Enum):
    """What a working copy is for; the value is part of its name in a cache."""

    MODES = "modes"
    WRAPPING = "key wrap"
    MAC = "HMAC"


def uses(spec: KeySpec) -> tuple[Use, ...]:
    """The uses that a key of this length has."""
    for_aes = (Use.MODES, Use.WRAPPING) if spec.size_bits in OCT_SIZES_BITS else ()
    return (*for_aes, Use.MAC) if _hashes(spec) else for_aes


def require_served(profile: Profile, spec: KeySpec) -> None:
    """Raises BadRequest when the module does not serve such keys, or nobody does."""
    if not (profile.aes_gcm and profile.aes_modes):
        raise BadRequest("Keys of type oct are not supported by the HSM.")
    if spec.family is not Family.OCT or spec.size_bits not in OCT_IMPORTED_SIZES_BITS:
        raise BadRequest(
            f"Unsupported key size ({spec.size_bits}). Supported sizes are {list(OCT_IMPORTED_SIZES_BITS)}"
        )


def key_type(spec: KeySpec) -> KeyType:
    """Of the object that is wrapped."""
    return KeyType.AES if spec.size_bits in OCT_SIZES_BITS else KeyType.GENERIC_SECRET


def size_bits(blob: bytes) -> int | None:
    """Length of the key in a blob that a token made, which SoftHSM does not tell otherwise; None: none that we serve.

    SoftHSM pads a GENERIC_SECRET with zeros to 8 bytes before it wraps it. For HMAC that is the same key (RFC 2104, 2);
    for AES it would be another one: have 16, 24 and 32 bytes opened as AES first, which refuses other lengths.
    """
    bits = 8 * (len(blob) - _BLOB_OVERHEAD_BYTES)
    return bits if bits in OCT_IMPORTED_SIZES_BITS else None


def generate(work: WorkSession, spec: KeySpec, stay: Stay) -> KeyObject:
    """A session object without any use, to be wrapped and destroyed. stay: leaves."""
    assert stay.leaves
    kind = key_type(spec)
    wanted = _template(work.profile, kind, (), (), stay)
    made: pkcs11.Object = work.session.generate_key(
        kind,
        spec.size_bits,
        capabilities=0,  # type: ignore[arg-type]  # the stub wants MechanismFlag, which has no name for none
        mechanism=Mechanism.AES_KEY_GEN if kind is KeyType.AES else Mechanism.GENERIC_SECRET_KEY_GEN,
        template={each: value for each, value in wanted.items() if each not in (Attribute.CLASS, Attribute.KEY_TYPE)},
    )
    past = {Attribute.VALUE_LEN: spec.size_bits // 8, Attribute.LOCAL: True, Attribute.ALWAYS_SENSITIVE: True}
    require_attributes(made, wanted | past)
    return work.hold(made, kind)


def unwrap_leaving(work: WorkSession, unwrapping: KeyObject, wrapped: bytes, kind: KeyType, stay: Stay) -> KeyObject:
    """A session object without any use, out of RFC 5649; to be wrapped and destroyed. kind: see key_type().

    A refused C_UnwrapKey leaves an unlabelled object behind on SoftHSM 2.6.1. Raises WrongAttributes, or the module's
    error.
    """
    assert stay.leaves
    return _unwrap(work, unwrapping, wrapped, kind, _template(work.profile, kind, (), (), stay))


def unwrap_working(work: WorkSession, unwrapping: KeyObject, blob: bytes, spec: KeySpec, use: Use) -> KeyObject:
    """A copy for one use, which never leaves. Raises WrongAttributes, also when the blob holds a key of another length,
    or the module's error.
    """
    if size_bits(blob) != spec.size_bits:
        raise WrongAttributes("the blob holds a key of another length")
    if use is Use.MAC:
        mechanisms = [HMAC[each] for each in _hashes(spec)]
        kind, usage = KeyType.GENERIC_SECRET, [Attribute.SIGN]
    else:
        mechanisms = [*MODES_MECHANISMS] if use is Use.MODES else [Mechanism.AES_ECB]
        kind, usage = KeyType.AES, [Attribute.ENCRYPT, Attribute.DECRYPT]
    return _unwrap(work, unwrapping, blob, kind, _template(work.profile, kind, usage, mechanisms, WORKING_COPY))


def probe(work: WorkSession, copy: KeyObject, spec: KeySpec, use: Use) -> bytes:
    """One operation that tells which key this is, there and back: for both AES uses the same block under ECB, for HMAC
    the MAC of a constant. It stays in this process. Raises PairwiseFailed, or the module's error.
    """
    if use is Use.MAC:
        function = _hashes(spec)[0]
        return work.bind(copy).sign(_DIGEST, mechanism=HMAC[function])
    if use is Use.MODES:  # CBC of one block with a zero IV is ECB
        key, iv = work.bind(copy), bytes(16)
        found = key.encrypt(_PROBE, mechanism=Mechanism.AES_CBC, mechanism_param=iv)
        back = key.decrypt(found, mechanism=Mechanism.AES_CBC, mechanism_param=iv)
    else:
        with encrypting_blocks(work, copy) as encrypt:
            found = encrypt(_PROBE)
        with decrypting_blocks(work, copy) as decrypt:
            back = decrypt(found)
    if back != _PROBE:
        raise PairwiseFailed
    return found


def require_agreement(probes: dict[Use, bytes], spec: KeySpec, value: bytes = b"") -> None:
    """Copies of one key agree with each other and, for a key that came in the clear, with software.

    value: its bytes, or b"" when only the token knows them. Raises PairwiseFailed.
    """
    expected = dict(probes)
    if value and Use.MODES in probes:
        expected[Use.MODES] = Cipher(algorithms.AES(value), modes.ECB()).encryptor().update(_PROBE)  # noqa: S305  # one constant block, to compare
    if value and Use.MAC in probes:
        expected[Use.MAC] = hmac.digest(value, _DIGEST, _hashes(spec)[0].value)
    if Use.WRAPPING in probes:
        expected[Use.WRAPPING] = expected[Use.MODES]
    if not all(hmac.compare_digest(found, expected[use]) for use, found in probes.items()):
        raise PairwiseFailed


def _hashes(spec: KeySpec) -> list[Hash]:
    return [
        each.hash for each in SIGNATURE_ALGORITHMS.values() if each.padding is SignaturePadding.HMAC and each.fits(spec)
    ]


def _template(
    profile: Profile, kind: KeyType, usage: Iterable[Attribute], mechanisms: Iterable[Mechanism], stay: Stay
) -> Template:
    """Everything that a secret key gets."""
    template: Template = {
        Attribute.CLASS: ObjectClass.SECRET_KEY,
        Attribute.KEY_TYPE: kind,
        Attribute.TOKEN: False,
        Attribute.PRIVATE: True,
        Attribute.SENSITIVE: True,
        Attribute.EXTRACTABLE: stay.leaves,
        **dict.fromkeys(SECRET_USAGE, False),
        **dict.fromkeys(usage, True),
    }
    if profile.trusted_keys:
        template[Attribute.WRAP_WITH_TRUSTED] = not stay.exportable
    allowed = frozenset(int(each) for each in mechanisms)
    if profile.allowed_mechanisms and allowed:  # an empty list is no restriction on SoftHSM, so none is sent
        template[Attribute.ALLOWED_MECHANISMS] = allowed
    template[Attribute.MODIFIABLE] = False  # last: SoftHSM applies attributes in order
    return template


def _unwrap(work: WorkSession, unwrapping: KeyObject, blob: bytes, kind: KeyType, wanted: Template) -> KeyObject:
    made = work.bind(unwrapping).unwrap_key(
        ObjectClass.SECRET_KEY, kind, blob, mechanism=WRAPPING, capabilities=0, template=wanted
    )
    require_attributes(made, wanted)
    return work.hold(made, kind)
