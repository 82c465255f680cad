"""Security worlds and system keys, as their rows are. Both name token objects; neither holds key material."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorldRow:
    """PKCS#11 tokens that share one world key.

    token_label: CKA label of the tokens. world_key_id, mac_key_id: CKA_ID of the keys that wrap and that bind blobs.
    custody: value of the CustodyClass that new hard keys get. created: seconds since 1970 UTC.
    """

    id: str
    name: str
    geography: str
    token_label: str
    world_key_id: bytes
    mac_key_id: bytes
    custody: str
    created: int


@dataclass(frozen=True, slots=True)
class SystemKeyRow:
    """The key that seals data keys. One is active; retired ones still open what they sealed.

    key_id: CKA_ID in the token of the world. state: 'active' or 'retired'. created: seconds since 1970 UTC.
    """

    id: str
    world_id: str
    key_id: bytes
    state: str
    created: int


ACTIVE = "active"
RETIRED = "retired"
