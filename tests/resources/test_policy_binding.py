"""A release policy that somebody wrote into the database has no effect but refusals."""

import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from hsmvault.clock import RandomIdentifiers
from hsmvault.errors import Conflict, Damaged, RequestError
from hsmvault.model.algorithms import Curve, KeySpec
from hsmvault.model.containers import Container
from hsmvault.model.keys import KeyVersion
from hsmvault.model.release_policies import ReleasePolicy
from hsmvault.resources import policy_binding
from hsmvault.resources.key_backups import KeyBackups
from hsmvault.resources.key_release import KeyRelease, ReleaseRequest
from hsmvault.resources.key_secure_wrap import KeySecureWrap
from hsmvault.resources.key_settings import KeySettings
from hsmvault.resources.policy_binding import bound, check_bound
from hsmvault.store import keys as store
from tests.resources.attesting import POLICY, Attesting
from tests.resources.stage import VAULT, WORLD_ID, Stage, stage
from tests.softhsm import SoftToken, softhsm_for_module, softhsm_template

__all__ = ["softhsm_for_module", "softhsm_template"]

SPEC = KeySpec.ec(Curve.P256)
IMMUTABLE = ReleasePolicy(POLICY, immutable=True)
SECURE = KeySettings(operations=("secureWrapKey", "secureUnwrapKey"))
WEAK = json.loads(POLICY)
WEAK["anyOf"][0]["allOf"] = [{"claim": "iss", "exists": True}]
WEAKER = json.dumps(WEAK).encode()


