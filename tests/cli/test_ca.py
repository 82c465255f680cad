"""`hsmvault ca`: what it prints, what it revokes, and that a running instance hears of it."""

import asyncio
import json
import socket
import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from cryptography import x509

from hsmvault.app.authorities import refuse_changed, rules_of
from hsmvault.cli.dev import DevOptions, dev_settings
from hsmvault.cli.listeners import bind
from hsmvault.cli.main import main
from hsmvault.clock import SystemClock
from hsmvault.config import read_settings
from hsmvault.config.certificates import Pki
from hsmvault.errors import ConfigurationError, PortTaken
from hsmvault.model.authorities import AuthorityRole, IssuedRow
from hsmvault.resources.authorities import LocalAuthority
from hsmvault.store import authorities as store
from hsmvault.store.database import Database
from tests.instance import folder_for_data, free_ports, running
from tests.resources.authority_stage import authority_of, certificate, openssl, order
from tests.resources.stage import Stage, stage
from tests.softhsm import SoftToken, softhsm_for_module, softhsm_template

__all__ = ["softhsm_for_module", "softhsm_template"]


class Installation:
    """The data directory of an embedded instance that does not run."""

    def __init__(self, on: Stage, data_dir: Path, authority: LocalAuthority) -> None:
        self.on, self.data_dir, self.authority = on, data_dir, authority

    async def run(self, *arguments: str) -> int:
        """The command has a loop of its own."""
        return await asyncio.to_thread(main, ["ca", *arguments, "--data-dir", str(self.data_dir)])

    async def issued(self) -> str:
        """Serial number of a new certificate."""
        leaf, *_ = await self.authority.issue(order())
        return f"{certificate(leaf).serial_number:032x}"


@pytest_asyncio.fixture
async def there(softhsm_for_module: SoftToken, tmp_path: Path) -> AsyncIterator[Installation]:
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o700)
    async with stage(softhsm_for_module, data_dir / "hsmvault.db") as on:
        (rules,) = rules_of(dev_settings(DevOptions(data_dir)))
        yield Installation(on, data_dir, authority_of(on, rules))


