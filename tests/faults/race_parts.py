"""What races for a name go by: who acts, and what of it is in the database."""

import itertools
import sqlite3
from contextlib import closing
from typing import Any

from tests.caller import Answer, eventually
from tests.faults.management_wire import Site

ROUNDS = 8
CLIENTS = 6
_numbers = itertools.count(1)


def new(prefix: str) -> str:
    return f"{prefix}-{next(_numbers)}"


def ok(answer: Answer) -> Answer:
    assert answer.status < 300, answer
    return answer


def code_of(answer: Answer) -> str:
    return str(answer.body["error"]["code"])


def rows(site: Site, text: str, *values: object) -> list[Any]:
    with closing(sqlite3.connect(site.instance.data_dir / "hsmvault.db")) as database:
        return database.execute(text, values).fetchall()


def container(site: Site, name: str) -> tuple[bool, bool, str] | None:
    """Whether it is deleted, whether it is being purged, and its group; None when there is none."""
    found = rows(site, "SELECT deleted_at IS NOT NULL, purging, folded_group FROM containers WHERE name = ?", name)
    assert len(found) <= 1
    return (bool(found[0][0]), bool(found[0][1]), found[0][2]) if found else None


def other_group(site: Site) -> str:
    group = f"{site.subscription}/resourceGroups/{new('race')}"
    ok(site.arm()("PUT", group, {"location": site.location}))
    return group


def gone(site: Site, name: str) -> None:
    """As soon as the job has removed it."""
    eventually(lambda: container(site, name) is None, 30, f"{name} is purged")


def owner_id(site: Site) -> str:
    """Object id of the owner."""
    found = rows(site, "SELECT object_id FROM principals WHERE application_id = ?", site.owner.client_id)
    return str(found[0][0])
