"""A program of the operator that publishes answers to challenges: run without a shell, bounded, heard in the log."""

import asyncio
import logging
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Final

from hsmvault.errors import HsmvaultError
from hsmvault.outbound.acme_problems import harmless

LOG = logging.getLogger("hsmvault.outbound")
_ENVIRONMENT: Final[Mapping[str, str]] = MappingProxyType(
    {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
)  # nothing of ours: what a hook needs it brings along
_KEPT_BYTES = 2048


class HookFailed(HsmvaultError):
    """It could not be started, did not end in time, or ended with another code than 0. str(error) is for the log."""


class Hook:
    """command: the program by its whole path, and its first arguments. seconds: after which it is killed with its
    process group.
    """

    def __init__(self, command: tuple[str, ...], seconds: float) -> None:
        self._command = command
        self._seconds = seconds

    async def run(self, action: str, subject: str, *proof: str) -> None:
        """It has ended when it and all that holds its output have. proof: kept out of the log. Raises HookFailed."""
        what = f"{self._command[0]} {action} {subject}"
        try:
            process = await _started(*self._command, action, subject, *proof)
        except OSError as error:
            raise HookFailed(f"{what} cannot be started: {error.strerror}") from error
        has_ended = False
        try:
            async with asyncio.timeout(self._seconds):
                output = await _beginning(process)
                code = await process.wait()
            has_ended = True
        except TimeoutError:
            raise HookFailed(f"{what} did not end within {self._seconds:g} seconds and was killed") from None
        finally:
            if not has_ended:
                await _killed(process)
        said = output.decode("utf-8", "replace")
        for one in proof:
            said = said.replace(one, "***")
        said = harmless(said, _KEPT_BYTES)
        if code != 0:
            raise HookFailed(f"{what} ended with {code}: {said}")
        LOG.info("acme: %s: %s", what, said or "done")


async def _started(*command: str) -> asyncio.subprocess.Process:
    """In a session of its own. Who cancels us meanwhile waits until it is there and killed: asyncio itself would kill
    the leader alone. Raises OSError.
    """
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(_ENVIRONMENT),
            cwd="/",
            start_new_session=True,
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        with suppress(OSError):
            await _killed(await starting)
        raise


async def _beginning(process: asyncio.subprocess.Process) -> bytes:
    """What it prints first; the rest is read, so that it can go on, and dropped."""
    kept = b""
    if process.stdout is not None:
        while part := await process.stdout.read(65_536):
            kept += part[: _KEPT_BYTES - len(kept)]
    return kept


async def _killed(process: asyncio.subprocess.Process) -> None:
    """Kill what still runs, also when we are cancelled. The number of a group is not given away while it has members:
    what holds the output is one.
    """
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
