"""What a security world has besides the keys of its ceremony: an export key and an attestation key.

Both are made with the user's PIN alone, at the start, for new worlds and for those of older installations. The CKA_IDs
are drawn once and committed before the token is touched; the certificate of the attestation key is committed when both
keys are there and the token's files are on the disk, and says that the world is complete. After a crash in between the
next start goes on with the same ids. A complete world is never completed again: a key that is then missing is lost or
out of reach, and another one with its id would only hide that.

A world whose token cannot lock a world key gets no export key, one whose token has no P-256 gets neither.
"""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import replace

from hsmvault.app.command_records import START_WRITER, of_world, recorded
from hsmvault.app.token_files import sync_token
from hsmvault.clock import Clock, Identifiers
from hsmvault.config import Settings
from hsmvault.custody.attestation_certificate import unsigned
from hsmvault.custody.steps import Steps
from hsmvault.errors import HsmRefusal
from hsmvault.hsm import ceremony, mechanisms
from hsmvault.hsm.module import Module, TokenSelector
from hsmvault.hsm.pin import Pin
from hsmvault.hsm.profile import Profile
from hsmvault.hsm.sessions import in_thread
from hsmvault.hsm.world_keys import ATTESTATION_KEY
from hsmvault.model.algorithms import SIGNATURE_ALGORITHMS, KeySpec
from hsmvault.model.worlds import WorldRow
from hsmvault.store import jobs, worlds
from hsmvault.store.database import Conflicted, Database

LOG = logging.getLogger("hsmvault.preparation")
_ID_BYTES = 16
_CERTIFICATE_SERIAL_BYTES = 16
_LEASE_SECONDS = 600
_OPERATION = "WorldComplete"
_ES256 = SIGNATURE_ALGORITHMS["ES256"]


async def complete_world(
    settings: Settings,
    database: Database,
    module: Module,
    clock: Clock,
    identifiers: Identifiers,
    row: WorldRow,
    *,
    pin: Pin,
    owner: str,
    fault: Callable[[str], None] | None = None,
) -> WorldRow:
    """The world's row when it is complete, or as it is when another node is about to complete it.

    owner: this node, for the lease. fault: see Steps; it is called in other threads too.
    Raises HsmRefusal: the PIN is refused (tried once), a key is not as it must be, the token's files cannot be made
    durable, another node has taken over meanwhile; OperatorError when the audit log takes no record; Unavailable from
    the database.
    """
    if is_complete(row, module.profile):
        return row
    step = Steps(fault)
    job = f"complete-world:{row.id}"
    if not await _leased(database, job, owner, int(clock.now())):
        LOG.warning("world %s: another node makes its attestation key", row.name)
        return row
    planned = await _planned(database, row, module.profile, identifiers)
    if planned.attestation_certificate is not None:  # by another node, between our look and our lease
        return planned
    async with recorded(settings, START_WRITER, clock, identifiers, _OPERATION, *of_world(row)):
        step("make", lambda: None)
        certificate = await in_thread(
            "ceremony", lambda: _make(module, planned, pin, int(clock.now()), identifiers.random, step)
        )
        await in_thread("ceremony", lambda: step("sync", lambda: sync_token(settings, module.profile)))
        step("commit", lambda: None)
        await _commit(database, planned, certificate, job, owner, int(clock.now()))
    LOG.info("world %s has its attestation key%s", row.name, " and its export key" if planned.export_key_id else "")
    return replace(planned, attestation_certificate=certificate)


def is_complete(row: WorldRow, profile: Profile) -> bool:
    return row.attestation_certificate is not None or not _attests(profile)


def _attests(profile: Profile) -> bool:
    return ATTESTATION_KEY.curve is not None and ATTESTATION_KEY.curve.value in profile.curves


async def _leased(database: Database, job: str, owner: str, now: int) -> bool:
    try:
        async with database.write() as tx:
            return await jobs.acquire(tx, job, owner, now + _LEASE_SECONDS, now)
    except Conflicted:
        return False


async def _commit(database: Database, planned: WorldRow, certificate: bytes, job: str, owner: str, now: int) -> None:
    """Only while the lease is ours: who took it over has made the attestation key anew, and ours may be gone."""
    async with database.write() as tx:
        found = await worlds.world(tx, planned.name)
        held = await jobs.acquire(tx, job, owner, now + _LEASE_SECONDS, now)
        if not held or found is None or found.attestation_certificate is not None:
            raise HsmRefusal(
                f"Another node has made the attestation key of the world '{planned.name}' meanwhile; start again."
            )
        await worlds.complete_world(tx, planned, certificate)
        await jobs.release(tx, job, owner)


async def _planned(database: Database, row: WorldRow, profile: Profile, identifiers: Identifiers) -> WorldRow:
    """The row with the ids of both keys, committed. Ids that an earlier attempt drew stay: the token may know them."""
    async with database.read() as tx:
        found = await worlds.world(tx, row.name)
    assert found is not None
    if found.attestation_key_id is not None:
        return found
    export = identifiers.random(_ID_BYTES) if profile.can_lock_world_key and found.world_key_id else None
    attestation = identifiers.random(_ID_BYTES)
    async with database.write() as tx:
        await worlds.plan_completion(tx, found, export, attestation)
    return replace(found, export_key_id=export, attestation_key_id=attestation)


def _make(module: Module, row: WorldRow, pin: Pin, now: int, random: Callable[[int], bytes], step: Steps) -> bytes:
    """Both keys on the token. Returns the certificate in DER. Blocks."""
    export_key_id, attestation_key_id = row.export_key_id, row.attestation_key_id
    assert attestation_key_id is not None
    with ceremony.user_session(module, TokenSelector(label=row.token_label), pin) as work:
        if export_key_id:
            step("export key", lambda: ceremony.make_export_key(work, export_key_id))
        pair = step("attestation key", lambda: ceremony.make_attestation_key(work, attestation_key_id))
        assert ATTESTATION_KEY.curve is not None
        certificate = unsigned(
            pair.public,
            world=row.name,
            token_serial=work.session.token.serial.decode(errors="replace"),
            serial=int.from_bytes(random(_CERTIFICATE_SERIAL_BYTES), "big") >> 1 | 1,
            not_before=now,
        )
        sign = mechanisms.signing(KeySpec.ec(ATTESTATION_KEY.curve), _ES256, hashlib.sha256(certificate.body).digest())
        return certificate.signed(step("certificate", lambda: sign(work.bind(pair.private))))
