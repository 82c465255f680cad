"""The keys of a security world: how they are made, how they must look, how they are found.

    world key    AES-256: wraps and unwraps, nothing else; trusted and locked (ceremony.py)
    MAC key      32 bytes: binds blobs to their rows, and is the canary
    system key   AES-256: AES-GCM, the root of everything sealed in software (optional)
    export key   AES-256: wraps and unwraps what was made exportable, and nothing else. It is not trusted, so that the
                 token wraps no other key under it; what it unwraps may be wrapped again, to be released
    attestation  the private key of an EC pair on P-256: signs what the token says about other keys, nothing else

There is one MAC key, one export key and one attestation key; of world keys and system keys there may be older
generations (locate()). All are private token objects, never extractable, not modifiable, found by a random CKA_ID of 16
bytes and the label.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass

from hsmvault.errors import HsmRefusal, Unavailable
from hsmvault.hsm import mechanisms
from hsmvault.hsm.objects import SECRET_USAGE, WRAPPING, Template, differing_attributes, find
from hsmvault.hsm.profile import Profile
from hsmvault.hsm.public import CURVE_OID
from hsmvault.hsm.raw import CKR_ATTRIBUTE_TYPE_INVALID, NestedTemplate, ReturnCode
from hsmvault.hsm.returncodes import describe
from hsmvault.hsm.work import KeyObject, WorkSession, WorldObjects
from hsmvault.model.algorithms import Curve

CANARY_MESSAGE = b"hsmvault canary 1"
UNWRAP_TEMPLATE: Mapping[Attribute, bool] = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}
EXPORT_UNWRAP_TEMPLATE: Mapping[Attribute, bool] = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: True}
PRIVATE_USAGE = (
    Attribute.SIGN,
    Attribute.DECRYPT,
    Attribute.UNWRAP,
    Attribute.DERIVE,
    Attribute.SIGN_RECOVER,
)


@dataclass(frozen=True, slots=True)
class WorldIds:
    """CKA_IDs, 16 bytes each, as the database remembers them. world: of the generation that wraps what is new; None
    where only resident custody is offered. system: of the one that seals what is new; None when this world seals
    nothing. export, attestation: None in a world that has none.
    """

    mac: bytes
    world: bytes | None = None
    system: bytes | None = None
    export: bytes | None = None
    attestation: bytes | None = None


@dataclass(frozen=True, slots=True)
class WorldKey:
    """One of the keys: its label, type and attributes besides those that all have. unwrap_template: what the token
    forces on every key that this one unwraps.
    """

    name: str
    label: str
    key_type: KeyType
    usage: tuple[Attribute, ...]
    mechanism: Mechanism
    is_trusted: bool = False
    unwrap_template: Mapping[Attribute, bool] | None = field(default=None, hash=False)
    object_class: ObjectClass = ObjectClass.SECRET_KEY
    curve: Curve | None = None
    is_destroyable: bool = False  # nothing is said of CKA_DESTROYABLE then

    def template(self, profile: Profile) -> Template:
        """What the finished token object has, CKA_ID and the nested template apart."""
        template: Template = {
            Attribute.CLASS: self.object_class,
            Attribute.KEY_TYPE: self.key_type,
            Attribute.TOKEN: True,
            Attribute.PRIVATE: True,
            Attribute.LABEL: self.label,
            Attribute.SENSITIVE: True,
            Attribute.EXTRACTABLE: False,
            **{usage: usage in self.usage for usage in self._usages},
        }
        if profile.allowed_mechanisms:
            template[Attribute.ALLOWED_MECHANISMS] = frozenset({self.mechanism})
        if self.is_trusted:
            template[Attribute.TRUSTED] = True
        if profile.destroyable and not self.is_destroyable:
            template[Attribute.DESTROYABLE] = False
        template[Attribute.MODIFIABLE] = False  # last: SoftHSM applies attributes in order
        return template

    @property
    def _usages(self) -> tuple[Attribute, ...]:
        return PRIVATE_USAGE if self.object_class is ObjectClass.PRIVATE_KEY else SECRET_USAGE


WORLD_KEY = WorldKey(
    "world key",
    "hsmvault world key",
    KeyType.AES,
    (Attribute.WRAP, Attribute.UNWRAP),
    WRAPPING,
    is_trusted=True,
    unwrap_template=UNWRAP_TEMPLATE,
)
MAC_KEY = WorldKey(
    "MAC key",
    "hsmvault MAC key",
    KeyType.GENERIC_SECRET,
    (Attribute.SIGN, Attribute.VERIFY),
    Mechanism.SHA256_HMAC,
)
SYSTEM_KEY = WorldKey(
    "system key",
    "hsmvault system key",
    KeyType.AES,
    (Attribute.ENCRYPT, Attribute.DECRYPT),
    Mechanism.AES_GCM,
    is_destroyable=True,  # when another has taken its place and no row needs it (app/system_key_rotation.py)
)
EXPORT_KEY = WorldKey(
    "export key",
    "hsmvault export key",
    KeyType.AES,
    (Attribute.WRAP, Attribute.UNWRAP),
    WRAPPING,
    unwrap_template=EXPORT_UNWRAP_TEMPLATE,
)
ATTESTATION_KEY = WorldKey(
    "attestation key",
    "hsmvault attestation key",
    KeyType.EC,
    (Attribute.SIGN,),
    Mechanism.ECDSA,
    object_class=ObjectClass.PRIVATE_KEY,
    curve=Curve.P256,
    is_destroyable=True,  # until its certificate is stored it is made anew (app/world_completion.py)
)


class WorldMissing(Exception):
    """A key that the database knows was not found. That is no proof of absence: SoftHSM finds nothing, without an
    error, when its folder is out of reach.
    """


def read_world(work: WorkSession, ids: WorldIds) -> WorldObjects:
    """Find the keys and read their flags back.

    Raises WorldMissing; HsmRefusal when a key is not what it must be (an unlocked world key gives every private
    key away).
    """
    world = _read(work, WORLD_KEY, ids.world) if ids.world is not None else None
    mac = _read(work, MAC_KEY, ids.mac)
    system = _read(work, SYSTEM_KEY, ids.system) if ids.system is not None else None
    objects = WorldObjects(world, mac, system, mechanisms.hmac_sha256(work, mac, CANARY_MESSAGE))
    for key, token_id, found in ((WORLD_KEY, ids.world, world), (SYSTEM_KEY, ids.system, system)):
        if token_id is not None and found is not None:
            objects.located[key.label, token_id] = found
    return objects


def locate(work: WorkSession, key: WorldKey, token_id: bytes) -> KeyObject:
    """A key of this session's world by its CKA_ID: searched and checked once in a generation, then remembered.

    For the generation in use and for older ones. Raises Unavailable, with the reason for the operator, when it is not
    there or not as it must be; the module's error.
    """
    assert work.world is not None
    found = work.world.located.get((key.label, token_id))
    if found is None:
        try:
            found = _read(work, key, token_id)
        except WorldMissing as error:
            raise _unusable(f"the {key.name} {token_id.hex()} is not found") from error
        except HsmRefusal as error:
            raise _unusable(str(error)) from error
        work.world.located[key.label, token_id] = found  # two threads may do so at once: they found the same object
    return found


def problems(work: WorkSession, key: WorldKey, found: pkcs11.Object) -> list[str]:
    """Attributes of a world's key that are not as they must be."""
    expected = key.template(work.profile)
    if key.curve is not None:
        expected[Attribute.EC_PARAMS] = CURVE_OID[key.curve]
    wrong = differing_attributes(found, expected)
    if key.unwrap_template is not None and not _has_unwrap_template(work, key.unwrap_template, found):
        wrong.append("UNWRAP_TEMPLATE")
    return wrong


