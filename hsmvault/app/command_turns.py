"""What commands on a data directory have in common: they wait for each other, and open its database for a while."""

import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from hsmvault.app.command_records import recorded
from hsmvault.clock import Clock, Identifiers
from hsmvault.config import Settings
from hsmvault.errors import ConfigurationError, OperatorError, RequestError, Unavailable
from hsmvault.store.database import Database


@contextmanager
def alone(settings: Settings, writer: str, *, refusal: OperatorError | None = None) -> Iterator[None]:
    """Wait for another command with this audit writer on this data directory: a writer's log has one process at a time.
    With a refusal, raise it and do not wait. Raises ConfigurationError."""
    path = settings.layout.data_dir / f"{writer}.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"The data directory {settings.layout.data_dir} cannot be used ({error.strerror})."
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (fcntl.LOCK_NB if refusal else 0))
        except BlockingIOError:
            assert refusal is not None
            raise refusal from None
        yield
    finally:
        os.close(descriptor)


def refused(error: RequestError) -> OperatorError:
    """What a command ends with: 2, when another command line is needed, and 1 when the same may succeed later."""
    if isinstance(error, Unavailable):
        return OperatorError(f"The database does not answer ({error.detail or error.message}); try again.")
    return ConfigurationError(error.message)


@asynccontextmanager
async def acting(
    settings: Settings, writer: str, clock: Clock, identifiers: Identifiers, operation: str, id: str, about: str
) -> AsyncIterator[None]:
    """Around what a command changes: alone() with its writer, and recorded(). Raises OperatorError, also for a refusal
    inside."""
    with alone(settings, writer):
        async with recorded(settings, writer, clock, identifiers, operation, id, about):
            try:
                yield
            except RequestError as error:
                raise refused(error) from error


@asynccontextmanager
async def opened_database(settings: Settings, clock: Clock) -> AsyncIterator[Database]:
    """Closed at the end. A refusal inside becomes a sentence for the operator: raises OperatorError."""
    database = await Database.open(settings.store_url, clock=clock)
    try:
        yield database
    except RequestError as error:
        raise refused(error) from error
    finally:
        await database.close()
