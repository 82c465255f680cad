"""What jobs on the schedule of keys have in common: which key a row of the schedule means, and a row that was wrong."""

import logging

from hsmvault.errors import RequestError
from hsmvault.model.containers import Container
from hsmvault.model.keys import KeyVersion
from hsmvault.model.operations import Kind
from hsmvault.resources.key_schedule import begin, due_of
from hsmvault.store import containers, keys, schedule
from hsmvault.store.database import Transaction
from hsmvault.store.schedule import Due

LOG = logging.getLogger("hsmvault.jobs")
PAGE = 50


def path_of(row: KeyVersion) -> str:
    """Of a key's version, as its id has it behind the host."""
    return f"/keys/{row.name}/{row.version}"


async def due_key(tx: Transaction, one: Due) -> tuple[Container, KeyVersion, int | None] | None:
    """The container and the latest version of the key that a row means, and when the key's own rows say that it is
    due. None: there is no such key, or not any more.
    """
    container = await containers.by_id(tx, one.container_id)
    at_name = await keys.name(tx, one.container_id, one.folded)
    latest = await keys.version(tx, one.container_id, one.folded, None)
    if container is None or at_name is None or latest is None:
        return None
    return container, latest, due_of(container, at_name.rotation_policy, latest).get(one.what)


async def begin_if_absent(tx: Transaction, container_id: str, folded: str) -> None:
    """Give a key its rows if it has none."""
    container = await containers.by_id(tx, container_id)
    at_name = await keys.name(tx, container_id, folded)
    latest = await keys.version(tx, container_id, folded, None)
    if container is None or at_name is None or latest is None:
        return
    if not await schedule.of_object(tx, container_id, Kind.KEYS.value, folded):
        await begin(tx, container, at_name.rotation_policy, latest)


async def correct(tx: Transaction, one: Due, is_due_at: int | None, *, at_least: int) -> None:
    """A row that is out of step with its key. at_least: not before this time, so that nobody runs in circles."""
    if is_due_at is None:
        await schedule.done(tx, one)
    else:
        await schedule.postpone(tx, one, max(is_due_at, at_least))


def failure_of(error: Exception, what: str) -> RequestError:
    """For the record of what failed; the log says why. what: a sentence without its full stop. Whatever it is, the
    next key gets its turn.
    """
    if isinstance(error, RequestError):
        LOG.warning("%s: %s", what, error.detail or error.message)
        return error
    LOG.error("%s", what, exc_info=error)
    return RequestError("An error has occurred.")
