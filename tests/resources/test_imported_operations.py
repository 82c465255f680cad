"""Keys that come in are refused operations that they could never do."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from hsmvault.custody.admission import PrivateJwk
from hsmvault.errors import BadRequest, NotFound
from hsmvault.model.algorithms import Family, KeySpec
from hsmvault.resources.imported_keys import ImportedKey, WrappedKey
from hsmvault.resources.key_cache import held_by
from hsmvault.resources.key_settings import KeySettings
from tests.custody.test_hard_byok import wrapped_for
from tests.resources.stage import POOL, Stage, stage
from tests.softhsm import SoftToken, softhsm_for_module, softhsm_template

__all__ = ["softhsm_for_module", "softhsm_template"]


@pytest_asyncio.fixture
async def on(softhsm_for_module: SoftToken, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(softhsm_for_module, tmp_path / "hsmvault.db") as opened:
        yield opened


@pytest.mark.parametrize("length", [48, 64])
async def test_an_oct_key_that_is_too_long_for_aes_is_for_hmac_alone(on: Stage, length: int) -> None:
    exchange = await on.keys.create(POOL, "kek", KeySpec.rsa(2048), KeySettings(operations=("import",)), hardware=True)
    key = ImportedKey(PrivateJwk(Family.OCT), secret=bytes(length))
    wrapped = WrappedKey("kek", exchange.version, Family.OCT, None, wrapped_for(held_by(exchange), bytes(length)))
    for operations in (("encrypt", "sign"), ("wrapKey",)):
        settings = KeySettings(operations=operations)
        for refused in (
            on.keys.admit(POOL, "k", key, settings, hardware=True),
            on.keys.admit_wrapped(POOL, "k", wrapped, settings),
        ):
            with pytest.raises(BadRequest) as caught:
                await refused
            assert caught.value.message == "Property key_ops has invalid value\r\n"
    with pytest.raises(NotFound):
        await on.cache.find(POOL, "k", None)
    for operations in (None, ("sign", "verify")):
        settings = KeySettings(operations=operations)
        for taken in (
            await on.keys.admit(POOL, "k", key, settings, hardware=True),
            await on.keys.admit_wrapped(POOL, "k", wrapped, settings),
        ):
            assert taken.operations == ("sign", "verify")
