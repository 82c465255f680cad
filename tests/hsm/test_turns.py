"""The processes of a node take turns, and nobody waits for ever for one that hangs."""

import threading
from pathlib import Path

import pytest

from hsmvault.hsm import turns
from hsmvault.hsm.module import load_module
from hsmvault.hsm.token import Token
from hsmvault.hsm.turns import alone
from tests.softhsm import SoftToken


def test_the_second_waits_until_the_first_has_left(tmp_path: Path) -> None:
    order: list[str] = []
    asked = threading.Event()

    def second() -> None:
        asked.set()
        with alone(tmp_path / "lock"):
            order.append("second")

    thread = threading.Thread(target=second)
    with alone(tmp_path / "lock"):
        thread.start()
        asked.wait(10)
        thread.join(0.05)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_who_hangs_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_LONGEST_WAIT_SECONDS", 0.0)
    with alone(tmp_path / "lock") as first, alone(tmp_path / "lock") as second:
        assert (first, second) == (True, False)


@pytest.mark.parametrize("name", ["missing/lock", None])
def test_without_a_lock_file_it_goes_on(tmp_path: Path, name: str | None) -> None:
    with alone(tmp_path / name if name else None):
        pass


async def test_initialisation_and_login_wait_for_their_turn(
    softhsm: SoftToken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = alone(tmp_path / "lock")
    turn.__enter__()  # another process
    thread_started = threading.Event()
    loaded: list[object] = []

    def load() -> None:
        thread_started.set()
        loaded.append(load_module(softhsm.module_path, softhsm.profile, tmp_path / "lock"))

    thread = threading.Thread(target=load)
    thread.start()
    thread_started.wait(10)
    thread.join(0.05)
    assert not loaded
    turn.__exit__(None, None, None)
    thread.join(10)
    (module,) = loaded
    token = await Token.start(module, softhsm.selector, softhsm.user_pin, softhsm.ids, on_fatal=pytest.fail)  # type: ignore[arg-type]  # a Module
    with alone(tmp_path / "lock"):  # nobody keeps it
        assert token.is_up
    await token.close()
    module.finalize()  # type: ignore[attr-defined]  # a Module
