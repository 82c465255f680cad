"""Audit records on their way to other places while everything is killed again and again: whatever was answered arrives,
in the order of each writer, and what comes twice is what was on its way.
"""

import itertools
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.app.test_audit_destinations import SETTING, Collector, ask, collector, exported, names, node
from tests.caller import LOST, eventually
from tests.isolation.node import Node

__all__ = ["collector", "node"]
CLIENTS = 3
_numbers = itertools.count(1)


@pytest.mark.slow
def test_every_call_that_was_answered_arrives_at_every_destination(node: Node, collector: Collector) -> None:
    body = {"properties": {"storageAccountId": "archive", "logs": [{"category": "AuditEvent", "enabled": True}]}}
    answered: list[str] = []
    with node.serving():
        ask(node, "management", "PUT", SETTING, body)
    for _ in range(2):
        with node.serving():
            stopping = threading.Event()
            threads = [threading.Thread(target=_go_on, args=(node, answered, stopping)) for _ in range(CLIENTS)]
            for thread in threads:
                thread.start()
            wanted = len(answered) + 25
            eventually(lambda: len(answered) >= wanted, 60, "calls are answered")  # noqa: B023
            node.kill()
            stopping.set()
            for thread in threads:
                thread.join(60)
    with node.serving():
        for records_of in (partial(exported, node), partial(getattr, collector, "messages")):
            eventually(partial(_has_all, answered, records_of), 60, "every answered call arrives")
    for records in (exported(node), collector.messages):
        series: dict[str, list[int]] = {}
        for one in records:
            series.setdefault(one["series"], []).append(one["sequence"])
        for sequences in series.values():
            firsts = list(dict.fromkeys(sequences))
            assert firsts == sorted(firsts), "in order"


def _has_all(answered: list[str], records_of: Callable[[], list[dict[str, Any]]]) -> bool:
    return set(answered) <= set(names(records_of()))


def _go_on(node: Node, answered: list[str], stopping: threading.Event) -> None:
    while not stopping.is_set():
        name = f"secret-{next(_numbers)}"
        try:
            ask(node, "north.vault", "PUT", f"/secrets/{name}?api-version=7.4", {"value": "x"})
        except LOST:
            return
        answered.append(f"north {name}")
