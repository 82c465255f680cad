"""The hosts file: names of an embedded instance that do not resolve to this machine, in one marked block a directory.

Some systems resolve every name under localhost by themselves; plain glibc does not. Docker mounts the hosts file, so
that it cannot be replaced, only written.
"""

import fcntl
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path

HOSTS_FILE = Path("/etc/hosts")
_ADDRESSES = ("127.0.0.1", "::1")
_NAMES_A_LINE = 5  # musl reads lines up to 512 characters
_LOOKUP_SECONDS = 2.0  # a resolver without a network would take much longer
_LOCK_SECONDS = 3.0  # another instance needs milliseconds; who holds the lock for longer is not one of ours
_LOCK_POLL_SECONDS = 0.02


def unresolved(hosts: Sequence[str], resolve: Callable[[str], bool] | None = None) -> list[str]:
    """Those that this machine does not resolve to itself within two seconds."""
    resolve = resolve or _resolves_to_loopback
    found: set[str] = set()

    def look(host: str) -> None:
        if resolve(host):
            found.add(host)

    # Daemons: getaddrinfo cannot be interrupted, and must not hold up the end of the process.
    threads = [threading.Thread(target=look, args=(host,), daemon=True) for host in hosts]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + _LOOKUP_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [host for host in hosts if host not in found]


def listed(hosts: Iterable[str], path: Path) -> bool:
    """Whether the file already sends every one of these to this machine; spares the resolver."""
    with suppress(OSError, UnicodeDecodeError):
        known: set[str] = set()
        for line in path.read_text().splitlines():
            address, *names = line.partition("#")[0].split() or [""]
            if address in _ADDRESSES:
                known.update(names)
        return known.issuperset(hosts)
    return False


def host_lines(hosts: Sequence[str]) -> list[str]:
    """Lines for a hosts file."""
    groups = [hosts[start : start + _NAMES_A_LINE] for start in range(0, len(hosts), _NAMES_A_LINE)]
    return [f"{address} {' '.join(group)}" for address in _ADDRESSES for group in groups]


def add_block(
    hosts: Sequence[str], owner: Path, path: Path = HOSTS_FILE, *, lock_seconds: float = _LOCK_SECONDS
) -> bool:
    """Put these, and those already in it, into the block of this owner (a data directory). Everything else stays as
    it is, byte by byte. Returns False when the file may not be written, or when somebody else holds the lock of its
    directory for lock_seconds.
    """
    try:
        with _locked(path.parent, lock_seconds):
            before = path.read_bytes()
            after = with_block(before.decode("utf-8", "surrogateescape"), hosts, owner).encode(
                "utf-8", "surrogateescape"
            )
            if after != before:
                _write(path, after)
    except OSError:
        return False
    return True


def with_block(text: str, hosts: Sequence[str], owner: Path) -> str:
    """The text of a hosts file with the owner's block, which is replaced where it stands or appended."""
    name = "".join(character if character.isprintable() else "?" for character in str(owner))
    first, last = f"# hsmvault begin {name}", f"# hsmvault end {name}"
    lines = text.splitlines(keepends=True)
    bare = [line.rstrip("\r\n") for line in lines]
    start, kept = len(lines), list[str]()
    end = start
    if first in bare and last in bare[bare.index(first) :]:
        start = bare.index(first)
        end = bare.index(last, start) + 1
        kept = [host for line in bare[start + 1 : end - 1] for host in line.split()[1:]]
    block = [first, *host_lines(list(dict.fromkeys((*kept, *hosts)))), last]
    head = "".join(lines[:start])
    if head and not head.endswith("\n"):
        head += "\n"
    return head + "".join(f"{line}\n" for line in block) + "".join(lines[end:])


def _write(path: Path, content: bytes) -> None:
    """Replace the file, or, where it is a mount, write into it."""
    status = path.stat()
    partial = path.with_name(f".{path.name}.hsmvault.{os.getpid()}")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), status.st_mode & 0o7777)
            os.fchown(file.fileno(), status.st_uid, status.st_gid)
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        with path.open("r+b") as file:
            file.write(content)
            file.truncate()


@contextmanager
def _locked(directory: Path, seconds: float) -> Iterator[None]:
    """One instance at a time. The lock is on the directory, because the file itself is replaced.

    Raises BlockingIOError when it cannot be had in time: anybody who may read the directory can hold it.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(descriptor, time.monotonic() + seconds)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_LOCK_POLL_SECONDS)
        else:
            return


def _resolves_to_loopback(host: str) -> bool:
    try:
        answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return bool(answers) and all(ip_address(str(answer[4][0]).partition("%")[0]).is_loopback for answer in answers)
