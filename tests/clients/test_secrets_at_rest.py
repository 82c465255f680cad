"""What callers entrust to the vault stands in no file of the instance that could be read, and in no log or record."""

import base64
import secrets as randomness

from azure.keyvault.certificates import CertificatePolicy
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12

from tests.clients.certificates import PEM, PKCS12, opened
from tests.clients.flavours import Clients
from tests.clients.refusals import refused
from tests.clients.test_certificates_imports import leaf
from tests.instance import DevInstance


def found_in(instance: DevInstance, wanted: dict[str, bytes]) -> list[tuple[str, str]]:
    """Names of what is found, and where."""
    paths = [path for path in instance.data_dir.rglob("*") if path.is_file() and not path.is_socket()]
    contents = {str(path): path.read_bytes() for path in (instance.log, *paths)}
    return [(name, path) for name, text in wanted.items() for path, content in contents.items() if text in content]


async def test_values_passwords_and_private_keys_are_in_no_file(
    sync_clients: Clients, name: str, dev_instance: DevInstance
) -> None:
    secrets, certificates = sync_clients.secrets, sync_clients.certificates
    value, wrong, password, account = (randomness.token_hex(16) for _ in range(4))
    await secrets.set_secret(name, value, tags={"seen": f"{name}-tag"})
    assert (await secrets.get_secret(name)).value == value
    with refused(400, "BadParameter"):
        await secrets.set_secret(name, wrong * 1000)
    await secrets.backup_secret(name)
    await secrets.delete(name)

    certificate = f"{name}-certificate"
    mine = leaf()
    pfx = pkcs12.serialize_key_and_certificates(b"x", mine.key, mine.certificate, None, NoEncryption())
    await certificates.import_certificate(certificate, pfx)
    with refused(400, "BadParameter"):
        await certificates.import_certificate(certificate, pfx[:-20], password=password)
    made = {"imported": mine.key}
    for content_type in (PKCS12, PEM):
        wanted = CertificatePolicy("Self", subject="CN=a", key_type="EC", exportable=True, content_type=content_type)
        await certificates.create(certificate, wanted)
        made[content_type] = opened(await secrets.get_secret(certificate)).key
    await certificates.backup_certificate(certificate)
    await certificates.create_issuer(name, "DigiCert", account_id="account", password=account)

    sought = {"value": value, "wrong": wrong, "password": password, "account": account}
    found = {word: text.encode() for word, text in sought.items()}
    for word, key in made.items():
        der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        scalar = key.private_numbers().private_value.to_bytes(32)
        found |= {f"{word} scalar": scalar, f"{word} base64": base64.b64encode(der)[:64]}
    assert found_in(dev_instance, found) == []
    assert found_in(dev_instance, {"tag": f"{name}-tag".encode()})  # what is no secret is found: the search works
