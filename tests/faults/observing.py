"""What a process finds of the key after another one was killed: its state, and whether all of it holds together."""

from dataclasses import dataclass

from pkcs11 import Attribute

from hsmvault.app.reconciliation import claimed_objects
from hsmvault.custody.protocols import Binding
from hsmvault.errors import NotFound
from hsmvault.model.algorithms import Curve, Family, Hash
from hsmvault.model.containers import Container
from hsmvault.model.keys import KeyName, KeyVersion
from hsmvault.model.operations import Kind
from hsmvault.resources.key_cache import binding_of, held_by
from hsmvault.resources.key_schedule import NEW_VERSION, due_of
from hsmvault.resources.key_settings import EXCHANGE
from hsmvault.resources.policy_binding import check_bound
from hsmvault.store import intents, keys, meta, outbox, schedule
from hsmvault.store.database import Transaction
from tests.faults.actions import NAME, Setup, create, delete, purge, recover
from tests.faults.parts import NODE, Parts
from tests.faults.samples import DIGEST, SECRET, public_of_exported, recipient, wrapped_for

_WORLD_KEYS = 4  # world key, MAC key, system key, export key


@dataclass(frozen=True)
class State:
    """The key as it is found. versions: what each is, oldest first. policy: whether a rotation policy is set.

    untold: versions without their event. unmade: events whose version is not there. strays: objects in the token that
    neither a row nor the world has, less the rows without an object. intents: left over. statements: keys that sign
    statements. operation: of a certificate: how the making of a version stands; and its issuers.
    """

    life: str
    versions: tuple[str, ...]
    policy: str
    untold: int
    unmade: int
    strays: int
    intents: int
    statements: int
    operation: str = ""


async def observe(parts: Parts, container: Container) -> State:
    """Every version that is there is whole: it does what it is for. One is the newest, and the schedule is its own."""
    async with parts.database.read() as tx:
        at_name = await keys.name(tx, container.id, NAME.lower())
        rows = await keys.versions(tx, container.id, NAME.lower())
        told = [event.version for _, event in await outbox.page(tx, 0, 1000) if event.type == NEW_VERSION]
        left = await intents.of_owner(tx, NODE)
        statements = await meta.starting_with(tx, "statement-key:")
        await _require_order(tx, container, at_name, rows)
    life = "absent" if at_name is None else "deleted" if at_name.is_deleted else "active"
    if life == "active":
        await require_use(parts, container, rows)
    if statements:
        assert (await parts.statements.sign(b"{}")).count(".") == 2
    made = {row.version for row in rows}
    assert len(told) == len(set(told)), "a version is told twice"
    return State(
        life,
        tuple(map(_summary, rows)),
        "" if at_name is None or at_name.rotation_policy is None else str(at_name.rotation_policy.actions),
        len(made - set(told)),
        len(set(told) - made),
        await strays(parts),
        len(left),
        len(statements),
    )


async def require_usable(parts: Parts, setup: Setup, state: State) -> None:
    """Whatever the crash left, life goes on: a free name can be taken, a deleted key comes back and works."""
    container = setup.container
    if state.life == "absent":
        try:
            await parts.keys.get(container, NAME, None)
        except NotFound:
            await create(parts, setup)
    elif state.life == "deleted":
        await recover(parts, setup)
        await require_use(parts, container, await _versions(parts, container))
        await delete(parts, setup)
        await purge(parts, setup)
        await create(parts, setup)
    await require_use(parts, container, [await parts.keys.get(container, NAME, None)])


async def require_use(parts: Parts, container: Container, rows: list[KeyVersion]) -> None:
    for row in rows:
        if row.operations == EXCHANGE:
            await _require_exchange(parts, container, row)
        elif row.spec.family is Family.OCT:
            await _require_encryption(parts, container, row, ("wrapKey", "unwrapKey"), "A256KW", SECRET)
        else:
            await _require_signature(parts, container, row)
            if row.spec.family is Family.RSA:
                await _require_encryption(parts, container, row, ("encrypt", "decrypt"), "RSA-OAEP", SECRET)
        if row.exportable:
            await _require_export(parts, container, row)


def _summary(row: KeyVersion) -> str:
    policy = "" if row.release_policy is None else row.release_policy.data.decode()
    return f"{row.wire_type} {row.operations} {dict(row.tags)} {row.expires is not None} {row.exportable} {policy}"


async def _require_order(
    tx: Transaction, container: Container, at_name: KeyName | None, rows: list[KeyVersion]
) -> None:
    due = await schedule.of_object(tx, container.id, Kind.KEYS.value, NAME.lower())
    if at_name is None:
        assert not rows and not due
        return
    assert [row.sequence for row in rows] == list(range(1, len(rows) + 1))
    assert at_name.latest_version == rows[-1].version
    assert at_name.next_sequence == len(rows) + 1
    assert due == ({} if at_name.is_deleted else due_of(container, at_name.rotation_policy, rows[-1]))


async def _require_signature(parts: Parts, container: Container, row: KeyVersion) -> None:
    algorithm = "ES256" if row.spec.family is Family.EC else "RS256"
    signed = await parts.operations.sign(container, NAME, row.version, algorithm, DIGEST)
    assert await parts.operations.verify(container, NAME, row.version, algorithm, DIGEST, signed.value)


async def _require_encryption(
    parts: Parts, container: Container, row: KeyVersion, operations: tuple[str, str], algorithm: str, text: bytes
) -> None:
    there, back = operations
    sealed = await parts.operations.encrypt(container, NAME, row.version, there, algorithm, text)
    opened = await parts.operations.decrypt(container, NAME, row.version, back, algorithm, sealed.value)
    assert opened.value == text


async def _require_exchange(parts: Parts, container: Container, row: KeyVersion) -> None:
    custodian = parts.custodians.holding(container, row.custody)
    exchange, probe = binding_of(container.id, NAME, row.version), Binding(container.id, "key", "probe", "0" * 32)
    wrapped = wrapped_for(row.public)
    held = await custodian.admit_wrapped(held_by(row), exchange, Family.EC, Curve.P256, wrapped, probe)
    await custodian.destroy(held, probe)


async def _require_export(parts: Parts, container: Container, row: KeyVersion) -> None:
    """And that the release policy is the one that was set for this version."""
    custodian, binding = parts.custodians.holding(container, row.custody), binding_of(container.id, NAME, row.version)
    await check_bound(parts.custodians, container, row)
    exported = await custodian.export(held_by(row), binding, recipient(), Hash.SHA1)
    assert public_of_exported(exported) == row.public


async def _versions(parts: Parts, container: Container) -> list[KeyVersion]:
    async with parts.database.read() as tx:
        return await keys.versions(tx, container.id, NAME.lower())


async def strays(parts: Parts) -> int:
    """See State."""
    objects = await parts.token.load(lambda work: len(list(work.session.get_objects({Attribute.TOKEN: True}))))
    return objects - _WORLD_KEYS - len(await claimed_objects(parts.database))
