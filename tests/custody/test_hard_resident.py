"""Resident keys: what is in the token beside what the database knows, and what a start makes of it."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pkcs11
import pytest
from pkcs11 import Attribute, ObjectClass

from hsmvault.app.reconciliation import node_id, reconcile
from hsmvault.clock import RandomIdentifiers, SystemClock
from hsmvault.config import Layout
from hsmvault.custody.intents import Intents
from hsmvault.custody.protocols import HeldKey
from hsmvault.custody.reference import token_id
from hsmvault.custody.resident import ResidentCustodian
from hsmvault.custody.world import World
from hsmvault.errors import BadRequest, ConfigurationError, Unavailable
from hsmvault.hsm import objects
from hsmvault.hsm.work import WorkSession
from hsmvault.model.algorithms import SIGNATURE_ALGORITHMS, Curve, KeySpec
from hsmvault.model.login_keys import LoginKeyRow
from hsmvault.store import login_keys
from hsmvault.store.database import Database
from hsmvault.store.migrations import migrate
from tests.contract.custody import DIGEST, callers_key, is_good, row
from tests.contract.intents import NODE, intents_in
from tests.softhsm import SoftToken, softhsm, softhsm_template

__all__ = ["softhsm", "softhsm_template"]

P256 = KeySpec.ec(Curve.P256)
ES256 = SIGNATURE_ALGORITHMS["ES256"]


@pytest.fixture
async def world(softhsm: SoftToken) -> AsyncIterator[World]:
    async with softhsm.world() as opened:
        yield opened


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite:///{tmp_path}/hsmvault.db"
    migrate(url)
    opened = await Database.open(url, clock=SystemClock())
    yield opened
    await opened.close()


@pytest.fixture
def intents(database: Database) -> Intents:
    return Intents(database, NODE, SystemClock())


@pytest.fixture
def custodian(world: World, intents: Intents) -> ResidentCustodian:
    return ResidentCustodian(world, RandomIdentifiers(), intents)


async def store(database: Database, held: HeldKey, reference: bytes | None = None) -> None:
    """As any row that has a resident key. It says nothing to the intents."""
    used = held.reference if reference is None else reference
    key = LoginKeyRow("kid", b"\x30\x00", held.spec, held.public, used, held.custody.value, 1, 2, 3, 4)
    async with database.write() as tx:
        await login_keys.insert(tx, key)


async def test_a_destroyed_key_is_gone_and_destroying_it_again_is_no_error(custodian: ResidentCustodian) -> None:
    binding = row()
    kept, lost = [await custodian.generate(P256, binding) for _ in range(2)]
    assert set(await custodian.objects()) == {token_id(kept), token_id(lost)}
    await custodian.open(lost, binding).sign(ES256, DIGEST)
    await custodian.destroy(lost, binding)
    await custodian.destroy(lost, binding)
    assert await custodian.objects() == [token_id(kept)]
    with pytest.raises(Unavailable):
        await custodian.open(lost, binding).sign(ES256, DIGEST)


async def test_a_key_survives_a_restart(softhsm: SoftToken, tmp_path: Path) -> None:
    binding = row()
    async with intents_in(tmp_path) as intents:
        async with softhsm.world() as world:
            held = await ResidentCustodian(world, RandomIdentifiers(), intents).generate(P256, binding)
        async with softhsm.world() as world:
            handle = ResidentCustodian(world, RandomIdentifiers(), intents).open(held, binding)
            assert is_good(held, ES256, DIGEST, await handle.sign(ES256, DIGEST))


async def test_nobody_waits_behind_the_generation_of_an_rsa_key(
    custodian: ResidentCustodian, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the first signature of another key, nor a search, nor a destruction."""
    binding = row()
    cold, lost = [await custodian.generate(P256, binding) for _ in range(2)]
    entered, leave = threading.Event(), threading.Event()
    generate_keypair = pkcs11.Session.generate_keypair

    def slowly(*arguments: object, **more: object) -> object:
        entered.set()
        assert leave.wait(10)
        return generate_keypair(*arguments, **more)

    monkeypatch.setattr(pkcs11.Session, "generate_keypair", slowly)
    making = asyncio.create_task(custodian.generate(KeySpec.rsa(2048), binding))
    await asyncio.to_thread(entered.wait, 10)
    async with asyncio.timeout(5):
        assert is_good(cold, ES256, DIGEST, await custodian.open(cold, binding).sign(ES256, DIGEST))
        await custodian.destroy(lost, binding)
        assert await custodian.objects() == [token_id(cold)]
    leave.set()
    assert set(await custodian.objects()) <= {token_id(cold), token_id(await making)}


async def test_a_generated_key_never_was_anywhere_else_says_the_token(
    custodian: ResidentCustodian, world: World
) -> None:
    """It is generated as a session object and moved: nothing is lost on the way, and nothing stays behind."""
    for spec in (P256, KeySpec.rsa(2048)):
        held = await custodian.generate(spec, row())

        def look(work: WorkSession, held: HeldKey = held) -> tuple[dict, int]:
            (found,) = objects.find(work, ObjectClass.PRIVATE_KEY, token_id(held) or b"")
            return found.get_attributes(list(PAST)), len(list(work.session.get_objects({Attribute.TOKEN: False})))

        assert await world.token().load(look) == (PAST, 0)


