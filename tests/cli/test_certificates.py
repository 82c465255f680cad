"""The embedded CA and what it signs, judged by OpenSSL through Python's ssl over a real connection."""

import socket
import ssl
import stat
import threading
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509

from hsmvault.cli.certificates import ensure_certificates
from hsmvault.clock import MovedClock, SystemClock
from hsmvault.config import Layout, Names
from hsmvault.config.tls import server_context
from hsmvault.errors import ConfigurationError

NAMES = Names("localhost", 8443)
DAY = 86_400


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path)
    ensure_certificates(layout, NAMES, SystemClock())
    return layout


def test_the_certificate_names_every_host_of_an_instance(layout: Layout) -> None:
    certificate = x509.load_pem_x509_certificate(layout.server_certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [
        "*.vault.localhost",
        "*.managedhsm.localhost",
        "login.localhost",
        "management.localhost",
        "graph.localhost",
        "attest.localhost",
        "*.blob.localhost",
        "localhost",
    ]
    assert names.get_values_for_type(x509.IPAddress) == [ip_address("127.0.0.1"), ip_address("::1")]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("host", ["dev.vault.localhost", "login.localhost", "localhost", "127.0.0.1"])
def test_clients_that_know_the_ca_accept_the_server(layout: Layout, host: str, version: ssl.TLSVersion) -> None:
    client = ssl.create_default_context(cafile=str(layout.ca_certificate))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    client.minimum_version = client.maximum_version = version
    client.set_alpn_protocols(["h2", "http/1.1"])
    assert _handshake(layout, client, host) == ("http/1.1", {version.name.replace("_", ".")})


@pytest.mark.parametrize("ciphers", ["ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES128-SHA256", "AES128-GCM-SHA256"])
def test_ciphers_without_authenticated_encryption_or_forward_secrecy_are_refused(layout: Layout, ciphers: str) -> None:
    client = ssl.create_default_context(cafile=str(layout.ca_certificate))
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers(ciphers)
    with pytest.raises(ssl.SSLError):
        _handshake(layout, client, "localhost")


def test_the_ca_vouches_for_no_other_names(layout: Layout, tmp_path: Path) -> None:
    other = Layout(tmp_path / "other")
    ensure_certificates(other, Names("example.com", 443), SystemClock())
    assert _ca(other) != _ca(layout)
    constraints = x509.load_pem_x509_certificate(_ca(layout)).extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert constraints.value.permitted_subtrees is not None
    assert {str(name.value) for name in constraints.value.permitted_subtrees} == {
        "localhost",
        "127.0.0.1/32",
        "::1/128",
    }


def test_private_keys_are_for_the_owner_alone(layout: Layout) -> None:
    for path in (layout.ca_key, layout.server_key, layout.client_certificate):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_second_start_changes_nothing(layout: Layout) -> None:
    before = {path: path.read_bytes() for path in layout.data_dir.rglob("*") if path.is_file()}
    ensure_certificates(layout, NAMES, SystemClock())
    assert {path: path.read_bytes() for path in layout.data_dir.rglob("*") if path.is_file()} == before


def test_a_certificate_near_its_end_is_renewed_under_the_same_ca(tmp_path: Path) -> None:
    clock, layout = MovedClock(), Layout(tmp_path)
    ensure_certificates(layout, NAMES, clock)
    ca, server, client = _ca(layout), layout.server_certificate.read_bytes(), layout.client_certificate.read_bytes()
    clock.move(330 * DAY)
    ensure_certificates(layout, NAMES, clock)
    assert layout.server_certificate.read_bytes() == server
    clock.move(10 * DAY)
    ensure_certificates(layout, NAMES, clock)
    assert layout.server_certificate.read_bytes() != server
    assert (_ca(layout), layout.client_certificate.read_bytes()) == (ca, client)


def test_a_damaged_certificate_is_made_anew(layout: Layout) -> None:
    ca = _ca(layout)
    layout.server_key.write_bytes(b"not a key")
    ensure_certificates(layout, NAMES, SystemClock())
    server_context(layout.server_certificate, layout.server_key)
    assert _ca(layout) == ca


def test_a_key_that_is_not_the_certificates_is_a_configuration_error(layout: Layout) -> None:
    with pytest.raises(ConfigurationError, match=r"server\.key_file"):
        server_context(layout.server_certificate, layout.ca_key)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        server_context(layout.data_dir / "none", layout.ca_key)


def _ca(layout: Layout) -> bytes:
    return layout.ca_certificate.read_bytes()


def _handshake(layout: Layout, client: ssl.SSLContext, host: str) -> tuple[str | None, set[str]]:
    """A real connection. Returns the protocol of ALPN and the version of TLS."""
    context = server_context(layout.server_certificate, layout.server_key)
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            with context.wrap_socket(theirs, server_side=True) as secure:
                secure.recv(1)
        except OSError:
            theirs.close()

    serving = threading.Thread(target=serve)
    serving.start()
    try:
        with client.wrap_socket(ours, server_hostname=host) as secure:
            return secure.selected_alpn_protocol(), {str(secure.version())}
    finally:
        ours.close()
        serving.join()
