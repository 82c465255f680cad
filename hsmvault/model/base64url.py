"""base64url without padding (RFC 7515, 2; RFC 4648, 5): for the whole service, once."""

import binascii
from base64 import urlsafe_b64encode

_TO_STANDARD = bytes.maketrans(b"-_", b"+/")


def encode(content: bytes) -> str:
    """In ASCII."""
    return urlsafe_b64encode(content).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """Raises ValueError for padding, for anything outside the alphabet and for a length that no content has."""
    raw = text.encode("ascii")
    if b"+" in raw or b"/" in raw or b"=" in raw:
        raise ValueError("not base64url")
    return binascii.a2b_base64(raw.translate(_TO_STANDARD) + b"=" * (-len(raw) % 4), strict_mode=True)


def decode_exact(text: str) -> bytes:
    """The one spelling that encode() gives, with nothing in the bits that no byte uses. Raises ValueError."""
    content = decode(text)
    if encode(content) != text:
        raise ValueError("not canonical base64url")
    return content
