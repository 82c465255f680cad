"""The line between the supervisor and a worker: a socket pair, frames of JSON behind four bytes of length.

The first frame carries the settings and the PIN: neither ever stands in arguments or in the environment.
The end of the line means that the other side is gone.
"""

import asyncio
import socket
from typing import TypeVar

import msgspec

from hsmvault.config import WorkerSettings
from hsmvault.config.values import decode_text
from hsmvault.telemetry import Family

_LONGEST = 16 * 1024 * 1024


class Start(msgspec.Struct, frozen=True, tag=True):
    settings: WorkerSettings
    pin: str
    supervisor: int  # its process id

    def __repr__(self) -> str:
        return "Start(...)"


class Stop(msgspec.Struct, frozen=True, tag=True):
    """End intake, finish what runs, leave."""


class Collect(msgspec.Struct, frozen=True, tag=True):
    """Send your metrics."""


class Ready(msgspec.Struct, frozen=True, tag=True):
    """Every listener of this worker accepts."""


class Announce(msgspec.Struct, frozen=True, tag=True):
    """These hosts are served from now on."""

    hosts: tuple[str, ...]


class Collected(msgspec.Struct, frozen=True, tag=True):
    families: list[Family]


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The worker leaves on purpose: an OperatorError's exit code and sentence. pin_refused: nobody may try again."""

    exit_code: int
    sentence: str
    pin_refused: bool = False


ToWorker = Start | Stop | Collect
ToSupervisor = Ready | Announce | Collected | Failed
Message = TypeVar("Message", ToWorker, ToSupervisor)

_encoder = msgspec.json.Encoder(enc_hook=str)  # paths
to_worker = msgspec.json.Decoder(ToWorker, dec_hook=decode_text)
to_supervisor = msgspec.json.Decoder(ToSupervisor)


def pair() -> tuple[socket.socket, socket.socket]:
    """Both ends of a new line: the supervisor's and the worker's."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)


def frame(message: ToWorker | ToSupervisor) -> bytes:
    body = _encoder.encode(message)
    return len(body).to_bytes(4, "big") + body


async def receive(reader: asyncio.StreamReader, decoder: "msgspec.json.Decoder[Message]") -> Message | None:
    """The next message, or None when the other side is gone."""
    try:
        length = int.from_bytes(await reader.readexactly(4), "big")
        if length > _LONGEST:
            return None
        return decoder.decode(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError, msgspec.MsgspecError):
        return None


def receive_start(channel: socket.socket) -> Start | None:
    """The first frame, read before there is a loop; None when the supervisor is gone."""
    header = channel.recv(4, socket.MSG_WAITALL)
    body = channel.recv(int.from_bytes(header, "big"), socket.MSG_WAITALL) if len(header) == 4 else b""
    message = to_worker.decode(body) if body else None
    return message if isinstance(message, Start) else None
