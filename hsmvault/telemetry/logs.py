"""Logs: one JSON object a line on standard error, with the id of the request that it belongs to.

What an exception says may hold what a caller sent, a bearer token for instance: aiohttp's parser puts the first
hundred characters of an oversized header into its message. So the message of an exception is written for our own
exceptions, for errors of the operating system and for failed imports only; of every other one the log has the type
and the way to it.
Messages of aiohttp and asyncio are written without what was filled in.
"""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

request_id: ContextVar[str] = ContextVar("request_id", default="")

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_FOREIGN = ("aiohttp", "asyncio")
_DEEPEST = 40  # frames of a traceback that are written, innermost last


class JsonFormatter(logging.Formatter):
    """One record, one line: line breaks and control characters are escaped, and so is everything outside ASCII.

    `extra={...}` of a call becomes members of the object, as strings unless they are numbers.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
            "process": record.process,
        }
        if current := request_id.get():
            line["request_id"] = current
        for name, value in record.__dict__.items():
            if name not in _STANDARD and name not in line:
                line[name] = value if isinstance(value, int | float | bool) or value is None else str(value)
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = describe(record.exc_info[1])
            line["traceback"] = frames(record.exc_info[2])
        return json.dumps(line)


def configure_logs(level: str = "info", stream: TextIO | None = None) -> None:
    """Send every logger to one stream (standard error) as JSON lines. May be called again."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.raiseExceptions = False  # a log that cannot be written must not print the record elsewhere
    logging.getLogger("asyncio").setLevel(max(logging.WARNING, root.level))
    for name in ("aiohttp.access", "alembic", "sqlalchemy"):  # the audit log is our access log
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def describe(error: BaseException) -> str:
    """The type, and the message where it cannot hold what a caller sent; then the causes."""
    parts: list[str] = []
    current: BaseException | None = error
    while current is not None and len(parts) < 8:
        kind = type(current)
        text = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
        if isinstance(current, OSError) and current.strerror:
            text += f": [{current.errno}] {current.strerror}"
        elif isinstance(current, ImportError):
            text += f": {current}"
        elif kind.__module__.partition(".")[0] == "hsmvault":
            detail = getattr(current, "detail", None)
            text += f": {current}" + (f" ({detail})" if detail else "")
        parts.append(text)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return " <- ".join(parts)


def frames(traceback: TracebackType | None) -> list[str]:
    """'file:line function' of each frame: no source text and no values."""
    found: list[str] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        found.append(f"{code.co_filename}:{traceback.tb_lineno} {code.co_name}")
        traceback = traceback.tb_next
    return found[-_DEEPEST:]


def _message(record: logging.LogRecord) -> str:
    if record.name.partition(".")[0] in _FOREIGN:
        # asyncio writes the reprs of futures, and with them of exceptions, behind its first line.
        return str(record.msg).partition("\n")[0]
    try:
        return record.getMessage()
    except (TypeError, ValueError):
        return str(record.msg)
