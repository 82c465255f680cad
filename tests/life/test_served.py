"""A real instance with everything that a configuration file can give it: an authority of its own, a real ACME server,
a webhook and a mail server. Certificates are created, imported and renewed through the unmodified client and judged by
openssl; the instance is stopped with operations under way, and the next one goes on with them."""

import asyncio
import os
import re
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.keyvault.certificates import (
    CertificateClient,
    CertificateContact,
    CertificateOperation,
    CertificatePolicy,
    KeyVaultCertificate,
    LifetimeAction,
)
from azure.keyvault.secrets import SecretClient
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID

from tests.caller import eventually
from tests.custody.certificates import issued
from tests.instance import folder_for_data, names_resolved
from tests.isolation.node import Credential, Node, set_up
from tests.login.world import free_socket, tls_context
from tests.outbound.receivers import Mailbox, Receiver, mail_server, receiving
from tests.pebble import Pebble, pebble
from tests.pipeline.world import rsa_key
from tests.resources.authority_stage import openssl, pem

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
HOOK = """#!/bin/sh
# zone add|remove NAME VALUE: a file for each record. It takes its time, until there is a file named `go`.
echo $$ > "$1/pid"
while [ ! -e "$1/go" ]; do sleep 0.05; done
case "$2" in
  add) mkdir -p "$1/$3" && touch "$1/$3/$4" ;;
  remove) rm -f "$1/$3/$4" ;;
esac
"""
PEM = "application/x-pem-file"
PASSWORD = "open sesame"
CONTACTS = ("ada@example.com", "bob@example.com")
QUICK: dict[str, Any] = {"_polling_interval": 0.2}
AGED = {
    "aging-own": ("corp", "AutoRenew"),
    "aging-public": ("pebble", "AutoRenew"),
    "asked": ("Self", "EmailContacts"),
}
"""Certificates that are imported shortly before their end: issuer and lifetime action of their policies."""


@dataclass
class World:
    node: Node
    acme: Pebble
    receiver: Receiver
    mailbox: Mailbox
    pki_port: int
    zone: Path

    def certificates(self) -> CertificateClient:
        node = self.node
        ca_file = str(node.certificate)
        return CertificateClient(node.url(node.north), Credential(node.north), connection_verify=ca_file)

    def secrets(self) -> SecretClient:
        node = self.node
        return SecretClient(node.url(node.north), Credential(node.north), connection_verify=str(node.certificate))

    def told(self, what: str) -> list[str]:
        """Ids of the objects of which events whose type ends so have arrived."""
        events = [one for received in self.receiver.received for one in received.json]
        return [one["data"]["Id"] for one in events if one["eventType"].endswith(what)]

    def mails(self) -> set[tuple[str, str]]:
        return {(str(one["To"]), str(one["Subject"])) for one in self.mailbox.messages}

    def hook_runs(self) -> bool:
        try:
            os.kill(int((self.zone / "pid").read_text()), 0)
        except (FileNotFoundError, ValueError, ProcessLookupError):
            return False
        return True


@asynccontextmanager
async def world(tmp_path: Path) -> AsyncIterator[World]:
    with free_socket() as one:
        pki_port = one.getsockname()[1]
    (zone := tmp_path / "zone").mkdir()
    program = tmp_path / "hook"
    program.write_text(HOOK)
    program.chmod(0o700)
    (mail := tmp_path / "mail").mkdir()
    context, mail_ca = tls_context(mail, "localhost", [rsa_key(3), rsa_key(4)])
    async with (
        pebble(tmp_path, http_port=pki_port) as acme,
        receiving() as receiver,
        mail_server(starttls=context, login=True) as mailbox,
    ):
        acme.resolver.zone = zone
        with folder_for_data() as folder, names_resolved():
            node = set_up(folder)
            (folder / "mail-password").write_text(PASSWORD)
            (folder / "mail-password").chmod(0o600)
            with node.configuration.open("a") as configuration:
                configuration.write(_tables(acme, pki_port, receiver, program, zone))
                configuration.write(_smtp(mailbox, mail_ca))
            yield World(node, acme, receiver, mailbox, pki_port, zone)


