"""PEM (RFC 7468): a private key and its certificates in one text, as the service writes and reads it."""

import binascii
from collections.abc import Sequence
from typing import NamedTuple

from hsmvault.custody import der
from hsmvault.custody.bundles import EC_KEY, MOST_CERTIFICATES, MOST_KEY_ELEMENTS, RSA_ENCRYPTION, Bundle, bundle_of
from hsmvault.custody.der import BerError
from hsmvault.errors import BadRequest

UNREADABLE = (
    "The specified PEM X.509 certificate content is in an unexpected format. Please check if certificate is in valid "
    "PEM format."
)
ENCRYPTED = "The private key in the PEM content is encrypted. Please specify it without encryption."
LONGEST_TEXT = 512 * 1024  # characters
_LINE = 64  # RFC 7468, 2
_BYTE_ORDER_MARK = "\ufeff"  # editors on Windows write one
_BEGIN, _END, _DASHES = "-----BEGIN ", "-----END ", "-----"
_CERTIFICATES = ("CERTIFICATE", "X509 CERTIFICATE")
_PKCS8, _ENCRYPTED_PKCS8 = "PRIVATE KEY", "ENCRYPTED PRIVATE KEY"
_PKCS1, _SEC1 = "RSA PRIVATE KEY", "EC PRIVATE KEY"


def write_pem(key_pkcs8: bytes | None, chain: Sequence[bytes]) -> str:
    """The private key (PrivateKeyInfo in DER) first, when there is one, then the certificates (DER) in this order."""
    parts = [] if key_pkcs8 is None else [_block(_PKCS8, key_pkcs8)]
    return "".join((*parts, *(_block("CERTIFICATE", each) for each in chain)))


def read_pem(text: str) -> Bundle:
    """One private key at most (PKCS#8, PKCS#1 or SEC1, not encrypted) and certificates, in any order. What stands
    between the blocks, and blocks of other kinds, are passed over.

    CPU work of some milliseconds: call it in a lane. Raises BadRequest, whose detail has nothing of the content.
    """
    if len(text) > LONGEST_TEXT:
        raise _unreadable("too long")
    keys: list[bytes] = []
    certificates: list[bytes] = []
    for block in _blocks(text):
        if block.label in _CERTIFICATES:
            certificates.append(block.decoded())
        elif block.label == _ENCRYPTED_PKCS8 or block.is_encrypted:
            raise BadRequest(ENCRYPTED)
        elif block.label == _PKCS8:
            keys.append(block.decoded())
        elif block.label == _PKCS1:
            keys.append(_pkcs8(RSA_ENCRYPTION, der.NULL, block.decoded()))
        elif block.label == _SEC1:
            keys.append(_pkcs8(EC_KEY, _curve(block.decoded()), block.decoded()))
    if not certificates or len(certificates) > MOST_CERTIFICATES:
        raise _unreadable("no certificate, or too many")
    if len(keys) > 1:
        raise _unreadable("more than one private key")
    try:
        return bundle_of(keys[0] if keys else None, certificates)
    except BadRequest as error:
        raise _unreadable(error.message) from error


class _Block(NamedTuple):
    """lines: between BEGIN and END, without blanks around them. The repr shows none: they may be a private key."""

    label: str
    lines: tuple[str, ...]

    def __repr__(self) -> str:
        return f"_Block({len(self.lines)} lines)"

    @property
    def is_encrypted(self) -> bool:
        """As OpenSSL encrypts PKCS#1 and SEC1 (RFC 1421, 4.6.1.1)."""
        return bool(self.lines) and self.lines[0].startswith("Proc-Type:") and "ENCRYPTED" in self.lines[0]

    def decoded(self) -> bytes:
        try:
            return binascii.a2b_base64("".join(self.lines), strict_mode=True)
        except ValueError as error:  # binascii.Error, and what is not ASCII
            raise _unreadable("base64") from error


def _blocks(text: str) -> list[_Block]:
    """Linear in the text. A block that does not end, or ends under another name, is refused."""
    blocks: list[_Block] = []
    label: str | None = None
    lines: list[str] = []
    for raw in text.removeprefix(_BYTE_ORDER_MARK).splitlines():
        line = raw.strip()
        if label is None:
            if line.startswith(_BEGIN) and line.endswith(_DASHES):
                label, lines = line[len(_BEGIN) : -len(_DASHES)], []
        elif line.startswith(_END):
            if line != f"{_END}{label}{_DASHES}":
                raise _unreadable("a block ends under another name")
            blocks.append(_Block(label, tuple(lines)))
            label = None
        elif line:
            lines.append(line)
    if label is not None:
        raise _unreadable("a block does not end")
    return blocks


def _pkcs8(algorithm: bytes, parameters: bytes, key: bytes) -> bytes:
    """PrivateKeyInfo (RFC 5208, 5) around what older programs write alone."""
    return der.sequence(der.integer(0), der.sequence(algorithm, parameters), der.octet_string(key))


def _curve(sec1: bytes) -> bytes:
    """The parameters that an ECPrivateKey states itself (RFC 5915, 3)."""
    try:
        fields = der.read(sec1, der.Budget(MOST_KEY_ELEMENTS)).inside(der.SEQUENCE)
        return next(each.only(each.tag).encoded for each in fields if each.tag == der.CONTEXT | der.CONSTRUCTED)
    except (BerError, StopIteration) as error:
        raise _unreadable("the private key states no curve") from error


def _block(label: str, content: bytes) -> str:
    encoded = binascii.b2a_base64(content, newline=False).decode()
    lines = [encoded[at : at + _LINE] for at in range(0, len(encoded), _LINE)]
    return "\n".join((f"{_BEGIN}{label}{_DASHES}", *lines, f"{_END}{label}{_DASHES}", ""))


def _unreadable(reason: str) -> BadRequest:
    return BadRequest(UNREADABLE, detail=f"PEM: {reason}")
