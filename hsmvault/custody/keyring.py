"""The system keys that an instance has: one that seals what is new, and older ones that still open.

They change while it runs: rotate-system-key does its work in a process of its own. This process hears of it within a
second and replaces what the ring holds; whoever meets a key that the ring does not have, or one that seals no more,
need not wait for that and asks for it with refresh().
"""

from collections.abc import Awaitable, Callable, Iterable

from hsmvault.custody.protocols import SystemKey


async def _fixed() -> None:
    """A ring that nobody changes."""


class KeyRing:
    """current: seals everything new. older: only open what they sealed, until all of it is sealed anew.
    reload: has the owner read the keys again and replace() them; what it raises goes to who asked.
    """

    def __init__(
        self,
        current: SystemKey,
        older: Iterable[SystemKey] = (),
        *,
        reload: Callable[[], Awaitable[None]] = _fixed,
    ) -> None:
        self._reload = reload
        self.replace(current, older)

    def replace(self, current: SystemKey, older: Iterable[SystemKey] = ()) -> None:
        self.current = current
        self._by_id = {key.id: key for key in (*older, current)}

    def get(self, system_key_id: str) -> SystemKey | None:
        return self._by_id.get(system_key_id)

    async def refresh(self) -> None:
        """Have the keys of this moment. Raises Unavailable."""
        await self._reload()
