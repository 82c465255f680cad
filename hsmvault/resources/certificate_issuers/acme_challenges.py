"""Answers to the challenges of ACME servers: where they are put, so that the server finds them (RFC 8555, 8)."""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal, Protocol

from hsmvault.clock import Clock
from hsmvault.errors import Unavailable
from hsmvault.outbound.acme_hook import Hook, HookFailed
from hsmvault.outbound.acme_jws import dns_answer
from hsmvault.store import acme_challenges
from hsmvault.store.database import Conflicted, Database

ChallengeType = Literal["http-01", "dns-01"]
_KEPT_SECONDS = 8 * 86_400  # public authorities keep an order for a week
_WELL_KNOWN = Path(".well-known", "acme-challenge")
_NOT_PUBLISHED = "The answer to the ACME server's challenge could not be published."


class Publisher(Protocol):
    """Both may be called again for what is done already. name: a host without `*.`, or an address. authorization: the
    key authorization. Both raise Unavailable with the reason in the operator's log.
    """

    @property
    def challenge(self) -> ChallengeType: ...

    async def publish(self, name: str, token: str, authorization: str) -> None: ...

    async def withdraw(self, name: str, token: str, authorization: str) -> None: ...


class ServedHere:
    """http-01 by our own listener for plain HTTP: through the database, since it may be another worker's."""

    challenge: ChallengeType = "http-01"

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def publish(self, name: str, token: str, authorization: str) -> None:
        now = int(self._clock.now())
        with suppress(Conflicted):  # another worker puts the same there at this moment
            async with self._database.write() as tx:
                await acme_challenges.delete_expired(tx, now)
                await acme_challenges.put(tx, token, authorization, now + _KEPT_SECONDS)

    async def withdraw(self, name: str, token: str, authorization: str) -> None:
        async with self._database.write() as tx:
            await acme_challenges.delete(tx, token)


class Webroot:
    """http-01 by files in a directory that a web server publishes. It must be there; what is below is made. Everybody
    may read the files: the web server is another user.
    """

    challenge: ChallengeType = "http-01"

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def publish(self, name: str, token: str, authorization: str) -> None:
        await self._do(lambda: self._write(token, authorization))

    async def withdraw(self, name: str, token: str, authorization: str) -> None:
        await self._do(lambda: self._path(token).unlink(missing_ok=True))

    async def _do(self, work: Callable[[], None]) -> None:
        try:
            await asyncio.to_thread(work)
        except OSError as error:
            raise Unavailable(_NOT_PUBLISHED, detail=f"acme: {self._directory}: {error.strerror}") from error

    def _path(self, token: str) -> Path:
        return self._directory / _WELL_KNOWN / token

    def _write(self, token: str, authorization: str) -> None:
        path = self._path(token)
        for directory in (path.parents[1], path.parent):
            with suppress(FileExistsError):
                directory.mkdir()
                directory.chmod(0o755)  # our umask leaves nothing for others
        partial = path.with_name(f".{token}.{os.getpid()}")
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(authorization)
        partial.replace(path)


class HttpHook:
    """http-01 by a program of the operator: add|remove NAME TOKEN CONTENT."""

    challenge: ChallengeType = "http-01"

    def __init__(self, hook: Hook) -> None:
        self._hook = hook

    async def publish(self, name: str, token: str, authorization: str) -> None:
        await _run(self._hook, "add", name, token, authorization)

    async def withdraw(self, name: str, token: str, authorization: str) -> None:
        await _run(self._hook, "remove", name, token, authorization)


class DnsHook:
    """dns-01 by a program of the operator: add|remove _acme-challenge.NAME VALUE."""

    challenge: ChallengeType = "dns-01"

    def __init__(self, hook: Hook) -> None:
        self._hook = hook

    async def publish(self, name: str, token: str, authorization: str) -> None:
        await _run(self._hook, "add", f"_acme-challenge.{name}", dns_answer(authorization))

    async def withdraw(self, name: str, token: str, authorization: str) -> None:
        await _run(self._hook, "remove", f"_acme-challenge.{name}", dns_answer(authorization))


async def _run(hook: Hook, action: str, subject: str, *proof: str) -> None:
    try:
        await hook.run(action, subject, *proof)
    except HookFailed as error:
        raise Unavailable(_NOT_PUBLISHED, retry_after_seconds=60, detail=f"acme: {error}") from error
