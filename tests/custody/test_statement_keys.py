"""The keys that sign statements: made once for a purpose, agreed on by all, and never two for one."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import jwt
import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hsmvault.app.reconciliation import claimed_objects
from hsmvault.custody import statement_keys
from hsmvault.custody.protocols import CustodyClass, HeldKey
from hsmvault.custody.reference import decode_wrapped
from hsmvault.custody.resident import ResidentCustodian
from hsmvault.custody.self_signed import RS256
from hsmvault.errors import Unavailable
from hsmvault.hsm.generations import make_world_key
from hsmvault.model.algorithms import KeySpec
from hsmvault.model.worlds import WorldRow
from hsmvault.resources.key_cache import binding_of
from hsmvault.store import meta, worlds
from tests.resources.stage import WORLD_ID, Stage, stage
from tests.softhsm import SoftToken, softhsm, softhsm_for_module, softhsm_template

__all__ = ["softhsm", "softhsm_for_module", "softhsm_template"]

YEAR = 365 * 86_400
ROW = f"statement-key:release:{WORLD_ID}"


@pytest_asyncio.fixture
async def on(softhsm_for_module: SoftToken, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(softhsm_for_module, tmp_path / "hsmvault.db") as made:
        yield made


async def stored(on: Stage) -> str | None:
    async with on.database.read() as tx:
        return await meta.get(tx, ROW)


async def test_a_statement_verifies_with_the_certificate_in_its_header(on: Stage) -> None:
    keys = on.statement_keys()
    statement = await keys.sign(b'{"a":1}')
    header = jwt.get_unverified_header(statement)
    certificate = x509.load_der_x509_certificate(base64.b64decode(header["x5c"][0]))
    assert jwt.decode(statement, certificate.public_key(), algorithms=["RS256"]) == {"a": 1}
    assert header["kid"] == (await keys.current()).id
    certificate.verify_directly_issued_by(certificate)
    assert certificate.not_valid_before_utc <= datetime.fromtimestamp(on.clock.now(), UTC)


async def test_the_key_is_made_once_and_stays_over_restarts(on: Stage) -> None:
    first = await on.statement_keys().current()
    assert (await on.statement_keys().current()).id == first.id


async def test_workers_that_make_it_at_the_same_time_agree(on: Stage) -> None:
    workers = [on.statement_keys() for _ in range(3)]
    made = await asyncio.gather(*(worker.current() for worker in workers), *(worker.current() for worker in workers))
    assert len({key.id for key in made}) == 1
    statements = await asyncio.gather(*(worker.sign(b"{}") for worker in workers))
    public = load_der_public_key(made[0].public)
    assert [jwt.decode(one, public, algorithms=["RS256"]) for one in statements] == [{}, {}, {}]  # type: ignore[arg-type]  # RSA


async def test_each_purpose_has_a_key_of_its_own(on: Stage) -> None:
    release, other = await on.statement_keys().current(), await on.statement_keys("other").current()
    assert release.id != other.id
    assert release.public != other.public


async def test_a_row_of_another_purpose_does_not_open(on: Stage) -> None:
    await on.statement_keys("other").current()
    async with on.database.write() as tx:
        text = await meta.get(tx, f"statement-key:other:{WORLD_ID}")
        assert text is not None
        await meta.put(tx, ROW, text)
    with pytest.raises(Unavailable) as caught:
        await on.statement_keys().sign(b"{}")
    assert caught.value.detail


async def test_a_key_of_a_vault_is_never_one_of_the_service(on: Stage) -> None:
    """Whoever puts a container into the database whose id is the word that statement keys are bound to gets nothing."""
    await on.statement_keys().current()
    text = await stored(on)
    assert text is not None
    row = json.loads(text)
    held = HeldKey(
        CustodyClass.WRAPPED,
        KeySpec.rsa(2048),
        *(base64.b64decode(row[member]) for member in ("public", "reference")),
    )
    custodian = on.custodians.worlds[WORLD_ID].custodians[CustodyClass.WRAPPED]
    handle = custodian.open(held, binding_of("statements", "release", row["version"]))
    with pytest.raises(Unavailable):
        await handle.sign(RS256, bytes(32))
    with pytest.raises(Unavailable):
        await custodian.pack(held, binding_of("statements", "release", row["version"]))


async def test_a_key_is_replaced_in_the_last_month_of_its_certificate(on: Stage) -> None:
    keys = on.statement_keys()
    first = await keys.current()
    on.clock.move(10 * YEAR - 31 * 86_400)
    assert (await keys.current()).id == first.id
    on.clock.move(2 * 86_400)
    second = await keys.current()
    assert second.id != first.id
    assert (await on.statement_keys().current()).id == second.id
    assert jwt.decode(await keys.sign(b"{}"), load_der_public_key(second.public), algorithms=["RS256"]) == {}  # type: ignore[arg-type]  # RSA


NEXT_WORLD_KEY = bytes(range(16))


@asynccontextmanager
async def stage_with_next_world_key(token: SoftToken, path: Path) -> AsyncIterator[Stage]:
    """The next generation is in the token, and not used yet."""
    with token.loaded() as module:
        assert make_world_key(module, token.selector, NEXT_WORLD_KEY, so_pin=token.so_pin, user_pin=token.user_pin)
    async with stage(token, path) as on:
        row = WorldRow(WORLD_ID, "default", "local", "", on.world.world_key_id, b"", "wrapped", 1)
        async with on.database.write() as tx:
            await worlds.insert_world(tx, row)
        yield on


async def switch(on: Stage) -> None:
    """The rows alone; a worker adopts them later."""
    async with on.database.write() as tx:
        row = await worlds.world(tx, "default")
        assert row is not None
        await worlds.replace_world_key(tx, row, NEXT_WORLD_KEY, now=2)


def adopt(on: Stage) -> None:
    on.world.tokens[0].adopt(replace(on.world.tokens[0].ids, world=NEXT_WORLD_KEY))


async def world_key_of(on: Stage) -> bytes:
    async with on.database.read() as tx:
        (reference,) = await statement_keys.references(tx, "wrapped")
    return decode_wrapped(reference).world_key_id


async def test_a_key_under_an_older_generation_of_the_world_key_is_replaced_at_its_next_use(
    softhsm: SoftToken, tmp_path: Path
) -> None:
    async with stage_with_next_world_key(softhsm, tmp_path / "hsmvault.db") as on:
        keys = on.statement_keys()
        first = await keys.current()
        await switch(on)
        adopt(on)
        assert (await keys.current()).id == first.id  # for an hour
        second = await on.statement_keys().current()
        assert second.id != first.id
        assert await world_key_of(on) == NEXT_WORLD_KEY
        on.clock.move(3601)
        assert (await keys.current()).id == second.id
        assert jwt.decode(await keys.sign(b"{}"), load_der_public_key(second.public), algorithms=["RS256"]) == {}  # type: ignore[arg-type]  # RSA


async def test_a_worker_that_has_not_heard_of_a_rotation_leaves_a_newer_key_alone(
    softhsm: SoftToken, tmp_path: Path
) -> None:
    async with stage_with_next_world_key(softhsm, tmp_path / "hsmvault.db") as on:
        before = on.world.tokens[0].ids
        await switch(on)
        adopt(on)
        newer = await on.statement_keys().current()
        on.world.tokens[0].adopt(before)
        assert (await on.statement_keys().current()).id == newer.id
        assert await world_key_of(on) == NEXT_WORLD_KEY


@pytest.mark.parametrize(
    "damage",
    [
        lambda row: "{",
        lambda row: json.dumps(row | {"format": 2}),
        lambda row: json.dumps(row | {"custody": "cloud"}),
        lambda row: json.dumps(row | {"custody": "resident"}),
        lambda row: json.dumps({name: value for name, value in row.items() if name != "reference"}),
        lambda row: json.dumps(row | {"version": "0" * 32}),
    ],
)
async def test_a_damaged_row_signs_nothing_and_is_not_replaced(on: Stage, damage: object) -> None:
    await on.statement_keys().current()
    text = await stored(on)
    assert text is not None
    async with on.database.write() as tx:
        await meta.put(tx, ROW, damage(json.loads(text)))
    damaged = await stored(on)
    with pytest.raises(Unavailable):
        await on.statement_keys().sign(b"{}")
    assert await stored(on) == damaged


async def test_what_the_rows_refer_to_is_known_by_its_class_of_custody(on: Stage) -> None:
    await on.statement_keys().current()
    await on.statement_keys("other").current()
    async with on.database.read() as tx:
        assert len(await statement_keys.references(tx, "wrapped")) == 2
        assert await statement_keys.references(tx, "resident") == []


async def test_a_resident_key_has_its_object_and_nothing_is_left_of_those_who_were_late(
    softhsm: SoftToken, tmp_path: Path
) -> None:
    async with stage(softhsm, tmp_path / "hsmvault.db", CustodyClass.RESIDENT) as on:
        workers = [on.statement_keys() for _ in range(3)]
        made = await asyncio.gather(*(worker.current() for worker in workers))
        assert len({key.id for key in made}) == 1
        await workers[1].sign(b"{}")
        resident = on.custodians.worlds[WORLD_ID].custodians[CustodyClass.RESIDENT]
        assert isinstance(resident, ResidentCustodian)
        assert set(await resident.objects()) == await claimed_objects(on.database)
        assert await on.intents.left_over() == []
        on.clock.move(10 * YEAR)
        await workers[0].sign(b"{}")
        assert len(await resident.objects()) == 1
        assert set(await resident.objects()) == await claimed_objects(on.database)


async def test_no_secret_stands_in_a_representation(on: Stage) -> None:
    key = await on.statement_keys().current()
    assert repr(key) == f"StatementKey(id='{key.id}')"
