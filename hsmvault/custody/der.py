"""DER (X.690) by hand, for the few structures that the `cryptography` library neither writes nor signs with our keys;
and a reader of BER for PKCS#12 files, which older programs write with indefinite lengths.

The reader is made for hostile input: it looks at every byte once, at most so many elements and levels deep, and knows
nothing of what the elements mean.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

INTEGER, BIT_STRING, OCTET_STRING, OID = 0x02, 0x03, 0x04, 0x06
UTC_TIME, GENERALIZED_TIME = 0x17, 0x18
SEQUENCE, SET = 0x30, 0x31
CONSTRUCTED = 0x20
CONTEXT = 0x80  # [0], primitive; [n] is CONTEXT | n

NULL = b"\x05\x00"
TRUE = b"\x01\x01\xff"


def tagged(tag: int, content: bytes) -> bytes:
    """One element with definite length (8.1.3). tag: the identifier octet."""
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def sequence(*parts: bytes) -> bytes:
    return tagged(SEQUENCE, b"".join(parts))


def set_of(*parts: bytes) -> bytes:
    """In the order that DER prescribes (11.6)."""
    return tagged(SET, b"".join(sorted(parts)))


def explicit(number: int, content: bytes) -> bytes:
    """[number] EXPLICIT around one encoded value."""
    return tagged(CONTEXT | CONSTRUCTED | number, content)


def integer(value: int) -> bytes:
    """value: not negative."""
    return tagged(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def octet_string(content: bytes) -> bytes:
    return tagged(OCTET_STRING, content)


def bit_string(content: bytes) -> bytes:
    """Whole octets."""
    return tagged(BIT_STRING, b"\0" + content)


def oid(dotted: str) -> bytes:
    """dotted: at least two arcs (8.19)."""
    first, second, *others = (int(arc) for arc in dotted.split("."))
    return tagged(OID, b"".join(_base_128(arc) for arc in (40 * first + second, *others)))


def _base_128(arc: int) -> bytes:
    octets = bytearray((arc & 0x7F,))
    while arc := arc >> 7:
        octets.insert(0, 0x80 | arc & 0x7F)
    return bytes(octets)


class BerError(ValueError):
    """The input is not BER, is not what the caller expected, or goes beyond what is read."""


@dataclass(slots=True)
class Budget:
    """elements: how many may still be read, of all structures that one file holds together."""

    elements: int

    def spend(self) -> None:
        self.elements -= 1
        if self.elements < 0:
            raise BerError("too many elements")


@dataclass(frozen=True, slots=True)
class Element:
    """tag: the identifier octet. encoded: the whole element. content: what is between its header and its end, for a
    constructed one the encodings of the elements in it.
    """

    tag: int
    encoded: bytes = field(repr=False)
    content: bytes = field(repr=False)
    elements: "tuple[Element, ...]" = field(repr=False)

    def inside(self, tag: int) -> "Iterator[Element]":
        """The elements of one that must have this tag. Raises BerError."""
        return iter(self.expect(tag).elements)

    def expect(self, tag: int) -> "Element":
        if self.tag != tag:
            raise BerError("unexpected tag")
        return self

    def only(self, tag: int) -> "Element":
        """The one element inside this one, which must have this tag, as EXPLICIT tags do. Raises BerError."""
        if self.tag != tag or len(self.elements) != 1:
            raise BerError("unexpected element")
        return self.elements[0]

    def number(self) -> int:
        """An INTEGER that is not negative. Raises BerError, also beyond eight bytes."""
        content = self.expect(INTEGER).content
        if not content or len(content) > 8 or content[0] & 0x80:
            raise BerError("not a usable INTEGER")
        return int.from_bytes(content, "big")

    def oid(self) -> bytes:
        """Its DER, to be compared with oid()."""
        return self.expect(OID).encoded

    def octets(self, tag: int = OCTET_STRING) -> bytes:
        """An OCTET STRING, in one piece or in several (8.7.3). tag: of the primitive form; [0] IMPLICIT is CONTEXT."""
        if self.tag == tag:
            return self.content
        return b"".join(piece.octets() for piece in self.inside(tag | CONSTRUCTED))


_END_OF_CONTENTS = b"\0\0"
_MOST_LEVELS = 24  # a PKCS#12 file has about ten in one piece


def read(encoded: bytes, budget: Budget) -> Element:
    """One element, with nothing behind it. Raises BerError."""
    element, end = _element(encoded, 0, len(encoded), budget, 0)
    if end != len(encoded):
        raise BerError("something follows the element")
    return element


def _element(data: bytes, start: int, end: int, budget: Budget, level: int) -> tuple[Element, int]:
    """The element at `start`, which ends before `end`, and where it ends."""
    budget.spend()
    if level > _MOST_LEVELS:
        raise BerError("too many levels")
    if end - start < 2:
        raise BerError("cut")
    tag = data[start]
    if tag & 0x1F == 0x1F or tag == 0:
        raise BerError("tags of several octets, and tag 0, are not read")
    body, length = _length(data, start + 1, end)
    if length is None:
        if not tag & CONSTRUCTED:
            raise BerError("a primitive element without a length")
        return _until_end_of_contents(data, start, body, end, budget, level)
    stop = body + length
    if stop > end:
        raise BerError("cut")
    elements: list[Element] = []
    if tag & CONSTRUCTED:
        at = body
        while at < stop:
            element, at = _element(data, at, stop, budget, level + 1)
            elements.append(element)
    return Element(tag, data[start:stop], data[body:stop], tuple(elements)), stop


def _until_end_of_contents(
    data: bytes, start: int, body: int, end: int, budget: Budget, level: int
) -> tuple[Element, int]:
    elements: list[Element] = []
    at = body
    while data[at : min(at + 2, end)] != _END_OF_CONTENTS:
        element, at = _element(data, at, end, budget, level + 1)
        elements.append(element)
    return Element(data[start], data[start : at + 2], data[body:at], tuple(elements)), at + 2


def _length(data: bytes, at: int, end: int) -> tuple[int, int | None]:
    """Where the content begins, and how long it is; None: until the end-of-contents octets."""
    first = data[at]
    at += 1
    if first < 0x80:
        return at, first
    octets = first & 0x7F
    if octets == 0:
        return at, None
    if octets > 4 or at + octets > end:
        raise BerError("cut, or too long")
    return at + octets, int.from_bytes(data[at : at + octets], "big")
