"""Exportable keys on their way out: wrapped to somebody else's RSA key, without being in the clear in the server.

A key that was made exportable has a second blob, under the world's export key, which opens it as an object that may
leave again. A fresh AES-256 key wraps it (AES key wrap with padding, RFC 5649), and RSA-OAEP under the recipient's
key wraps the AES key: CKM_RSA_AES_KEY_WRAP of PKCS#11 2.40, in its two steps.

What an intruder with a session of the token gains: an exportable key can be taken out, because any recipient may be
named; that is what exportable means. No other key can: it is wrapped by trusted keys alone, and the export key is none.

Where the module does RSA-OAEP with the recipient's hash (profile: oaep_hashes), the AES key is made in the token and
never leaves it otherwise. Where it does not (SoftHSM 2.6.1: all but SHA-1), the AES key is made in the server, put into
the token for this one act, and wrapped in software: for that moment the server's memory holds what opens this one
answer. SoftHSM pads with zeros to 8 bytes before it wraps (profile: key_wrap_pad), so that the recipient may find up
to 7 zero bytes behind the DER of the key; DER says its own length.

All functions block. Give them a session of its own for the act (WorkSession.aside()), which ends with what it made.
"""

from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from pkcs11 import MGF, Attribute, KeyType, Mechanism, ObjectClass

from hsmvault.errors import BadRequest
from hsmvault.hsm import objects, session_aes
from hsmvault.hsm.objects import SECRET_USAGE, WRAPPING, Stay, Template, require_attributes
from hsmvault.hsm.work import KeyObject, WorkSession
from hsmvault.model.algorithms import RSA_SIZES_BITS, Family, Hash, KeySpec

EXPORTABLE = Stay(leaves=True, exportable=True)
"""A key while it is made, and while it leaves."""
_OAEP = {
    Hash.SHA1: (Mechanism.SHA_1, MGF.SHA1, None),
    Hash.SHA256: (Mechanism.SHA256, MGF.SHA256, None),
    Hash.SHA384: (Mechanism.SHA384, MGF.SHA384, None),
}
_HASH: dict[Hash, hashes.HashAlgorithm] = {
    Hash.SHA1: hashes.SHA1(),  # noqa: S303  # RSA-OAEP says SHA-1
    Hash.SHA256: hashes.SHA256(),
    Hash.SHA384: hashes.SHA384(),
}


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who may open what leaves. oaep: the hash of RSA-OAEP and its MGF1."""

    key: rsa.RSAPublicKey
    oaep: Hash


def recipient(spki: bytes, oaep: Hash) -> Recipient:
    """spki: SubjectPublicKeyInfo in DER. Raises BadRequest when it is no RSA key of 2048 to 4096 bits."""
    try:
        key = serialization.load_der_public_key(spki)
    except (ValueError, TypeError) as error:
        raise BadRequest("The key to release to cannot be read.") from error
    if not isinstance(key, rsa.RSAPublicKey) or not min(RSA_SIZES_BITS) <= key.key_size <= max(RSA_SIZES_BITS):
        raise BadRequest("The key to release to must be an RSA key of 2048 to 4096 bits.")
    if oaep not in _OAEP:
        raise BadRequest("The hash of the key wrapping is not supported.")
    return Recipient(key, oaep)


def unwrap(work: WorkSession, export_key: KeyObject, blob: bytes, spec: KeySpec, public: bytes) -> KeyObject:
    """Open a key as an object that may leave. Raises WrongAttributes, or the module's error."""
    if spec.family is Family.OCT:
        return _unwrap_secret(work, export_key, blob)
    return objects.unwrap_private(work, export_key, blob, spec, EXPORTABLE, public)


def wrap_for(work: WorkSession, target: KeyObject, to: Recipient, random: bytes) -> bytes:
    """RSA-OAEP of an AES-256 key, as long as the recipient's modulus, followed by the target under it.

    random: 32 fresh random bytes, used where the AES key has to be made here.
    """
    if to.oaep.name in work.profile.oaep_hashes:
        transport = session_aes.generate(work, Attribute.WRAP, leaves=True)
        first = work.bind(_public_object(work, to.key)).wrap_key(
            work.bind(transport), mechanism=Mechanism.RSA_PKCS_OAEP, mechanism_param=_OAEP[to.oaep]
        )
    else:
        function = _HASH[to.oaep]
        transport = session_aes.create(work, random, Attribute.WRAP)
        first = to.key.encrypt(random, padding.OAEP(padding.MGF1(function), function, None))
    return first + objects.wrap(work, transport, target)


def _public_object(work: WorkSession, key: rsa.RSAPublicKey) -> KeyObject:
    numbers = key.public_numbers()
    made = work.session.create_object(
        {
            Attribute.CLASS: ObjectClass.PUBLIC_KEY,
            Attribute.KEY_TYPE: KeyType.RSA,
            Attribute.TOKEN: False,
            Attribute.PRIVATE: False,
            Attribute.MODULUS: _unsigned(numbers.n),
            Attribute.PUBLIC_EXPONENT: _unsigned(numbers.e),
            Attribute.ENCRYPT: False,
            Attribute.VERIFY: False,
            Attribute.WRAP: True,
        }
    )
    return work.hold(made, KeyType.RSA)


def _unwrap_secret(work: WorkSession, export_key: KeyObject, blob: bytes) -> KeyObject:
    template: Template = {
        Attribute.CLASS: ObjectClass.SECRET_KEY,
        Attribute.KEY_TYPE: KeyType.GENERIC_SECRET,
        Attribute.TOKEN: False,
        Attribute.PRIVATE: True,
        Attribute.SENSITIVE: True,
        Attribute.EXTRACTABLE: True,
        **dict.fromkeys(SECRET_USAGE, False),
    }
    if work.profile.trusted_keys:
        template[Attribute.WRAP_WITH_TRUSTED] = False
    template[Attribute.MODIFIABLE] = False
    made = work.bind(export_key).unwrap_key(
        ObjectClass.SECRET_KEY,
        KeyType.GENERIC_SECRET,
        blob,
        mechanism=WRAPPING,
        capabilities=0,
        template=template,
    )
    require_attributes(made, template)
    return work.hold(made, KeyType.GENERIC_SECRET)


def _unsigned(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
