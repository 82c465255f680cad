"""One process of a node at a time where modules cannot bear two.

SoftHSM writes its token's file anew at each login, and whoever initialises the module or looks for the token at that
moment sees no token, or half of one (1 to 3 starts in 100). So the workers of a node take turns. Those that write token
objects do as well (token_objects.py).
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LONGEST_WAIT_SECONDS = 10.0  # a login takes some 50 ms; who hangs in one must not stop the others
_PAUSE_SECONDS = 0.001  # who asks seldom is overtaken by who comes back at once


@contextmanager
def alone(path: Path | None) -> Iterator[bool]:
    """Hold the lock file. Blocks, at most ten seconds; then, or where there is no such file to be had, goes on without
    it: at a login the lock spares a second attempt and guards nothing. It dies with the process. Gives False when
    another process keeps it.
    """
    try:
        descriptor = os.open(path or "", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        yield True
        return
    try:
        yield _lock(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    end = time.monotonic() + _LONGEST_WAIT_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(_PAUSE_SECONDS)
        else:
            return True
