"""Every credential of azure-identity that has a person behind it, and tokens of other issuers, against the embedded
issuer. No name but the instance's own resolves here, so a client that asks Microsoft's host fails.
"""

import json
import os
import sqlite3
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlencode

import aiohttp.connector
import azure.identity
import azure.identity._credentials.browser as browser_module
import azure.identity.aio
import jwt
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.keyvault.keys import KeyClient
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from tests.clients.browser import Browser
from tests.clients.test_credentials import FLAG, claims
from tests.clients.vault import settle
from tests.instance import DevInstance, folder_for_data, running

WEB_REDIRECT = "https://app.example/signed-in"
AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
_E = os.environ
SHAPES = [pytest.param("adfs", {}, id="adfs"), pytest.param("guid", FLAG, id="guid-flag")]


@pytest.fixture
def browser(dev_instance: DevInstance) -> Iterator[Browser]:
    """With the instance's user in front of it."""
    environment = dev_instance.environment
    opened = Browser(environment["HSMVAULT_USER_NAME"], environment["HSMVAULT_USER_PASSWORD"])
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def web_application(dev_instance: DevInstance) -> str:
    """dev-owner, registered as an application with a page of its own; its client id."""
    client_id = dev_instance.environment["AZURE_CLIENT_ID"]
    with sqlite3.connect(_database(dev_instance.data_dir)) as connection:
        redirects = json.dumps([{"kind": "web", "uri": WEB_REDIRECT}])
        connection.execute("UPDATE applications SET redirect_uris = ? WHERE application_id = ?", (redirects, client_id))
    connection.close()
    return client_id


def _database(data_dir: Path) -> Path:
    (found,) = data_dir.glob("*.db")
    return found


def tenant_of(tenant: str) -> str:
    return _E["AZURE_TENANT_ID"] if tenant == "guid" else tenant


def vault_scope() -> str:
    return f"{_E['AZURE_KEYVAULT_URL'].replace('dev.', '', 1)}/.default"


def check(token: str, application: str = AZURE_CLI, strength: str = "0") -> dict[str, Any]:
    found = claims(token)
    assert (found["tid"], found["upn"]) == (_E["AZURE_TENANT_ID"], _E["HSMVAULT_USER_NAME"])
    assert (found["scp"], found["appid"], found["appidacr"]) == ("user_impersonation", application, strength)
    return found


def device_credential(tenant: str, browser: Browser, seen: list[str], **flags: Any) -> Any:
    def prompt(uri: str, user_code: str, _: datetime) -> None:
        seen.append(user_code)
        browser.approve(uri, user_code)

    return azure.identity.DeviceCodeCredential(tenant_id=tenant_of(tenant), prompt_callback=prompt, **flags)


@pytest.mark.parametrize(("tenant", "flags"), SHAPES)
def test_a_person_logs_in_with_a_device_code_and_the_cache_refreshes(
    browser: Browser, tenant: str, flags: dict[str, Any]
) -> None:
    seen: list[str] = []
    credential = device_credential(tenant, browser, seen, **flags)
    with KeyClient(_E["AZURE_KEYVAULT_URL"], credential) as client:
        list(client.list_properties_of_keys())  # the user is in the group of readers
    cae = {"enable_cae": True}  # as the client above: azure-identity keeps a cache of its own for it
    check(credential.get_token(vault_scope(), **cae).token)
    # Another resource: with the refresh token alone.
    assert check(credential.get_token(f"{_E['ARM_ENDPOINT']}/.default", **cae).token)["aud"] == _E["ARM_ENDPOINT"]
    assert len(seen) == 1
    credential.close()


@pytest.mark.parametrize(("tenant", "flags"), SHAPES)
def test_a_person_logs_in_with_a_browser(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, tenant: str, flags: dict[str, Any]
) -> None:
    went: list[threading.Thread] = []

    def open_browser(url: str) -> bool:
        thread = threading.Thread(target=browser.go_through, args=(url,))
        thread.start()
        went.append(thread)
        return True

    monkeypatch.setattr(browser_module, "_open_browser", open_browser)
    credential = azure.identity.InteractiveBrowserCredential(tenant_id=tenant_of(tenant), timeout=30, **flags)
    record = credential.authenticate(scopes=[vault_scope()])
    assert record.username == _E["HSMVAULT_USER_NAME"]
    assert record.tenant_id == _E["AZURE_TENANT_ID"]
    check(credential.get_token(vault_scope()).token)
    check(credential.get_token(f"{_E['ARM_ENDPOINT']}/.default").token)
    for thread in went:
        thread.join()
    assert len(went) == 1
    credential.close()


def user_credential(password: str) -> Any:
    """With a tenant's GUID MSAL asks port 443 for the realm of the user, which is not this instance's; so: adfs."""
    return azure.identity.UsernamePasswordCredential(AZURE_CLI, _E["HSMVAULT_USER_NAME"], password, tenant_id="adfs")


@pytest.mark.filterwarnings("ignore:UsernamePasswordCredential is deprecated")
def test_a_program_sends_the_password_of_a_person_where_it_may() -> None:
    credential = user_credential(_E["HSMVAULT_USER_PASSWORD"])
    check(credential.get_token(vault_scope()).token)
    check(credential.get_token(f"{_E['ARM_ENDPOINT']}/.default").token)
    credential.close()
    wrong = user_credential("wrong password")
    with pytest.raises(ClientAuthenticationError, match="AADSTS50126"):
        wrong.get_token(vault_scope())
    wrong.close()


