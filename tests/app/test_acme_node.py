"""A certificate from a real ACME server, ordered by the unmodified client: from the issuer object to the renewal."""

import asyncio
from pathlib import Path

import pytest
from azure.keyvault.certificates import CertificateClient, CertificatePolicy, KeyType
from cryptography import x509

from tests.instance import folder_for_data, names_resolved
from tests.isolation.node import Credential, Node, set_up
from tests.login.world import free_socket
from tests.pebble import pebble

pytestmark = pytest.mark.slow
HOSTS = ["a.example.com", "b.example.com"]


async def test_a_node_orders_proves_and_fetches_by_itself(tmp_path: Path) -> None:
    with free_socket() as one:
        pki_port = one.getsockname()[1]
    async with pebble(tmp_path, http_port=pki_port) as real:
        with folder_for_data() as folder, names_resolved():
            node = set_up(folder)
            acme = (
                f'[[acme]]\nname = "pebble"\ndirectory = "{real.directory}"\nca_file = "{real.ca_file}"\n'
                f'terms_agreed = true\n[pki]\nport = {pki_port}\naddress = "127.0.0.1"\n'
            )
            node.configuration.write_text(node.configuration.read_text() + acme)
            initialized = await asyncio.to_thread(node.command, "init")
            assert initialized.returncode == 0, initialized.stderr
            root = x509.load_pem_x509_certificate(await real.root())
            await asyncio.to_thread(_with_client, node, root)


def _with_client(node: Node, root: x509.Certificate) -> None:
    with (
        node.serving(),
        CertificateClient(
            node.url(node.north), Credential(node.north), connection_verify=str(node.certificate)
        ) as client,
    ):
        client.create_issuer("acme", "ACME", account_id="pebble")
        policy = CertificatePolicy("acme", subject="CN=a.example.com", san_dns_names=HOSTS, key_type=KeyType.ec)
        first = client.begin_create_certificate("web", policy, _polling_interval=0.2).result()
        second = client.begin_create_certificate("web", policy, _polling_interval=0.2).result()
        for made in (first, second):
            certificate = x509.load_der_x509_certificate(made.cer)
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            assert sorted(names.get_values_for_type(x509.DNSName)) == HOSTS
        assert first.properties.version != second.properties.version
        assert root.subject != certificate.issuer  # an intermediate's: the chain is in the secret
        client.create_issuer("other", "ACME", account_id="https://evil.example.com/")
        with pytest.raises(Exception, match="account_id"):
            client.begin_create_certificate("bad", CertificatePolicy("other", subject="CN=a.example.com")).result()
