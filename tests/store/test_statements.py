"""Every statement of the store: it compiles for each database, and none on an object leaves its container."""

import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest
from sqlalchemy.dialects.postgresql.asyncpg import dialect as postgresql

from hsmvault import store
from hsmvault.store.objects import ObjectStore
from hsmvault.store.sqlite import DIALECT
from hsmvault.store.statements import Statement

ACROSS_CONTAINERS = {  # of the jobs, and of the start
    "keys.KEYS._due",
    "keys._REFERENCES",
    "secrets.SECRETS._due",
    "certificates.CERTIFICATES._due",
    "certificate_operations._DUE",
    "certificate_operations._NEXT",
}
CONFINED = ("keys.", "secrets.", "certificates.", "certificate_operations.", "certificate_issuers.")
_NO_OFFSET = " OFFSET ?"  # SQLAlchemy writes it beside every LIMIT for SQLite, with 0


def statements() -> Iterator[tuple[str, Statement]]:
    for module in pkgutil.iter_modules(store.__path__):
        if module.name != "migrations":
            contents = vars(importlib.import_module(f"hsmvault.store.{module.name}"))
            for name, value in contents.items():
                if isinstance(value, Statement):
                    yield f"{module.name}.{name}", value
                elif isinstance(value, ObjectStore):
                    own = vars(value).items()
                    yield from ((f"{module.name}.{name}.{n}", one) for n, one in own if isinstance(one, Statement))


STATEMENTS = dict(statements())


def test_the_statements_are_found() -> None:
    assert len(STATEMENTS) > 50


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_means_the_same_in_each_database(name: str) -> None:
    sqlite, other = STATEMENTS[name].compiled(DIALECT), STATEMENTS[name].compiled(postgresql())
    assert sqlite.wanted == other.wanted
    assert "*" not in sqlite.text
    assert "OFFSET" not in other.text
    placeholders = re.sub(r'\$\d+(::\w+)?( COLLATE "C")?', "?", other.text).replace('"', "")  # some quote more words
    assert placeholders.split() == sqlite.text.replace(_NO_OFFSET, "").split()
    assert all(value == 0 for name, value in sqlite.constants.items() if name not in other.constants)


@pytest.mark.parametrize("name", [name for name in STATEMENTS if name.startswith(CONFINED)])
def test_a_statement_on_objects_names_the_container(name: str) -> None:
    compiled = STATEMENTS[name].compiled(DIALECT)
    if name in ACROSS_CONTAINERS:
        return
    assert "container_id" in compiled.wanted
    if not compiled.text.startswith("INSERT"):
        assert re.search(r"WHERE .*\bcontainer_id = \?", compiled.text, re.DOTALL)


def test_parameters_that_are_missing_or_unknown_are_a_mistake() -> None:
    compiled = STATEMENTS["keys.KEYS._name"].compiled(DIALECT)
    for values in ({}, {"container_id": "c"}, {"container_id": "c", "folded": "n", "more": 1}):
        with pytest.raises(TypeError):
            compiled.arguments(values)
