"""Backup blobs of format 1, which are opened and no longer made: they need the very system key that sealed them.

20 bytes  tag, 1 byte format version, 1, and 4 bytes length of the header, as in backup.py
n bytes   header, JSON: FirstHeader
2 bytes   length of the sealed key, big-endian
n bytes   a 32-byte data key of this blob alone, sealed by the system key and bound to everything up to the
          header's end
12 bytes  IV
n bytes   body under AES-256-GCM with that data key, bound to the same bytes
16 bytes  tag of GCM
"""

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hsmvault.custody.keyring import KeyRing
from hsmvault.errors import CiphertextRefused

IV_BYTES = 12
GCM_TAG_BYTES = 16


class FirstHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands in the clear. created: seconds since 1970 UTC. The rest: see BackupScope."""

    kind: str
    subscription_id: str
    geography: str
    tenant_id: str
    system_key_id: str
    created: int


class Unopened(Exception):
    """The blob does not open; the text is for the operator's log."""


_HEADER = msgspec.json.Decoder(FirstHeader)


async def open_first(system_keys: KeyRing, bound_to: bytes, header: bytes, rest: bytes) -> tuple[FirstHeader, bytes]:
    """Header and body. bound_to: everything up to the header's end; rest: everything behind it.

    Hostile bytes: every length is checked. Raises Unopened; Unavailable and Throttled from the HSM.
    """
    try:
        read = _HEADER.decode(header)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unopened("header not readable") from error
    key_ends = 2 + int.from_bytes(rest[:2], "big")
    iv_ends = key_ends + IV_BYTES
    if len(rest) < iv_ends + GCM_TAG_BYTES:
        raise Unopened("cut")
    system_key = system_keys.get(read.system_key_id)
    if system_key is None:
        raise Unopened("made under a system key that is not there (any more)")
    try:
        key = await system_key.open(rest[2:key_ends], bound_to)
        body = AESGCM(key).decrypt(rest[key_ends:iv_ends], rest[iv_ends:], bound_to)
    except (CiphertextRefused, InvalidTag, ValueError) as error:  # ValueError: a key of another length
        raise Unopened("not as it was sealed") from error
    return read, body
