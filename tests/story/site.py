"""A running instance as its users have it: the official clients and plain HTTP, for whoever is named."""

import hashlib
import json
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.identity import ClientSecretCredential, DeviceCodeCredential, UsernamePasswordCredential
from azure.keyvault.keys import KeyClient
from azure.keyvault.secrets import SecretClient
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.keyvault import KeyVaultManagementClient

from tests.caller import Answer, Caller, to_base64url
from tests.clients.browser import Browser
from tests.instance import DevInstance, names_resolved, running

AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
RESOURCES = "2021-04-01"
SECOND = 1.0


class App(NamedTuple):
    """An application with its secret. object_id: of its service principal."""

    tenant_id: str
    client_id: str
    secret: str
    object_id: str = ""

    def __repr__(self) -> str:
        return f"App({self.client_id})"


class Person(NamedTuple):
    """at_pages: signs in at the pages, for a device; else with the password grant, where that is on."""

    tenant_id: str
    name: str
    password: str
    object_id: str
    at_pages: bool = False

    def __repr__(self) -> str:
        return f"Person({self.name})"


class Site:
    """What serves, for as long as it serves; what is opened is closed with it."""

    def __init__(self, environment: Mapping[str, str], port: int, stack: ExitStack) -> None:
        """environment: as dev.env has it. AZURE_SUBSCRIPTION_ID and who logs in may be missing."""
        self.port = port
        self._stack = stack
        self._environment = environment
        self._credentials: dict[App | Person, Any] = {}
        self._callers: dict[str, Caller] = {}
        self._clients: dict[tuple[object, ...], Any] = {}

    @property
    def tenant_id(self) -> str:
        return self.variable("AZURE_TENANT_ID")

    @property
    def subscription(self) -> str:
        return self.variable("AZURE_SUBSCRIPTION_ID")

    @property
    def owner(self) -> App:
        return App(self.tenant_id, self.variable("AZURE_CLIENT_ID"), self.variable("AZURE_CLIENT_SECRET"))

    def variable(self, name: str) -> str:
        return self._environment[name]

    def credential(self, who: App | Person) -> Any:
        if who not in self._credentials:
            self._credentials[who] = self._stack.enter_context(self._made_credential(who))
        return self._credentials[who]

    def begin_anew(self, who: App | Person) -> None:
        """With another credential: MSAL remembers for a minute what was refused."""
        self._credentials.pop(who, None)
        for key in [key for key in self._clients if who in key]:
            del self._clients[key]

    def _made_credential(self, who: App | Person) -> Any:
        common: dict[str, Any] = {
            "authority": self._environment["AZURE_AUTHORITY_HOST"],
            "disable_instance_discovery": True,
        }
        if isinstance(who, App):
            return ClientSecretCredential(who.tenant_id, who.client_id, who.secret, **common)
        if not who.at_pages:
            common["_silence_deprecation_warning"] = True
            # With a tenant's GUID, MSAL asks port 443 for the realm of the user, which is not this instance's.
            return UsernamePasswordCredential(AZURE_CLI, who.name, who.password, tenant_id="adfs", **common)
        browser = Browser(who.name, who.password)
        self._stack.callback(browser.close)

        def prompt(uri: str, user_code: str, _: object) -> None:
            browser.approve(uri, user_code)

        return DeviceCodeCredential(AZURE_CLI, tenant_id=who.tenant_id, prompt_callback=prompt, **common)

    def management(self, who: App | Person, subscription: str = "") -> Any:
        return self._arm_client(KeyVaultManagementClient, who, subscription)

    def authorization(self, who: App | Person, subscription: str = "") -> Any:
        return self._arm_client(AuthorizationManagementClient, who, subscription)

    def _arm_client(self, kind: Any, who: App | Person, subscription: str) -> Any:
        arm, credential = self._environment["ARM_ENDPOINT"], self.credential(who)
        chosen = subscription or self.subscription
        scopes = [f"{arm}/.default"]
        return self._client(
            (kind, who, chosen), lambda: kind(credential, chosen, base_url=arm, credential_scopes=scopes)
        )

    def secrets(self, vault: str, who: App | Person) -> Any:
        return self._data_client(SecretClient, vault, who)

    def keys(self, vault: str, who: App | Person) -> Any:
        return self._data_client(KeyClient, vault, who)

    def _data_client(self, kind: Any, vault: str, who: App | Person) -> Any:
        url, credential = self.vault_url(vault), self.credential(who)
        return self._client((kind, who, vault), lambda: kind(url, credential, retry_total=0))

    def _client(self, key: tuple[object, ...], make: Callable[[], Any]) -> Any:
        if key not in self._clients:
            self._clients[key] = self._stack.enter_context(make())
        return self._clients[key]

    def vault_url(self, vault: str) -> str:
        return f"https://{vault}.vault.localhost:{self.port}"

    def arm(self, method: str, path: str, body: object = None, *, version: str = RESOURCES, who: Any = None) -> Answer:
        """Plain HTTP, as the owner unless somebody else is named."""
        return self._send("management", method, f"{path}?api-version={version}", body, who or self.owner)

    def graph(self, method: str, path: str, body: object = None, *, who: Any = None) -> Answer:
        return self._send("graph", method, f"/v1.0/{path}", body, who or self.owner)

    def _send(self, host: str, method: str, path: str, body: object, who: App | Person) -> Answer:
        caller = self._callers.get(host)
        if caller is None:
            ca_file = Path(self._environment["SSL_CERT_FILE"])
            caller = self._callers[host] = Caller(self.port, ca_file, f"{host}.localhost")
            self._stack.callback(caller.close)
        token = self.credential(who).get_token(f"https://{host}.localhost:{self.port}/.default").token
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        return caller.send(method, urllib.parse.quote(path, safe="/?&=$'()"), data, headers)