@pytest.mark.parametrize("identity", [azure.identity, azure.identity.aio], ids=["sync", "async"])
async def test_a_web_application_redeems_a_code(
    browser: Browser, web_application: str, owner: Any, identity: ModuleType
) -> None:
    query = urlencode(
        {
            "client_id": web_application,
            "response_type": "code",
            "redirect_uri": WEB_REDIRECT,
            "scope": f"{vault_scope()} openid offline_access",
        }
    )
    browser.open(f"{_E['AZURE_AUTHORITY_HOST']}/{owner.tenant_id}/oauth2/v2.0/authorize?{query}")
    browser.sign_in()
    credential = identity.AuthorizationCodeCredential(
        owner.tenant_id, web_application, browser.replied()["code"], WEB_REDIRECT, client_secret=owner.secret
    )
    first = (await settle(credential.get_token(vault_scope()))).token
    check(first, web_application, "1")
    cache = credential._client._get_cache()
    for token in list(cache.search("AccessToken")):
        cache.remove_at(token)  # as if it had expired: the code is used up, the refresh token is there
    second = (await settle(credential.get_token(vault_scope()))).token
    assert check(second, web_application, "1")["uti"] != claims(first)["uti"]
    await settle(credential.close())


@pytest.mark.filterwarnings("ignore:UsernamePasswordCredential is deprecated")
@pytest.mark.parametrize("identity", [azure.identity, azure.identity.aio], ids=["sync", "async"])
async def test_a_service_calls_on_as_the_person_who_called_it(owner: Any, identity: ModuleType) -> None:
    front = user_credential(_E["HSMVAULT_USER_PASSWORD"])
    assertion = front.get_token(f"api://{owner.client_id}/.default").token
    front.close()
    flags = FLAG if identity is azure.identity else {}
    credential = identity.OnBehalfOfCredential(
        owner.tenant_id, owner.client_id, client_secret=owner.secret, user_assertion=assertion, **flags
    )
    check((await settle(credential.get_token(vault_scope()))).token, owner.client_id, "1")
    check((await settle(credential.get_token(f"{_E['ARM_ENDPOINT']}/.default"))).token, owner.client_id, "1")
    await settle(credential.close())


ISSUER = "https://cluster.example"
SUBJECT = "system:serviceaccount:payments:signer"


@pytest.mark.slow
async def test_a_token_of_a_cluster_proves_an_application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = rsa.generate_private_key(65537, 2048)
    (tmp_path / "keys.json").write_text(
        json.dumps({"keys": [{**json.loads(RSAAlgorithm.to_jwk(key.public_key())), "kid": "k1"}]})
    )
    (tmp_path / "issuer.toml").write_text(
        f'[[issuers]]\nissuer = "{ISSUER}"\njwks_file = "{tmp_path}/keys.json"\n'
        'tenant = "11111111-1111-1111-1111-111111111111"\n[issuers.audiences]\nvault = ["nobody"]\n'
    )
    now = int(time.time())
    token = jwt.encode(
        {"iss": ISSUER, "sub": SUBJECT, "aud": ["api://AzureADTokenExchange"], "iat": now, "exp": now + 86_400},
        key,
        algorithm="RS256",
        headers={"kid": "k1"},
    )
    (tmp_path / "token").write_text(token)
    options = ("--trust-issuer", str(tmp_path / "issuer.toml"))
    with folder_for_data() as folder, running(folder / "data", workers=1, options=options) as instance:
        _trust(instance)
        for name, value in instance.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AZURE_CLIENT_SECRET")
        monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))
        context = ssl.create_default_context(cafile=instance.environment["SSL_CERT_FILE"])
        monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", context)
        for credential in _federated(token):
            found = claims((await settle(credential.get_token(vault_scope()))).token)
            assert (found["appid"], found["appidacr"]) == (_E["AZURE_CLIENT_ID"], "2")
            await settle(credential.close())
        wrong = azure.identity.ClientAssertionCredential(
            _E["AZURE_TENANT_ID"], _E["AZURE_CLIENT_ID"], lambda: token[:-4] + "AAAA", **FLAG
        )
        with pytest.raises(ClientAuthenticationError, match="AADSTS700027"):
            wrong.get_token(vault_scope())
        wrong.close()


def _federated(token: str) -> Iterator[Any]:
    made: Callable[[], str] = lambda: token  # noqa: E731  # a value beside the others
    for identity in (azure.identity, azure.identity.aio):
        yield identity.WorkloadIdentityCredential()
        yield identity.ClientAssertionCredential(_E["AZURE_TENANT_ID"], _E["AZURE_CLIENT_ID"], made)
    yield azure.identity.DefaultAzureCredential(**FLAG)


def _trust(instance: DevInstance) -> None:
    """dev-owner trusts a service account of the cluster."""
    row = (
        "f1",
        instance.environment["AZURE_CLIENT_ID"],
        "cluster",
        "cluster",
        ISSUER,
        SUBJECT,
        json.dumps(["api://AzureADTokenExchange"]),
        "",
    )
    with sqlite3.connect(_database(instance.data_dir)) as connection:
        connection.execute(
            "INSERT INTO federated_credentials (id, application_id, name, folded_name, issuer, subject, audiences, "
            "description) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )
    connection.close()
