"""Work on the management plane, at the token endpoint and in the directory."""

import json
from urllib.parse import urlencode

from tests.bench.generator import Work
from tests.bench.instance import FORM, Instance
from tests.bench.secrets import NUMBER

_VERSION = "2023-07-01"
_NAMES = 16
"""Vaults that take turns."""
_MOST = 500  # vaults that are made in one cell


def get_vault(name: str, instance: Instance) -> Work:
    return _vaults(name, instance, [_name(number) for number in range(_NAMES)], "GET", made=True)


def put_vault(name: str, instance: Instance) -> Work:
    """Of what is there, with what it has."""
    return _vaults(name, instance, [_name(number) for number in range(_NAMES)], "PUT", made=True)


def create_vault(name: str, instance: Instance, cell: int) -> Work:
    """New ones. cell: a number, so that each cell has names of its own."""
    return _vaults(name, instance, [f"c{cell}n{NUMBER}"], "PUT", most=_MOST)


def login(name: str, instance: Instance) -> Work:
    """A token for vaults, by the owner's secret."""
    target = instance.service("login")
    path, form = instance.login(f"https://{instance.vault.target.host.partition('.')[2]}:{target.port}")
    head = f"POST {path} HTTP/1.1\r\nHost: {target.host}:{target.port}\r\nContent-Type: {FORM}\r\n"
    request = f"{head}Content-Length: {len(form)}\r\n\r\n".encode() + form
    return Work(name, target, (request,), lambda _, body: len(json.loads(body)["access_token"]) > 0)


def get_user(name: str, instance: Instance) -> Work:
    target, user = instance.service("graph"), instance.variable("HSMVAULT_USER_NAME")
    headers = {"Authorization": f"Bearer {instance.token(_origin(instance, 'graph'))}"}
    request = target.request("GET", f"/v1.0/users/{user}", headers)
    return Work(name, target, (request,), lambda _, body: bool(json.loads(body)["userPrincipalName"] == user))


def _vaults(
    name: str, instance: Instance, names: list[str], method: str, *, made: bool = False, most: int = 1_000_000
) -> Work:
    """made: whether they shall be there."""
    target = instance.service("management")
    headers = {"Authorization": f"Bearer {instance.token(_origin(instance, 'management'))}"}
    place = f"/subscriptions/{instance.variable('AZURE_SUBSCRIPTION_ID')}"
    group = f"{place}/resourceGroups/{instance.variable('AZURE_RESOURCE_GROUP')}"
    query = urlencode({"api-version": _VERSION})
    paths = [f"{group}/providers/Microsoft.KeyVault/vaults/{one}?{query}" for one in names]
    tenant, location = instance.variable("AZURE_TENANT_ID"), instance.variable("AZURE_LOCATION")
    sku = {"family": "A", "name": "standard"}
    properties = {"sku": sku, "tenantId": tenant, "accessPolicies": [], "enableRbacAuthorization": True}
    body = json.dumps({"location": location, "properties": properties}).encode()
    if made:
        for path in paths:
            target.call("PUT", path, {**headers, "Content-Type": "application/json"}, body)
    requests = tuple(target.request(method, path, headers, body if method == "PUT" else b"") for path in paths)
    return Work(name, target, requests, _is_vault, most=most)


def _is_vault(_: int, body: bytes) -> bool:
    return bool(json.loads(body)["properties"]["provisioningState"] == "Succeeded")


def _name(number: int) -> str:
    return f"bench-{number}"


def _origin(instance: Instance, role: str) -> str:
    target = instance.service(role)
    return f"https://{target.host}:{target.port}"
