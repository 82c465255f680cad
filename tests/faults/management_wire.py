"""The management plane, the directory and the issuer of an instance as their clients see them, with a token that is
asked for once and kept: what is refused later is refused although the token is alive.
"""

import json
import urllib.parse
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hsmvault.model.builtin_roles import BUILT_IN
from tests.caller import API_VERSION, Answer, Caller
from tests.faults.trail import metric
from tests.instance import DevInstance

KEY_VAULT_VERSION = "2024-11-01"
_VERSIONS = {
    "microsoft.keyvault": KEY_VAULT_VERSION,
    "microsoft.authorization": "2022-04-01",
    "microsoft.management": "2021-04-01",
    "microsoft.insights": "2021-05-01-preview",
}
_RESOURCES_VERSION = "2022-09-01"
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_ROLES = {role.name: role.id for role in BUILT_IN}
_CONNECTIONS = 32


class Client:
    """One connection to one host, with one token. version: of the api, by path; "" for none."""

    def __init__(self, caller: Caller, version: Callable[[str], str]) -> None:
        self.caller = caller
        self._version = version

    def __call__(self, method: str, path: str, body: object = None) -> Answer:
        """path: with a query or without. Raises LOST."""
        version = self._version(path)
        if version:
            path += f"{'&' if '?' in path else '?'}api-version={version}"
        headers = {"Authorization": f"Bearer {self.caller.token}"}
        data = None
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        return self.caller.send(method, path, data, headers)


class Application:
    """Somebody with a client id and a secret, and the tokens that it has had. tenant: id."""

    def __init__(self, tenant: str, object_id: str, client_id: str, secret: str) -> None:
        self.tenant, self.object_id, self.client_id, self.secret = tenant, object_id, client_id, secret
        self.tokens: dict[str, str] = {}


