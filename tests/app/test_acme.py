"""The issuer "ACME" out of a configuration file."""

import asyncio
from pathlib import Path

import pytest

from hsmvault.app.acme import acme_issuer
from hsmvault.clock import MovedClock, RandomIdentifiers
from hsmvault.config import read_settings
from hsmvault.custody.custodians import WorldCustody
from hsmvault.custody.intents import Intents
from hsmvault.custody.protocols import CustodyClass
from hsmvault.errors import ConfigurationError
from hsmvault.resources.certificate_issuers.acme import AcmeIssuer
from hsmvault.resources.certificate_issuers.protocol import Issued
from hsmvault.store.migrations import migrate
from tests.acme_server import acme_double
from tests.login.custodian import MemoryCustodian
from tests.pipeline.world import rsa_key
from tests.resources.acme_rig import enrolment, kept, opened
from tests.resources.stage import WORLD_ID

GOOD = '[[acme]]\nname = "test"\ndirectory = "https://localhost/dir"\nterms_agreed = true\n'


async def issuer_of(path: Path, text: str, database: object = None) -> AcmeIssuer:
    path.write_text(text)
    custodian = MemoryCustodian([rsa_key()])

    async def mac(_: str, __: bytes) -> bytes:
        raise NotImplementedError

    world = WorldCustody(CustodyClass.WRAPPED, {CustodyClass.WRAPPED: custodian}, mac)
    clock = MovedClock()
    return acme_issuer(
        read_settings(path).acme,
        home=WORLD_ID,
        world=world,
        database=database,  # type: ignore[arg-type]  # unused where it is None
        clock=clock,
        identifiers=RandomIdentifiers(),
        intents=Intents(database, "node", clock),  # type: ignore[arg-type]  # as above
        pause=lambda _: asyncio.sleep(0),
    )


async def test_a_server_of_the_configuration_issues(tmp_path: Path) -> None:
    migrate(f"sqlite:///{tmp_path / 'empty.db'}")
    (webroot := tmp_path / "web").mkdir()
    (key_file := tmp_path / "eab").write_text("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")
    key_file.chmod(0o600)
    async with (
        acme_double(tmp_path) as double,
        opened(tmp_path / "empty.db", tmp_path / "v.db", MovedClock()) as database,
    ):
        double.bindings["kid-1"] = bytes(range(32))

        async def validate(_: str, name: str, token: str, answer: str) -> bool:
            return (webroot / ".well-known" / "acme-challenge" / token).read_text() == answer

        double.validate = validate
        text = (
            f'[[acme]]\nname = "test"\ndirectory = "{double.directory}"\nca_file = "ca.pem"\nwebroot = "web"\n'
            'contacts = ["pki@example.com"]\nterms_agreed = true\neab_kid = "kid-1"\neab_key_file = "eab"\n'
        )
        issuer, asking = await issuer_of(tmp_path / "c.toml", text, database), enrolment("a.example.com")
        for _ in range(3):
            outcome = await issuer.enrol(asking)
            asking = kept(asking, outcome)
        assert isinstance(outcome, Issued)
        assert list(double.contacts.values()) == [["mailto:pki@example.com"]]
        assert all(key["kty"] == "RSA" for key in double.key_of.values())


async def test_no_server_at_all_is_no_error(tmp_path: Path) -> None:
    assert (await issuer_of(tmp_path / "c.toml", "")).provider == "ACME"


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", 0o644, "other users can reach"),
        ("AAEC", 0o600, "no HMAC key of at least 16 bytes"),
        ("not base64url", 0o600, "no HMAC key"),
        ("", 0o600, "empty"),
    ],
)
async def test_a_binding_key_that_cannot_be_used_is_refused_at_start_without_showing_it(
    tmp_path: Path, content: str, mode: int, reason: str
) -> None:
    (key_file := tmp_path / "eab").write_text(content)
    key_file.chmod(mode)
    with pytest.raises(ConfigurationError, match=reason) as caught:
        await issuer_of(tmp_path / "c.toml", GOOD + 'eab_kid = "kid"\neab_key_file = "eab"\n')
    assert not content or content not in str(caught.value)


async def test_a_ca_file_that_cannot_be_read_is_refused_at_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"acme 'test': ca_file .* cannot be read"):
        await issuer_of(tmp_path / "c.toml", GOOD + 'ca_file = "missing.pem"\n')


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (GOOD.replace("https:", "http:"), "must be an https URL"),
        (GOOD.replace("https://", "https://user@"), "must be an https URL"),
        (GOOD.replace("true", "false"), "terms"),
        (GOOD + GOOD, "another"),
        (GOOD.replace('"test"', '"Not a name"'), "name"),
        (GOOD + 'eab_kid = "kid"\n', "belong together"),
        (GOOD + 'eab_key_file = "eab"\n', "belong together"),
        (GOOD + 'challenge = "dns-01"\n', "needs a hook"),
        (GOOD + 'challenge = "tls-alpn-01"\n', "challenge"),
        (GOOD + 'webroot = "w"\nhook = ["/bin/true"]\n', "one way"),
        (GOOD + 'webroot = "w"\nchallenge = "dns-01"\nhook = ["/bin/true"]\n', "one way"),
        (GOOD + 'hook = ["true"]\n', "whole path"),
        (GOOD + 'hook = ["/bin/true"]\nhook_seconds = 60.0\n', "hook_seconds"),
        (GOOD + "[pki]\nenabled = false\n", "needs"),
        (GOOD + 'contacts = ["nobody"]\n', "contacts"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=reason):
        read_settings(tmp_path / "c.toml")
