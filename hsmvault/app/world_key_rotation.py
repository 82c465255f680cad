"""`hsmvault rotate-world-key`: another generation of the world key, for keys and versions that are made from now on.

What an older generation wrapped stays readable under it and cannot be wrapped anew: a locked world key makes what it
opens unwrappable (docs/decisions, "world keys have generations"). The steps: the id of the new key is committed, the
ceremony makes it with the security officer's PIN, the token's files are on the disk, the row of the world names it.
Each looks at what is there before it does anything, so that a rotation that was killed is finished by the next call;
and so is one that was to make the key only (`--make-only`: the token is backed up or copied in between).
"""

from collections import Counter
from dataclasses import dataclass

from hsmvault.app.rotations import MADE_ONLY, Rotating
from hsmvault.app.worlds import KnownWorld
from hsmvault.custody import statement_keys
from hsmvault.custody.protocols import CustodyClass
from hsmvault.custody.reference import decode_wrapped
from hsmvault.errors import HsmRefusal, RequestError
from hsmvault.hsm import generations
from hsmvault.hsm.module import Module
from hsmvault.hsm.pin import Pin
from hsmvault.hsm.sessions import in_thread
from hsmvault.store import authorities, login_keys, worlds
from hsmvault.store.database import Database
from hsmvault.store.key_generations import START, references_after

JOB = "rotate-world-key"
_ATTEMPTS = 3
_ID_BYTES = 16
_PAGE = 500


def job_of(known: KnownWorld) -> str:
    return f"{JOB}:{known.row.id}"


@dataclass(frozen=True, slots=True)
class Wrapped:
    """What one world key wraps. key_versions: of containers, deleted ones too. own_keys: of the service, which sign
    logins, statements and certificates.
    """

    key_versions: int
    own_keys: int


async def rotate(
    rotating: Rotating, known: KnownWorld, module: Module, *, pin: Pin, so_pin: Pin, make_only: bool = False
) -> None:
    """From wherever an earlier attempt ended, to the end. Raises HsmRefusal (a PIN is tried once), Unavailable."""
    if not known.row.world_key_id:
        raise HsmRefusal(f"The world '{known.name}' has no world key: its token cannot lock one.")
    await rotating.take_lease()
    for _ in range(_ATTEMPTS):
        key_id = await _plan(rotating)
        rotating.fault("before make")
        if await _make(module, known, key_id, pin=pin, so_pin=so_pin):
            rotating.fault("after make")
            await rotating.sync(module.profile)
            rotating.fault("after sync")
            if make_only:
                async with rotating.step() as tx:
                    await rotating.leave(tx)
                rotating.say(f"The token has the world key {key_id.hex()}. {MADE_ONLY}")
                return
            async with rotating.step() as tx:
                await worlds.replace_world_key(tx, known.row, key_id, now=int(rotating.clock.now()))
                await rotating.end(tx)
            rotating.say(
                f"The world key {key_id.hex()} wraps from now on; {known.row.world_key_id.hex()} opens what it wrapped."
            )
            return
        async with rotating.step() as tx:  # something strange has this id
            await rotating.end(tx)
            await rotating.prolong(tx)
    raise HsmRefusal("The token does not take a new world key; look at it with 'hsmvault check'.")


async def _plan(rotating: Rotating) -> bytes:
    async with rotating.step() as tx:
        begun = await rotating.begun(tx)
        if begun is not None:
            rotating.say(f"Going on with the rotation to the world key {begun.hex()}.")
            return begun
        key_id = rotating.identifiers.random(_ID_BYTES)
        await rotating.begin(tx, key_id)
        return key_id


async def _make(module: Module, known: KnownWorld, key_id: bytes, *, pin: Pin, so_pin: Pin) -> bool:
    return await in_thread(
        "ceremony",
        lambda: generations.make_world_key(module, known.selector, key_id, so_pin=so_pin, user_pin=pin),
    )


async def wrapped_by_generation(database: Database, known: KnownWorld) -> dict[bytes, Wrapped]:
    """What is wrapped by each world key of this world: by its CKA_ID, the current one first, then the older ones, the
    last retired first. Raises Unavailable when a row of the service's own keys is damaged.
    """
    versions: Counter[bytes] = Counter()
    own: Counter[bytes] = Counter()
    wrapped = CustodyClass.WRAPPED.value
    after = START
    while True:
        async with database.read() as tx:
            page = await references_after(tx, wrapped, after, limit=_PAGE)
        if not page:
            break
        after = page[-1][0]
        versions.update(_world_key_id(reference) for _, reference in page)
    async with database.read() as tx:
        own.update(_world_key_id(row.reference) for row in await login_keys.list_all(tx) if row.custody == wrapped)
        own.update(_world_key_id(reference) for reference in await statement_keys.references(tx, wrapped))
        own.update(_world_key_id(reference) for reference in await authorities.references(tx, wrapped))
    ids = [known.row.world_key_id, *(older.key_id for older in reversed(known.older))]
    return {key_id: Wrapped(versions[key_id], own[key_id]) for key_id in ids}


async def told_by_generation(database: Database, known: KnownWorld) -> list[str]:
    """The same, as sentences for an operator."""
    told = []
    for key_id, one in (await wrapped_by_generation(database, known)).items():
        state = "in use" if key_id == known.row.world_key_id else "older"
        told.append(
            f"world key {key_id.hex()} ({state}): {one.key_versions} key versions and {one.own_keys} signing keys of "
            "the service are wrapped under it"
        )
    return told


def _world_key_id(reference: bytes) -> bytes:
    """Empty for a reference that cannot be read: its key is lost already."""
    try:
        return decode_wrapped(reference).world_key_id
    except RequestError:
        return b""
