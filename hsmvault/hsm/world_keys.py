"""The keys of a security world: how they are made, how they must look, how they are found.

    world key    AES-256: wraps and unwraps, nothing else; trusted and locked (ceremony.py)
    MAC key      32 bytes: binds blobs to their rows, and is the canary
    system key   AES-256: AES-GCM, the root of everything sealed in software (optional)

All are private token objects, never extractable, not modifiable, found by a random CKA_ID of 16 bytes and the label.
"""

from dataclasses import dataclass

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass

from hsmvault.errors import HsmRefusal
from hsmvault.hsm import mechanisms
from hsmvault.hsm.objects import SECRET_USAGE, WRAPPING, Template, differing_attributes, find
from hsmvault.hsm.profile import Profile
from hsmvault.hsm.raw import CKR_ATTRIBUTE_TYPE_INVALID, NestedTemplate, RawFunctions, ReturnCode
from hsmvault.hsm.returncodes import describe
from hsmvault.hsm.work import KeyObject, WorkSession, WorldObjects

CANARY_MESSAGE = b"hsmvault canary 1"
UNWRAP_TEMPLATE = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}


@dataclass(frozen=True, slots=True)
class WorldIds:
    """CKA_IDs, 16 bytes each, as the database remembers them. world: None where only resident custody is offered.
    system: None when this world seals nothing.
    """

    mac: bytes
    world: bytes | None = None
    system: bytes | None = None


@dataclass(frozen=True, slots=True)
class WorldKey:
    """One of the three keys: its label, type and attributes besides those that all have."""

    name: str
    label: str
    key_type: KeyType
    usage: tuple[Attribute, ...]
    mechanism: Mechanism
    is_wrapping: bool = False

    def template(self, profile: Profile) -> Template:
        """What the finished token object has, CKA_ID and the nested template apart."""
        template: Template = {
            Attribute.CLASS: ObjectClass.SECRET_KEY,
            Attribute.KEY_TYPE: self.key_type,
            Attribute.TOKEN: True,
            Attribute.PRIVATE: True,
            Attribute.LABEL: self.label,
            Attribute.SENSITIVE: True,
            Attribute.EXTRACTABLE: False,
            **{usage: usage in self.usage for usage in SECRET_USAGE},
        }
        if profile.allowed_mechanisms:
            template[Attribute.ALLOWED_MECHANISMS] = frozenset({self.mechanism})
        if self.is_wrapping:
            template[Attribute.TRUSTED] = True
        if profile.destroyable:
            template[Attribute.DESTROYABLE] = False
        template[Attribute.MODIFIABLE] = False  # last: SoftHSM applies attributes in order
        return template


WORLD_KEY = WorldKey(
    "world key",
    "hsmvault world key",
    KeyType.AES,
    (Attribute.WRAP, Attribute.UNWRAP),
    WRAPPING,
    is_wrapping=True,
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
)


class WorldMissing(Exception):
    """A key that the database knows was not found. That is no proof of absence: SoftHSM finds nothing, without an
    error, when its folder is out of reach.
    """


def read_world(work: WorkSession, raw: RawFunctions, ids: WorldIds) -> WorldObjects:
    """Find the keys and read their flags back.

    Raises WorldMissing; HsmRefusal when a key is not what it must be (an unlocked world key gives every private
    key away).
    """
    world = _read(work, raw, WORLD_KEY, ids.world) if ids.world is not None else None
    mac = _read(work, raw, MAC_KEY, ids.mac)
    system = _read(work, raw, SYSTEM_KEY, ids.system) if ids.system is not None else None
    return WorldObjects(world, mac, system, mechanisms.hmac_sha256(work, mac, CANARY_MESSAGE))


def problems(work: WorkSession, raw: RawFunctions, key: WorldKey, found: pkcs11.Object) -> list[str]:
    """Attributes of a world's key that are not as they must be."""
    wrong = differing_attributes(found, key.template(work.profile))
    if key.is_wrapping and not _has_unwrap_template(work, raw, found):
        wrong.append("UNWRAP_TEMPLATE")
    return wrong


def _read(work: WorkSession, raw: RawFunctions, key: WorldKey, token_id: bytes) -> KeyObject:
    found = find(work, ObjectClass.SECRET_KEY, token_id)
    if not found:
        raise WorldMissing(key.name)
    if len(found) > 1:
        raise HsmRefusal(f"The token holds {len(found)} keys with the id of the {key.name}; remove the strange one.")
    try:
        wrong = problems(work, raw, key, found[0])
    except (pkcs11.AttributeTypeInvalid, pkcs11.AttributeSensitive) as error:
        raise HsmRefusal(f"The token does not tell the attributes of the {key.name} ({describe(error)}).") from error
    if wrong:
        raise HsmRefusal(
            f"The {key.name} on the token is not locked as it must be ({', '.join(wrong)}); it cannot be trusted. "
            "Restore the token, or begin anew: 'hsmvault init' makes a world on another token, for another database."
        )
    return work.hold(found[0], key.key_type)


def _has_unwrap_template(work: WorkSession, raw: RawFunctions, found: pkcs11.Object) -> bool:
    handle = found.handle
    assert handle is not None
    try:
        nested = raw.read_nested(work.session_handle, handle, Attribute.UNWRAP_TEMPLATE, list(UNWRAP_TEMPLATE))
    except ReturnCode as error:
        if error.code == CKR_ATTRIBUTE_TYPE_INVALID:
            return False
        raise
    return nested == UNWRAP_TEMPLATE


def nested_unwrap_template() -> NestedTemplate:
    """For CKA_UNWRAP_TEMPLATE; keep it until the call has returned."""
    return NestedTemplate({int(kind): value for kind, value in UNWRAP_TEMPLATE.items()})
