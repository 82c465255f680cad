"""The audit log: one file a writer, grouped writes, and a refusal when the disk does not take a record.

A worker is a writer; the supervisor of nothing shares its file. Records of all calls that finish while one write is
under way go out together in the next (group commit), in the log's own thread. `durability = "synced"` waits for
fdatasync before any of their answers leave; "written" waits for write(2), which survives kill -9 but not a power cut,
and syncs at the end of each second.

Fail closed: when a write fails, the calls whose records were in it fail, what was half written is cut off again, and
every further call is refused before it does anything until a probe record can be written (once a second).
"""

import asyncio
import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import msgspec

from hsmvault.audit.chain_end import digest, find_end, keep_aside
from hsmvault.audit.record import AuditRecord, Properties, timestamp
from hsmvault.clock import Clock
from hsmvault.config.files import sync_directory
from hsmvault.errors import OperatorError, RequestError, Unavailable
from hsmvault.lanes import Lane

LOG = logging.getLogger("hsmvault.audit")
_PROBE_SECONDS = 1.0
_SYNC_SECONDS = 1.0
_REFUSAL = "The service cannot record this call and therefore does not carry it out."


class Durability(Enum):
    WRITTEN = "written"
    SYNCED = "synced"


@dataclass(slots=True)
class _File:
    """The open file of one writer; touched by the log's thread alone.

    sequence, previous: of the last line that is surely there. length: bytes up to its end. torn: there may be a part of
    a line behind it, which could not be cut off yet.
    """

    directory: Path
    writer: str
    rotate_bytes: int
    descriptor: int = -1
    number: int = 1
    length: int = 0
    sequence: int = 0
    previous: str = ""
    synced_at: float = 0.0
    torn: bool = False


class AuditLog:
    """Made inside a running event loop, once per worker.

    directory: made with mode 0700 when it is not there. writer: part of the file name, unique among live writers.
    rotate_bytes: a new file is begun behind this size; the chain goes on across files.
    Raises OperatorError when the directory or file cannot be opened or read, or a file has a strange name.
    """

    def __init__(
        self,
        directory: Path,
        writer: str,
        clock: Clock,
        *,
        durability: Durability = Durability.WRITTEN,
        rotate_bytes: int = 256 * 1024 * 1024,
    ) -> None:
        self._clock = clock
        self._durability = durability
        file = _File(directory, writer, rotate_bytes)
        try:
            _open_last(file)
        except (OSError, ValueError) as error:
            raise OperatorError(
                f"The audit log in {directory} cannot be opened ({type(error).__name__}): "
                "check that the directory belongs to hsmvault and holds nothing but its files."
            ) from error
        self._lane: Lane[_File] = Lane("audit", file, limit=1 << 20)
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writing: asyncio.Future[None] | None = None  # done when the write in hand is
        self._is_scheduled = False
        self._failed_at: float | None = None
        self.accepted = 0  # records since the start, and records whose calls were refused; for telemetry
        self.refused = 0

    @property
    def is_failing(self) -> bool:
        """Whether the last record was refused, and calls are with it."""
        return self._failed_at is not None

    async def ready(self) -> None:
        """Raises Unavailable while the log does not take records. Call it before an operation, so that nothing is
        done that cannot be recorded. Free of cost while all is well."""
        if self._failed_at is None:
            return
        if self._clock.monotonic() - self._failed_at < _PROBE_SECONDS:
            raise Unavailable(_REFUSAL, retry_after_seconds=1)
        self._failed_at = self._clock.monotonic()
        await self._accept(b"")  # what is written is the record of the gap

    async def append(self, record: AuditRecord) -> None:
        """Returns when the record is accepted as `durability` says. Raises Unavailable when it is not."""
        try:
            encoded = _ENCODER.encode(record)
        except UnicodeEncodeError as error:  # here, so that it costs nobody else's call
            raise Unavailable(_REFUSAL, detail="audit: a record holds what is not Unicode") from error
        await self._accept(encoded)

    async def _accept(self, record: bytes) -> None:
        """record: encoded; nothing when only the record of a gap is to be written."""
        loop = asyncio.get_running_loop()
        accepted: asyncio.Future[None] = loop.create_future()
        self._waiting.append((record, accepted))
        if self._writing is None and not self._is_scheduled:
            self._is_scheduled = True
            loop.call_soon(self._begin)  # behind what else has come to its end in this turn of the loop
        await accepted

    async def close(self) -> None:
        """Write what waits, sync, and end the thread."""
        while self._writing is not None or self._is_scheduled:
            await asyncio.sleep(0)
            if self._writing is not None:
                await asyncio.wait([self._writing])
        try:
            await self._lane.submit(_sync_and_close)
        except OSError as error:
            LOG.error("audit log: the last records may not survive a power cut: %s", error.strerror)
        await self._lane.close()

    # Callbacks, not a task: a task for each write costs as much as the write.

    def _begin(self) -> None:
        """Hand over what waits; one write at a time, so that records stay in order."""
        self._is_scheduled = False
        batch, self._waiting = self._waiting, []
        records = [record for record, _ in batch if record]
        if self._failed_at is not None:
            records.insert(0, _ENCODER.encode(self._gap()))
        must_sync = self._durability is Durability.SYNCED
        now = self._clock.monotonic()
        waiting = [accepted for _, accepted in batch]
        try:
            self._writing = self._lane.submit(lambda file: _write(file, records, must_sync, now))
        except RequestError as error:  # the log is closed
            _refuse(waiting, error)
        else:
            self._writing.add_done_callback(lambda written: self._ended(written, waiting))

    def _ended(self, written: "asyncio.Future[None]", batch: "list[asyncio.Future[None]]") -> None:
        self._writing = None
        error = None if written.cancelled() else written.exception()
        if error is None and not written.cancelled():
            if self._failed_at is not None:
                LOG.warning("audit log takes records again")
            self._failed_at = None
            self.accepted += len(batch)
            for accepted in batch:
                if not accepted.done():
                    accepted.set_result(None)
        else:  # whatever it was: nothing of this batch may count as recorded
            reason = f"{type(error).__name__} {getattr(error, 'errno', '')}".strip()
            if self._failed_at is None:
                LOG.error("audit log refuses records; calls are refused until it is back: %s", reason)
            self._failed_at = self._clock.monotonic()
            self.refused += len(batch)
            _refuse(batch, Unavailable(_REFUSAL, detail=f"audit: {reason}"))
        if self._waiting:
            self._begin()

    def _gap(self) -> AuditRecord:
        """The first record after a failure."""
        return AuditRecord(
            time=timestamp(self._clock.now()),
            resourceId="",
            operationName="AuditResumed",
            operationVersion="",
            category="AuditEvent",
            resultType="Success",
            resultSignature="OK",
            resultDescription="Records could not be written before this one.",
            durationMs="0",
            callerIpAddress="",
            correlationId="",
            identity={},
            properties=Properties(),
        )


