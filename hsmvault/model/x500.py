"""X.500 names as people write them: RFC 4514, and what Windows takes beside it.

    CN=*.contoso.com, O="Contoso, Ltd", C=US

The first RDN of the text is the last of the name, as in RFC 4514. Beside its rules: spaces around every part, `;` in
place of `,`, values in quotation marks (RFC 2253, 4; a doubled mark stands for one), `S=` for `ST=`, `E=` and
`emailAddress=`, types as `OID.1.2.3`. Values in hexadecimal (`#04024869`) are not taken.
"""

import re
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from hsmvault.errors import BadRequest

LONGEST: Final = 1024  # characters
_MOST_ATTRIBUTES: Final = 32
_TYPES: Final = {
    "CN": NameOID.COMMON_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "L": NameOID.LOCALITY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "S": NameOID.STATE_OR_PROVINCE_NAME,
    "C": NameOID.COUNTRY_NAME,
    "DC": NameOID.DOMAIN_COMPONENT,
    "STREET": NameOID.STREET_ADDRESS,
    "POSTALCODE": NameOID.POSTAL_CODE,
    "E": NameOID.EMAIL_ADDRESS,
    "EMAIL": NameOID.EMAIL_ADDRESS,
    "EMAILADDRESS": NameOID.EMAIL_ADDRESS,
    "UID": NameOID.USER_ID,
    "T": NameOID.TITLE,
    "TITLE": NameOID.TITLE,
    "G": NameOID.GIVEN_NAME,
    "GN": NameOID.GIVEN_NAME,
    "GIVENNAME": NameOID.GIVEN_NAME,
    "SN": NameOID.SURNAME,
    "SURNAME": NameOID.SURNAME,
    "I": NameOID.INITIALS,
    "INITIALS": NameOID.INITIALS,
    "SERIALNUMBER": NameOID.SERIAL_NUMBER,
    "DNQ": NameOID.DN_QUALIFIER,
    "DNQUALIFIER": NameOID.DN_QUALIFIER,
    "PSEUDONYM": NameOID.PSEUDONYM,
}
_WRITTEN: Final = {
    _TYPES[word]: word
    for word in ("CN", "OU", "O", "L", "S", "C", "DC", "STREET", "E", "T", "G", "SN", "I", "SERIALNUMBER")
}
_QUOTED: Final = frozenset(',+="<>#;\\')  # a value with one of these
_IN_ASCII: Final = frozenset({NameOID.COUNTRY_NAME, NameOID.DOMAIN_COMPONENT, NameOID.EMAIL_ADDRESS})
_LONGEST: Final = {  # characters (RFC 5280, appendix A.1: the upper bounds)
    NameOID.COMMON_NAME: 64,
    NameOID.ORGANIZATION_NAME: 64,
    NameOID.ORGANIZATIONAL_UNIT_NAME: 64,
    NameOID.LOCALITY_NAME: 128,
    NameOID.STATE_OR_PROVINCE_NAME: 128,
    NameOID.TITLE: 64,
    NameOID.SERIAL_NUMBER: 64,
    NameOID.EMAIL_ADDRESS: 255,
}
_OID: Final = re.compile(r"(?:OID\.)?([0-2](?:\.(?:0|[1-9][0-9]{0,9})){1,20})", re.ASCII | re.IGNORECASE)
_HEX: Final = re.compile("[0-9a-fA-F]{2}", re.ASCII)
_SEPARATORS: Final = ",;+"
_ESCAPED: Final = ' "#+,;<=>\\'


def parse_name(text: str) -> x509.Name:
    """Raises BadRequest, with one text for every cause. A name has at least one attribute."""
    if len(text) > LONGEST or any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise _bad()
    parts = _Reader(text).parts()
    try:
        rdns = [x509.RelativeDistinguishedName(_attribute(*one) for one in part) for part in reversed(parts)]
        name = x509.Name(rdns)
        name.public_bytes()  # a lone surrogate shows here
    except (ValueError, TypeError):
        raise _bad() from None
    return name


