"""The board: how the workers of one node learn of each other's commits before the next request, without SQL.

A small file that every worker maps into its memory. Each worker has a slot of eight bytes and writes into it the id of
the newest row of `changes` that it has committed, before its answer leaves; nobody else writes there. A worker that
finds a higher id than it has read asks the database (changes.py) before it trusts its caches. So a client that has its
answer from one worker never meets an older state at another one of the same node. Other nodes are found by polling.

A slot is written by one aligned store, and a reader that looks too early finds the older id: nothing was answered then.
"""

import mmap
import os
from pathlib import Path

from hsmvault.errors import ConfigurationError

_SLOTS = 512  # more than the 256 workers that can be configured


class ChangeBoard:
    """path: made when it is not there. slot: of this worker, below the number of workers; what an earlier owner of the
    slot left is kept. Raises ConfigurationError.
    """

    def __init__(self, path: Path, slot: int, workers: int) -> None:
        assert 0 <= slot < workers <= _SLOTS
        self._slot = slot
        self._others = tuple(other for other in range(workers) if other != slot)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                os.ftruncate(descriptor, _SLOTS * 8)
                self._map = mmap.mmap(descriptor, _SLOTS * 8)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be used ({error.strerror}): workers need it.") from error
        self._ids = memoryview(self._map).cast("Q")

    def publish(self, change_id: int) -> None:
        """This worker has committed a change with this id."""
        self._ids[self._slot] = change_id

    def newest(self) -> int:
        """The highest id of the other workers."""
        newest = 0
        for other in self._others:
            if self._ids[other] > newest:
                newest = self._ids[other]
        return newest

    def close(self) -> None:
        self._ids.release()
        self._map.close()
