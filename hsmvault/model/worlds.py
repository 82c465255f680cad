"""Security worlds and system keys, as their rows are. Both name token objects; neither holds key material."""

from dataclasses import dataclass
from enum import Enum


class WorldState(Enum):
    """A world of a pool is spare until the pool claims it, and never spare again: what is left of it when the pool is
    purged must never open in another one.

        founded ──▶ spare ── claimed ──▶ serving ── the pool is purged ──▶ retired ── its token is wiped ──▶ wiped
    """

    FOUNDED = "founded"  # by its ceremony, and not completed yet (app/world_completion.py)
    SPARE = "spare"
    SERVING = "serving"
    RETIRED = "retired"  # nothing may use it, and its keys are to be destroyed
    WIPED = "wiped"  # no key is left on its token, which another world may be made on


@dataclass(frozen=True, slots=True)
class WorldRow:
    """PKCS#11 tokens that share one world key.

    token_label: CKA label of the tokens. world_key_id, mac_key_id: CKA_ID of the keys that wrap and that bind blobs.
    custody: value of the CustodyClass that new hard keys get. created: seconds since 1970 UTC.
    export_key_id, attestation_key_id: CKA_ID of the key that wraps exportable keys a second time, and of the key pair
    that signs attestations; None in a world that has none yet. attestation_certificate: X.509 in DER of the latter.
    """

    id: str
    name: str
    geography: str
    token_label: str
    world_key_id: bytes
    mac_key_id: bytes
    custody: str
    created: int
    export_key_id: bytes | None = None
    attestation_key_id: bytes | None = None
    attestation_certificate: bytes | None = None
    state: WorldState = WorldState.SERVING

    @property
    def is_at_work(self) -> bool:
        """A container has it or may get it; its token holds its keys."""
        return self.state in (WorldState.SERVING, WorldState.SPARE)


@dataclass(frozen=True, slots=True)
class OlderWorldKeyRow:
    """A world key of an earlier generation: it wraps nothing more, and still opens what it wrapped.

    id: hex of key_id. key_id: CKA_ID in the tokens of the world. retired: seconds since 1970 UTC.
    """

    id: str
    world_id: str
    key_id: bytes
    retired: int


@dataclass(frozen=True, slots=True)
class SystemKeyRow:
    """The key that seals data keys. One of a world is active; retired ones still open what they sealed.

    key_id: CKA_ID in the token of the world. state: one of the four below. created: seconds since 1970 UTC.
    """

    id: str
    world_id: str
    key_id: bytes
    state: str
    created: int


PLANNED = "planned"  # committed before the token makes it
ACTIVE = "active"
RETIRED = "retired"
DESTROYING = "destroying"  # no row needs it, and none may be sealed by it any more