def write_name(name: x509.Name) -> str:
    """As the service writes it and parse_name reads it: the last RDN first, `S=` for a state, values in quotation marks
    where they need them. Empty for an empty name. What is no text is written in hexadecimal, which parse_name refuses.
    """
    return ", ".join(write_rdn(rdn) for rdn in reversed(name.rdns))


def write_rdn(rdn: x509.RelativeDistinguishedName) -> str:
    """A part of write_name."""
    return " + ".join(f"{_WRITTEN.get(one.oid) or f'OID.{one.oid.dotted_string}'}={_written(one.value)}" for one in rdn)


def _written(value: str | bytes) -> str:
    if isinstance(value, bytes):
        return f"#{value.hex()}"
    if value == value.strip(" ") and not set(value) & _QUOTED:
        return value
    inside = value.replace("\\", "\\\\").replace('"', '""')
    return f'"{inside}"'


def _attribute(kind: str, value: str) -> "x509.NameAttribute[str]":
    oid = _TYPES.get(kind.upper())
    if oid is None:
        found = _OID.fullmatch(kind)
        if found is None:
            raise ValueError(kind)
        oid = x509.ObjectIdentifier(found.group(1))
    if not value or len(value) > _LONGEST.get(oid, LONGEST) or (oid in _IN_ASCII and not value.isascii()):
        raise ValueError(kind)
    return x509.NameAttribute(oid, value)


class _Reader:
    """One pass from left to right; every character is looked at once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def parts(self) -> list[list[tuple[str, str]]]:
        """RDNs in the order of the text; each has the types and values of its attributes."""
        parts: list[list[tuple[str, str]]] = [[]]
        for _ in range(_MOST_ATTRIBUTES):
            parts[-1].append((self._type(), self._value()))
            if self._at == len(self._text):
                return parts
            if self._text[self._at] != "+":
                parts.append([])
            self._at += 1
        raise _bad()

    def _type(self) -> str:
        end = self._text.find("=", self._at)
        if end < 0:
            raise _bad()
        kind, self._at = self._text[self._at : end].strip(" "), end + 1
        return kind

    def _value(self) -> str:
        """Stops at the separator, or at the end."""
        self._skip_spaces()
        if self._text[self._at : self._at + 1] == '"':
            value = self._quoted()
            self._skip_spaces()
            if self._at < len(self._text) and self._text[self._at] not in _SEPARATORS:
                raise _bad()
            return value
        if self._text[self._at : self._at + 1] == "#":
            raise _bad()
        return self._plain()

    def _plain(self) -> str:
        found, kept = bytearray(), 0  # kept: so many bytes are no spaces at the end
        while self._at < len(self._text) and (character := self._text[self._at]) not in _SEPARATORS:
            if character in '"<>':
                raise _bad()
            if character == "\\":
                found += self._escape()
                kept = len(found)
                continue
            found += _utf8(character)
            self._at += 1
            if character != " ":
                kept = len(found)
        return _decoded(bytes(found[:kept]))

    def _quoted(self) -> str:
        found = bytearray()
        self._at += 1
        while self._at < len(self._text):
            character = self._text[self._at]
            if character == "\\":
                found += self._escape()
                continue
            self._at += 1
            if character == '"':
                if self._text[self._at : self._at + 1] != '"':
                    return _decoded(bytes(found))
                self._at += 1
            found += _utf8(character)
        raise _bad()

    def _escape(self) -> bytes:
        """RFC 4514, 2.4: a special character, or two hexadecimal digits for one byte of UTF-8."""
        following = self._text[self._at + 1 : self._at + 3]
        if following[:1] and following[0] in _ESCAPED:
            self._at += 2
            return following[0].encode()
        if _HEX.fullmatch(following):
            self._at += 3
            return bytes.fromhex(following)
        raise _bad()

    def _skip_spaces(self) -> None:
        while self._text[self._at : self._at + 1] == " ":
            self._at += 1


def _utf8(character: str) -> bytes:
    try:
        return character.encode()
    except UnicodeEncodeError:  # a lone surrogate
        raise _bad() from None


def _decoded(value: bytes) -> str:
    """What escapes spell may be no UTF-8, and may hide what the text itself must not have."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise _bad() from None
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise _bad()
    return text


def _bad() -> BadRequest:
    return BadRequest("The subject name provided is not a valid X500 name")
