"""The hosts file, on files of our own: never the machine's."""

import fcntl
import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hsmvault.cli.hosts import add_block, host_lines, listed, unresolved, with_block

ORIGINAL = "127.0.0.1 localhost\n# by hand\n10.0.0.1\tdb  # tab\n"
HOSTS = ["login.localhost", "dev.vault.localhost"]


def test_a_block_is_added_once_and_the_rest_stays(tmp_path: Path) -> None:
    path, owner = tmp_path / "hosts", tmp_path / "data"
    path.write_text(ORIGINAL)
    path.chmod(0o644)
    assert add_block(HOSTS, owner, path)
    once = path.read_text()
    assert once.startswith(ORIGINAL)
    assert add_block(HOSTS, owner, path)
    assert path.read_text() == once
    assert path.stat().st_mode & 0o777 == 0o644
    assert listed(HOSTS, path)
    assert {file.name for file in tmp_path.iterdir()} == {"hosts"}


def test_a_later_name_joins_the_block_of_its_instance(tmp_path: Path) -> None:
    path, owner = tmp_path / "hosts", tmp_path / "data"
    path.write_text(ORIGINAL)
    add_block(HOSTS, owner, path)
    add_block(["late.vault.localhost"], owner, path)
    text = path.read_text()
    assert text.count("# hsmvault begin") == 1
    assert listed([*HOSTS, "late.vault.localhost"], path)


def test_each_directory_has_a_block_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text(ORIGINAL.rstrip("\n"))
    add_block(["login.a"], tmp_path / "a", path)
    add_block(["login.b"], tmp_path / "b", path)
    assert path.read_text().count("# hsmvault begin") == 2
    assert path.read_text().startswith(ORIGINAL)


def test_a_file_that_cannot_be_replaced_is_written(tmp_path: Path) -> None:
    real, mounted = tmp_path / "real", tmp_path / "hosts"
    real.write_text(ORIGINAL)
    mounted.hardlink_to(real)  # the same inode must get the text when replacing fails
    blocked = tmp_path / ".hosts.hsmvault.x"
    (tmp_path / f".hosts.hsmvault.{os.getpid()}").mkdir()
    assert add_block(HOSTS, tmp_path / "data", mounted)
    assert listed(HOSTS, real)
    assert not blocked.exists()


def test_a_file_that_is_not_there_or_not_ours_is_left_to_the_user(tmp_path: Path) -> None:
    assert not add_block(HOSTS, tmp_path, tmp_path / "none" / "hosts")
    assert not add_block(HOSTS, tmp_path, tmp_path)


def test_a_lock_that_somebody_holds_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text(ORIGINAL)
    holder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(holder, fcntl.LOCK_SH)
        assert not add_block(HOSTS, tmp_path / "data", path, lock_seconds=0.05)
    finally:
        os.close(holder)
    assert path.read_text() == ORIGINAL
    assert add_block(HOSTS, tmp_path / "data", path, lock_seconds=0.05)


def test_names_that_resolve_elsewhere_or_not_at_all_are_unresolved() -> None:
    assert unresolved([*HOSTS, "localhost"], lambda host: host == "localhost") == HOSTS


def test_only_addresses_of_this_machine_count_as_listed(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text("10.0.0.1 login.localhost\n127.0.0.1 # login.localhost\n")
    assert not listed(["login.localhost"], path)


def test_lines_name_both_loopback_addresses() -> None:
    assert host_lines(["a.b"]) == ["127.0.0.1 a.b", "::1 a.b"]


@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")))
def test_whatever_stands_there_already_stays(text: str) -> None:
    after = with_block(text, HOSTS, Path("/data\nroot"))
    assert after.startswith(text)
    assert with_block(after, HOSTS, Path("/data\nroot")) == after