@pytest_asyncio.fixture
async def on(softhsm_for_module: SoftToken, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(softhsm_for_module, tmp_path / "hsmvault.db") as opened:
        yield opened


async def made(on: Stage, name: str = "k") -> KeyVersion:
    settings = KeySettings(exportable=True, release_policy=IMMUTABLE)
    return await on.keys.create(VAULT, name, SPEC, settings, hardware=True)


async def forge(on: Stage, row: KeyVersion, policy: ReleasePolicy | None) -> KeyVersion:
    """What somebody with the database in hand can do."""
    async with on.database.write() as tx:
        at_name = await store.name(tx, VAULT.id, row.name)
        assert at_name is not None
        forged = replace(row, release_policy=policy)
        await store.update_version(tx, forged, at_name=at_name)
    return forged


@pytest.mark.parametrize(
    "change",
    [
        lambda policy: replace(policy, data=WEAKER),
        lambda policy: replace(policy, immutable=False),
        lambda policy: replace(policy, content_type="text/plain"),
        lambda policy: replace(policy, mac=b""),
        lambda policy: replace(policy, mac=bytes(32)),
    ],
)
async def test_a_policy_that_was_changed_in_its_row_is_damaged(
    on: Stage, change: Callable[[ReleasePolicy], ReleasePolicy]
) -> None:
    row = await made(on)
    assert row.release_policy is not None
    await check_bound(on.custodians, VAULT, row)
    forged = await forge(on, row, change(row.release_policy))
    with pytest.raises(Damaged):
        await check_bound(on.custodians, VAULT, forged)
    with pytest.raises(Damaged):
        await on.keys.update(VAULT, "k", None, KeySettings(release_policy=ReleasePolicy(WEAKER)))
    with pytest.raises(Damaged):
        await on.keys.succeed(VAULT, forged, _never)


async def test_a_policy_of_another_key_or_version_is_damaged(on: Stage) -> None:
    one, other = await made(on), await made(on, "other")
    assert one.release_policy is not None
    with pytest.raises(Damaged):
        await check_bound(on.custodians, VAULT, await forge(on, other, one.release_policy))
    newer = await made(on)
    with pytest.raises(Damaged):
        await check_bound(on.custodians, VAULT, replace(newer, release_policy=one.release_policy))


async def test_an_immutable_policy_stays_and_a_mutable_one_changes_with_its_mac(on: Stage) -> None:
    await made(on)
    with pytest.raises(RequestError, match=r"AKV\.SKR\.1020"):
        await on.keys.update(VAULT, "k", None, KeySettings(release_policy=ReleasePolicy(WEAKER)))
    settings = KeySettings(exportable=True, release_policy=ReleasePolicy(POLICY))
    await on.keys.create(VAULT, "mutable", SPEC, settings, hardware=True)
    changed = await on.keys.update(VAULT, "MUTABLE", None, KeySettings(release_policy=ReleasePolicy(WEAKER)))
    assert changed.release_policy == ReleasePolicy(WEAKER)
    await check_bound(on.custodians, VAULT, changed)


@pytest.mark.parametrize("settings", [KeySettings(exportable=True), SECURE], ids=["exportable", "secure"])
async def test_a_policy_that_was_taken_away_is_damaged_wherever_it_counts(on: Stage, settings: KeySettings) -> None:
    """Else whoever took it away would set a weak one, with a genuine MAC, and have the key released by it."""
    settings = replace(settings, release_policy=IMMUTABLE)
    row = await on.keys.create(VAULT, "k", KeySpec.rsa(2048), settings, hardware=True)
    target = Attesting(clock=on.clock)
    secure = KeySecureWrap(on.cache, on.custodians, target.assertions, on.clock, _random)
    wrapped = (await secure.wrap(VAULT, "k", None, "RSA-OAEP-256")).value if row.exportable is False else b""
    forged = await forge(on, row, None)
    with pytest.raises(Damaged):
        await check_bound(on.custodians, VAULT, forged)
    with pytest.raises(Damaged):
        await on.keys.update(VAULT, "k", None, KeySettings(release_policy=ReleasePolicy(WEAKER)))
    with pytest.raises(Damaged):
        await on.keys.succeed(VAULT, forged, _never)
    with pytest.raises(Damaged):
        await KeyBackups(on.database, on.custodians, {}, {}, on.clock, RandomIdentifiers()).backup(VAULT, "k")
    if row.exportable:
        release = KeyRelease(on.cache, on.custodians, target.assertions, {WORLD_ID: on.statement_keys()})
        with pytest.raises(Damaged):
            await release.release(VAULT, "k", None, ReleaseRequest(target.token(), "kid", "7.4"), _never_described)
    else:
        with pytest.raises(Damaged):
            await secure.unwrap(VAULT, "k", None, "RSA-OAEP-256", wrapped, target.token())
        with pytest.raises(Damaged):
            await secure.wrap(VAULT, "k", None, "RSA-OAEP-256")


@pytest.mark.parametrize("forgery", [None, ReleasePolicy(POLICY)], ids=["taken away", "the same without its MAC"])
async def test_a_policy_that_is_changed_between_the_check_and_the_commit_is_a_conflict(
    on: Stage, monkeypatch: pytest.MonkeyPatch, forgery: ReleasePolicy | None
) -> None:
    settings = KeySettings(exportable=True, release_policy=ReleasePolicy(POLICY))
    row = await on.keys.create(VAULT, "k", SPEC, settings, hardware=True)
    bind = policy_binding.bound

    async def forging(*more: Any) -> ReleasePolicy | None:
        await forge(on, row, forgery)
        return await bind(*more)

    monkeypatch.setattr("hsmvault.resources.keys.bound", forging)
    with pytest.raises(Conflict):
        await on.keys.update(VAULT, "k", None, KeySettings(release_policy=ReleasePolicy(WEAKER)))
    monkeypatch.undo()
    async with on.database.read() as tx:
        found = await store.version(tx, VAULT.id, "k", None)
    assert found is not None and found.release_policy == forgery


async def test_a_key_without_a_policy_has_nothing_to_bind(on: Stage) -> None:
    row = await on.keys.create(VAULT, "plain", SPEC, KeySettings(), hardware=True)
    assert await bound(on.custodians, VAULT, "plain", row.version, None) is None
    await check_bound(on.custodians, VAULT, row)


def _never_described(_: KeyVersion) -> dict[str, object]:
    raise AssertionError("nothing is released")


async def _random(_: Container, length: int) -> bytes:
    return os.urandom(length)


async def _never(*_: object) -> KeySettings:
    raise AssertionError("nothing is made")
