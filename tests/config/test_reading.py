"""Mistakes in a configuration file are refused with key, file and line."""

from pathlib import Path

import msgspec
import pytest

from hsmvault.config import Settings, read_issuers, read_settings
from hsmvault.config.values import decode_text
from hsmvault.errors import ConfigurationError

GUID = "11111111-1111-1111-1111-111111111111"
ISSUER = f"""
[[issuers]]
issuer = "https://issuer.example"
jwks_file = "keys.json"
tenant = "{GUID}"
audiences = {{ vault = ["https://vault.example"] }}
"""


def read(tmp_path: Path, text: str) -> Settings:
    (tmp_path / "c.toml").write_text(text)
    return read_settings(tmp_path / "c.toml")


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("[server]\n\nprot = 8443\n", 3, "server.prot: this key is not known"),
        ("[servers]\nport = 8443\n", 1, "servers: this key is not known"),
        ("port = 8443\n", 1, "port: this key is not known"),
        ("# one\nserver.prot = 1\n", 2, "server.prot: this key is not known"),
        ("server = { port = 1, prot = 2 }\n", 1, "server.prot: this key is not known"),
        ('[server]\n"prot" = 1\n', 2, "server.prot"),
        ('[server]\nport = "8443"\n', 2, "server.port: Expected `int`, got `str`"),
        ("[server]\nport = 65536\n", 2, "server.port: Expected `int` <= 65535"),
        ("[server]\nworkers = true\n", 2, "server.workers"),
        ("[server]\nsuffix = 'Keys.example'\n", 2, "server.suffix"),
        ("[server]\n\ntrusted_proxies = ['10.0.0.1/8']\n", 3, "server.trusted_proxies"),
        ("[server]\ntrusted_proxies = ['::ffff:10.0.0.0/104']\n", 2, "server.trusted_proxies"),
        ("[server]\ntrusted_proxies = [1]\n", 2, "server.trusted_proxies"),
        ("[server]\naddresses = ['localhost']\n", 2, "server.addresses"),
        ("[server]\naddresses = []\n", 2, "server.addresses"),
        ("[server]\ndata_dir = ''\n", 2, "server.data_dir"),
        ("[server]\ncertificate_file = 'a'\n", 2, "server.certificate_file: it needs server.key_file"),
        ("server = 3\n", 1, "server: this is a table"),
        ("[containers]\nname = 'abc'\n", 1, "containers: these are tables: write [[containers]]"),
        (
            f"[[containers]]\nname = 'abc'\ntenant = '{GUID}'\n[[containers]]\nname = 'def'\n",
            4,
            "key 'tenant' is missing",
        ),
        (f"[[containers]]\nname = 'abc'\ntenant = '{GUID}x'\n", 3, "containers[1].tenant"),
        (f"[[containers]]\nname = 'a'\ntenant = '{GUID}'\n", 2, "containers[1].name"),
        (
            f"[[containers]]\nname = 'abc'\ntenant = '{GUID}'\n[[containers.access_policies]]\ntenant = '{GUID}'\n"
            f"object_id = '{GUID}'\nkeyz = []\n",
            7,
            "containers[1].access_policies[1].keyz",
        ),
        (
            "[network]\n[[network.containers]]\nname = 'abc'\nip_rules = ['1.2.3']\n",
            4,
            "network.containers[1].ip_rules",
        ),
        ("[custody]\nhard = 'soft'\n", 2, "custody.hard"),
        ("[login]\n\nsigning_key_days = 2\n", 3, "login.signing_key_days: Expected `int` >= 3"),
        ("[metrics]\nport = 8443\n", 2, "metrics.port: port 8443 is already the one of server.port"),
        ("[server]\nport = 65535\n", 1, "metrics.port: port 65537"),
        (ISSUER + 'algorithms = ["HS256"]\n', 7, "issuers[1].algorithms"),
        (ISSUER + 'algorithms = ["none"]\n', 7, "issuers[1].algorithms"),
        (ISSUER + 'tenant_claim = "tid"\n', 2, "issuers[1]: give either tenant"),
        (ISSUER + 'jwks_uri = "https://a"\n', 2, "issuers[1]: the key set comes from one place"),
        (ISSUER + ISSUER, 9, "issuers[2].issuer: 'https://issuer.example' stands in another"),
        (
            ISSUER.replace('jwks_file = "keys.json"', 'jwks_uri = "http://a"'),
            4,
            "issuers[1].jwks_uri: this must be an https",
        ),
        (ISSUER.replace('["https://vault.example"]', "[]"), 6, "issuers[1].audiences: no plane has an audience"),
        ('[store]\nurl = """\n[server]\n"""\n[nonsense]\n', 5, "nonsense: this key is not known"),
    ],
)
def test_a_mistake_is_refused_with_key_file_and_line(tmp_path: Path, text: str, line: int, key: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read(tmp_path, text)
    sentence = str(refused.value)
    assert key in sentence
    assert sentence.startswith(f"{tmp_path / 'c.toml'}, line {line}: ")


def test_what_is_not_toml_or_not_there_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"c\.toml: the file is not TOML.*line 2"):
        read(tmp_path, "[server]\nport = \n")
    with pytest.raises(ConfigurationError, match=r"none\.toml cannot be read"):
        read_settings(tmp_path / "none.toml")
    (tmp_path / "latin").write_bytes(b"a = '\xff'")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        read_settings(tmp_path / "latin")


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    assert read(tmp_path, "") == Settings()


def test_paths_are_relative_to_the_file_and_guids_are_in_lower_case(tmp_path: Path) -> None:
    settings = read(tmp_path, ISSUER.replace(GUID, GUID.replace("1", "A")) + '[server]\ndata_dir = "here"\n')
    assert settings.server.data_dir == tmp_path / "here"
    assert settings.issuers[0].jwks_file == tmp_path / "keys.json"
    assert settings.issuers[0].tenant == GUID.replace("1", "a")
    assert settings.issuers[0].issuers == ("https://issuer.example",)


def test_a_file_for_trust_issuer_holds_issuers_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "issuer.toml"
    file.write_text(ISSUER)
    assert [issuer.issuers for issuer in read_issuers(file)] == [("https://issuer.example",)]
    file.write_text(ISSUER + "[server]\nport = 1\n")
    with pytest.raises(ConfigurationError, match=r"line 7: server: only \[\[issuers\]\]"):
        read_issuers(file)
    file.write_text("")
    with pytest.raises(ConfigurationError, match=r"no \[\[issuers\]\] table"):
        read_issuers(file)


def test_settings_travel_to_a_worker_unchanged(tmp_path: Path) -> None:
    settings = read(tmp_path, ISSUER + '[[network.containers]]\nname = "abc"\nip_rules = ["10.0.0.0/8"]\n')
    encoded = msgspec.json.encode(settings, enc_hook=str)
    assert msgspec.json.decode(encoded, type=Settings, dec_hook=decode_text) == settings


def test_urls_lose_the_port_at_443(tmp_path: Path) -> None:
    assert Settings().names.vault_url("dev") == "https://dev.vault.localhost:8443"
    settings = read(tmp_path, '[server]\nport = 8443\npublic_port = 443\nsuffix = "keys.example.com"\n')
    assert settings.names.vault_resource == "https://vault.keys.example.com"
    assert settings.names.login == "https://login.keys.example.com"
    assert (settings.identity_port, settings.metrics_port) == (8444, 8445)
