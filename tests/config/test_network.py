"""Listeners, named networks and trusted services in the configuration, and how the firewall gets them."""

from pathlib import Path

import pytest

from hsmvault.app.networks import entrance_of, firewall, named_networks
from hsmvault.config import Settings, read_settings
from hsmvault.errors import ConfigurationError
from hsmvault.model.network import parse_address
from tests.pipeline.world import APPLICATION_ID, TENANT, VAULT, a_call, a_caller

_NETWORK = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network"
SUBNET = f"{_NETWORK}/virtualNetworks/Office/subnets/Desks"
ENDPOINT = f"{_NETWORK}/privateEndpoints/Branch"
FINGERPRINT = "AB:" * 31 + "ab"
PRIVATE = '[[server.listeners]]\nname = "private"\naddress = "127.0.0.2"\n'
PROXIED = f'{PRIVATE}proxy_protocol = "v2"\nproxies = ["127.0.0.1"]\n'
CERTIFIED = f'{PRIVATE}client_ca_file = "ca.pem"\n'


def network(text: str, *, id: str = SUBNET, kind: str = "subnet") -> str:
    return f'[[network.networks]]\nid = "{id}"\nkind = "{kind}"\n{text}\n'


def read(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "hsmvault.toml"
    path.write_text(text)
    return read_settings(path)


def test_every_way_to_recognise_a_network_is_read(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        PROXIED
        + '[[server.listeners]]\nname = "proxies"\naddress = "::1"\nport = 8500\nclient_ca_file = "ca.pem"\n'
        + network(
            f'ranges = ["10.0.0.0/8"]\nlisteners = ["private"]\nlink_ids = [7]\n'
            f'certificates = ["sha256:{FINGERPRINT}", "dns:Proxy.Example.com", "subject:CN=a,O=b"]\n'
            '[[network.networks.tlvs]]\ntype = 0xE4\nvalue = "Bürö"\n'
        )
        + network('ranges = ["2001:db8::/32"]', id=ENDPOINT, kind="private-endpoint"),
    )
    networks = named_networks(settings)
    here = frozenset({SUBNET.lower()})
    assert networks.subnets == here
    assert networks.of_address(parse_address("::ffff:10.1.1.1")) == here
    assert networks.of_address(parse_address("2001:db8::1")) == {ENDPOINT.lower()}
    assert networks.of_address(parse_address("192.0.2.1")) == frozenset()
    assert networks.of_listener("private") == here
    assert networks.of_listener("proxies") == frozenset()
    for name in (f"sha256:{'ab' * 32}", "dns:proxy.example.com", "subject:CN=a,O=b"):
        assert networks.of_certificate({name, "dns:x"}) == here
    assert networks.of_proxy(7, {}) == here
    assert networks.of_proxy(None, {0xE4: "Bürö".encode()}) == here
    assert networks.of_proxy(8, {0xE4: b"x", 0xE5: "Bürö".encode()}) == frozenset()
    first, second = (entrance_of(settings, listener) for listener in settings.server.listeners)
    assert first.proxied and first.proxies.trusts(parse_address("127.0.0.1"))
    assert not second.proxied and not second.proxies.networks
    assert settings.server.listeners[1].client_ca_file == tmp_path / "ca.pem"


def test_a_trusted_service_is_read(tmp_path: Path) -> None:
    service = f'name = "backup"\ntenant = "{TENANT}"\napplication_id = "{APPLICATION_ID.upper()}"\n'
    settings = read(tmp_path, f"[[network.trusted_services]]\n{service}")
    assert firewall(settings).trusts(a_call(None, container=VAULT), a_caller())
    assert not firewall(Settings()).trusts(a_call(None, container=VAULT), a_caller())


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (PRIVATE + PRIVATE.replace("127.0.0.2", "127.0.0.3"), "server.listeners[2].name"),
        (PRIVATE.replace("127.0.0.2", "127.0.0.1"), "server.listeners[1].address"),
        (PRIVATE + PRIVATE.replace('"private"', '"other"'), "server.listeners[2].address"),
        (PRIVATE + 'proxy_protocol = "v2"\n', "server.listeners[1]"),
        (PRIVATE + 'proxies = ["127.0.0.1"]\n', "server.listeners[1]"),
        (PRIVATE + 'proxy_protocol = "v1"\n', "server.listeners[1].proxy_protocol"),
        (network(""), "network.networks[1]"),
        (network('ranges = ["10.0.0.1/8"]'), "network.networks[1].ranges"),
        (network('ranges = ["::ffff:10.0.0.0/104"]'), "network.networks[1].ranges"),
        (network('ranges = ["::/0"]', id=ENDPOINT), "network.networks[1].id"),
        (network('ranges = ["::/0"]', id="/office"), "network.networks[1].id"),
        (network('ranges = ["::/0"]', kind="private-endpoint"), "network.networks[1].id"),
        (network('ranges = ["::/0"]') + network('ranges = ["::/0"]', id=SUBNET.upper()), "network.networks[2].id"),
        (network('listeners = ["private"]'), "network.networks[1].listeners"),
        (PRIVATE + network('certificates = ["dns:a"]'), "network.networks[1].certificates"),
        (CERTIFIED + network('certificates = ["a"]'), "network.networks[1].certificates"),
        (CERTIFIED + network('certificates = ["sha256:ab"]'), "network.networks[1].certificates"),
        (CERTIFIED + network('certificates = ["subject:a"]'), "network.networks[1].certificates"),
        (PRIVATE + network("link_ids = [7]"), "network.networks[1].link_ids"),
        (PROXIED + network("link_ids = [4294967296]"), "network.networks[1].link_ids"),
        (PRIVATE + network('tlvs = [{ type = 0xE0, value = "a" }]'), "network.networks[1].tlvs"),
        (PROXIED + network('tlvs = [{ type = 0x01, value = "a" }]'), "network.networks[1].tlvs[1].type"),
        (
            f'[[network.trusted_services]]\nname = "backup"\ntenant = "{TENANT}"\n',
            "network.trusted_services[1]",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, text)
    assert f": {place}: " in str(caught.value)
