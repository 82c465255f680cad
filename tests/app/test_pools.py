"""Pools of a real instance over its restarts: worlds run out, are destroyed with their pools, and are made again."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests

from hsmvault.clock import RandomIdentifiers, SystemClock
from hsmvault.config import Layout
from hsmvault.model import local_roles, pool_roles
from hsmvault.model.containers import ContainerKind
from hsmvault.model.roles import RoleAssignment
from hsmvault.store import containers, roles
from hsmvault.store.database import Database
from tests.instance import DevInstance, folder_for_data, names_resolved, running

pytestmark = pytest.mark.slow
VERSION = "api-version=2024-11-01"


class Arm:
    """The management plane of an instance, as its owner."""

    def __init__(self, instance: DevInstance) -> None:
        self._environment = environment = instance.environment
        self._tokens: dict[str, str] = {}
        subscription = environment["AZURE_SUBSCRIPTION_ID"]
        self.here = f"/subscriptions/{subscription}/providers/Microsoft.KeyVault"
        self.group = (
            f"/subscriptions/{subscription}/resourceGroups/{environment['AZURE_RESOURCE_GROUP']}"
            "/providers/Microsoft.KeyVault"
        )

    def ask(self, method: str, path: str, body: Any = None) -> requests.Response:
        arm = self._environment["ARM_ENDPOINT"]
        url = path if path.startswith("https:") else f"{arm}{path}?{VERSION}"
        return self._sent(method, url, arm, body)

    def of_pool(self, pool: str, method: str, path: str, body: Any = None) -> requests.Response:
        """A call of the pool's data plane, over a connection of its own, so that any worker may get it."""
        url = self._environment["AZURE_MANAGEDHSM_URL"].replace("devhsm", pool)
        return self._sent(method, f"{url}{path}?api-version=7.6", url.replace(f"{pool}.", ""), body)

    def put(self, name: str) -> requests.Response:
        properties = {"initialAdminObjectIds": [self.owner]}
        sku = {"family": "B", "name": "Standard_B1"}
        body = {"location": self._environment["AZURE_LOCATION"], "sku": sku, "properties": properties}
        return self.ask("PUT", f"{self.group}/managedHSMs/{name}", body)

    def purge(self, name: str) -> None:
        assert self.ask("DELETE", f"{self.group}/managedHSMs/{name}").status_code == 202
        begun = self.ask("POST", f"{self.here}/locations/local/deletedManagedHSMs/{name}/purge")
        assert begun.status_code == 202
        deadline = time.monotonic() + 30
        while (polled := self.ask("GET", begun.headers["Location"])).status_code == 202:
            assert time.monotonic() < deadline
        assert (polled.status_code, polled.json()["status"]) == (200, "Succeeded")

    @property
    def owner(self) -> str:
        token = self._token(self._environment["ARM_ENDPOINT"])
        return str(jwt.decode(token, options={"verify_signature": False})["oid"])

    def _sent(self, method: str, url: str, audience: str, body: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self._token(audience)}"}
        ca = self._environment["SSL_CERT_FILE"]
        return requests.request(method, url, json=body, headers=headers, verify=ca, timeout=30)

    def _token(self, audience: str) -> str:
        if audience not in self._tokens:
            known = self._environment
            form = {
                "grant_type": "client_credentials",
                "client_id": known["AZURE_CLIENT_ID"],
                "client_secret": known["AZURE_CLIENT_SECRET"],
                "scope": f"{audience}/.default",
            }
            url = f"{known['AZURE_AUTHORITY_HOST']}/{known['AZURE_TENANT_ID']}/oauth2/v2.0/token"
            answer: Any = requests.post(url, data=form, verify=known["SSL_CERT_FILE"], timeout=30).json()
            self._tokens[audience] = answer["access_token"]
        return self._tokens[audience]


def test_worlds_run_out_and_are_there_again_after_a_purge_and_after_the_next_start() -> None:
    with names_resolved(), folder_for_data() as folder:
        with running(folder / "data") as instance:
            arm = Arm(instance)
            assert [arm.put(f"pool{number}").status_code for number in range(4)] == [202] * 4
            refused = arm.put("pool4")
            assert (refused.status_code, refused.json()["error"]["code"]) == (409, "QuotaExceeded")
            arm.purge("pool0")
            assert arm.put("pool4").status_code == 202  # another world was made on the token of the one that is gone
            assert arm.put("pool5").status_code == 409
            asyncio.run(activate(folder / "data", "pool4", arm.owner))
            wanted = {"kty": "EC-HSM", "crv": "P-256"}
            deadline = time.monotonic() + 30
            while (made := arm.of_pool("pool4", "POST", "/keys/first/create", wanted)).status_code == 403:
                assert time.monotonic() < deadline  # nobody has told the workers yet
            digest = {"alg": "ES256", "value": "A" * 43}
            path = "/keys/first/" + made.json()["key"]["kid"].rpartition("/")[2] + "/sign"
            assert {arm.of_pool("pool4", "POST", path, digest).status_code for _ in range(20)} == {200}
            assert instance.failures() == []
            instance.kill()
        with running(folder / "data") as instance:
            arm = Arm(instance)
            pools = arm.ask("GET", f"{arm.group}/managedHSMs").json()["value"]
            assert [pool["name"] for pool in pools] == ["devhsm", "pool1", "pool2", "pool3", "pool4"]
            assert [arm.put(f"pool{number}").status_code for number in range(5, 9)] == [202] * 4
            for pool in ("pool1", "pool4", "pool8"):
                assert arm.of_pool(pool, "GET", "/settings").status_code == 200
            assert instance.failures() == []


async def activate(data_dir: Path, name: str, principal_id: str) -> None:
    """As taking its security domain will; and a role to use keys with."""
    database = await Database.open(f"sqlite:///{Layout(data_dir).database}", clock=SystemClock())
    async with database.write() as tx:
        pool = await containers.find(tx, ContainerKind.POOL, name)
        assert pool is not None
        await containers.update(tx, replace(pool, activated=True))
        role, scope = pool_roles.BY_NAME["Managed HSM Crypto User"], local_roles.stored_scope(pool.id, local_roles.ALL)
        guid = RandomIdentifiers().guid()
        await roles.insert(tx, RoleAssignment(guid, scope, role.id, principal_id, tenant_id=pool.tenant_id))
    await database.close()
