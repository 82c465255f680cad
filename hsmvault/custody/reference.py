"""What the row of a resident key keeps of it. Apart from resident.py, for those who only ask which object is whose."""

import msgspec

from hsmvault.custody.protocols import CustodyClass, HeldKey
from hsmvault.custody.steps import unusable

FORMAT = 1


class ResidentReference(msgspec.Struct, frozen=True, array_like=True):
    """HeldKey.reference as MessagePack. token_id: CKA_ID. mac: 32 bytes over binding, spec, public key and id."""

    format: int
    token_id: bytes
    mac: bytes


def decode_resident(reference: bytes) -> ResidentReference:
    """Raises Unavailable when it cannot be read."""
    try:
        decoded = msgspec.msgpack.decode(reference, type=ResidentReference)
    except msgspec.MsgspecError as error:
        raise unusable("the reference cannot be read") from error
    if decoded.format != FORMAT:
        raise unusable(f"format {decoded.format} of the reference is not known")
    return decoded


def token_id(held: HeldKey) -> bytes | None:
    """CKA_ID of the token object that a key consists of; None for the classes that leave nothing in the token."""
    return decode_resident(held.reference).token_id if held.custody is CustodyClass.RESIDENT else None
