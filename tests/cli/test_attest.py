"""`hsmvault attest`, with a key of a real token."""

import asyncio
import json
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from hsmvault.cli.main import main
from hsmvault.clock import SystemClock
from hsmvault.config import Layout
from hsmvault.custody.attestation_certificate import pem
from hsmvault.model.algorithms import Curve, KeySpec
from hsmvault.model.worlds import ACTIVE, SystemKeyRow, WorldRow
from hsmvault.store import worlds
from hsmvault.store.database import Database
from hsmvault.store.migrations import migrate
from tests.custody.attestations import Attested, attested, attesting, forger
from tests.softhsm import SoftToken, softhsm, softhsm_template  # noqa: F401  # fixtures

P256 = KeySpec.ec(Curve.P256)


@pytest.fixture
async def key(softhsm: SoftToken, tmp_path: Path) -> Attested:  # noqa: F811  # the fixture
    """A key whose bundle is in key.json; world.pem is pinned."""
    async with attesting(softhsm) as rig:
        made = await attested(rig.wrapped, P256)
        (tmp_path / "world.pem").write_bytes(rig.pinned)
    (tmp_path / "key.json").write_bytes(made.file())
    return made


def verify(folder: Path, *more: str) -> int:
    return main(["attest", "verify", str(folder / "key.json"), *more])


async def test_a_good_attestation_and_a_pinned_certificate_end_with_zero(
    key: Attested, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(tmp_path, "--certificate", str(tmp_path / "world.pem")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "The attestation holds."
    assert all(line.startswith("good   ") for line in lines[:-1])
    assert f"signing/{key.binding.version}" in "\n".join(lines)


async def test_an_attestation_that_is_older_than_asked_for_does_not_hold(
    key: Attested, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trusted = ("--certificate", str(tmp_path / "world.pem"))
    assert verify(tmp_path, *trusted, "--max-age", "9999999999") == 0
    assert "seconds ago: not more than 9999999999." in capsys.readouterr().out
    assert verify(tmp_path, *trusted, "--max-age", "0") == 1
    assert "WRONG  It was made at " in capsys.readouterr().out
    for text in ("-1", "1h", "", "99999999999"):
        with pytest.raises(SystemExit):
            verify(tmp_path, *trusted, f"--max-age={text}")


async def test_without_a_certificate_it_ends_with_two(
    key: Attested, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(tmp_path) == 2
    out = capsys.readouterr().out
    assert "open   The certificate" in out
    assert out.endswith("Nothing is wrong, and not everything could be verified.\n")


async def test_what_does_not_hold_ends_with_one(
    key: Attested, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = key.bundle()
    bundle["key"]["kid"] = bundle["key"]["kid"].replace("Signing", "other")
    (tmp_path / "key.json").write_text(json.dumps(bundle))
    assert verify(tmp_path, "--certificate", str(tmp_path / "world.pem")) == 1
    out = capsys.readouterr().out
    assert "WRONG  It is about another key or version" in out
    assert out.endswith("THE ATTESTATION DOES NOT HOLD.\n")


async def test_standard_input_is_read_for_a_dash(
    key: Attested, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(key.file())))
    assert main(["attest", "verify", "-", "--certificate", str(tmp_path / "world.pem")]) == 0


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "cannot be read"), (b"{}", "has no attestation"), (b"\x1b[31m", "is not the JSON of a key bundle")],
)
def test_what_is_no_attestation_ends_with_two_and_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, sentence: str
) -> None:
    if content is not None:
        (tmp_path / "key.json").write_bytes(content)
    assert verify(tmp_path) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


async def test_nothing_of_the_file_reaches_the_terminal_unescaped(
    key: Attested, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = key.bundle()
    bundle["key"]["kty"] = "EC\x1b[2J\n-HSM"
    (tmp_path / "key.json").write_text(json.dumps(bundle))
    assert verify(tmp_path, "--certificate", str(tmp_path / "world.pem")) == 1
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "EC\\x1b[2J\\n" in out


async def world_in(data_dir: Path, certificate: bytes | None) -> None:
    data_dir.mkdir()
    url = f"sqlite:///{Layout(data_dir).database}"
    migrate(url)
    database = await Database.open(url, clock=SystemClock())
    row = WorldRow("w-1", "default", "local", "test", b"w", b"m", "wrapped", 1, b"e", b"a", certificate)
    async with database.write() as tx:
        await worlds.insert_world(tx, row)
        await worlds.insert_system_key(tx, SystemKeyRow("s-1", "w-1", b"s", ACTIVE, 1))
    await database.close()


def test_the_certificate_of_a_world_is_printed_for_pinning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    certificate = forger()[1]
    asyncio.run(world_in(tmp_path / "data", certificate))
    assert main(["attest", "certificate", "--data-dir", str(tmp_path / "data")]) == 0
    assert capsys.readouterr().out.encode() == pem(certificate)
    assert main(["attest", "certificate", "--data-dir", str(tmp_path / "data"), "--world", "other"]) == 3
    assert "no security world 'other' here; there is default" in capsys.readouterr().err


def test_a_world_without_an_attestation_key_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(world_in(tmp_path / "data", None))
    assert main(["attest", "certificate", "--data-dir", str(tmp_path / "data")]) == 3
    assert "has no attestation key" in capsys.readouterr().err
