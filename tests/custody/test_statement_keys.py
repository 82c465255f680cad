"""The keys that sign statements: made once for a purpose, agreed on by all, and never two for one."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import jwt
import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hsmvault.app.reconciliation import claimed_objects
from hsmvault.custody import statement_keys
from hsmvault.custody.protocols import CustodyClass
from hsmvault.custody.resident import ResidentCustodian
from hsmvault.errors import Unavailable
from hsmvault.store import meta
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