async def test_the_authorities_are_listed_once_they_are_made_and_before(
    there: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await there.run("list") == 0
    assert capsys.readouterr().out == "dev-ca  not made yet: the next start makes it\n"
    await there.authority.prepare()
    assert await there.run("list") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("dev-ca  CN=hsmvault development CA,O=hsmvault  until 20")


async def test_an_authority_is_shown_with_what_it_has_issued(
    there: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = await there.issued(), await there.issued()
    assert await there.run("revoke", "dev-ca", bad, "--reason", "superseded") == 0
    capsys.readouterr()
    assert await there.run("show", "dev-ca") == 0
    said = capsys.readouterr().out
    assert "root: CN=hsmvault development root,O=hsmvault" in said
    assert "key            EC 384, wrapped custody" in said
    assert "issued: 2" in said
    assert f"  {good}  www  until " in said
    (line,) = [line for line in said.splitlines() if bad in line]
    assert line.endswith("UTC (superseded)")


async def test_the_export_is_the_chain_in_pem(
    there: Installation, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    _, issuing, root = await there.authority.issue(order())
    assert await there.run("export", "dev-ca") == 0
    written = capsys.readouterr().out.encode()
    assert x509.load_pem_x509_certificates(written) == [certificate(issuing), certificate(root)]
    (tmp_path / "chain.pem").write_bytes(written)
    await asyncio.to_thread(openssl, "x509", "-in", str(tmp_path / "chain.pem"), "-noout")


@pytest.mark.parametrize("form", [str, str.upper, lambda text: bytes.fromhex(text).hex(":")])
async def test_a_serial_number_may_be_written_as_openssl_writes_it(
    there: Installation, form: Callable[[str], str]
) -> None:
    serial = await there.issued()
    assert await there.run("revoke", "dev-ca", form(serial)) == 0
    async with there.on.database.read() as tx:
        row = await store.find(tx, "dev-ca", serial)
    assert row is not None
    assert row.reason == 0
    crl = x509.load_der_x509_crl(await there.authority.status.crl(AuthorityRole.ISSUING))
    assert [f"{one.serial_number:032x}" for one in crl] == [serial]


async def test_a_revocation_stands_in_the_audit_log(there: Installation) -> None:
    serial = await there.issued()
    assert await there.run("revoke", "dev-ca", serial, "--reason", "keyCompromise") == 0
    (log,) = (there.data_dir / "audit").glob("audit-authority-*.jsonl")
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert [one["operationName"] for one in records] == ["AuthorityCertificateRevoke"] * 2
    assert [one["resultSignature"] for one in records] == ["Begun", "OK"]
    assert records[0]["resultDescription"] == "keyCompromise"
    assert serial in records[0]["properties"]["id"]


async def test_what_cannot_be_done_is_said_in_one_sentence(
    there: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    serial = await there.issued()
    for arguments, sentence in (
        (("show", "nobody"), "There is no certificate authority 'nobody'"),
        (("export", "nobody"), "There is no certificate authority 'nobody'"),
        (("revoke", "dev-ca", "12"), "has issued no certificate with the serial number 12"),
        (("revoke", "nobody", serial), "has issued no certificate with the serial number"),
        (("revoke", "dev-ca", "xyz"), "is not a serial number"),
        (("revoke", "dev-ca", ""), "is not a serial number"),
    ):
        assert await there.run(*arguments) == 2
        error = capsys.readouterr().err
        assert sentence in error
        assert error.count("\n") == 1
    assert await there.run("revoke", "dev-ca", serial) == 0
    assert await there.run("revoke", "dev-ca", serial) == 2
    assert "revoked already" in capsys.readouterr().err


def test_without_an_instance_there_is_nothing_to_look_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ca", "list", "--data-dir", str(tmp_path / "none")]) == 2
    assert "There is no instance" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


async def test_a_start_is_refused_when_an_authority_was_made_under_another_name(there: Installation) -> None:
    await there.authority.prepare()
    file = there.data_dir / "c.toml"
    file.write_text('[[authorities]]\nname = "dev-ca"\nroot_subject = "CN=Another"\nsubject = "CN=One"\n')
    with pytest.raises(ConfigurationError, match="never changes"):
        await refuse_changed(read_settings(file), there.on.database)
    await refuse_changed(dev_settings(DevOptions(there.data_dir)), there.on.database)


def test_an_embedded_instance_has_no_port_of_its_own_for_relying_parties(tmp_path: Path) -> None:
    settings = dev_settings(DevOptions(tmp_path / "data", free_ports(), workers=2))
    with bind(settings) as bound:
        assert bound.pki == [(), ()]
        assert [len(sockets) for sockets in bound.identity] == [1, 1]


def test_a_taken_port_of_relying_parties_stops_a_server(tmp_path: Path) -> None:
    dev = dev_settings(DevOptions(tmp_path / "data", free_ports(), workers=2))
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        own = msgspec.structs.replace(dev, pki=Pki(port=other.getsockname()[1]))
        with pytest.raises(PortTaken, match=r"pki\.port"):
            bind(own)
    with bind(own) as bound:
        assert [len(sockets) for sockets in bound.pki] == [1, 1]


@pytest.mark.slow
def test_a_running_instance_publishes_a_revocation_within_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    with folder_for_data() as folder, running(folder / "data", workers=2) as instance:
        base = f"http://127.0.0.1:{instance.port + 1}/dev-ca"

        def fetch(name: str) -> bytes:
            with urllib.request.urlopen(f"{base}/{name}", timeout=10) as answer:  # noqa: S310  # our own, over http
                return bytes(answer.read())

        issuing = x509.load_der_x509_certificate(fetch("issuing.cer"))
        issuing.verify_directly_issued_by(x509.load_der_x509_certificate(fetch("root.cer")))
        assert all(not list(x509.load_der_x509_crl(fetch("issuing.crl"))) for _ in range(4))
        serial = _recorded(instance.data_dir)
        assert main(["ca", "revoke", "dev-ca", serial, "--data-dir", str(instance.data_dir)]) == 0
        deadline = time.monotonic() + 1.0
        while any(not list(x509.load_der_x509_crl(fetch("issuing.crl"))) for _ in range(8)):
            assert time.monotonic() < deadline
        assert main(["ca", "list", "--data-dir", str(instance.data_dir)]) == 0
        assert "dev-ca  CN=hsmvault development CA" in capsys.readouterr().out
        assert instance.failures() == []


def _recorded(data_dir: Path) -> str:
    """As if a certificate had been issued: its row is what counts. Returns the serial number."""

    async def record() -> str:
        database = await Database.open(f"sqlite:///{data_dir}/hsmvault.db", clock=SystemClock())
        try:
            row = IssuedRow("dev-ca", f"{1 << 126:032x}", int(time.time()) + 86_400, 1, "c", "www", "v")
            async with database.write() as tx:
                await store.record(tx, row)
        finally:
            await database.close()
        return row.serial

    return asyncio.run(record())
