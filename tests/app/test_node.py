"""The file that names the run, and with it the owner of intents."""

import os
from pathlib import Path

import pytest

from hsmvault.app.reconciliation import node_id, renew
from hsmvault.clock import RandomIdentifiers
from hsmvault.config import Layout
from hsmvault.errors import ConfigurationError


def test_a_node_keeps_its_name_which_was_on_the_disk_before_it_was_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(str(Path(f"/proc/self/fd/{number}").readlink())))
    first = node_id(Layout(tmp_path), RandomIdentifiers())
    assert len(synced) == 2
    assert synced[-1] == str(tmp_path)
    assert node_id(Layout(tmp_path), RandomIdentifiers()) == first


def test_an_empty_name_is_refused(tmp_path: Path) -> None:
    Layout(tmp_path).node.write_text("")
    with pytest.raises(ConfigurationError, match="is empty"):
        node_id(Layout(tmp_path), RandomIdentifiers())


def test_a_renewed_name_is_another_one(tmp_path: Path) -> None:
    layout, identifiers = Layout(tmp_path), RandomIdentifiers()
    first = node_id(layout, identifiers)
    renew(layout, identifiers)
    assert node_id(layout, identifiers) != first
