"""What the row of a hard key keeps of it: HeldKey.reference, as MessagePack. Apart from the custodians, for those who
only ask what a reference says.

Format 2 knows where a key came from and its terms; format 1, which knew neither, is read and never written. Each
format's MAC is over its own number, so that no reference passes for one of the other format.
"""

from enum import Enum
from typing import TypeVar

import msgspec

from hsmvault.custody.protocols import PLAIN, Binding, CustodyClass, HeldKey, Terms
from hsmvault.custody.steps import spec_bytes, unusable

FORMAT = 2
_FIRST = 1


class Origin(Enum):
    """How a key came to be in the token; the value is stored."""

    UNKNOWN = "unknown"  # format 1 did not say
    GENERATED = "generated"  # inside the token
    IMPORTED = "imported"  # it was in the server's memory
    IMPORTED_WRAPPED = "imported-wrapped"  # BYOK: unwrapped inside the token


class ResidentReference(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """token_id: CKA_ID. mac: 32 bytes over the binding, spec, public key and everything here."""

    format: int
    token_id: bytes
    mac: bytes
    origin: Origin = Origin.UNKNOWN
    exchange: bool = False
    secure: bool = False

    @property
    def terms(self) -> Terms:
        """A resident key is never exportable."""
        return Terms(exchange=self.exchange, secure=self.secure)

    def message(self, held: HeldKey, binding: Binding) -> bytes:
        """What the MAC is over."""
        first = (bytes([self.format]), spec_bytes(held.spec), held.public, self.token_id)
        if self.format == _FIRST:
            return binding.encode(*first)
        return binding.encode(*first, self.origin.value.encode(), _flags(self.terms)[:1])


class WrappedReference(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """blob: the key under the world key with world_key_id. export_blob: the key under the export key with
    export_key_id, for exportable keys. mac: 32 bytes over the binding, spec, public key and everything here.
    """

    format: int
    world_key_id: bytes
    blob: bytes
    mac: bytes
    origin: Origin = Origin.UNKNOWN
    exchange: bool = False
    exportable: bool = False
    export_key_id: bytes = b""
    export_blob: bytes = b""
    secure: bool = False

    @property
    def terms(self) -> Terms:
        return Terms(self.exchange, self.exportable, self.secure)

    def message(self, held: HeldKey, binding: Binding) -> bytes:
        """What the MAC is over."""
        first = (bytes([self.format]), spec_bytes(held.spec), held.public, self.world_key_id, self.blob)
        if self.format == _FIRST:
            return binding.encode(*first)
        origin, flags = self.origin.value.encode(), _flags(self.terms)
        return binding.encode(*first, origin, flags, self.export_key_id, self.export_blob)


_Reference = TypeVar("_Reference", ResidentReference, WrappedReference)


def decode_resident(reference: bytes) -> ResidentReference:
    """Raises Unavailable when it cannot be read. Nothing is authenticated yet."""
    return _decode(reference, ResidentReference)


def decode_wrapped(reference: bytes) -> WrappedReference:
    """Raises Unavailable when it cannot be read. Nothing is authenticated yet."""
    return _decode(reference, WrappedReference)


def token_id(held: HeldKey) -> bytes | None:
    """CKA_ID of the token object that a key consists of; None for the classes that leave nothing in the token."""
    return decode_resident(held.reference).token_id if held.custody is CustodyClass.RESIDENT else None


def _flags(terms: Terms) -> bytes:
    """Two bytes; a resident key has the first alone. Each flag has a bit of its own."""
    return bytes([terms.exchange | terms.secure << 1, terms.exportable])


def _decode(reference: bytes, kind: type[_Reference]) -> _Reference:
    try:
        decoded = msgspec.msgpack.decode(reference, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:  # msgspec lets the second out, of a changed string
        raise unusable("the reference cannot be read") from error
    if decoded.format not in (_FIRST, FORMAT):
        raise unusable(f"format {decoded.format} of the reference is not known")
    if decoded.format == _FIRST and (decoded.terms != PLAIN or decoded.origin is not Origin.UNKNOWN):
        raise unusable("the reference says more than its format knows")
    return decoded