def _unusable(why: str) -> Unavailable:
    return Unavailable("The service is temporarily unavailable. Please retry the request.", detail=why)


def _read(work: WorkSession, key: WorldKey, token_id: bytes) -> KeyObject:
    found = find(work, key.object_class, token_id)
    if not found:
        raise WorldMissing(key.name)
    if len(found) > 1:
        raise HsmRefusal(f"The token holds {len(found)} keys with the id of the {key.name}; remove the strange one.")
    try:
        wrong = problems(work, key, found[0])
    except (pkcs11.AttributeTypeInvalid, pkcs11.AttributeSensitive) as error:
        raise HsmRefusal(f"The token does not tell the attributes of the {key.name} ({describe(error)}).") from error
    if wrong:
        raise HsmRefusal(
            f"The {key.name} on the token is not locked as it must be ({', '.join(wrong)}); it cannot be trusted. "
            "Restore the token, or begin anew: 'hsmvault init' makes a world on another token, for another database."
        )
    return work.hold(found[0], key.key_type, is_stored=True)


def _has_unwrap_template(work: WorkSession, wanted: Mapping[Attribute, bool], found: pkcs11.Object) -> bool:
    handle = found.handle
    assert handle is not None
    try:
        nested = work.raw.read_nested(work.session_handle, handle, Attribute.UNWRAP_TEMPLATE, list(wanted))
    except ReturnCode as error:
        if error.code == CKR_ATTRIBUTE_TYPE_INVALID:
            return False
        raise
    return nested == wanted


def nested_template(wanted: Mapping[Attribute, bool]) -> NestedTemplate:
    """For CKA_UNWRAP_TEMPLATE; keep it until the call has returned."""
    return NestedTemplate({int(kind): value for kind, value in wanted.items()})
