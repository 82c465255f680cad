"""Making, wrapping, unwrapping and destroying key objects. Every attribute is passed and read back.

Passed, because libraries and modules have dangerous defaults: python-pkcs11 gives AES keys WRAP and DECRYPT, EC keys
DERIVE; C_UnwrapKey without explicit attributes leaves SENSITIVE=0. Read back, because some modules ignore what they
get (openCryptoki: EXTRACTABLE in an unwrap template). A mismatch destroys the object and raises WrongAttributes.

All functions block and run in the thread of the session that they are given.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.constants import DEFAULT

from hsmvault.errors import BadRequest, Unavailable
from hsmvault.hsm.profile import Profile
from hsmvault.hsm.public import CURVE_OID, ec_spki, rsa_modulus, rsa_spki
from hsmvault.hsm.returncodes import ModuleError, WrongAttributes
from hsmvault.hsm.work import KeyObject, WorkSession
from hsmvault.model.algorithms import RSA_SIZES_BITS, Curve, Family, KeySpec

Template = dict[Attribute, object]

WRAPPING = Mechanism.AES_KEY_WRAP_PAD
"""0x210A for every blob: RFC 5649, which private keys need because PKCS#8 is rarely a multiple of 8 bytes long.
SoftHSM 2.6.1 pads with zeros to 8 first, and opens true RFC 5649 (profile: key_wrap_pad)."""


@dataclass(frozen=True, slots=True)
class Pair:
    """public: SubjectPublicKeyInfo in DER."""

    private: KeyObject
    public: bytes


@dataclass(frozen=True, slots=True)
class Stay:
    """Where a private key is to live. token_id: CKA_ID of a token object, None for a session object.
    leaves: it may be wrapped, by a trusted key alone. moves: a session object that move_to_token() copies.
    exchange: it unwraps, and does nothing else (hsm/exchange.py). exportable: it may be wrapped by any key, for the
    moments in which it leaves for somebody else (hsm/export.py); with leaves alone.
    """

    token_id: bytes | None = None
    label: str = ""
    leaves: bool = False
    moves: bool = False
    exchange: bool = False
    exportable: bool = False


LEAVING = Stay(leaves=True)
WORKING_COPY = Stay()
MOVING = Stay(moves=True)


def key_type(spec: KeySpec) -> KeyType:
    return KeyType.RSA if spec.family is Family.RSA else KeyType.EC


NO_RESIDENT_OCT = "Keys of type oct are not supported by an HSM whose keys are resident."


def require_served(profile: Profile, spec: KeySpec) -> None:
    """For key pairs. Raises BadRequest when the module does not make such keys, or nobody should; oct keys are always
    wrapped keys (secret_keys.py), and refused wherever they would have to be token objects.
    """
    if spec.family is Family.OCT:
        raise BadRequest(NO_RESIDENT_OCT)
    if spec.family is Family.RSA:
        exponent = spec.public_exponent
        served = spec.size_bits in RSA_SIZES_BITS and exponent % 2 == 1 and 3 <= exponent < 1 << 64
    else:
        served = spec.curve is not None and spec.curve.value in profile.curves
    if not served:
        raise BadRequest("The key type, size or curve is not supported by the HSM.")


def private_template(profile: Profile, spec: KeySpec, stay: Stay) -> Template:
    """Everything a private key gets. Usage is what Key Vault operations need and no more: RSA never unwraps inside
    the token, but for exchange keys, which do nothing else; EC never derives (Clulow's and Tookan's attacks need such
    pairs).
    """
    is_rsa = spec.family is Family.RSA
    assert is_rsa or not stay.exchange
    template: Template = {
        Attribute.TOKEN: stay.token_id is not None,
        Attribute.PRIVATE: True,
        Attribute.SENSITIVE: True,
        Attribute.EXTRACTABLE: stay.leaves,
        Attribute.SIGN: not stay.exchange,
        Attribute.DECRYPT: is_rsa and not stay.exchange,
        Attribute.UNWRAP: stay.exchange,
        Attribute.DERIVE: False,
        Attribute.SIGN_RECOVER: False,
    }
    if stay.token_id is not None:
        template[Attribute.ID] = stay.token_id
        template[Attribute.LABEL] = stay.label
    if profile.trusted_keys:
        template[Attribute.WRAP_WITH_TRUSTED] = not stay.exportable
    if profile.allowed_mechanisms:
        template[Attribute.ALLOWED_MECHANISMS] = (
            frozenset({Mechanism.RSA_PKCS_OAEP}) if stay.exchange else allowed_mechanisms(profile, spec)
        )
    if not stay.moves:  # a copy of an unmodifiable object cannot differ from it
        template[Attribute.MODIFIABLE] = False  # last: SoftHSM applies attributes in order
    return template


def allowed_mechanisms(profile: Profile, spec: KeySpec) -> frozenset[int]:
    """RSA_X_509, which is also raw signing, only where RSA-OAEP-256 cannot be served without it."""
    if spec.family is Family.EC:
        return frozenset({Mechanism.ECDSA})
    raw = profile.oaep256_fallback == "raw" and "SHA256" not in profile.oaep_hashes
    return frozenset(
        {Mechanism.RSA_PKCS, Mechanism.RSA_PKCS_PSS, Mechanism.RSA_PKCS_OAEP}
        | ({Mechanism.RSA_X_509} if raw else set())
    )


def generate_pair(work: WorkSession, spec: KeySpec, stay: Stay) -> Pair:
    """Generate in the token. The public object is a session object, read once and destroyed."""
    require_served(work.profile, spec)
    wanted = private_template(work.profile, spec, stay)
    public: Template = {
        Attribute.TOKEN: False,
        Attribute.PRIVATE: False,
        Attribute.ENCRYPT: False,
        Attribute.WRAP: False,
        Attribute.VERIFY: True,
    }
    if spec.family is Family.RSA:
        exponent = spec.public_exponent.to_bytes((spec.public_exponent.bit_length() + 7) // 8, "big")
        made = work.session.generate_keypair(
            KeyType.RSA,
            spec.size_bits,
            capabilities=0,
            mechanism=Mechanism.RSA_PKCS_KEY_PAIR_GEN,
            public_template=public | {Attribute.PUBLIC_EXPONENT: exponent},
            private_template=wanted,
        )
    else:
        assert spec.curve is not None
        curve = work.session.create_domain_parameters(
            KeyType.EC, {Attribute.EC_PARAMS: CURVE_OID[spec.curve]}, local=True
        )
        made = curve.generate_keypair(
            capabilities=0,  # type: ignore[arg-type]  # the stub wants MechanismFlag, which has no name for none
            mechanism=Mechanism.EC_KEY_PAIR_GEN,
            public_template=public,
            private_template=wanted,
        )
    public_object, private_object = made
    try:
        try:
            spki = _read_public(public_object, spec)
        finally:
            public_object.destroy()
    except Exception:
        _forget(private_object)
        raise
    require_attributes(private_object, expected_attributes(wanted, spec))
    return Pair(work.hold(private_object, key_type(spec)), spki)


def move_to_token(work: WorkSession, draft: KeyObject, spec: KeySpec, stay: Stay) -> KeyObject:
    """Copy a session object (MOVING, made in this very session) to a token object and destroy it. Takes as long as
    writing does, however long the key took to generate. The copy must show everything that a key generated there would,
    and the token's own word about its past (NEVER_EXTRACTABLE, LOCAL) as the original has it.

    Raises WrongAttributes, or the module's error; nothing stays then.
    """
    assert stay.token_id is not None
    wanted = private_template(work.profile, spec, stay)
    changed = (Attribute.TOKEN, Attribute.ID, Attribute.LABEL, Attribute.MODIFIABLE)  # applied in this order
    try:
        past = draft.origin.get_attributes([Attribute.ALWAYS_SENSITIVE, Attribute.NEVER_EXTRACTABLE, Attribute.LOCAL])
        made = draft.origin.copy({kind: wanted[kind] for kind in changed})
    finally:
        _forget(draft.origin)
    require_attributes(made, {**expected_attributes(wanted, spec), **past})
    return work.hold(made, key_type(spec), is_stored=True)


def wrap(work: WorkSession, wrapping: KeyObject, target: KeyObject) -> bytes:
    """The private key as PKCS#8 under AES key wrap with padding (RFC 5649): RSA-2048 1,232 bytes, P-256 80."""
    return work.bind(wrapping).wrap_key(work.bind(target), mechanism=WRAPPING)


