"""Data keys, as their rows are: what seals the soft keys, secrets and certificate keys of one container."""

from dataclasses import dataclass, field

from hsmvault.errors import Unavailable


@dataclass(frozen=True, slots=True)
class DataKeyRow:
    """One data key, sealed. A container has one current data key and keeps the older ones for what they sealed.

    id: 32 lower-case hex digits; every value that the key sealed carries it.
    system_key_id: the system key that sealed this row; changes when the system key is rotated, id does not.
    sealed: the 32 bytes of the key under the system key (custody/sealing.py says bound to what).
    created: seconds since 1970 UTC.
    """

    id: str
    container_id: str
    system_key_id: str
    sealed: bytes = field(repr=False)
    created: int


class SystemKeyGone(Unavailable):
    """A data key was sealed by a system key that was retired and is being destroyed: seal it by the one of today."""