_ENCODER = msgspec.json.Encoder()


def _refuse(waiting: "list[asyncio.Future[None]]", error: RequestError) -> None:
    for accepted in waiting:
        if not accepted.done():
            accepted.set_exception(error)


def _write(file: _File, records: list[bytes], must_sync: bool, now: float) -> None:
    """All records or none. Raises OSError."""
    if file.descriptor < 0 or file.length >= file.rotate_bytes:
        _open_next(file)
    if file.torn:
        _cut(file)
    sequence, previous = file.sequence, file.previous
    lines = bytearray()
    for record in records:
        sequence += 1
        line = b'{"sequence":%d,"previous":"%s",%s' % (sequence, previous.encode(), record[1:])
        previous = digest(line)
        lines += line
        lines += b"\n"
    try:
        written = os.pwrite(file.descriptor, lines, file.length)
        if written != len(lines):
            raise OSError(28, "short write")  # ENOSPC: what a full disk looks like on the first try
        if must_sync or now - file.synced_at >= _SYNC_SECONDS:
            os.fdatasync(file.descriptor)
            file.synced_at = now
    except OSError:
        file.torn = True
        with suppress(OSError):  # then it is cut before the next writing
            _cut(file)
        raise
    file.length += len(lines)
    file.sequence, file.previous = sequence, previous


def _cut(file: _File) -> None:
    os.ftruncate(file.descriptor, file.length)
    file.torn = False


def _path(file: _File) -> Path:
    return file.directory / f"audit-{file.writer}-{file.number:06d}.jsonl"


def _open_last(file: _File) -> None:
    """Go on behind the last line that can be read. What stands behind it is kept aside, never thrown away."""
    file.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    numbers = sorted(int(path.stem.rpartition("-")[2]) for path in file.directory.glob(f"audit-{file.writer}-*.jsonl"))
    for number in reversed(numbers):
        file.number = number
        path = _path(file)
        size = path.stat().st_size
        found = find_end(path)
        if found is not None:
            file.sequence, file.previous = found.sequence, digest(found.line)
            file.length = _without_rest(file, found.end, size)
            break
        if size == 0:
            path.unlink()
        else:
            LOG.error("no line of %s can be read; it is kept as %s", path.name, keep_aside(path, 0).name)
    _open(file)
    os.ftruncate(file.descriptor, file.length)


def _without_rest(file: _File, end: int, size: int) -> int:
    """Keep aside what stands behind `end` in the file of this number. Returns the length to go on at: in the next file,
    from its beginning, when there is no room for that.
    """
    if size == end:
        return end
    path = _path(file)
    try:
        aside = keep_aside(path, end)
    except OSError as error:
        LOG.error("%s ends in a torn line, which stays there (%s); the next file is begun", path.name, error.strerror)
        file.number += 1
        return 0
    LOG.warning("%s ended in a torn line of %d bytes, which is kept as %s", path.name, size - end, aside.name)
    return end


def _open(file: _File) -> None:
    is_new = not _path(file).exists()
    file.descriptor = os.open(_path(file), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if is_new:
        sync_directory(file.directory)


def _open_next(file: _File) -> None:
    if file.descriptor >= 0:
        os.fdatasync(file.descriptor)
        os.close(file.descriptor)
        file.descriptor = -1  # before anything else can fail: the number may soon name another file
        file.number += 1
        file.length = 0
    _open(file)


def _sync_and_close(file: _File) -> None:
    if file.descriptor < 0:
        return
    try:
        os.fdatasync(file.descriptor)
    finally:
        os.close(file.descriptor)
        file.descriptor = -1