def unwrap_private(
    work: WorkSession, unwrapping: KeyObject, blob: bytes, spec: KeySpec, stay: Stay, public: bytes
) -> KeyObject:
    """Open a blob as a private key of this spec. public: SPKI; an RSA key must have its modulus.

    A refused C_UnwrapKey leaves an unlabelled session object behind on SoftHSM 2.6.1: check what can be checked
    (the MAC) before. Raises WrongAttributes, or the module's error.
    """
    wanted = private_template(work.profile, spec, stay)
    # python-pkcs11 would send these for private keys as well; SoftHSM answers AttributeTypeInvalid.
    omitted: Template = {Attribute.ENCRYPT: DEFAULT, Attribute.WRAP: DEFAULT, Attribute.VERIFY: DEFAULT}
    made = work.bind(unwrapping).unwrap_key(
        ObjectClass.PRIVATE_KEY,
        key_type(spec),
        blob,
        mechanism=WRAPPING,
        capabilities=0,
        template=omitted | wanted,
    )
    expected = expected_attributes(wanted, spec)
    if spec.family is Family.RSA:
        expected[Attribute.MODULUS] = rsa_modulus(public)
    require_attributes(made, expected)
    return work.hold(made, key_type(spec), is_stored=stay.token_id is not None)


SECRET_USAGE = (
    Attribute.ENCRYPT,
    Attribute.DECRYPT,
    Attribute.SIGN,
    Attribute.VERIFY,
    Attribute.WRAP,
    Attribute.UNWRAP,
    Attribute.DERIVE,
)


