"""Unmodified Azure clients against the issuer, over TLS, on the name that the operator gives them."""

import asyncio
import hashlib
import os
import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import azure.identity
import azure.identity.aio
import msal
import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from hsmvault.clock import SystemClock
from hsmvault.store.database import Database
from tests.login.world import World, build, der, free_socket, key_pem, serve, serve_on, tls_context


@pytest.fixture
def names_of_localhost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain glibc does not resolve names under localhost; contract.md puts them into the hosts file."""
    original = socket.getaddrinfo

    def resolve(host: object, *rest: object, **more: object) -> list:
        return original("127.0.0.1" if str(host).endswith(".localhost") else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.fixture
async def live(
    empty_database: Path,
    tmp_path: Path,
    rsa_keys: list[rsa.RSAPrivateKey],
    session: aiohttp.ClientSession,
    names_of_localhost: None,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[World]:
    """The issuer over TLS with the time of day, and the environment of its clients."""
    for name in [name for name in os.environ if name.startswith(("AZURE_", "IDENTITY_", "MSI_"))]:
        monkeypatch.delenv(name)
    shutil.copy(empty_database, tmp_path / "live.db")
    clock = SystemClock()
    database = await Database.open(f"sqlite:///{tmp_path / 'live.db'}", clock=clock)
    listener = free_socket()
    origin = f"https://login.localhost:{listener.getsockname()[1]}"
    world = await build(database, clock, origin=origin, keys=rsa_keys, session=session)
    context, ca_file = tls_context(tmp_path, "login.localhost", rsa_keys[2:])
    runner, _ = await serve_on(
        lambda request: world.application.handle(request, request.remote or ""), listener, context
    )
    identity_runner, identity_port = await serve(world.identity_endpoints)
    world.identity_url = f"http://127.0.0.1:{identity_port}"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca_file))
    # SSL_CERT_FILE, as aiohttp reads it at import
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", ssl.create_default_context(cafile=str(ca_file)))
    yield world
    await runner.cleanup()
    await identity_runner.cleanup()
    await database.close()


def certificate_bytes(world: World) -> bytes:
    return key_pem(world.owner_key) + world.owner_certificate.public_bytes(Encoding.PEM)


async def check(world: World, token: str) -> None:
    """The token is the owner's (or the machine's) and verifies with the published keys."""
    import jwt

    keys = await world.signing_keys.published()
    assert jwt.get_unverified_header(token)["kid"] in {key.id for key in keys}
    public = x509.load_der_x509_certificate(keys[-1].certificate_der).public_key()
    claims = jwt.decode(token, public, algorithms=["RS256"], audience=world.vault)
    assert claims["tid"] == world.tenant.id
    assert claims["oid"] in (world.owner.object_id, world.machine.object_id)


@pytest.mark.parametrize("tenant", ["guid", "adfs"])
async def test_azure_identity_signs_in_with_a_secret(live: World, tenant: str) -> None:
    named = live.tenant.id if tenant == "guid" else "adfs"
    flag = {"disable_instance_discovery": True} if tenant == "guid" else {}
    scope = f"{live.vault}/.default"
    application = live.owner.application_id

    credential = azure.identity.ClientSecretCredential(
        named, application, live.secret, authority=live.settings.origin, **flag
    )
    with credential:
        token = await asyncio.to_thread(credential.get_token, scope)
    await check(live, token.token)

    async with azure.identity.aio.ClientSecretCredential(
        named, application, live.secret, authority=live.settings.origin
    ) as asynchronous:
        await check(live, (await asynchronous.get_token(scope, enable_cae=True)).token)


@pytest.mark.parametrize("tenant", ["guid", "adfs"])
@pytest.mark.parametrize("with_chain", [False, True])
async def test_azure_identity_signs_in_with_a_certificate(live: World, tenant: str, with_chain: bool) -> None:
    named = live.tenant.id if tenant == "guid" else "adfs"
    flag = {"disable_instance_discovery": True} if tenant == "guid" else {}
    scope = f"{live.vault}/.default"
    application = live.owner.application_id

    credential = azure.identity.CertificateCredential(
        named,
        application,
        certificate_data=certificate_bytes(live),
        send_certificate_chain=with_chain,
        authority=live.settings.origin,
        **flag,
    )
    with credential:
        token = await asyncio.to_thread(credential.get_token, scope)
    await check(live, token.token)

    async with azure.identity.aio.CertificateCredential(
        named, application, certificate_data=certificate_bytes(live), authority=live.settings.origin
    ) as asynchronous:
        await check(live, (await asynchronous.get_token(scope)).token)


async def test_msal_signs_in_with_a_secret_and_with_certificates(live: World) -> None:
    thumbprint = hashlib.sha1(der(live.owner_certificate), usedforsecurity=False).hexdigest()
    pem = key_pem(live.owner_key).decode()
    public = live.owner_certificate.public_bytes(Encoding.PEM).decode()
    http_client = requests.Session()
    for credential in (
        live.secret,
        {"private_key": pem, "thumbprint": thumbprint},
        {"private_key": pem, "public_certificate": public},
    ):
        application = await asyncio.to_thread(
            msal.ConfidentialClientApplication,
            live.owner.application_id,
            client_credential=credential,
            authority=f"{live.settings.origin}/{live.tenant.id}",
            instance_discovery=False,
            http_client=http_client,
        )
        for resource in ("vault", "managedhsm"):
            scope = f"{live.settings.resources[resource]}/.default"
            result = await asyncio.to_thread(application.acquire_token_for_client, [scope])
            assert "access_token" in result, result
            assert result["expires_in"] >= 3600
    http_client.close()


async def test_the_sdks_show_the_message_of_a_refusal(live: World) -> None:
    credential = azure.identity.ClientSecretCredential(
        live.tenant.id,
        live.owner.application_id,
        "wrong",
        authority=live.settings.origin,
        disable_instance_discovery=True,
    )
    with credential, pytest.raises(ClientAuthenticationError, match="AADSTS7000215: Invalid client secret"):
        await asyncio.to_thread(credential.get_token, f"{live.vault}/.default")
    async with azure.identity.aio.ClientSecretCredential(
        live.tenant.id, live.owner.application_id, "wrong", authority=live.settings.origin
    ) as asynchronous:
        with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
            await asynchronous.get_token(f"{live.vault}/.default")


async def test_managed_identity_credentials_get_tokens_from_imds(live: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", live.identity_url)
    with azure.identity.ManagedIdentityCredential() as credential:
        await check(live, (await asyncio.to_thread(credential.get_token, f"{live.vault}/.default")).token)
    client_id = live.machine.application_id
    async with azure.identity.aio.ManagedIdentityCredential(client_id=client_id) as asynchronous:
        await check(live, (await asynchronous.get_token(f"{live.vault}/.default")).token)


async def test_managed_identity_credentials_get_tokens_from_app_service(
    live: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{live.identity_url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", live.identity_header)
    with azure.identity.ManagedIdentityCredential() as credential:
        await check(live, (await asyncio.to_thread(credential.get_token, f"{live.vault}/.default")).token)
    async with azure.identity.aio.ManagedIdentityCredential() as asynchronous:
        await check(live, (await asynchronous.get_token(f"{live.vault}/.default")).token)
