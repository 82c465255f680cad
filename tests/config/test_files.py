"""Files that must survive a power cut: what is synced, and in which order."""

import os
from pathlib import Path

import pytest

from hsmvault.config.files import sync_tree, write_private


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths in the order of their fsync, as they were called at that moment."""
    seen: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        seen.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return seen


def test_a_private_file_is_synced_before_its_name_and_its_directory_after(tmp_path: Path, synced: list[str]) -> None:
    path = tmp_path / "made" / "file"
    write_private(path, b"one")
    write_private(path, b"two")
    assert path.read_bytes() == b"two"
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    once = [str(tmp_path / "made" / f".file.{os.getpid()}.partial"), str(tmp_path / "made")]
    assert synced == [str(tmp_path), *once, *once]
    assert list(path.parent.iterdir()) == [path]


def test_a_tree_is_synced_from_its_files_to_its_parent(tmp_path: Path, synced: list[str]) -> None:
    token = tmp_path / "tokens" / "token"
    token.mkdir(parents=True)
    for name in ("a.object", "b.object"):
        (token / name).write_bytes(b"x")
    (token / "link").symlink_to("/etc/hostname")
    sync_tree(tmp_path / "tokens")
    assert sorted(synced[:2]) == [str(token / "a.object"), str(token / "b.object")]
    assert synced[2:] == [str(token), str(tmp_path / "tokens"), str(tmp_path)]


def test_a_tree_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sync_tree(tmp_path / "none")