def destroy(key: KeyObject) -> None:
    """Destroy an object in its own session's thread. Raises the module's error."""
    key.origin.destroy()


def require_attributes(made: pkcs11.Object, expected: Mapping[Attribute, object]) -> None:
    """Read the attributes back; destroy the object and raise WrongAttributes when one differs or cannot be read."""
    try:
        wrong = differing_attributes(made, expected)
    except ModuleError:
        _forget(made)
        raise
    if wrong:
        _forget(made)
        raise WrongAttributes(f"the token returned other values of {', '.join(wrong)}")


def differing_attributes(made: pkcs11.Object, expected: Mapping[Attribute, object]) -> list[str]:
    """Names of attributes that differ. An expected int is compared as a big-endian number."""
    found = made.get_attributes(list(expected))
    return [kind.name for kind, value in expected.items() if not _same(value, found.get(kind))]


def find(work: WorkSession, kind: ObjectClass, token_id: bytes) -> list[pkcs11.Object]:
    """Token objects with this CKA_ID. Linear in all objects: at start and on first use only."""
    return list(work.session.get_objects({Attribute.CLASS: kind, Attribute.TOKEN: True, Attribute.ID: token_id}))


def expected_attributes(template: Template, spec: KeySpec) -> Template:
    """What a private key made with this template must show."""
    expected = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.KEY_TYPE: key_type(spec), **template}
    if spec.curve is not None:
        expected[Attribute.EC_PARAMS] = CURVE_OID[spec.curve]
    return expected


def _same(wanted: object, found: object) -> bool:
    if type(wanted) is int and isinstance(found, bytes):
        return wanted == int.from_bytes(found, "big")
    return wanted == found


def _read_public(found: pkcs11.Object, spec: KeySpec) -> bytes:
    if spec.family is Family.RSA:
        values = found.get_attributes([Attribute.MODULUS, Attribute.PUBLIC_EXPONENT])
        spki = rsa_spki(cast(bytes, values[Attribute.MODULUS]), cast(bytes, values[Attribute.PUBLIC_EXPONENT]))
        if rsa_modulus(spki).bit_length() != spec.size_bits:
            raise Unavailable("The HSM made a key of another size.", detail="modulus length")
        return spki
    return ec_spki(cast(Curve, spec.curve), cast(bytes, found[Attribute.EC_POINT]))


def _forget(made: pkcs11.Object) -> None:
    with suppress(*ModuleError):
        made.destroy()
