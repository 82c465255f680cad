"""What a token says about its keys and itself, read now and named as in PKCS#11: the evidence of an attestation.

Values: True and False; names of classes, key types and mechanisms (CKO_, CKK_, CKM_); numbers and bytes as base64url
without padding, big-endian. An attribute that the module does not know is left out. All functions block.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass

from hsmvault.hsm.module import attribute_mapper
from hsmvault.hsm.objects import SECRET_USAGE
from hsmvault.hsm.work import KeyObject, WorkSession
from hsmvault.hsm.world_keys import PRIVATE_USAGE, UNWRAP_TEMPLATE, WORLD_KEY, locate
from hsmvault.model import base64url

Value = bool | str | list[str]

_MAPPER = attribute_mapper()

_FLAGS = (
    Attribute.CLASS,
    Attribute.KEY_TYPE,
    Attribute.TOKEN,
    Attribute.PRIVATE,
    Attribute.SENSITIVE,
    Attribute.EXTRACTABLE,
    Attribute.ALWAYS_SENSITIVE,
    Attribute.NEVER_EXTRACTABLE,
    Attribute.LOCAL,
    Attribute.MODIFIABLE,
    Attribute.TRUSTED,
    Attribute.WRAP_WITH_TRUSTED,
    Attribute.ALLOWED_MECHANISMS,
)
_PUBLIC_NUMBERS = {
    KeyType.RSA: (Attribute.MODULUS, Attribute.PUBLIC_EXPONENT),
    KeyType.EC: (Attribute.EC_PARAMS,),
}


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """C_GetTokenInfo. Versions are two numbers with a dot."""

    label: str
    manufacturer: str
    model: str
    serial: str
    hardware_version: str
    firmware_version: str


def token_facts(work: WorkSession) -> TokenFacts:
    token = work.session.token
    return TokenFacts(
        label=token.label,
        manufacturer=token.manufacturer_id,
        model=token.model,
        serial=token.serial.decode(errors="replace"),
        hardware_version=_version(token.hardware_version),
        firmware_version=_version(token.firmware_version),
    )


def key_evidence(key: KeyObject) -> dict[str, Value]:
    """Attributes of a key that was opened or found in this thread's session. Raises the module's error."""
    return _read(key.origin.__getitem__)


def world_key_evidence(work: WorkSession, world_key_id: bytes) -> tuple[dict[str, Value], dict[str, bool]]:
    """Attributes of a world key, and its unwrap template. That it is locked as it must be was checked when it was
    located; here it is read again. Raises Unavailable, or the module's error.
    """
    handle, session = locate(work, WORLD_KEY, world_key_id).handle, work.session_handle
    nested = work.raw.read_nested(session, handle, Attribute.UNWRAP_TEMPLATE, list(UNWRAP_TEMPLATE))

    def look(attribute: Attribute) -> object:
        """The object that was located belongs to the session that found it; its handle is good in this one, too."""
        found = work.raw.read_attribute(session, handle, attribute)
        if found is None:
            raise pkcs11.AttributeTypeInvalid
        return _MAPPER.unpack_attributes(attribute, found)

    return _read(look), {_name(Attribute(kind)): value for kind, value in nested.items()}


def _read(look: Callable[[Attribute], object]) -> dict[str, Value]:
    """One by one: a module may refuse the whole list for one attribute that it does not know."""
    usages = PRIVATE_USAGE if look(Attribute.CLASS) is ObjectClass.PRIVATE_KEY else SECRET_USAGE
    numbers = _PUBLIC_NUMBERS.get(cast(KeyType, look(Attribute.KEY_TYPE)), ())
    said: dict[str, Value] = {}
    for attribute in (*_FLAGS, *usages, *numbers):
        try:
            said[_name(attribute)] = _value(look(attribute))
        except (pkcs11.AttributeTypeInvalid, pkcs11.AttributeSensitive):
            continue
    return said


def _value(found: object) -> Value:
    if isinstance(found, bool):
        return found
    if isinstance(found, ObjectClass):
        return f"CKO_{found.name}"
    if isinstance(found, KeyType):
        return f"CKK_{found.name}"
    if isinstance(found, frozenset):
        return sorted(_mechanism(number) for number in found)
    if isinstance(found, int):
        return base64url.encode(found.to_bytes(max(1, (found.bit_length() + 7) // 8), "big"))
    assert isinstance(found, bytes)
    return base64url.encode(found)


def _mechanism(number: int) -> str:
    try:
        return f"CKM_{Mechanism(number).name}"
    except ValueError:
        return f"0x{number:x}"


def _name(attribute: Attribute) -> str:
    return f"CKA_{attribute.name}"


def _version(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