class Site:
    """An instance. owner: who may everything."""

    def __init__(self, instance: DevInstance) -> None:
        self.instance = instance
        environment = instance.environment
        self.tenant = environment["AZURE_TENANT_ID"]
        self.subscription = f"/subscriptions/{environment['AZURE_SUBSCRIPTION_ID']}"
        self.group = f"{self.subscription}/resourceGroups/{environment['AZURE_RESOURCE_GROUP']}"
        self.location = environment["AZURE_LOCATION"]
        self.ca_file = Path(environment["SSL_CERT_FILE"])
        vault = urllib.parse.urlsplit(environment["AZURE_KEYVAULT_URL"])
        self._suffix = str(vault.hostname).split(".", 2)[2]
        self._opened: list[Caller] = []
        owner = (environment["AZURE_CLIENT_ID"], environment["AZURE_CLIENT_SECRET"])
        self.owner = Application(self.tenant, "", *owner)

    def url(self, role: str) -> str:
        return f"https://{role}.{self._suffix}:{self.instance.port}"

    def host(self, role: str, token: str = "") -> Caller:
        """A connection to a host, closed with the site. role: 'login', 'dev.vault' and the like."""
        caller = Caller(self.instance.port, self.ca_file, f"{role}.{self._suffix}", token)
        self._opened.append(caller)
        return caller

    def close(self) -> None:
        for caller in self._opened:
            caller.close()

    def token(self, who: Application, role: str) -> str:
        """For a resource: 'management', 'graph', 'vault', 'managedhsm'."""
        if role not in who.tokens:
            answer = self.ask_for_token(who, role)
            assert answer.status == 200, answer
            who.tokens[role] = answer.body["access_token"]
        return who.tokens[role]

    def ask_for_token(self, who: Application, role: str) -> Answer:
        form = {
            "grant_type": "client_credentials",
            "client_id": who.client_id,
            "client_secret": who.secret,
            "scope": f"{self.url(role)}/.default",
        }
        return self.post_form(f"/{who.tenant}/oauth2/v2.0/token", form)

    def post_form(self, path: str, form: Mapping[str, str]) -> Answer:
        """To the issuer, over a connection of its own."""
        caller = self.host("login")
        try:
            return caller.send("POST", path, urllib.parse.urlencode(form).encode(), _FORM)
        finally:
            caller.close()

    def arm(self, who: Application | None = None, token: str = "") -> Client:
        return Client(self.host("management", token or self.token(who or self.owner, "management")), _arm_version)

    def graph(self, who: Application | None = None, token: str = "") -> Client:
        return Client(self.host("graph", token or self.token(who or self.owner, "graph")), lambda _: "")

    def vault(self, name: str, who: Application | None = None, token: str = "") -> Client:
        token = token or self.token(who or self.owner, "vault")
        return Client(self.host(f"{name}.vault", token), lambda _: API_VERSION)

    def pool(self, name: str, who: Application | None = None) -> Client:
        token = self.token(who or self.owner, "managedhsm")
        return Client(self.host(f"{name}.managedhsm", token), lambda _: API_VERSION)

    def vault_id(self, name: str, group: str = "") -> str:
        return f"{group or self.group}/providers/Microsoft.KeyVault/vaults/{name}"

    def pool_id(self, name: str, group: str = "") -> str:
        return f"{group or self.group}/providers/Microsoft.KeyVault/managedHSMs/{name}"

    def deleted_vault(self, name: str) -> str:
        return f"{self.subscription}/providers/Microsoft.KeyVault/locations/{self.location}/deletedVaults/{name}"

    def deleted_pool(self, name: str) -> str:
        return f"{self.subscription}/providers/Microsoft.KeyVault/locations/{self.location}/deletedManagedHSMs/{name}"

    def vault_body(self, **properties: object) -> dict[str, Any]:
        more = {"enableRbacAuthorization": True, "accessPolicies": [], "softDeleteRetentionInDays": 7, **properties}
        sku = {"family": "A", "name": "standard"}
        return {"location": self.location, "properties": {"tenantId": self.tenant, "sku": sku, **more}}

    def pool_body(self, administrator: str, **properties: object) -> dict[str, Any]:
        more = {"initialAdminObjectIds": [administrator], "softDeleteRetentionInDays": 7, **properties}
        sku = {"family": "B", "name": "Standard_B1"}
        return {"location": self.location, "sku": sku, "properties": {"tenantId": self.tenant, **more}}

    def policy(self, object_id: str, **permissions: list[str]) -> dict[str, Any]:
        """An access policy. permissions: of keys, secrets, certificates."""
        return {"tenantId": self.tenant, "objectId": object_id, "permissions": permissions}

    def make_application(self, name: str) -> Application:
        """Registered, with a service principal and a secret."""
        graph = self.graph()
        made = _ok(graph("POST", "/v1.0/applications", {"displayName": name}), 201)
        password = _ok(graph("POST", f"/v1.0/applications/{made['id']}/addPassword", {}), 200)
        principal = _ok(graph("POST", "/v1.0/servicePrincipals", {"appId": made["appId"]}), 201)
        return Application(self.tenant, principal["id"], made["appId"], password["secretText"])

    def make_group(self, name: str, *members: str) -> str:
        """Returns the object id."""
        graph = self.graph()
        body = {"displayName": name, "mailEnabled": False, "mailNickname": name, "securityEnabled": True}
        made = _ok(graph("POST", "/v1.0/groups", body), 201)
        for member in members:
            _ok(self.add_member(str(made["id"]), member), 204)
        return str(made["id"])

    def add_member(self, group: str, member: str) -> Answer:
        body = {"@odata.id": f"{self.url('graph')}/v1.0/directoryObjects/{member}"}
        return self.graph()("POST", f"/v1.0/groups/{group}/members/$ref", body)

    def assign(self, scope: str, role: str, principal: str, name: str = "") -> str:
        """role: the name of a built-in one, or an id. Returns the id of the assignment."""
        path = f"{scope}/providers/Microsoft.Authorization/roleAssignments/{name or uuid.uuid4()}"
        return str(_ok(self.arm()("PUT", path, self.assignment(role, principal)), 200, 201)["id"])

    def assignment(self, role: str, principal: str) -> dict[str, Any]:
        """The body of a PUT."""
        definition = f"{self.subscription}/providers/Microsoft.Authorization/roleDefinitions/{_ROLES.get(role, role)}"
        return {"properties": {"roleDefinitionId": definition, "principalId": principal}}


@contextmanager
def site_of(instance: DevInstance) -> Iterator[Site]:
    site = Site(instance)
    try:
        yield site
    finally:
        site.close()


def at_both(site: Site, make: Callable[[], Client]) -> tuple[Client, Client]:
    """Two connections that stay open, each to another worker of the two. They are found by the workers' own counts."""
    found: dict[str, Client] = {}
    for _ in range(_CONNECTIONS):
        client = make()
        before = _answered(site.instance)
        client("GET", "/")
        (worker,) = [worker for worker, count in _answered(site.instance).items() if count > before[worker]]
        if worker in found:
            client.caller.close()
        found.setdefault(worker, client)
        if len(found) == 2:
            return found["0"], found["1"]
    raise AssertionError(f"{_CONNECTIONS} connections came to the same worker")


def _answered(instance: DevInstance) -> dict[str, float]:
    return {worker: metric(instance, "hsmvault_requests_total", worker=worker) for worker in ("0", "1")}


def _arm_version(path: str) -> str:
    """Of the last provider in a path."""
    providers = path.partition("?")[0].lower().split("/providers/")
    return _VERSIONS.get(providers[-1].split("/")[0], _RESOURCES_VERSION) if len(providers) > 1 else _RESOURCES_VERSION


def _ok(answer: Answer, *statuses: int) -> Any:
    assert answer.status in statuses, answer
    return answer.body
