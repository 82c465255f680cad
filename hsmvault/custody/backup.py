"""The backup blob of one object with all its versions.

    20 bytes  tag, readable: `hsmvaultObjectBackup`
    1 byte    format version, 2
    4 bytes   length of the header, big-endian
    n bytes   header, JSON: BackupHeader
    n bytes   body, a sealed value (sealing.py) of the place that backup_container() names, bound to the SHA-256 of
              everything before it

The body is sealed by the data key that the backups of a security world share. Its row lies with those of the containers
and is sealed anew when the system key rotates, so that a blob outlives the system key under which it was made. The
header carries the row too, as it was sealed at that time: a database that was restored from before the world's first
backup opens the blob with it, as long as that system key is there.

Scope and format are authenticated with the body. What a caller restores is compared with what he may restore after it
was opened, and every refusal is the same one (threat model, 7). What is in the body, and that it binds to its new
place, is the business of whoever wrote it. Blobs of format 1 still open: backup_first.py.
"""

import hashlib
from dataclasses import dataclass

import msgspec

from hsmvault.custody.backup_first import FirstHeader, Unopened, open_first
from hsmvault.custody.protocols import Binding
from hsmvault.custody.sealing import Sealer
from hsmvault.errors import BadRequest, Damaged
from hsmvault.model.data_keys import DataKeyRow

TAG = b"hsmvaultObjectBackup"
FORMAT = b"\x02"
FIRST_FORMAT = b"\x01"
LONGEST_HEADER_BYTES = 4096
VAULT = "vault"

_KIND = "backup"
_LENGTH_BYTES = 4
_HEADER_STARTS = len(TAG) + len(FORMAT) + _LENGTH_BYTES


@dataclass(frozen=True, slots=True)
class BackupScope:
    """Where a blob may be restored: the same kind of object and of container, subscription, tenant, geography and
    security world; all compared exactly.

    kind: 'key', later 'secret' and 'certificate'. subscription_id: a GUID in lower case. geography: as configured.
    tenant_id: of the container; a GUID in lower case. holder: 'vault' or 'pool'. world_id: of the container's HSM keys.
    """

    kind: str
    subscription_id: str
    geography: str
    tenant_id: str
    holder: str = VAULT
    world_id: str = ""


class BackupHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands in the clear. created: seconds since 1970 UTC. data_key: the row that opens the body."""

    scope: BackupScope
    created: int
    data_key: DataKeyRow


_HEADER = msgspec.json.Decoder(BackupHeader)


def backup_container(world_id: str) -> str:
    """Stands for a container in the data keys: that of everything backed up in this world. Its data key is never
    removed.
    """
    return f"backups:{world_id}"


async def seal_backup(sealer: Sealer, scope: BackupScope, body: bytes, *, created: int) -> bytes:
    """sealer: of the scope's world. created: seconds since 1970 UTC. Raises Unavailable and Throttled from the HSM and
    the store.
    """
    place = Binding(backup_container(scope.world_id), _KIND, "", "")
    data_key = await sealer.row_of(await sealer.seal(b"", place), place)
    header = msgspec.json.encode(BackupHeader(scope, created, data_key))
    assert len(header) <= LONGEST_HEADER_BYTES
    front = b"".join((TAG, FORMAT, len(header).to_bytes(_LENGTH_BYTES, "big"), header))
    return front + await sealer.seal(body, _place(scope.world_id, front))


async def open_backup(sealer: Sealer, blob: bytes, expected: BackupScope) -> bytes:
    """The body of a blob that was made for this scope. sealer: of the scope's world.

    Raises BadRequest with one text for every other blob; Unavailable and Throttled from the HSM and the store.
    """
    front, header, rest = _split(blob)
    try:
        if blob[len(TAG) : len(TAG) + len(FORMAT)] == FIRST_FORMAT:
            first, body = await open_first(sealer.system_keys, front, header, rest)
            scope = _scope_of(first, expected.world_id)
        else:
            read = _HEADER.decode(header)
            scope = read.scope
            body = await open_carried(sealer, rest, _place(expected.world_id, front), read.data_key)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _refused("header not readable") from error
    except Unopened as error:
        raise _refused(str(error)) from error
    except Damaged as error:
        raise _refused(error.detail or "not as it was sealed") from error
    if scope != expected:
        raise _refused(f"made for {scope}")
    return body


async def open_carried(sealer: Sealer, sealed: bytes, binding: Binding, carried: DataKeyRow) -> bytes:
    """Open a sealed value that came with the row of its data key. The database's own row counts where there is one: it
    was sealed anew since, when the system key rotated.

    Raises Damaged when it does not open for this binding; Unavailable and Throttled from the HSM and the store.
    """
    try:
        await sealer.row_of(sealed, binding)
    except Damaged:
        await sealer.borrow(carried)
    return await sealer.open(sealed, binding)


def _place(world_id: str, front: bytes) -> Binding:
    return Binding(backup_container(world_id), _KIND, hashlib.sha256(front).hexdigest(), "")


def _scope_of(first: FirstHeader, world_id: str) -> BackupScope:
    """Format 1 comes from a time when there were vaults alone; the system key that opened it says which world."""
    return BackupScope(first.kind, first.subscription_id, first.geography, first.tenant_id, VAULT, world_id)


def _split(blob: bytes) -> tuple[bytes, bytes, bytes]:
    """Everything up to the header's end, the header, and the rest. Nothing is believed yet."""
    if blob[: len(TAG)] != TAG:
        raise _refused("not a backup of ours")
    if blob[len(TAG) : len(TAG) + len(FORMAT)] not in (FORMAT, FIRST_FORMAT):
        raise _refused("format version not known")
    header_bytes = int.from_bytes(blob[_HEADER_STARTS - _LENGTH_BYTES : _HEADER_STARTS], "big")
    if header_bytes > LONGEST_HEADER_BYTES:
        raise _refused("header too long")
    ends = _HEADER_STARTS + header_bytes
    if len(blob) < ends:
        raise _refused("cut")
    return blob[:ends], blob[_HEADER_STARTS:ends], blob[ends:]


def _refused(reason: str) -> BadRequest:
    return BadRequest("The backup blob is not valid for this vault.", detail=f"backup blob refused: {reason}")
