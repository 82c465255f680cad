"""People and programs of an issuer that is not ours, on both planes: its tenant, its users, its groups, with roles that
are given here. There is no embedded directory behind them."""

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.keyvault.secrets import SecretClient
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.keyvault import KeyVaultManagementClient

from tests.cli.commands import Commands
from tests.instance import folder_for_data
from tests.isolation.node import Node, Tenant, set_up
from tests.story.site import clients_of, status_of, within_a_second
from tests.story.test_story import ROLES

pytestmark = pytest.mark.slow
SUBSCRIPTION = "33333333-0000-0000-0000-000000000001"
PLACE = f"/subscriptions/{SUBSCRIPTION}"
VAULT = f"{PLACE}/resourceGroups/ops/providers/Microsoft.KeyVault/vaults/annals"


@dataclass
class Somebody:
    """A credential whose tokens the outside issuer mints."""

    tenant: Tenant
    claims: dict[str, object] = field(default_factory=dict)
    object_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def get_token(self, *scopes: str, **_: object) -> AccessToken:
        (scope,) = scopes
        token = self.tenant.token(scope.removesuffix("/.default"), self.object_id, **self.claims)
        return AccessToken(token, int(time.time()) + 3600)


@pytest.fixture
def node() -> Iterator[Node]:
    """A subscription of one outside tenant, and another tenant beside it."""
    with folder_for_data() as folder:
        made = set_up(folder)
        lines = made.configuration.read_text().partition("[[issuers]]")[0]
        for tenant in (made.north, made.south):
            lines += (
                f'[[issuers]]\nissuer = "{tenant.issuer}"\njwks_file = "{tenant.vault}.json"\ntenant = "{tenant.id}"\n'
                f'authorization = "https://login.invalid/{tenant.id}"\n'
                f'[issuers.audiences]\nvault = ["{made.audience}"]\nmanagement = ["https://management.localhost:{made.port}"]\n\n'
            )
        lines += f'[[subscriptions]]\nid = "{SUBSCRIPTION}"\ntenant = "{made.north.id}"\nname = "Works"\n'
        made.configuration.write_text(f'{lines}owners = ["{made.north.owner}"]\n')
        initialized = made.command("init")
        assert initialized.returncode == 0, initialized.stderr
        yield made


def test_users_of_an_outside_issuer_have_roles_on_both_planes(node: Node) -> None:
    run = Commands("--config", str(node.configuration))
    with node.serving(), clients_of({"REQUESTS_CA_BUNDLE": str(node.certificate)}, node.port):
        owner = Somebody(node.north, object_id=node.north.owner)
        run("group", "create", "ops")
        run("vault", "create", "annals")
        vaults = management(node, owner).vaults
        within_a_second(lambda: vaults.get("ops", "annals"), 200)
        user = Somebody(node.north, {"scp": "user_impersonation", "upn": "ada@north.example"})
        group = str(uuid.uuid4())
        member = Somebody(node.north, {"scp": "user_impersonation", "upn": "bob@north.example", "groups": [group]})
        stranger = Somebody(node.south, object_id=user.object_id)  # the same object id, of another tenant

        given = assign(node, owner, VAULT, "Key Vault Secrets Officer", user.object_id)  # no directory to ask for it
        assign(node, owner, PLACE, "Key Vault Secrets User", group, "Group")
        writes, reads = secrets(node, user), secrets(node, member)
        within_a_second(lambda: writes.set_secret("one", "value"), 200)
        within_a_second(lambda: reads.get_secret("one"), 200)
        assert status_of(lambda: reads.set_secret("one", "mine")) == 403
        assert status_of(lambda: secrets(node, stranger).get_secret("one")) == 401
        assert status_of(lambda: management(node, stranger).vaults.get("ops", "annals")) == 401
        assert status_of(lambda: management(node, member).vaults.get("ops", "annals")) == 403

        run("role", "assign", "Reader", group, "--principal-type", "Group", "--scope", PLACE)
        within_a_second(lambda: management(node, member).vaults.get("ops", "annals"), 200)
        roles(node, owner).role_assignments.delete_by_id(given)
        within_a_second(lambda: writes.get_secret("one"), 403)
        code, _, error = run.run("directory", "user", "list")
        assert (code, "directory tenant create" in error) == (2, True)
    log = node.log.read_text()
    assert '"level": "error"' not in log and "Traceback" not in log


def management(node: Node, who: Somebody) -> Any:
    return arm(node, KeyVaultManagementClient, who)


def roles(node: Node, who: Somebody) -> Any:
    return arm(node, AuthorizationManagementClient, who)


def arm(node: Node, make: Any, who: Somebody) -> Any:
    url = f"https://management.localhost:{node.port}"
    return make(who, SUBSCRIPTION, base_url=url, credential_scopes=[f"{url}/.default"])


def secrets(node: Node, who: Somebody) -> Any:
    credential: Any = who
    return SecretClient(f"https://annals.vault.localhost:{node.port}", credential, retry_total=0)


def assign(node: Node, who: Somebody, scope: str, role: str, principal_id: str, kind: str | None = None) -> str:
    """Returns the assignment's ARM id."""
    properties: dict[str, object] = {
        "roleDefinitionId": f"{PLACE}/providers/Microsoft.Authorization/roleDefinitions/{ROLES[role]}",
        "principalId": principal_id,
    }
    if kind is not None:
        properties["principalType"] = kind
    made = roles(node, who).role_assignments.create(scope, str(uuid.uuid4()), {"properties": properties})
    return str(made.id)
