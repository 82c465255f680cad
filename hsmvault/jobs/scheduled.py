"""What jobs on the schedule have in common: which object a row of the schedule means, and a row that was wrong."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from hsmvault.errors import RequestError
from hsmvault.model.containers import Container
from hsmvault.model.operations import Kind
from hsmvault.resources import certificate_schedule, key_schedule, object_schedule, secret_schedule
from hsmvault.resources.object_schedule import Dated
from hsmvault.store import containers, keys, schedule
from hsmvault.store.certificates import CERTIFICATES
from hsmvault.store.database import Transaction
from hsmvault.store.schedule import Due
from hsmvault.store.secrets import SECRETS

LOG = logging.getLogger("hsmvault.jobs")
PAGE = 50

Found = tuple[Dated, object_schedule.Due]
"""The latest version of an object, and everything that is due of it."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One kind of object on the schedule. find: by container and name; None when it is not there, or deleted."""

    kind: Kind
    find: Callable[[Transaction, Container, str], Awaitable[Found | None]]


async def _key(tx: Transaction, container: Container, folded: str) -> Found | None:
    at_name = await keys.name(tx, container.id, folded)
    latest = await keys.version(tx, container.id, folded, None)
    if at_name is None or latest is None:
        return None
    return latest, key_schedule.due_of(container, at_name.rotation_policy, latest)


async def _secret(tx: Transaction, container: Container, folded: str) -> Found | None:
    latest = await SECRETS.version(tx, container.id, folded, None)
    return None if latest is None else (latest, secret_schedule.due_of(container, latest))


async def _certificate(tx: Transaction, container: Container, folded: str) -> Found | None:
    at_name = await CERTIFICATES.name(tx, container.id, folded)
    latest = await CERTIFICATES.version(tx, container.id, folded, None)
    if at_name is None or latest is None:
        return None
    return latest, certificate_schedule.due_of(container, at_name.policy, latest)


KEYS = Subject(Kind.KEYS, _key)
SUBJECTS = (KEYS, Subject(Kind.SECRETS, _secret), Subject(Kind.CERTIFICATES, _certificate))


def path_of(kind: Kind, row: Dated) -> str:
    """Of a version, as its id has it behind the host."""
    return f"/{kind.value}/{row.name}/{row.version}"


async def due_object(tx: Transaction, subject: Subject, one: Due) -> tuple[Container, Dated, int | None] | None:
    """The container and the latest version of the object that a row means, and when the object's own rows say that it
    is due. None: there is no such object, or not any more.
    """
    container = await containers.by_id(tx, one.container_id)
    found = None if container is None else await subject.find(tx, container, one.folded)
    if container is None or found is None:
        return None
    return container, found[0], found[1].get(one.what)


async def begin_if_absent(tx: Transaction, subject: Subject, container_id: str, folded: str) -> None:
    """Give an object its rows if it has none."""
    container = await containers.by_id(tx, container_id)
    found = None if container is None else await subject.find(tx, container, folded)
    if container is None or found is None:
        return
    if not await schedule.of_object(tx, container_id, subject.kind.value, folded):
        await object_schedule.begin(tx, container, subject.kind, folded, found[1])


async def correct(tx: Transaction, one: Due, is_due_at: int | None, *, at_least: int) -> None:
    """A row that is out of step with its object. at_least: not before this time, so that nobody runs in circles."""
    if is_due_at is None:
        await schedule.done(tx, one)
    else:
        await schedule.postpone(tx, one, max(is_due_at, at_least))


def failure_of(error: Exception, what: str) -> RequestError:
    """For the record of what failed; the log says why. what: a sentence without its full stop. Whatever it is, the
    next object gets its turn.
    """
    if isinstance(error, RequestError):
        LOG.warning("%s: %s", what, error.detail or error.message)
        return error
    LOG.error("%s", what, exc_info=error)
    return RequestError("An error has occurred.")
