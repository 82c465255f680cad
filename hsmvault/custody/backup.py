"""The backup blob of one object with all its versions. It needs nothing but the system key that sealed it.

    20 bytes  tag, readable: `hsmvaultObjectBackup`
    1 byte    format version, 1
    4 bytes   length of the header, big-endian
    n bytes   header, JSON: BackupHeader
    2 bytes   length of the sealed key, big-endian
    n bytes   a fresh 32-byte data key, sealed by the system key and bound to everything up to the header's end
    12 bytes  IV, random
    n bytes   body under AES-256-GCM with that data key, bound to the same bytes
    16 bytes  tag of GCM

Kind, subscription, geography and format are authenticated with the body; the header is readable, because the system
key's id must be known before anything can be opened. What a caller restores is compared with what he may restore
after it was opened, and every refusal is the same one (threat model, 7). What is in the body, and that it binds to
its new place, is the business of whoever wrote it.
"""

from dataclasses import dataclass

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hsmvault.clock import Identifiers
from hsmvault.custody.keyring import KeyRing
from hsmvault.custody.protocols import SystemKey
from hsmvault.errors import BadRequest, CiphertextRefused

TAG = b"hsmvaultObjectBackup"
FORMAT = b"\x01"
KEY_BYTES = 32
IV_BYTES = 12
GCM_TAG_BYTES = 16
LONGEST_HEADER_BYTES = 2048

_PREFIX = TAG + FORMAT


@dataclass(frozen=True, slots=True)
class BackupScope:
    """Where a blob may be restored: the same kind of object, subscription and geography; all compared exactly.

    kind: 'key', later 'secret' and 'certificate'. subscription_id: a GUID in lower case. geography: as configured.
    tenant_id: of the container; a GUID in lower case.
    """

    kind: str
    subscription_id: str
    geography: str
    tenant_id: str


class BackupHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands in the clear. created: seconds since 1970 UTC. The rest: see BackupScope."""

    kind: str
    subscription_id: str
    geography: str
    tenant_id: str
    system_key_id: str
    created: int

    @property
    def scope(self) -> BackupScope:
        return BackupScope(self.kind, self.subscription_id, self.geography, self.tenant_id)


_HEADER = msgspec.json.Decoder(BackupHeader)


async def seal_backup(
    system_key: SystemKey, scope: BackupScope, body: bytes, *, created: int, identifiers: Identifiers
) -> bytes:
    """created: seconds since 1970 UTC. Raises Unavailable and Throttled from the HSM."""
    header = msgspec.json.encode(
        BackupHeader(scope.kind, scope.subscription_id, scope.geography, scope.tenant_id, system_key.id, created)
    )
    assert len(header) <= LONGEST_HEADER_BYTES
    bound_to = _PREFIX + len(header).to_bytes(4, "big") + header
    key, iv = identifiers.random(KEY_BYTES), identifiers.random(IV_BYTES)
    sealed_key = await system_key.seal(key, bound_to)
    ciphertext = AESGCM(key).encrypt(iv, body, bound_to)
    return b"".join((bound_to, len(sealed_key).to_bytes(2, "big"), sealed_key, iv, ciphertext))


async def open_backup(system_keys: KeyRing, blob: bytes, expected: BackupScope) -> bytes:
    """The body of a blob that was made for this scope.

    Raises BadRequest with one text for every other blob; Unavailable and Throttled from the HSM.
    """
    parts = _parse(blob)
    system_key = system_keys.get(parts.header.system_key_id)
    if system_key is None:
        raise _refused("made under another system key")
    try:
        key = await system_key.open(parts.sealed_key, parts.bound_to)
        body = AESGCM(key).decrypt(parts.iv, parts.ciphertext, parts.bound_to)
    except (CiphertextRefused, InvalidTag, ValueError) as error:  # ValueError: a key of another length
        raise _refused("not as it was sealed") from error
    if parts.header.scope != expected:
        raise _refused(f"made for {parts.header.scope}")
    return body


@dataclass(frozen=True, slots=True, repr=False)
class _Parts:
    header: BackupHeader
    bound_to: bytes
    sealed_key: bytes
    iv: bytes
    ciphertext: bytes


def _parse(blob: bytes) -> _Parts:
    """Hostile bytes: every length is checked, and nothing is believed yet."""
    if blob[: len(TAG)] != TAG:
        raise _refused("not a backup of ours")
    if blob[len(TAG) : len(_PREFIX)] != FORMAT:
        raise _refused("format version not known")
    header_starts = len(_PREFIX) + 4
    header_bytes = int.from_bytes(blob[len(_PREFIX) : header_starts], "big")
    if header_bytes > LONGEST_HEADER_BYTES:
        raise _refused("header too long")
    header_ends = header_starts + header_bytes
    key_starts = header_ends + 2
    key_ends = key_starts + int.from_bytes(blob[header_ends:key_starts], "big")
    if len(blob) < key_ends + IV_BYTES + GCM_TAG_BYTES:
        raise _refused("cut")
    try:
        header = _HEADER.decode(blob[header_starts:header_ends])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _refused("header not readable") from error
    iv_ends = key_ends + IV_BYTES
    return _Parts(header, blob[:header_ends], blob[key_starts:key_ends], blob[key_ends:iv_ends], blob[iv_ends:])


def _refused(reason: str) -> BadRequest:
    return BadRequest("The backup blob is not valid for this vault.", detail=f"backup blob refused: {reason}")
