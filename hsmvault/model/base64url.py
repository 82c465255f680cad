"""base64url without padding (RFC 7515, 2), for what the service writes and reads inside signed statements."""

import binascii
from base64 import urlsafe_b64encode

_TO_STANDARD = bytes.maketrans(b"-_", b"+/")


def encode(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """Raises ValueError for padding, for anything outside the alphabet and for a length that no content has."""
    raw = text.encode("ascii")
    if b"+" in raw or b"/" in raw or b"=" in raw:
        raise ValueError("not base64url")
    return binascii.a2b_base64(raw.translate(_TO_STANDARD) + b"=" * (-len(raw) % 4), strict_mode=True)