PAST = {
    Attribute.ALWAYS_SENSITIVE: True,
    Attribute.NEVER_EXTRACTABLE: True,
    Attribute.LOCAL: True,
    Attribute.EXTRACTABLE: False,
    Attribute.MODIFIABLE: False,
}


async def test_a_key_that_fails_its_proof_leaves_neither_object_nor_intent(
    custodian: ResidentCustodian, intents: Intents
) -> None:
    _, material = callers_key(P256)
    _, other = callers_key(P256)
    with pytest.raises((BadRequest, Unavailable)):
        await custodian.admit(replace(material, public=other.public), row())
    assert await custodian.objects() == []
    assert await intents.left_over() == []


async def test_nothing_is_planned_or_made_while_the_database_is_out_of_reach(
    custodian: ResidentCustodian, database: Database
) -> None:
    await database.close()
    with pytest.raises(Unavailable):
        await custodian.generate(P256, row())
    assert await custodian.objects() == []


async def test_a_start_destroys_what_an_intent_names_and_no_row_has(
    custodian: ResidentCustodian, database: Database, intents: Intents
) -> None:
    await custodian.generate(P256, row())
    assert len(await intents.left_over()) == 1
    await reconcile(database, [custodian], intents)
    assert await custodian.objects() == []
    assert await intents.left_over() == []


async def test_a_start_keeps_what_a_row_has_and_forgets_its_intent(
    custodian: ResidentCustodian, database: Database, intents: Intents
) -> None:
    binding = row()
    held = await custodian.generate(P256, binding)
    await store(database, held)
    await reconcile(database, [custodian], intents)
    assert await intents.left_over() == []
    assert is_good(held, ES256, DIGEST, await custodian.open(held, binding).sign(ES256, DIGEST))


async def test_a_start_leaves_alone_what_another_node_is_about_to_store(
    world: World, custodian: ResidentCustodian, database: Database, intents: Intents
) -> None:
    others = Intents(database, "node-2", SystemClock())
    held = await ResidentCustodian(world, RandomIdentifiers(), others).generate(P256, row())
    await reconcile(database, [custodian], intents)
    assert await custodian.objects() == [token_id(held)]
    assert len(await others.left_over()) == 1


async def test_a_full_token_beside_an_empty_database_is_reported_and_left_alone(
    custodian: ResidentCustodian,
    database: Database,
    intents: Intents,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    held = [await custodian.generate(P256, row()) for _ in range(2)]
    (tmp_path / "empty").mkdir()
    async with intents_in(tmp_path / "empty") as empty:
        with caplog.at_level(logging.WARNING):
            await reconcile(empty._database, [custodian], empty)
    assert "2 keys in the token have no row" in caplog.text
    assert set(await custodian.objects()) == {token_id(one) for one in held}


async def test_a_row_that_cannot_be_read_stops_every_destruction(
    custodian: ResidentCustodian, database: Database, intents: Intents
) -> None:
    held = await custodian.generate(P256, row())
    await store(database, held, reference=b"\xc1")
    await reconcile(database, [custodian], intents)
    assert await custodian.objects() == [token_id(held)]
    assert len(await intents.left_over()) == 1


async def test_a_token_that_shows_nothing_settles_no_intent(
    softhsm: SoftToken,
    custodian: ResidentCustodian,
    database: Database,
    intents: Intents,
) -> None:
    await custodian.generate(P256, row())
    softhsm.tokens.rename(softhsm.folder / "away")
    await reconcile(database, [custodian], intents)
    assert len(await intents.left_over()) == 1


async def test_a_key_whose_object_is_gone_is_reported(
    custodian: ResidentCustodian, database: Database, intents: Intents, caplog: pytest.LogCaptureFixture
) -> None:
    binding = row()
    held = await custodian.generate(P256, binding)
    await store(database, held)
    await custodian.destroy(held, binding)
    await reconcile(database, [custodian], intents)
    assert "does not show the objects of 1 keys" in caplog.text


def test_a_node_keeps_its_name(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    first = node_id(layout, RandomIdentifiers())
    assert node_id(layout, RandomIdentifiers()) == first
    assert layout.node.stat().st_mode & 0o777 == 0o600
    layout.node.write_text("")
    with pytest.raises(ConfigurationError, match="node"):
        node_id(layout, RandomIdentifiers())


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
async def test_an_object_that_a_crash_left_half_written_stops_neither_use_nor_comparison(
    softhsm: SoftToken,
    tmp_path: Path,
    share: float,
) -> None:
    """SoftHSM writes an object's file in pieces."""
    binding = row()
    async with intents_in(tmp_path) as intents:
        async with softhsm.world() as world:
            custodian = ResidentCustodian(world, RandomIdentifiers(), intents)
            before = set(softhsm.tokens.rglob("*.object"))
            held = await custodian.generate(P256, binding)
            await store(intents._database, held)
            await intents.settle(token_id(held) or b"")
            (whole,) = set(softhsm.tokens.rglob("*.object")) - before
            half = await custodian.generate(P256, binding)
            (made,) = set(softhsm.tokens.rglob("*.object")) - before - {whole}
        content = made.read_bytes()
        made.write_bytes(content[: int(len(content) * share)])
        async with softhsm.world() as world:
            custodian = ResidentCustodian(world, RandomIdentifiers(), intents)
            await reconcile(intents._database, [custodian], intents)
            assert is_good(held, ES256, DIGEST, await custodian.open(held, binding).sign(ES256, DIGEST))
            assert token_id(half) not in await custodian.objects()
