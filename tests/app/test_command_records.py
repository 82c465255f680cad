"""What is done to a security world by commands is in the audit log, or it is not done."""

import json
from pathlib import Path
from typing import Any

import pytest

from hsmvault.app import operator
from hsmvault.app.command_records import ROTATION_WRITER, of_world, recorded
from hsmvault.clock import MovedClock, RandomIdentifiers
from hsmvault.config import Settings
from hsmvault.config.settings import Server
from hsmvault.errors import HsmRefusal, OperatorError
from hsmvault.hsm.pin import Pin
from hsmvault.model.worlds import WorldRow
from tests.app.rotating import installed
from tests.softhsm import SO_PIN, USER_PIN, SoftToken, softhsm, softhsm_template

__all__ = ["softhsm", "softhsm_template"]

WORLD = WorldRow("w1", "default", "local", "", b"", b"", "wrapped", 1)


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(folder.glob("audit/*.jsonl")) for line in path.read_text().splitlines()]


def outcomes(folder: Path) -> list[tuple[str, str]]:
    return [(one["operationName"], one["resultSignature"]) for one in records(folder)]


async def work(folder: Path, failure: BaseException | None = None, done: list[str] | None = None) -> None:
    settings = Settings(server=Server(data_dir=folder))
    async with recorded(
        settings, ROTATION_WRITER, MovedClock(), RandomIdentifiers(), "WorldKeyRotate", *of_world(WORLD)
    ):
        if failure is not None:
            raise failure
        if done is not None:
            done.append("done")


async def test_one_record_comes_before_the_work_and_one_behind_it_in_one_chain(tmp_path: Path) -> None:
    await work(tmp_path)
    await work(tmp_path)
    assert outcomes(tmp_path) == [("WorldKeyRotate", "Begun"), ("WorldKeyRotate", "OK")] * 2
    assert [one["sequence"] for one in records(tmp_path)] == [1, 2, 3, 4]
    begun, ended = records(tmp_path)[:2]
    assert begun["resourceId"] == "/WORLDS/W1"
    assert begun["properties"] == ended["properties"]


async def test_a_refusal_is_recorded_with_its_sentence_and_a_fault_with_its_name_alone(tmp_path: Path) -> None:
    with pytest.raises(HsmRefusal, match="PIN"):
        await work(tmp_path, HsmRefusal("The token refuses the PIN."))
    with pytest.raises(ValueError, match="secret"):
        await work(tmp_path, ValueError("a secret"))
    assert [one["resultDescription"] for one in records(tmp_path)[1::2]] == ["The token refuses the PIN.", "ValueError"]
    assert outcomes(tmp_path)[1] == ("WorldKeyRotate", "Failed")


async def test_work_that_is_killed_has_no_second_record(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        await work(tmp_path, KeyboardInterrupt())
    assert outcomes(tmp_path) == [("WorldKeyRotate", "Begun")]


async def test_nothing_is_done_when_the_log_takes_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.pwrite", refuse)
        with pytest.raises(OperatorError, match="nothing was done"):
            await work(tmp_path, done=done)
    assert done == []
    (tmp_path / "audit").rename(tmp_path / "away")
    (tmp_path / "audit").write_text("")
    with pytest.raises(OperatorError, match="cannot be opened"):
        await work(tmp_path, done=done)
    assert done == []


async def test_the_commands_leave_records_and_say_when_the_token_is_to_be_backed_up(
    softhsm: SoftToken, tmp_path: Path
) -> None:
    async with installed(softhsm, tmp_path) as rows:
        settings = rows.settings
    said: list[str] = []
    world = {"world": "default", "say": said.append}
    await operator.rotate_system_key(settings, USER_PIN, keep_old=False, make_only=True, **world)
    assert said[-1].endswith("Back up the token now, then run the command again without --make-only.")
    await operator.rotate_system_key(settings, USER_PIN, keep_old=False, make_only=False, **world)
    assert said[-1].startswith("Back up the token now")
    await operator.rotate_world_key(settings, USER_PIN, SO_PIN, make_only=True, **world)
    assert said[-1].endswith("Back up the token now, then run the command again without --make-only.")
    assert not any("(older)" in sentence for sentence in said)
    await operator.rotate_world_key(settings, USER_PIN, SO_PIN, make_only=False, **world)
    assert said[-1].startswith("Back up the token now")
    assert any("(older): 0 key versions" in sentence for sentence in said)
    with pytest.raises(HsmRefusal):
        await operator.rotate_world_key(settings, USER_PIN, Pin("wrong"), make_only=False, **world)
    assert outcomes(tmp_path) == [
        ("SystemKeyMake", "Begun"),
        ("SystemKeyMake", "OK"),
        ("SystemKeyRotate", "Begun"),
        ("SystemKeyRotate", "OK"),
        ("WorldKeyMake", "Begun"),
        ("WorldKeyMake", "OK"),
        ("WorldKeyRotate", "Begun"),
        ("WorldKeyRotate", "OK"),
        ("WorldKeyRotate", "Begun"),
        ("WorldKeyRotate", "Failed"),
    ]
    checked = await operator.check(settings, None)
    assert any("(in use): 0 key versions" in note for note in checked.notes)
