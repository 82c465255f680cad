"""Secure wrap and unwrap: the data key is seen by nobody but the environment."""

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsmvault.clock import RandomIdentifiers
from hsmvault.custody.public import PublicKey
from hsmvault.errors import BadRequest, CiphertextRefused, Damaged, Forbidden, RequestError, Unavailable
from hsmvault.lanes import Lane
from hsmvault.model.algorithms import KeySpec
from hsmvault.model.containers import Container
from hsmvault.model.keys import KeyVersion
from hsmvault.model.release_policies import ReleasePolicy
from hsmvault.resources.key_cache import binding_of, held_by
from hsmvault.resources.key_operations import KeyOperations
from hsmvault.resources.key_secure_wrap import ALGORITHMS, KeySecureWrap, SecurelyWrapped
from hsmvault.resources.key_settings import KeySettings
from hsmvault.resources.policy_binding import bound
from hsmvault.store import keys as store
from tests.resources.attesting import POLICY, Attesting, environment
from tests.resources.stage import POOL, Stage, stage
from tests.softhsm import SoftToken, softhsm_for_module, softhsm_template

__all__ = ["softhsm_for_module", "softhsm_template"]

SECURE = KeySettings(operations=("secureWrapKey", "secureUnwrapKey"), release_policy=ReleasePolicy(POLICY))
OAEP_256 = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
CASES = [
    (KeySpec.rsa(2048), "RSA-OAEP-256"),
    (KeySpec.rsa(3072), "RSA-OAEP-256"),
    *((KeySpec.oct(bits), f"A{bits}{mode}") for bits in (128, 192, 256) for mode in ("KW", "KWPAD")),
    (KeySpec.oct(128), "CKM_AES_KEY_WRAP"),
    (KeySpec.oct(256), "CKM_AES_KEY_WRAP_PAD"),
]


class Play:
    def __init__(self, on: Stage) -> None:
        self.stage = on
        self.attesting = Attesting(clock=on.clock)
        self.drawn: list[bytes] = []
        self.secure = KeySecureWrap(on.cache, on.custodians, self.attesting.assertions, on.clock, self.random)

    async def random(self, container: Container, length: int) -> bytes:
        assert container == POOL
        self.drawn.append(os.urandom(length))
        return self.drawn[-1]

    async def make(self, spec: KeySpec, settings: KeySettings = SECURE) -> KeyVersion:
        return await self.stage.keys.create(POOL, "k", spec, settings, hardware=True)

    async def forge(self, row: KeyVersion) -> None:
        """What somebody with the database in hand can do."""
        async with self.stage.database.write() as tx:
            at_name = await store.name(tx, POOL.id, row.name)
            assert at_name is not None
            await store.update_version(tx, row, at_name=at_name)

    async def wrap(self, alg: str = "RSA-OAEP-256") -> SecurelyWrapped:
        return await self.secure.wrap(POOL, "k", None, alg)

    async def unwrap(self, value: bytes, alg: str = "RSA-OAEP-256", target: str | None = None) -> SecurelyWrapped:
        token = self.attesting.token() if target is None else target
        return await self.secure.unwrap(POOL, "k", None, alg, value, token)


@pytest_asyncio.fixture
async def play(softhsm_for_module: SoftToken, tmp_path: Path) -> AsyncIterator[Play]:
    async with stage(softhsm_for_module, tmp_path / "hsmvault.db") as on:
        yield Play(on)


@pytest.mark.parametrize(("spec", "alg"), CASES, ids=[f"{spec.size_bits} {alg}" for spec, alg in CASES])
async def test_what_was_wrapped_reaches_the_environment_and_nobody_else(play: Play, spec: KeySpec, alg: str) -> None:
    row = await play.make(spec)
    wrapped = await play.wrap(alg)
    assert (wrapped.row, wrapped.algorithm) == (row, alg)
    (data_key,) = play.drawn
    assert len(data_key) == 32
    assert data_key not in wrapped.value
    again = await play.unwrap(wrapped.value, alg)
    assert again.algorithm == "RSA-OAEP-256"
    assert environment().decrypt(again.value, OAEP_256) == data_key


async def test_each_wrap_makes_another_key(play: Play) -> None:
    await play.make(KeySpec.oct(256))
    assert (await play.wrap("A256KW")).value != (await play.wrap("A256KW")).value


def test_the_algorithms_are_those_of_the_reference() -> None:
    assert list(ALGORITHMS) == [
        "RSA-OAEP-256",
        *(f"A{bits}KW" for bits in (128, 192, 256)),
        *(f"A{bits}KWPAD" for bits in (128, 192, 256)),
        "CKM_AES_KEY_WRAP",
        "CKM_AES_KEY_WRAP_PAD",
    ]


@pytest.mark.parametrize("alg", ["RSA-OAEP", "RSA1_5", "A256KW", "A256GCM", "", "none"])
async def test_an_algorithm_that_does_not_fit_is_refused(play: Play, alg: str) -> None:
    await play.make(KeySpec.rsa(2048))
    for refused in (play.wrap(alg), play.unwrap(b"x" * 256, alg)):
        with pytest.raises(BadRequest) as caught:
            await refused
        assert caught.value.message == "Property alg has invalid value\r\n"


async def test_a_key_of_another_size_is_refused(play: Play) -> None:
    await play.make(KeySpec.oct(128))
    with pytest.raises(BadRequest):
        await play.wrap("A256KW")


async def test_ordinary_key_operations_do_not_wrap_securely(play: Play) -> None:
    await play.make(KeySpec.rsa(2048), KeySettings(operations=("wrapKey", "unwrapKey")))
    for refused in (play.wrap(), play.unwrap(b"x" * 256)):
        with pytest.raises(Forbidden) as caught:
            await refused
        assert caught.value.inner == "KeyOperationForbidden"


