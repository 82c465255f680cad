"""Every credential of azure-identity that a program can use without a person, against the embedded issuer.

Which of them needs the flag that switches MSAL's instance discovery off: the synchronous ones with a GUID tenant, and
nothing else. No name but the instance's own resolves here, so a client that asks Microsoft's host fails.
"""

import base64
import os
from collections.abc import AsyncIterator, Callable
from types import ModuleType
from typing import Any

import azure.identity
import azure.identity.aio
import azure.keyvault.keys
import azure.keyvault.keys.aio
import msgspec
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.keyvault.keys import KeyVaultKey

from tests.clients import reference
from tests.clients.keys import KeyRing
from tests.clients.kinds import Kind
from tests.clients.principals import Principal
from tests.clients.vault import OpenVault, Vault, settle
from tests.instance import DevInstance

DIGEST = bytes(32)
FLAG = {"disable_instance_discovery": True}

Make = Callable[..., Any]
_E = os.environ

UNATTENDED: dict[str, Make] = {
    "secret": lambda identity, **flag: identity.ClientSecretCredential(
        _E["AZURE_TENANT_ID"], _E["AZURE_CLIENT_ID"], _E["AZURE_CLIENT_SECRET"], **flag
    ),
    "certificate": lambda identity, **flag: identity.CertificateCredential(
        _E["AZURE_TENANT_ID"], _E["AZURE_CLIENT_ID"], _E["HSMVAULT_CLIENT_CERTIFICATE_PATH"], **flag
    ),
    "certificate with its chain": lambda identity, **flag: identity.CertificateCredential(
        _E["AZURE_TENANT_ID"],
        _E["AZURE_CLIENT_ID"],
        _E["HSMVAULT_CLIENT_CERTIFICATE_PATH"],
        send_certificate_chain=True,
        **flag,
    ),
    "environment": lambda identity, **flag: identity.EnvironmentCredential(**flag),
    "default": lambda identity, **flag: identity.DefaultAzureCredential(**flag),
}
SHAPES = [
    pytest.param(azure.identity, "adfs", {}, id="sync-adfs"),
    pytest.param(azure.identity, "guid", FLAG, id="sync-guid-flag"),
    pytest.param(azure.identity.aio, "adfs", {}, id="async-adfs"),
    pytest.param(azure.identity.aio, "guid", {}, id="async-guid"),
]
EACH = [
    pytest.param(
        *shape.values,
        name,
        id=f"{shape.id}-{name}",
        marks=() if name == "secret" or shape is SHAPES[0] else pytest.mark.slow,
    )
    for shape in SHAPES
    for name in UNATTENDED
]


@pytest.fixture
async def use(ring: KeyRing, sync_owner: Vault) -> AsyncIterator[Callable[[ModuleType, Any], Any]]:
    """Read a key and sign with it by a credential; returns the claims of its token."""
    key = await ring.get(sync_owner, Kind("EC-HSM", curve="P-256"))
    opened: list[Any] = []

    async def use(identity: ModuleType, credential: Any) -> dict[str, Any]:
        keys = azure.keyvault.keys.aio if identity is azure.identity.aio else azure.keyvault.keys
        client = keys.KeyClient(_E["AZURE_KEYVAULT_URL"], credential)
        crypto = client.get_cryptography_client(key.name)
        opened.extend((crypto, client, credential))
        found: KeyVaultKey = await settle(client.get_key(key.name))
        signed = await settle(crypto.sign("ES256", DIGEST))
        assert reference.verifies(reference.public_key(found.key), "ES256", DIGEST, signed.signature)
        resource = _E["AZURE_KEYVAULT_URL"].replace("dev.", "", 1)
        return claims((await settle(credential.get_token(f"{resource}/.default"))).token)

    yield use
    for each in opened:
        await settle(each.close())


def claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    found: dict[str, Any] = msgspec.json.decode(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


@pytest.mark.parametrize(("identity", "tenant", "flags", "name"), EACH)
async def test_an_application_logs_in_and_uses_a_key(
    use: Any, monkeypatch: pytest.MonkeyPatch, identity: ModuleType, tenant: str, flags: dict[str, Any], name: str
) -> None:
    guid = _E["AZURE_TENANT_ID"]
    if tenant == "adfs":
        monkeypatch.setenv("AZURE_TENANT_ID", "adfs")

    token = await use(identity, UNATTENDED[name](identity, **flags))

    assert (token["tid"], token["appid"], token["idtyp"]) == (guid, _E["AZURE_CLIENT_ID"], "app")
    assert token["aud"] == _E["AZURE_KEYVAULT_URL"].replace("dev.", "", 1)
    assert token["iss"] == f"{_E['AZURE_AUTHORITY_HOST']}/{guid}/"
    assert token["appidacr"] == ("2" if name.startswith("certificate") else "1")


@pytest.mark.slow
@pytest.mark.parametrize(("identity", "tenant", "flags"), SHAPES)
async def test_the_environment_names_a_certificate(
    use: Any, monkeypatch: pytest.MonkeyPatch, identity: ModuleType, tenant: str, flags: dict[str, Any]
) -> None:
    monkeypatch.setenv("AZURE_CLIENT_CERTIFICATE_PATH", _E["HSMVAULT_CLIENT_CERTIFICATE_PATH"])
    monkeypatch.delenv("AZURE_CLIENT_SECRET")
    if tenant == "adfs":
        monkeypatch.setenv("AZURE_TENANT_ID", "adfs")
    assert (await use(identity, identity.EnvironmentCredential(**flags)))["appidacr"] == "2"


@pytest.mark.parametrize("flavour", ["imds", "app service"])
@pytest.mark.parametrize(
    "by", ["ManagedIdentityCredential", pytest.param("DefaultAzureCredential", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("identity", [azure.identity, azure.identity.aio], ids=["sync", "async"])
async def test_the_managed_identity_of_the_machine_uses_a_key(
    use: Any, monkeypatch: pytest.MonkeyPatch, dev_instance: DevInstance, identity: ModuleType, by: str, flavour: str
) -> None:
    for variable in ("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID"):
        monkeypatch.delenv(variable)
    if flavour == "app service":
        for variable, value in dev_instance.identity.items():
            monkeypatch.setenv(variable, value)
        monkeypatch.delenv("AZURE_POD_IDENTITY_AUTHORITY_HOST")

    token = await use(identity, getattr(identity, by)())

    assert (token["tid"], token["idtyp"]) == (dev_instance.environment["AZURE_TENANT_ID"], "app")
    assert token["appid"] != dev_instance.environment["AZURE_CLIENT_ID"]
    assert token["sub"] == token["oid"]
    assert token["xms_mirid"].lower().startswith("/subscriptions/")


def refused_login(open_vault: OpenVault, credential: object) -> str:
    with pytest.raises(ClientAuthenticationError) as caught:
        open_vault(credential).client.get_key("any")
    return str(caught.value)


@pytest.mark.parametrize(("tenant", "flags"), [("adfs", {}), ("guid", FLAG)], ids=["adfs", "guid"])
def test_a_wrong_secret_is_an_authentication_error_with_its_code(
    open_vault: OpenVault, owner: Principal, tenant: str, flags: dict[str, Any]
) -> None:
    tenant_id = owner.tenant_id if tenant == "guid" else tenant
    credential = azure.identity.ClientSecretCredential(tenant_id, owner.client_id, "wrong", **flags)
    assert "AADSTS7000215" in refused_login(open_vault, credential)


async def test_a_wrong_secret_is_an_authentication_error_to_the_asynchronous_client_too(owner: Principal) -> None:
    credential = azure.identity.aio.ClientSecretCredential(owner.tenant_id, owner.client_id, "wrong")
    async with credential, azure.keyvault.keys.aio.KeyClient(_E["AZURE_KEYVAULT_URL"], credential) as client:
        with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
            await client.get_key("any")


def test_an_unknown_application_and_an_unknown_tenant_are_named_so(open_vault: OpenVault, owner: Principal) -> None:
    unknown = "00000000-0000-4000-8000-000000000000"
    application = azure.identity.ClientSecretCredential(owner.tenant_id, unknown, owner.secret, **FLAG)
    assert "AADSTS700016" in refused_login(open_vault, application)
    tenant = azure.identity.ClientSecretCredential(
        unknown, owner.client_id, owner.secret, additionally_allowed_tenants=["*"], **FLAG
    )
    with pytest.raises(ClientAuthenticationError, match="Unable to get authority configuration"):
        tenant.get_token("https://vault.localhost/.default")
    tenant.close()


def test_a_certificate_that_nobody_registered_is_refused(
    open_vault: OpenVault, owner: Principal, tmp_path: Any
) -> None:
    path = tmp_path / "stranger.pem"
    path.write_bytes(self_signed())
    credential = azure.identity.CertificateCredential(owner.tenant_id, owner.client_id, str(path), **FLAG)
    assert "AADSTS700027" in refused_login(open_vault, credential)


def self_signed() -> bytes:
    """Certificate and key of a stranger, in PEM."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = reference.private_key(2048, "")
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "dev-owner")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM) + private