@contextmanager
def running_site(data_dir: Path, *, options: tuple[str, ...] = ()) -> Iterator[tuple[Site, DevInstance]]:
    """An instance on this directory, and the environment of a shell that uses it."""
    with running(data_dir, options=options) as instance, clients_of(instance.environment, instance.port) as site:
        yield site, instance


@contextmanager
def clients_of(environment: Mapping[str, str], port: int) -> Iterator[Site]:
    """What serves on this port, with these variables set. SSL_CERT_FILE: whom its clients trust."""
    with ExitStack() as stack, names_resolved():
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in environment.items():
            patch.setenv(name, value)
        yield Site(environment, port, stack)


def status_of(call: Callable[[], object]) -> int:
    """200, or the status that the call was refused with; 401 where no token was to be had."""
    try:
        call()
    except ClientAuthenticationError:
        return 401
    except HttpResponseError as error:
        return error.status_code or 0
    return 200


def within_a_second(call: Callable[[], object], wanted: int) -> None:
    """Until the call ends so; a change is obeyed everywhere within a second, whichever worker answers."""
    deadline = time.monotonic() + SECOND
    while (found := status_of(call)) != wanted:
        assert time.monotonic() < deadline, f"{found} instead of {wanted} after {SECOND} s"


def record_names(data_dir: Path) -> Mapping[str, set[str]]:
    """Of every record of the audit log: operationName, and the results that it was seen with. Every series is whole,
    whatever its writer died of."""
    found: dict[str, set[str]] = {}
    for first in (data_dir / "audit").glob("audit-*-000001.jsonl"):
        previous, sequence = "", 0
        for path in sorted(first.parent.glob(first.name.replace("000001", "*"))):
            for line in path.read_bytes().splitlines():
                record = json.loads(line)
                sequence += 1
                assert (record["sequence"], record["previous"]) == (sequence, previous), path
                previous = to_base64url(hashlib.sha256(line).digest())
                found.setdefault(record["operationName"], set()).add(record["resultSignature"])
    return found
