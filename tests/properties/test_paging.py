"""Lists while objects come and go: what was there all the time is listed once, what was gone before is not listed."""

import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tests.properties.worker import Place, Worker

COMMON = {"derandomize": True, "deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}
QUICK = settings(max_examples=15, phases=[Phase.explicit, Phase.generate], **COMMON)
LONG = settings(max_examples=300, **COMMON)
EC = {"kty": "EC"}
NUMBERS = st.integers(0, 39)
"""Of a key; its name is made so that neighbours in number are no neighbours in a list."""
BEFORE = st.lists(
    st.tuples(NUMBERS, st.sampled_from(["active", "deleted", "purged"])), max_size=40, unique_by=lambda x: x[0]
)
STEPS = st.lists(
    st.lists(st.tuples(st.sampled_from(["create", "delete", "recover", "purge"]), NUMBERS), max_size=6), max_size=40
)


def name_of(number: int) -> str:
    """In upper and lower case, of several lengths."""
    spelled = f"{'kKxX-0'[number % 6]}{number * 7 % 40:02}{'-more' * (number % 3)}"
    return spelled.upper() if number % 5 == 0 else spelled


@dataclass
class Shelf:
    """What is in a container, and what happened to it. State of a name: absent, active or deleted."""

    place: Place
    states: dict[str, str] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    seen_as: dict[str, set[str]] = field(default_factory=dict)

    def do(self, action: str, name: str) -> None:
        state = self.states.get(name, "absent")
        if action == "create" and state != "deleted":
            self._done("POST", f"/keys/{name}/create", EC)
            if state == "absent":
                self._become(name, "active")
        elif action == "delete" and state == "active":
            self._done("DELETE", f"/keys/{name}")
            self._become(name, "deleted")
        elif action == "recover" and state == "deleted":
            self._done("POST", f"/deletedkeys/{name}/recover")
            self._become(name, "active")
        elif action == "purge" and state == "deleted":
            self._done("DELETE", f"/deletedkeys/{name}")
            self._become(name, "absent")

    def begin(self) -> None:
        """From here on it is looked at."""
        self.touched.clear()
        self.seen_as = {name: {state} for name, state in self.states.items()}

    def always(self, state: str) -> set[str]:
        return {name for name, current in self.states.items() if current == state and name not in self.touched}

    def ever(self, state: str) -> set[str]:
        return {name for name, states in self.seen_as.items() if state in states}

    def _become(self, name: str, state: str) -> None:
        self.states[name] = state
        self.touched.add(name)
        self.seen_as.setdefault(name, {"absent"}).add(state)

    def _done(self, method: str, target: str, body: object = None) -> None:
        answer = self.place.ask(method, target, body)
        assert answer.status in (200, 204), answer.body


@pytest.mark.parametrize("collection", ["keys", "deletedkeys"])
@example(
    before=[(number, "active") for number in range(30)],
    size=None,
    steps=[[("delete", number), ("create", number + 30)] for number in range(10)],
)
@given(before=BEFORE, size=st.none() | st.integers(1, 25), steps=STEPS)
@QUICK
def test_what_is_there_all_the_time_is_listed_once_while_keys_come_and_go(
    the_worker: Worker, collection: str, before: list[tuple[int, str]], size: int | None, steps: list[Any]
) -> None:
    check_names(the_worker, collection, before, size, steps)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("collection", ["keys", "deletedkeys"])
@given(before=BEFORE, size=st.none() | st.integers(1, 25), steps=STEPS)
@LONG
def test_what_is_there_all_the_time_is_listed_once_in_many_more_ways(
    the_worker: Worker, collection: str, before: list[tuple[int, str]], size: int | None, steps: list[Any]
) -> None:
    check_names(the_worker, collection, before, size, steps)


def check_names(
    worker: Worker, collection: str, before: list[tuple[int, str]], size: int | None, steps: list[Any]
) -> None:
    shelf = Shelf(worker.place(is_pool=False))
    for number, state in before:
        for action in ("create", "delete", "purge")[: ("active", "deleted", "purged").index(state) + 1]:
            shelf.do(action, name_of(number))
    shelf.begin()
    listed: Counter[str] = Counter()
    following: str | None = f"/{collection}?api-version=7.4" + (f"&maxresults={size}" if size else "")
    for step in itertools.chain(steps, itertools.repeat([])):
        values, following = page(shelf.place, following, size)
        names = [value["kid"].rpartition("/")[2] for value in values]
        now = "active" if collection == "keys" else "deleted"
        assert {shelf.states[name] for name in names} <= {now}
        listed.update(names)
        if following is None:
            break
        for action, number in step:
            shelf.do(action, name_of(number))
    state = "active" if collection == "keys" else "deleted"
    assert {name: listed[name] for name in shelf.always(state)} == dict.fromkeys(shelf.always(state), 1)
    assert set(listed) <= shelf.ever(state)
    assert max(listed.values(), default=1) == 1


def page(place: Place, target: str, size: int | None) -> tuple[list[dict[str, Any]], str | None]:
    """Its items, and what to ask for next."""
    answer = place.ask("GET", target)
    assert answer.status == 200, answer.body
    values, link = answer.json["value"], answer.json["nextLink"]
    assert len(values) <= (size or 25)
    if link is None:
        return values, None
    assert values, "a page before the last has something on it"
    assert link.startswith(f"{place.origin}/")
    return values, link.removeprefix(place.origin)


VERSION_STEPS = st.lists(st.lists(st.sampled_from(["create", "rotate", "disable"]), max_size=3), max_size=30)


@given(
    count=st.integers(1, 30), size=st.none() | st.integers(1, 25), steps=VERSION_STEPS, jump=st.integers(-7200, 7200)
)
@QUICK
def test_versions_are_listed_once_in_their_order_while_new_ones_come(
    the_worker: Worker, count: int, size: int | None, steps: list[list[str]], jump: int
) -> None:
    """Whatever the clock says: it may jump back between two versions."""
    place = the_worker.place(is_pool=False)

    def made(action: str) -> str:
        the_worker.service.clock.jump(jump)
        target, body = ("/keys/k/create", EC) if action == "create" else ("/keys/k/rotate", None)
        answer = place.ask("POST", target, body)
        assert answer.status == 200, answer.body
        return str(answer.json["key"]["kid"].rpartition("/")[2])

    versions = [made("create") for _ in range(count)]
    at_start = len(versions)
    listed: list[str] = []
    following: str | None = "/keys/k/versions?api-version=7.4" + (f"&maxresults={size}" if size else "")
    for step in itertools.chain(steps, itertools.repeat([])):
        values, following = page(place, following, size)
        listed += [value["kid"].rpartition("/")[2] for value in values]
        if following is None:
            break
        for action in step:
            if action == "disable":
                assert place.ask("PATCH", f"/keys/k/{versions[0]}", {"attributes": {"enabled": False}}).status == 200
            else:
                versions.append(made(action))
    assert listed[:at_start] == versions[:at_start]
    assert listed == versions[: len(listed)]


def test_a_key_that_is_deleted_or_purged_between_two_pages_ends_the_list_of_its_versions(the_worker: Worker) -> None:
    place = the_worker.place(is_pool=False)
    for _ in range(3):
        assert place.ask("POST", "/keys/k/create", EC).status == 200
    values, following = page(place, "/keys/k/versions?api-version=7.4&maxresults=2", 2)
    assert (len(values), following is None) == (2, False)
    for method, target in (("DELETE", "/keys/k"), ("DELETE", "/deletedkeys/k")):
        assert place.ask(method, target).status in (200, 204)
        assert page(place, str(following), 2) == ([], None)