async def test_state_counts_as_for_ordinary_wrapping(play: Play) -> None:
    row = await play.make(KeySpec.rsa(2048))
    wrapped = await play.wrap()
    now = int(play.stage.clock.now())
    await play.stage.keys.update(POOL, "k", row.version, KeySettings(expires=now - 10))
    with pytest.raises(Forbidden) as caught:
        await play.wrap()
    assert caught.value.inner == "KeyExpired"
    await play.unwrap(wrapped.value)
    await play.stage.keys.update(POOL, "k", row.version, KeySettings(enabled=False))
    for refused in (play.wrap(), play.unwrap(wrapped.value)):
        with pytest.raises(Forbidden) as caught:
            await refused
        assert caught.value.inner == "KeyDisabled"


async def test_an_environment_that_the_policy_does_not_accept_gets_nothing(play: Play) -> None:
    await play.make(KeySpec.rsa(2048))
    wrapped = await play.wrap()
    for token, kind in (
        (play.attesting.token(**{"sdk-test": False}), Forbidden),
        (play.attesting.token(iss="https://other.example"), Forbidden),
        ("a.b.c", Forbidden),
        ("", BadRequest),
    ):
        with pytest.raises(kind):
            await play.unwrap(wrapped.value, target=token)


async def test_a_key_without_a_policy_is_not_made(play: Play) -> None:
    with pytest.raises(BadRequest) as caught:
        await play.make(KeySpec.rsa(2048), KeySettings(operations=SECURE.operations))
    assert caught.value.message == "Keys for secure wrapping must have release policy"


@pytest.mark.parametrize(("spec", "alg"), [CASES[0], (KeySpec.oct(256), "A256KW")], ids=["RSA", "oct"])
@pytest.mark.parametrize("operations", [("unwrapKey", "decrypt"), ("secureWrapKey", "secureUnwrapKey", "unwrapKey")])
async def test_a_row_that_says_otherwise_opens_nothing_in_the_clear(
    play: Play, spec: KeySpec, alg: str, operations: tuple[str, ...]
) -> None:
    """Who can write to the database still has no way to what was wrapped securely, be the key in use or not."""
    row = await play.make(spec)
    wrapped = (await play.wrap(alg)).value
    await play.unwrap(wrapped, alg)
    await play.forge(replace(row, operations=operations))
    on = play.stage
    lane: Lane[None] = Lane("verification", None, limit=10)
    ordinary = KeyOperations(on.cache, on.clock, lane, RandomIdentifiers())
    try:
        for _ in range(2):
            with pytest.raises(BadRequest, match="attested environments"):
                await ordinary.decrypt(POOL, "k", None, "unwrapKey", alg, wrapped)
            if "secureUnwrapKey" in operations:
                await play.unwrap(wrapped, alg)
    finally:
        await lane.close()


@pytest.mark.parametrize(("spec", "alg"), [CASES[0], (KeySpec.oct(256), "A256KW")], ids=["RSA", "oct"])
async def test_an_ordinary_key_does_not_wrap_securely_whatever_its_row_says(
    play: Play, spec: KeySpec, alg: str
) -> None:
    """Else who wrote that would later open what was wrapped, with an ordinary unwrapKey."""
    row = await play.make(spec, KeySettings())
    policy = await bound(play.stage.custodians, POOL, "k", row.version, ReleasePolicy(POLICY))
    for forged_policy, kind in ((None, Damaged), (policy, BadRequest)):
        await play.forge(replace(row, operations=SECURE.operations or (), release_policy=forged_policy))
        with pytest.raises(kind):
            await play.wrap(alg)
        with pytest.raises(kind):
            await play.unwrap(bytes(256 if row.public else 40), alg)


async def test_another_public_key_in_the_row_wraps_nothing(play: Play) -> None:
    row = await play.make(KeySpec.rsa(2048))
    other = environment().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    key = await play.stage.cache.find(POOL, "k", None)
    forged = replace(row, public=other)
    custodian = play.stage.custodians.holding(POOL, row.custody)
    handle = custodian.open(held_by(forged), binding_of(POOL.id, "k", row.version), secure=True)
    play.stage.cache._names[POOL.id, "k"][""] = replace(key, row=forged, public=PublicKey.load(other), secure=handle)
    with pytest.raises(Unavailable):
        await play.wrap()


async def test_what_is_no_wrapped_key_has_one_refusal(play: Play) -> None:
    row = await play.make(KeySpec.oct(256))
    good = (await play.wrap("A256KW")).value
    assert row.public == b""
    bad = [b"", good[:-1], good + b"\0", good[:-1] + bytes([good[-1] ^ 1]), os.urandom(40), os.urandom(24)]
    texts = [await refusal(play, value) for value in bad]
    assert texts == ["The parameter is incorrect.\r\n"] * len(bad)


async def test_only_an_aes_256_key_is_unwrapped(play: Play) -> None:
    """Anybody can encrypt to the public key: what is too short to be a key of ours does not come out."""
    row = await play.make(KeySpec.rsa(2048))
    in_use = await play.stage.cache.find(POOL, "k", None)
    assert in_use.public is not None
    for content in (b"", b"x" * 16, b"x" * 31, b"x" * 33):
        with pytest.raises(CiphertextRefused):
            await play.unwrap(in_use.public.encrypt(ALGORITHMS["RSA-OAEP-256"], content))
    assert (await play.unwrap(in_use.public.encrypt(ALGORITHMS["RSA-OAEP-256"], b"x" * 32))).row == row


async def refusal(play: Play, value: bytes) -> str:
    with pytest.raises(RequestError) as caught:
        await play.unwrap(value, "A256KW")
    assert isinstance(caught.value, CiphertextRefused)
    return caught.value.message
