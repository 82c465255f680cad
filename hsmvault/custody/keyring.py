"""The system keys that an instance has: one that seals what is new, and older ones that still open."""

from collections.abc import Iterable

from hsmvault.custody.protocols import SystemKey


class KeyRing:
    """current: seals everything new. older: only open what they sealed, until all of it is sealed anew."""

    def __init__(self, current: SystemKey, older: Iterable[SystemKey] = ()) -> None:
        self.current = current
        self._by_id = {key.id: key for key in (*older, current)}

    def get(self, system_key_id: str) -> SystemKey | None:
        return self._by_id.get(system_key_id)
