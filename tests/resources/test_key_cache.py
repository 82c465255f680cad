"""What is dropped from the cache of keys is no longer loaded either."""

from pathlib import Path
from typing import Any, cast

import pytest

from hsmvault.custody.custodians import Custodians
from hsmvault.model.algorithms import Curve, KeySpec
from hsmvault.resources.key_cache import KeyCache, KeyInUse
from hsmvault.resources.key_settings import KeySettings
from hsmvault.store.database import Database
from tests.resources.stage import POOL, VAULT, stage
from tests.softhsm import SoftToken, softhsm_for_module, softhsm_template

__all__ = ["softhsm_for_module", "softhsm_template"]


class Handle:
    def __init__(self) -> None:
        self.released = 0

    def release(self) -> None:
        self.released += 1


def cache_of(names: str, *, most: int = 10) -> tuple[KeyCache, dict[str, Handle]]:
    """A cache with two versions of each name; both have one handle."""
    cache = KeyCache(cast(Database, None), cast(Custodians, None), most=most)
    handles = {name: Handle() for name in names}
    for name, handle in handles.items():
        for version in ("", "1"):
            cache._keep("container", name, version, KeyInUse(None, handle, None))  # type: ignore[arg-type]  # unread
    return cache, handles


def test_a_key_that_changed_is_released_in_all_its_versions_and_no_other_is() -> None:
    cache, handles = cache_of("ab")
    cache.forget("container", "a")
    cache.forget("container", "a")
    cache.forget("container", "unknown")
    assert (handles["a"].released, handles["b"].released) == (2, 0)


def test_a_key_that_was_not_used_for_longest_is_released() -> None:
    _, handles = cache_of("abc", most=2)
    assert [handle.released for handle in handles.values()] == [2, 0, 0]


def test_everything_that_is_forgotten_is_released() -> None:
    cache, handles = cache_of("ab")
    cache.forget_all()
    assert [handle.released for handle in handles.values()] == [2, 2]


async def test_a_page_is_read_once_until_a_key_of_its_container_changes(
    softhsm_for_module: SoftToken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = KeySpec.ec(Curve.P256)
    async with stage(softhsm_for_module, tmp_path / "hsmvault.db") as on:
        for name in ("a", "b", "c"):
            await on.keys.create(VAULT, name, spec, KeySettings(), hardware=False)
        reads = 0
        read = on.database.read_at_once

        def counted(work: Any) -> Any:
            nonlocal reads
            reads += 1
            return read(work)

        monkeypatch.setattr(on.database, "read_at_once", counted)

        async def names(after: str | None = None, limit: int = 25) -> list[str]:
            return [row.name for row in await on.keys.page(VAULT, after, limit)]

        for _ in range(3):
            assert await names() == ["a", "b", "c"]
            assert await names("A", 1) == ["b"]
        assert reads == 2
        await on.keys.create(POOL, "elsewhere", spec, KeySettings(), hardware=True)
        at_rest = reads
        assert await names() == ["a", "b", "c"]
        assert reads == at_rest
        await on.keys.delete(VAULT, "a")
        assert await names() == ["b", "c"]
        await on.keys.update(VAULT, "b", None, KeySettings(tags={"changed": "yes"}))
        assert dict((await on.keys.page(VAULT, None, 25))[0].tags) == {"changed": "yes"}
        on.cache.forget_all()
        at_rest = reads
        await names()
        assert reads == at_rest + 1
