"""Token and database agree again after a crash: at start, under the lock of the data directory, before any worker.

Only what left-over intents of this node's last run name is destroyed, and only when no row has it. An object that
nobody planned may belong to somebody else, or to a database that was lost: it is reported and left alone. So is
everything as long as one row's reference cannot be read. That a search finds nothing is never taken for absence
(remove() asks the token to prove that it is well), and a row without its object is reported: the key cannot be used.
"""

import logging
from collections.abc import Sequence

from hsmvault.clock import Identifiers
from hsmvault.config import Settings
from hsmvault.config.files import write_private
from hsmvault.config.layout import Layout
from hsmvault.custody import statement_keys
from hsmvault.custody.intents import Intents
from hsmvault.custody.protocols import CustodyClass
from hsmvault.custody.reference import decode_resident
from hsmvault.custody.resident import ResidentCustodian
from hsmvault.errors import ConfigurationError, RequestError
from hsmvault.jobs.runner import LEASE
from hsmvault.store import authorities, keys, login_keys, worlds
from hsmvault.store import jobs as leases
from hsmvault.store.database import Database

LOG = logging.getLogger("hsmvault.reconciliation")


def node_id(layout: Layout, identifiers: Identifiers) -> str:
    """The owner of the intents of this run, or, before renew(), of the run before. It is kept beside the database, not
    in it, so that a database that is restored or shared does not make another's intents ours. Raises
    ConfigurationError.
    """
    path = layout.node
    try:
        if not path.exists():
            write_private(path, f"{identifiers.guid()}\n".encode("ascii"))
        found = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(f"{path} cannot be read or written: it names this node.") from error
    if not found:
        raise ConfigurationError(f"{path} is empty; restore it, or remove it to make this a new node.")
    return found


def jobs_owner(node: str) -> str:
    """Of the jobs' lease. node: as node_id() says. At most one process of a node asks for the lease at a time, and one
    that takes the place of another goes on with it."""
    return f"jobs-{node}"


async def release_jobs(database: Database, node: str) -> None:
    """What the processes of a run that is over have held is free at once: nobody waits for it after a crash. node: of
    the run before, under the lock of the data directory. Raises RequestError."""
    async with database.write() as tx:
        await leases.release(tx, LEASE, jobs_owner(node))


def renew(layout: Layout, identifiers: Identifiers) -> None:
    """A new owner for a new run, once nothing is left over of the one before. An older database that is put in place
    later has intents of runs that are over: what they began may have been committed since, and is nobody's to destroy.
    """
    write_private(layout.node, f"{identifiers.guid()}\n".encode("ascii"))


async def claimed_objects(database: Database) -> set[bytes]:
    """CKA_IDs of the objects that rows have. Raises Unavailable when the reference of a row cannot be read."""
    resident = CustodyClass.RESIDENT.value
    async with database.read() as tx:
        references = await keys.references(tx, resident)
        references += [row.reference for row in await login_keys.list_all(tx) if row.custody == resident]
        references += await statement_keys.references(tx, resident)
        references += await authorities.references(tx, resident)
    return {decode_resident(reference).token_id for reference in references}


async def attestation_keys(database: Database) -> set[bytes]:
    """CKA_IDs of private keys that no row of a key names, and that belong to a world: made, or planned."""
    async with database.read() as tx:
        return {row.attestation_key_id for row in await worlds.worlds(tx) if row.attestation_key_id is not None}


async def is_needed(settings: Settings, database: Database, intents: Intents) -> bool:
    """Whether this installation has anything to do with resident keys; without, no token is asked."""
    if settings.custody.hard == CustodyClass.RESIDENT.value or await intents.left_over():
        return True
    async with database.read() as tx:
        return bool(await keys.references(tx, CustodyClass.RESIDENT.value))


async def reconcile(database: Database, custodians: Sequence[ResidentCustodian], intents: Intents) -> None:
    """Nothing in here stops a start: what cannot be done now is logged, and the next start's. custodians: one for each
    token; an intent does not say in which of them its object was to be made.
    """
    try:
        claimed = await claimed_objects(database)
        of_worlds = await attestation_keys(database)
        there = [set(await custodian.objects()) for custodian in custodians]
        for intent in await intents.left_over():
            object_id = bytes.fromhex(intent.id)
            if object_id in claimed:
                await intents.settle(object_id)
                continue
            holders = [one for one, ids in zip(custodians, there, strict=True) if object_id in ids]
            for custodian in holders or custodians[:1]:  # the first token proves that it is well, as objects() did
                found = await custodian.remove(object_id)
                LOG.warning("an interrupted %s was undone (object %s, found: %s)", intent.kind, intent.id, found)
        found_now = [await custodian.objects() for custodian in custodians]
    except RequestError as error:
        LOG.error("the token could not be compared with the database: %s", error.detail or error)
        return
    present = {object_id for ids in found_now for object_id in ids}
    if unplanned := sorted(one.hex() for one in present - claimed - of_worlds):
        LOG.warning("%d keys in the token have no row; they are left alone", len(unplanned), extra={"ids": unplanned})
    if missing := sorted(one.hex() for one in claimed - present):
        LOG.error("the token does not show the objects of %d keys", len(missing), extra={"ids": missing})