def _tables(acme: Pebble, pki_port: int, receiver: Receiver, program: Path, zone: Path) -> str:
    server = f'directory = "{acme.directory}"\nca_file = "{acme.ca_file}"\nterms_agreed = true\n'
    return f"""
[[authorities]]
name = "corp"
root_subject = "CN=Served Root,O=Tests"
subject = "CN=Served CA,O=Tests"
permitted_dns = ["example.com"]

[[acme]]
name = "pebble"
{server}
[[acme]]
name = "slow"
challenge = "dns-01"
hook = ["{program}", "{zone}"]
{server}
[pki]
port = {pki_port}

[[events]]
name = "inventory"
url = "{receiver.url}"
containers = ["north"]
"""


def _smtp(mailbox: Mailbox, ca_file: Path) -> str:
    return f"""
[smtp]
host = "localhost"
port = {mailbox.port}
tls = "starttls"
ca_file = "{ca_file}"
username = "vault"
password_file = "mail-password"
sender = "vault@keys.example"
"""


async def test_an_instance_goes_on_with_what_it_was_stopped_in(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        initialized = await asyncio.to_thread(one.node.command, "init")
        assert initialized.returncode == 0, initialized.stderr
        checked = await asyncio.to_thread(one.node.command, "check")
        assert checked.returncode == 0, checked.stdout + checked.stderr
        assert "will fail" not in checked.stdout
        await asyncio.to_thread(_first_run, one, tmp_path)
        assert not one.hook_runs()
        (one.zone / "go").touch()
        await asyncio.to_thread(_second_run, one)
        assert list(one.zone.glob("_acme-challenge.*/*")) == []
        assert one.mailbox.logins[0] == (b"vault", PASSWORD.encode())
        assert PASSWORD not in one.node.log.read_text()
        await asyncio.to_thread(_refused_starts, one)


def _first_run(one: World, folder: Path) -> None:
    with one.node.serving(), one.certificates() as client:
        client.set_contacts([CertificateContact(address) for address in CONTACTS])
        for issuer, provider, account in (("corp", "LocalCA", "corp"), *((x, "ACME", x) for x in ("pebble", "slow"))):
            client.create_issuer(issuer, provider, account_id=account)
        _judge_own(one, client, folder)
        made = client.begin_create_certificate("public", _policy("pebble", "a.example.com"), **QUICK).result()
        assert "Pebble" in _leaf(made).issuer.rfc4514_string()
        for name, (issuer, action) in AGED.items():
            _import_aged(client, name, issuer, action)
        client.begin_create_certificate("slow", _policy("slow", "*.example.com"))
        eventually(one.hook_runs, 30, "the hook is not called")
        assert client.get_certificate_operation("slow").status == "inProgress"
    # one.node.serving() has seen that SIGTERM ends it with 0


def _policy(issuer: str, name: str, **more: Any) -> CertificatePolicy:
    names = {"subject": f"CN={name}", "san_dns_names": [name]}
    return CertificatePolicy(issuer, **names, key_type="EC", key_curve_name="P-256", content_type=PEM, **more)


def _leaf(certificate: KeyVaultCertificate | CertificateOperation) -> x509.Certificate:
    assert isinstance(certificate, KeyVaultCertificate), certificate
    return x509.load_der_x509_certificate(bytes(certificate.cer or b""))


def _judge_own(one: World, client: CertificateClient, folder: Path) -> None:
    """A certificate of the authority `corp`: its chain, and what the listener for relying parties says of it."""
    made = client.begin_create_certificate("own", _policy("corp", "own.example.com"), **QUICK).result()
    with one.secrets() as secrets:
        chain = x509.load_pem_x509_certificates(str(secrets.get_secret("own").value).encode())
    leaf, issuing, root = (certificate.public_bytes(Encoding.DER) for certificate in chain)
    assert chain[0] == _leaf(made)
    base = f"http://127.0.0.1:{one.pki_port}/corp"
    access = chain[0].extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    places = {entry.access_method: entry.access_location.value for entry in access}
    assert places[AuthorityInformationAccessOID.OCSP] == f"{base}/ocsp"
    files = [pem(folder / name, der) for name, der in (("leaf", leaf), ("issuing", issuing), ("root", root))]
    verify = ["verify", "-crl_check", "-crl_download", "-CAfile", files[2], "-untrusted", files[1]]
    openssl(*verify, files[0])
    openssl(*verify, files[1])
    ask = ["ocsp", "-issuer", files[1], "-cert", files[0], "-url", f"{base}/ocsp", "-CAfile", files[2]]
    assert f"{files[0]}: good" in openssl(*ask)
    revoked = one.node.command("ca", "revoke", "corp", f"{chain[0].serial_number:x}", "--reason", "superseded")
    assert revoked.returncode == 0, revoked.stderr
    eventually(lambda: f"{files[0]}: revoked" in openssl(*ask), 5, "OCSP does not hear of the revocation")
    with pytest.raises(AssertionError, match="certificate revoked"):
        openssl(*verify, files[0])
    with pytest.raises(HttpResponseError, match=r"other\.test"):
        client.begin_create_certificate("outside", _policy("corp", "other.test"), **QUICK).result()


def _import_aged(client: CertificateClient, name: str, issuer: str, action: str) -> None:
    """It has ten days left, and its policy would have acted at twenty."""
    begin = datetime.now(UTC).replace(microsecond=0) - timedelta(days=20)
    aged = issued(f"{name}.example.com", begin=begin, days=30, ca=False)
    host = f"{name}.example.com"
    client.import_certificate(name, aged.pem_key + aged.pem, policy=_policy("Unknown", host))
    actions = [LifetimeAction(action, days_before_expiry=20)]
    client.update_certificate_policy(name, _policy(issuer, host, lifetime_actions=actions))


def _second_run(one: World) -> None:
    with one.node.serving(), one.certificates() as client, one.secrets() as secrets:

        def versions(name: str) -> list[str]:
            return [str(properties.id) for properties in client.list_properties_of_certificate_versions(name)]

        eventually(lambda: client.get_certificate_operation("slow").status == "completed", 60, one.node.log.read_text)
        for name in ("aging-own", "aging-public"):
            eventually(lambda name=name: len(versions(name)) == 2, 60, one.node.log.read_text)  # type: ignore[misc]  # called before the next name
            left = _leaf(client.get_certificate(name)).not_valid_after_utc
            assert left > datetime.now(UTC) + timedelta(days=80)
        ids = {id_ for name in ("own", "public", "slow", *AGED) for id_ in versions(name)}
        ids |= {id_.replace("/certificates/", f"/{kind}/") for id_ in ids for kind in ("keys", "secrets")}
        eventually(lambda: set(one.told("NewVersionCreated")) == ids, 30, lambda: str(one.told("")))
        eventually(lambda: set(versions("asked")) <= set(one.told("CertificateNearExpiry")), 30, "near expiry")
        eventually(
            lambda: ("ada@example.com", "Certificate asked in vault north is about to expire") in one.mails(),
            30,
            one.node.log.read_text,
        )
        with urllib.request.urlopen(f"http://127.0.0.1:{one.node.port + 2}/metrics", timeout=30) as answer:
            metrics = answer.read().decode()
        assert re.search(r'^hsmvault_events_total{[^}]*outcome="delivered"[^}]*} [1-9]', metrics, re.MULTILINE)
        assert re.search(r'^hsmvault_mails_total{[^}]*outcome="sent"[^}]*} [1-9]', metrics, re.MULTILINE)
        properties = client.get_certificate("slow").properties
        assert properties is not None
        assert secrets.get_secret("slow").properties.version == properties.version


def _refused_starts(one: World) -> None:
    """In one sentence, and in the same words by both."""
    (one.node.folder / "mail-password").unlink()
    for command in ("check", "serve"):
        refused = one.node.command(command)
        said = refused.stdout + refused.stderr
        assert refused.returncode == 2
        assert "smtp.password_file: the file" in said
        assert "Traceback" not in said
