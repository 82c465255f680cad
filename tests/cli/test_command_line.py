"""Commands as a user types them: exit codes, sentences, files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hsmvault.cli import admin
from hsmvault.cli.certificates import ensure_certificates
from hsmvault.cli.directory import DataDirectory
from hsmvault.cli.environment import encode, export_lines, write_environment
from hsmvault.cli.main import main
from hsmvault.cli.pins import made_pin, read_pin
from hsmvault.clock import SystemClock
from hsmvault.config import Layout, Names, Prepared, Settings
from hsmvault.config.settings import Server
from hsmvault.errors import ConfigurationError, DirectoryInUse, OperatorError
from tests.cli.stand_in import StandIn


def test_env_prints_export_lines_that_a_shell_understands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(server=Server(data_dir=tmp_path))
    awkward = "it's a $HOME `thing` \\ with ? & ="
    write_environment(settings, Prepared(environment={"AZURE_CLIENT_SECRET": awkward}))
    assert main(["env", "--data-dir", str(tmp_path)]) == 0
    script = capsys.readouterr().out + 'printf %s "$AZURE_CLIENT_SECRET"'
    assert subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout == awkward
    assert f"AZURE_AUTHORITY_HOST=https://login.localhost:{settings.server.port}\n" in export_lines(Layout(tmp_path))


def test_simple_values_stand_without_quotes() -> None:
    assert encode({"A": "https://login.localhost:8443", "B": "a b", "C": ""}) == (
        b"A=https://login.localhost:8443\nB='a b'\nC=\n"
    )
    with pytest.raises(ValueError, match="A cannot"):
        encode({"A": "two\nlines"})


def test_env_without_a_running_instance_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env", "--data-dir", str(tmp_path)]) == 2
    assert "No instance is running" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["dev", "--port", "65534"],
        ["dev", "--port", "eight"],
        ["dev", "--workers", "0"],
        ["dev", "--suffix", "a_b"],
        ["dev", "--nonsense"],
        ["serve"],
        ["nonsense"],
        [],
    ],
)
def test_a_wrong_command_line_ends_with_two(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_a_wrong_issuer_file_ends_with_two_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "issuer.toml"
    file.write_text('[[issuers]]\nissuer = "x"\nnonsense = 1\n')
    command = [
        sys.executable,
        "-m",
        "hsmvault",
        "dev",
        "--data-dir",
        str(tmp_path / "data"),
        "--trust-issuer",
        str(file),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 2
    assert "line 3: issuers[1].nonsense" in ended.stderr
    assert not (tmp_path / "data").exists()


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("hsmvault ")


def test_audit_verify_says_that_it_is_not_there_yet(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "verify"]) == 2
    assert "docs/divergences.md" in capsys.readouterr().err


def test_a_worker_is_not_started_by_hand(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "hsmvault", "worker", "77"], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 2
    assert "by the supervisor" in ended.stderr


def test_serve_names_everything_that_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "hsmvault.toml"
    file.write_text("")
    command = [sys.executable, "-m", "hsmvault", "serve", "--config", str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 2
    for key in ("server.certificate_file", "hsm.pin_file", "[[issuers]]"):
        assert key in ended.stderr


def test_the_lock_is_one_processs_and_ends_with_it(tmp_path: Path) -> None:
    with DataDirectory.claim(tmp_path), pytest.raises(DirectoryInUse, match=f"process {os.getpid()}"):
        DataDirectory.claim(tmp_path)
    DataDirectory.claim(tmp_path).close()


def test_a_lock_whose_owner_is_dead_is_waited_for_and_then_refused(tmp_path: Path) -> None:
    with DataDirectory.claim(tmp_path) as claimed:
        claimed.layout.lock.write_text("2147483646\n")
        with pytest.raises(DirectoryInUse):
            DataDirectory.claim(tmp_path, orphans_seconds=0.05)


def test_a_data_directory_that_cannot_be_made_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="--data-dir"):
        DataDirectory.claim(tmp_path / "file" / "data")


def test_a_made_pin_stays_and_does_not_show(tmp_path: Path) -> None:
    first, second = made_pin(tmp_path / "c" / "pin"), made_pin(tmp_path / "c" / "pin")
    assert first.reveal() == second.reveal()
    assert len(first.reveal()) == 32
    assert first.reveal() not in repr(first)


def test_a_pin_comes_from_a_closed_file_or_a_variable_that_is_then_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pin"
    file.write_text("1234\n")
    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 0600"):
        read_pin("PIN", file=file, variable="", key="hsm.pin")
    file.chmod(0o440)
    assert read_pin("PIN", file=file, variable="", key="hsm.pin").reveal() == "1234"
    monkeypatch.setenv("SOME_PIN", "5678")
    assert read_pin("PIN", file=None, variable="SOME_PIN", key="hsm.pin").reveal() == "5678"
    with pytest.raises(ConfigurationError, match="SOME_PIN is not set"):
        read_pin("PIN", file=None, variable="SOME_PIN", key="hsm.pin")


def _configuration(tmp_path: Path, port: int) -> Path:
    ensure_certificates(Layout(tmp_path), Names("localhost", port), SystemClock())
    made_pin(tmp_path / "pin")
    made_pin(tmp_path / "so-pin")
    file = tmp_path / "hsmvault.toml"
    file.write_text(
        f'[server]\ndata_dir = "data"\nport = {port}\n'
        'certificate_file = "tls/server.pem"\nkey_file = "tls/server.key"\n'
        '[hsm]\npin_file = "pin"\nso_pin_file = "so-pin"\n'
        '[[issuers]]\nissuer = "https://issuer.example"\njwks_file = "keys.json"\n'
        'tenant = "11111111-1111-1111-1111-111111111111"\naudiences = { vault = ["https://vault.example"] }\n'
    )
    return file


def test_check_finds_nothing_against_a_good_configuration(
    tmp_path: Path, port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert admin.check(_configuration(tmp_path, port), StandIn) == 0
    said = capsys.readouterr().out
    assert "passed  a test\n" in said
    assert "nothing stands against" in said
    assert not (tmp_path / "data").exists()


def test_check_says_in_words_what_would_be_refused(
    tmp_path: Path, port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    file = _configuration(tmp_path, port)
    (tmp_path / "pin").unlink()
    (tmp_path / "tls" / "server.key").write_text("nonsense")
    assert admin.check(file, StandIn) == 2
    said = capsys.readouterr().out
    assert all(word in said for word in ("server.key_file", "hsm.pin", "token was not looked at"))


def test_an_embedded_issuer_is_enough_to_serve(tmp_path: Path, port: int, capsys: pytest.CaptureFixture[str]) -> None:
    file = _configuration(tmp_path, port)
    text = file.read_text()
    assert "[[issuers]]" in text
    file.write_text(text.partition("[[issuers]]")[0] + "[login]\nenabled = true\n")
    admin.check(file, StandIn)
    said = capsys.readouterr().out
    assert "nobody could log in" not in said and "login.enabled" not in said


def test_init_and_migrate_keep_out_of_a_running_instance(
    tmp_path: Path, port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    file = _configuration(tmp_path, port)
    assert admin.initialize(file, StandIn) == 0
    assert admin.migrate(file, StandIn) == 0
    assert capsys.readouterr().out == "initialized hsmvault\nmigrated\n"
    with DataDirectory.claim(tmp_path / "data"):
        for command in (admin.initialize, admin.migrate):
            with pytest.raises(OperatorError, match="Another instance"):
                command(file, StandIn)
