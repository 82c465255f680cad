"""What is dropped from the cache of keys is no longer loaded either."""

from typing import cast

from hsmvault.custody.custodians import Custodians
from hsmvault.resources.key_cache import KeyCache, KeyInUse
from hsmvault.store.database import Database


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
