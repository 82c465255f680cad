"""conf/hsmvault.toml explains every key, and says the truth about defaults."""

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from hsmvault.config import Settings, read_settings
from hsmvault.config.reading import _table_of
from hsmvault.config.rules import missing_for_serve
from hsmvault.config.values import Table

CONF = Path(__file__).resolve().parents[2] / "conf"
EXAMPLE = re.compile(r"^#(?=[\[\w])", re.MULTILINE)


def test_every_default_stands_in_the_file() -> None:
    assert read_settings(CONF / "hsmvault.toml") == Settings()


def test_the_examples_are_good_once_they_are_switched_on(tmp_path: Path) -> None:
    text = EXAMPLE.sub("", (CONF / "hsmvault.toml").read_text())
    for one_of_two in ('pin_env = "', 'so_pin_env = "', 'jwks_file = "', 'tenant_claim = "'):
        text = re.sub(rf"^{one_of_two}.*\n", "", text, flags=re.MULTILINE)
    (tmp_path / "c.toml").write_text(text)
    settings = read_settings(tmp_path / "c.toml")
    assert missing_for_serve(settings) == []
    assert [vault.name for vault in settings.containers] == ["payments", "legacy"]


def test_the_production_example_lacks_nothing() -> None:
    assert missing_for_serve(read_settings(CONF / "production.toml")) == []


def _keys(table: type[Table], path: str = "") -> Iterator[tuple[str, str]]:
    for field in msgspec.structs.fields(table):
        inner, _ = _table_of(field.type)
        if inner is None:
            yield path, field.name
        else:
            yield from _keys(inner, f"{path}.{field.name}".lstrip("."))


@pytest.mark.parametrize(("table", "key"), list(_keys(Settings)))
def test_every_key_is_explained(table: str, key: str) -> None:
    current, explained, before = "", False, ""
    for line in (CONF / "hsmvault.toml").read_text().splitlines():
        bare = EXAMPLE.sub("", line)
        if header := re.match(r"\[+([\w.]+)\]+", bare):
            current = header[1]
        elif current == table and re.match(rf"{key}\s*=", bare):
            explained = explained or bool(before)
        # Prose, or another key of the same paragraph, stands in front of a key.
        before = line if line.strip() else ""
    assert explained, f"[{table}] {key}"


def test_no_key_but_those_that_exist_is_explained() -> None:
    known = set(_keys(Settings))
    current = ""
    for line in (CONF / "hsmvault.toml").read_text().splitlines():
        bare = EXAMPLE.sub("", line)
        if header := re.match(r"\[+([\w.]+)\]+", bare):
            current = header[1]
        elif key := re.match(r"(\w+)\s*=", bare):
            assert (current, key[1]) in known
