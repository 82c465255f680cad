"""The issuer on the custodians of the product: its keys lie in a real token, or sealed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from hsmvault.clock import MovedClock, RandomIdentifiers
from hsmvault.custody.hard import WrappedCustodian
from hsmvault.custody.keyring import KeyRing
from hsmvault.custody.protocols import Custodian
from hsmvault.custody.sealing import Sealer
from hsmvault.custody.soft import SoftCustodian
from hsmvault.lanes import Lane
from hsmvault.store.database import Database
from tests.custody.doubles import MemoryDataKeyStore, SoftwareSystemKey
from tests.login.world import build, serve
from tests.softhsm import SoftToken, softhsm_for_module, softhsm_template

__all__ = ["softhsm_for_module", "softhsm_template"]

DAY = 86_400


@asynccontextmanager
async def soft(clock: MovedClock, _: SoftToken) -> AsyncIterator[Custodian]:
    work: Lane[None] = Lane("work", None, limit=100)
    generation: Lane[None] = Lane("generation", None, limit=10)
    sealer = Sealer(KeyRing(SoftwareSystemKey()), MemoryDataKeyStore(), clock, RandomIdentifiers())
    yield SoftCustodian(sealer, clock, work=work, generation=generation)
    await work.close()
    await generation.close()


@asynccontextmanager
async def wrapped(_: MovedClock, token: SoftToken) -> AsyncIterator[Custodian]:
    async with token.world() as world:
        yield WrappedCustodian(world, RandomIdentifiers())


@pytest.mark.parametrize("custody", [soft, wrapped], ids=["soft", "wrapped"])
async def test_tokens_of_every_custody_verify_and_rotate(
    custody: object,
    softhsm_for_module: SoftToken,
    database: Database,
    clock: MovedClock,
    rsa_keys: list[rsa.RSAPrivateKey],
    session: aiohttp.ClientSession,
) -> None:
    async with custody(clock, softhsm_for_module) as custodian:
        world = await build(
            database,
            clock,
            origin="https://login.localhost:8443",
            keys=rsa_keys,
            session=session,
            custodian=custodian,
        )
        runner, port = await serve(world.application)
        world.url = f"http://127.0.0.1:{port}"
        first = (await world.token()).json["access_token"]
        assert (await world.claims(first))["oid"] == world.owner.object_id
        for days in (88, 2, 2):
            clock.move(days * DAY)
            await world.rotation.run_once()
            world.signing_keys.forget()
            token = (await world.token()).json["access_token"]
            assert (await world.claims(token))["oid"] == world.owner.object_id
        assert token.partition(".")[0] != first.partition(".")[0]
        await runner.cleanup()
