"""One site from its first day on, with everything that its people do, through restarts and a crash."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

import pytest
from azure.core.exceptions import HttpResponseError
from azure.keyvault.keys.crypto import SignatureAlgorithm
from azure.mgmt.keyvault.models import (
    AccessPolicyEntry,
    IPRule,
    ManagedHsm,
    ManagedHsmProperties,
    ManagedHsmSku,
    NetworkRuleSet,
    Permissions,
    Sku,
    VaultAccessPolicyParameters,
    VaultAccessPolicyProperties,
    VaultCheckNameAvailabilityParameters,
    VaultCreateOrUpdateParameters,
    VaultPatchParameters,
    VaultPatchProperties,
    VaultProperties,
)

from tests.instance import ROOT, folder_for_data
from tests.story.site import App, Person, Site, record_names, running_site, status_of, within_a_second

pytestmark = pytest.mark.slow
LOCATION = "local"
ROLES = {
    "Reader": "acdd72a7-3385-48ef-bd42-f606fba81ae7",
    "Key Vault Contributor": "f25e0fa2-a7c8-4377-a976-54943a77a395",
    "Key Vault Secrets Officer": "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
    "Key Vault Secrets User": "4633458b-17de-408a-b874-0445c86b69e6",
    "Key Vault Crypto User": "12338af0-0e69-4776-bea7-57ae8d297424",
}
PASSWORD = "correct horse battery staple"  # of people who exist for a minute
DIGEST = bytes(32)


@dataclass
class Facts:
    """What the people of the site remember from one day to the next."""

    folder: Path
    apps: dict[str, App] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    assignments: dict[str, str] = field(default_factory=dict)

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"


@pytest.fixture
def facts() -> Iterator[Facts]:
    with folder_for_data() as folder:
        yield Facts(folder)


def test_a_site_is_built_governed_closed_restarted_killed_and_shared(facts: Facts) -> None:
    with running_site(facts.data_dir) as (site, instance):
        places_and_containers(site)
        people_and_applications(site, facts)
        roles_at_five_scopes(site, facts)
        what_roles_give(site, facts)
        policies(site, facts)
        the_firewall(site)
    with running_site(facts.data_dir) as (site, instance):  # after a stop, on another port
        what_roles_give(site, facts)
        rights_are_taken(site, facts)
        instance.kill()
    with running_site(facts.data_dir) as (site, instance):
        what_is_taken_stays_taken(site, facts)
        deleted_recovered_and_purged(site, facts)
        two_tenants(site, facts)
        instance.kill()
    with running_site(facts.data_dir) as (site, instance):
        what_is_purged_stays_purged(site, facts)
        assert instance.failures() == []
        assert instance.leaks() == []
    the_log_has_every_step(facts)
    nothing_secret_is_written(facts)


def places_and_containers(site: Site) -> None:
    for group in ("north", "south"):
        made = site.arm("PUT", f"{place(site)}/resourcegroups/{group}", {"location": LOCATION})
        assert (made.status, made.body["properties"]["provisioningState"]) == (201, "Succeeded")
    vaults = site.management(site.owner).vaults
    ledger = vaults.begin_create_or_update("north", "ledger", vault(site, sku="premium")).result()
    assert ledger.properties.vault_uri == f"{site.vault_url('ledger')}/"
    vaults.begin_create_or_update("south", "papers", vault(site, rbac=False)).result()
    assert {one.name for one in vaults.list_by_subscription()} == {"dev", "ledger", "papers"}
    wanted: Any = ManagedHsm(
        location=LOCATION,
        sku=ManagedHsmSku(family="B", name="Standard_B1"),
        properties=ManagedHsmProperties(
            tenant_id=site.tenant_id,
            initial_admin_object_ids=[str(uuid5(NAMESPACE_DNS, "admin"))],
            soft_delete_retention_in_days=7,
        ),
    )
    pools = site.management(site.owner).managed_hsms
    pool = pools.begin_create_or_update("north", "safe", wanted).result()
    assert pool.properties.hsm_uri == f"https://safe.managedhsm.localhost:{site.port}/"
    owner = site.keys("ledger", site.owner)
    owner.create_ec_key("seal", hardware_protected=True)
    owner.create_ec_key("stamp")
    site.secrets("ledger", site.owner).set_secret("balance", "first")


def people_and_applications(site: Site, facts: Facts) -> None:
    domain = site.variable("HSMVAULT_USER_NAME").partition("@")[2]
    for number, name in enumerate(("alice", "bob")):
        wanted: Any = {
            "displayName": name,
            "userPrincipalName": f"{name}@{domain}",
            "mailNickname": name,
            "accountEnabled": True,
            "passwordProfile": {"password": f"{PASSWORD} {number}", "forceChangePasswordNextSignIn": False},
        }
        made = site.graph("POST", "users", wanted)
        assert made.status == 201, made
        facts.people[name] = Person(
            site.tenant_id,
            wanted["userPrincipalName"],
            wanted["passwordProfile"]["password"],
            made.body["id"],
            name == "alice",
        )
    for name in ("staff", "accountants"):
        made = site.graph(
            "POST", "groups", {"displayName": name, "mailNickname": name, "mailEnabled": False, "securityEnabled": True}
        )
        assert made.status == 201, made
        facts.groups[name] = made.body["id"]
    for group, member in (
        ("staff", facts.groups["accountants"]),
        ("accountants", facts.people["alice"].object_id),
    ):
        reference = {"@odata.id": f"https://graph.localhost/v1.0/directoryObjects/{member}"}
        assert site.graph("POST", f"groups/{facts.groups[group]}/members/$ref", reference).status == 204
    for name in ("teller", "auditor", "porter"):
        facts.apps[name] = application(site, name)


def application(site: Site, name: str) -> App:
    registered = site.graph("POST", "applications", {"displayName": name})
    assert registered.status == 201, registered
    id, client_id = registered.body["id"], registered.body["appId"]
    principal = site.graph("POST", "servicePrincipals", {"appId": client_id})
    assert principal.status == 201, principal
    secret = site.graph("POST", f"applications/{id}/addPassword", {"passwordCredential": {"displayName": "first"}})
    assert secret.status == 200, secret
    return App(site.tenant_id, client_id, secret.body["secretText"], principal.body["id"])


def roles_at_five_scopes(site: Site, facts: Facts) -> None:
    """Management group, subscription, resource group, vault, key."""
    root = f"/providers/Microsoft.Management/managementGroups/{site.tenant_id}"
    north = f"{place(site)}/resourceGroups/north"
    ledger = f"{north}/providers/Microsoft.KeyVault/vaults/ledger"
    for name, role, principal, scope in (
        ("root", "Reader", facts.apps["auditor"].object_id, root),
        ("subscription", "Key Vault Secrets User", facts.groups["staff"], place(site)),
        ("group", "Key Vault Contributor", facts.apps["porter"].object_id, north),
        ("vault", "Key Vault Secrets Officer", facts.people["bob"].object_id, ledger),
        ("key", "Key Vault Crypto User", facts.apps["teller"].object_id, f"{ledger}/keys/seal"),
    ):
        facts.assignments[name] = assign(site, scope, role, principal)


def what_roles_give(site: Site, facts: Facts) -> None:
    teller, auditor, porter = (facts.apps[name] for name in ("teller", "auditor", "porter"))
    alice, bob = facts.people["alice"], facts.people["bob"]
    signer = site.keys("ledger", teller).get_cryptography_client("seal")
    within_a_second(lambda: signer.sign(SignatureAlgorithm.es256, DIGEST), 200)
    other = site.keys("ledger", teller).get_cryptography_client("stamp")
    assert status_of(lambda: other.sign(SignatureAlgorithm.es256, DIGEST)) == 403
    assert status_of(lambda: site.secrets("ledger", teller).get_secret("balance")) == 403

    within_a_second(lambda: site.management(auditor).vaults.get("north", "ledger"), 200)
    assert status_of(lambda: site.management(auditor).vaults.delete("north", "ledger")) == 403
    assert status_of(lambda: site.secrets("ledger", auditor).get_secret("balance")) == 403

    tags = VaultPatchParameters(tags={"by": "porter"})
    within_a_second(lambda: site.management(porter).vaults.update("north", "ledger", tags), 200)
    assert status_of(lambda: site.management(porter).vaults.update("south", "papers", tags)) == 403

    within_a_second(lambda: site.secrets("ledger", alice).get_secret("balance"), 200)  # through a group in a group
    assert status_of(lambda: site.secrets("ledger", alice).set_secret("balance", "hers")) == 403
    within_a_second(lambda: site.secrets("ledger", bob).set_secret("note", "his"), 200)
    assert status_of(lambda: site.secrets("dev", bob).get_secret("note")) == 403


def policies(site: Site, facts: Facts) -> None:
    """In the vault that knows no roles, the group's role for the subscription gives nothing."""
    alice, teller = facts.people["alice"], facts.apps["teller"]
    site.management(site.owner).vaults.update_access_policy(
        "south", "papers", "add", entries(site, teller.object_id, secrets=["set", "get"])
    )
    within_a_second(lambda: site.secrets("papers", teller).set_secret("deed", "old"), 200)
    assert status_of(lambda: site.secrets("papers", alice).get_secret("deed")) == 403
    assert status_of(lambda: site.keys("papers", teller).create_ec_key("none")) == 403


def the_firewall(site: Site) -> None:
    vaults, ledger = site.management(site.owner).vaults, site.secrets("ledger", site.owner)

    def rules(*addresses: str) -> Any:
        closed = NetworkRuleSet(default_action="Deny", bypass="None", ip_rules=[IPRule(value=one) for one in addresses])
        return VaultPatchParameters(properties=VaultPatchProperties(network_acls=closed))

    vaults.update("north", "ledger", rules("198.51.100.0/24"))
    within_a_second(lambda: ledger.get_secret("balance"), 403)
    vaults.update("north", "ledger", rules("198.51.100.0/24", "127.0.0.1"))
    within_a_second(lambda: ledger.get_secret("balance"), 200)


def rights_are_taken(site: Site, facts: Facts) -> None:
    """Each while its bearer holds a token that is good for an hour."""
    teller, alice = facts.apps["teller"], facts.people["alice"]
    signer = site.keys("ledger", teller).get_cryptography_client("seal")
    deed, balance = site.secrets("papers", teller), site.secrets("ledger", alice)
    for call in (lambda: signer.sign(SignatureAlgorithm.es256, DIGEST), lambda: deed.get_secret("deed")):
        assert status_of(call) == 200
    site.authorization(site.owner).role_assignments.delete_by_id(facts.assignments["key"])
    within_a_second(lambda: signer.sign(SignatureAlgorithm.es256, DIGEST), 403)
    site.management(site.owner).vaults.update_access_policy(
        "south", "papers", "remove", entries(site, teller.object_id, secrets=["all"])
    )
    within_a_second(lambda: deed.get_secret("deed"), 403)
    assert status_of(lambda: balance.get_secret("balance")) == 200
    outer, inner = facts.groups["staff"], facts.groups["accountants"]
    assert site.graph("DELETE", f"groups/{outer}/members/{inner}/$ref").status == 204
    within_a_second(lambda: balance.get_secret("balance"), 403)
    bob = facts.people["bob"]
    note = site.secrets("ledger", bob)
    assert status_of(lambda: note.get_secret("note")) == 200
    assert site.graph("PATCH", f"users/{bob.object_id}", {"accountEnabled": False}).status == 204
    within_a_second(lambda: note.get_secret("note"), 401)


def what_is_taken_stays_taken(site: Site, facts: Facts) -> None:
    teller, alice, bob = facts.apps["teller"], facts.people["alice"], facts.people["bob"]
    signer = site.keys("ledger", teller).get_cryptography_client("seal")
    assert status_of(lambda: signer.sign(SignatureAlgorithm.es256, DIGEST)) == 403
    assert status_of(lambda: site.secrets("papers", teller).get_secret("deed")) == 403
    assert status_of(lambda: site.secrets("ledger", alice).get_secret("balance")) == 403
    assert status_of(lambda: site.secrets("ledger", bob).get_secret("note")) == 401
    assert site.graph("PATCH", f"users/{bob.object_id}", {"accountEnabled": True}).status == 204
    site.begin_anew(bob)
    within_a_second(lambda: site.secrets("ledger", bob).get_secret("note"), 200)


def deleted_recovered_and_purged(site: Site, facts: Facts) -> None:
    client = site.management(site.owner)
    vaults, ledger = client.vaults, site.secrets("ledger", site.owner)
    bob = facts.people["bob"]
    vaults.delete("north", "ledger")
    assert status_of(lambda: ledger.get_secret("balance")) == 404
    assert [one.name for one in vaults.list_deleted()] == ["ledger"]
    vaults.begin_create_or_update("north", "ledger", vault(site, create_mode="recover")).result()
    assert ledger.get_secret("balance").value == "first"
    assert site.keys("ledger", site.owner).get_key("seal").key_type == "EC-HSM"
    assert status_of(lambda: site.secrets("ledger", bob).get_secret("note")) == 403, "deleted with the vault"

    teller = facts.apps["teller"]
    vaults.update_access_policy("south", "papers", "add", entries(site, teller.object_id, secrets=["get"]))
    within_a_second(lambda: site.secrets("papers", teller).get_secret("deed"), 200)
    vaults.delete("south", "papers")
    vaults.begin_purge_deleted("papers", LOCATION).result()
    assert vaults.check_name_availability(VaultCheckNameAvailabilityParameters(name="papers")).name_available
    vaults.begin_create_or_update("south", "papers", vault(site, rbac=False)).result()
    assert status_of(lambda: site.secrets("papers", teller).get_secret("deed")) == 403, "it is another vault"
    pools = client.managed_hsms
    pools.begin_delete("north", "safe").result()
    pools.begin_purge_deleted("safe", LOCATION).result()
    assert [one.name for one in pools.list_by_subscription()] == ["devhsm"]


def two_tenants(site: Site, facts: Facts) -> None:
    """A subscription of the other tenant, made beside the running instance; neither sees anything of the other."""
    tenant = site.variable("HSMVAULT_OTHER_TENANT_ID")
    other = App(tenant, site.variable("HSMVAULT_OTHER_CLIENT_ID"), site.variable("HSMVAULT_OTHER_CLIENT_SECRET"))
    facts.apps["other"] = other
    subscription = command(facts, "subscription", "create", "Others", "--tenant", tenant).split()[0]
    command(facts, "role", "assign", "Owner", other.client_id, "--scope", f"/subscriptions/{subscription}")
    command(
        facts, "role", "assign", "Key Vault Administrator", other.client_id, "--scope", f"/subscriptions/{subscription}"
    )
    path = f"/subscriptions/{subscription}/resourcegroups/theirs"
    within_a_second(lambda: accepted(site.arm("PUT", path, {"location": LOCATION}, who=other).status), 200)
    theirs, ours = site.management(other, subscription).vaults, site.management(site.owner).vaults
    with pytest.raises(HttpResponseError) as taken:
        theirs.begin_create_or_update("theirs", "ledger", vault(site, tenant=tenant))
    assert taken.value.error is not None
    assert (taken.value.status_code, taken.value.error.code) == (409, "VaultAlreadyExists")
    theirs.begin_create_or_update("theirs", "annals", vault(site, tenant=tenant)).result()
    secrets = site.secrets("annals", other)
    secrets.set_secret("hidden", "theirs")
    assert [one.name for one in theirs.list_by_subscription()] == ["annals"]
    assert "annals" not in {one.name for one in ours.list_by_subscription()}
    assert status_of(lambda: site.secrets("annals", site.owner).get_secret("hidden")) == 401
    assert status_of(lambda: site.secrets("ledger", other).get_secret("balance")) == 401
    assert status_of(lambda: site.management(other).vaults.get("north", "ledger")) == 401
    assert status_of(lambda: site.management(site.owner, subscription).vaults.get("theirs", "annals")) == 401
    wanted = VaultAccessPolicyParameters(
        properties=VaultAccessPolicyProperties(
            access_policies=[entry(tenant, other.object_id or tenant, secrets=["get"])]
        )
    )
    assert status_of(lambda: ours.update_access_policy("south", "papers", "add", wanted)) == 400
    assert {one["userPrincipalName"] for one in site.graph("GET", "users", who=other).body["value"]} == set()


def what_is_purged_stays_purged(site: Site, facts: Facts) -> None:
    assert status_of(lambda: site.secrets("papers", site.owner).get_secret("deed")) == 403
    assert site.secrets("ledger", site.owner).get_secret("balance").value == "first"
    assert site.secrets("annals", facts.apps["other"]).get_secret("hidden").value == "theirs"
    assert [one.name for one in site.management(site.owner).managed_hsms.list_by_subscription()] == ["devhsm"]


def the_log_has_every_step(facts: Facts) -> None:
    found = record_names(facts.data_dir)
    steps = (
        ("ResourceGroupPut", "201"),
        ("VaultPut", "OK"),
        ("VaultPut", "Conflict"),
        ("VaultPatch", "OK"),
        ("VaultPatch", "Forbidden"),
        ("VaultDelete", "OK"),
        ("VaultDelete", "Forbidden"),
        ("VaultPurge", "202"),
        ("VaultAccessPolicyPut", "OK"),
        ("VaultAccessPolicyPut", "400"),
        ("ManagedHsmPut", "202"),
        ("ManagedHsmDelete", "202"),
        ("ManagedHsmPurge", "202"),
        ("RoleAssignmentPut", "201"),
        ("RoleAssignmentDelete", "OK"),
        ("RoleAssignmentCreate", "OK"),
        ("SubscriptionCreate", "OK"),
        ("UserCreate", "201"),
        ("UserUpdate", "204"),
        ("GroupCreate", "201"),
        ("GroupMemberAdd", "204"),
        ("GroupMemberRemove", "204"),
        ("ApplicationCreate", "201"),
        ("ApplicationPasswordAdd", "OK"),
        ("ServicePrincipalCreate", "201"),
        ("KeyCreate", "OK"),
        ("KeySign", "OK"),
        ("KeySign", "Forbidden"),
        ("SecretSet", "OK"),
        ("SecretGet", "Forbidden"),
        ("Authentication", "Unauthorized"),
    )
    assert [(name, result) for name, result in steps if result not in found.get(name, ())] == []


def nothing_secret_is_written(facts: Facts) -> None:
    """Neither in the log of the processes nor in the audit log; and in the database only as hashes."""
    secrets = [app.secret for app in facts.apps.values()] + [person.password for person in facts.people.values()]
    secrets += [PASSWORD]
    written = [*facts.folder.glob("*.log"), *(facts.data_dir / "audit").iterdir(), *facts.data_dir.glob("hsmvault.db*")]
    for path in written:
        content = path.read_bytes()
        assert not [number for number, secret in enumerate(secrets) if secret.encode() in content], path


def place(site: Site) -> str:
    return f"/subscriptions/{site.subscription}"


def vault(
    site: Site, *, sku: str = "standard", rbac: bool = True, tenant: str = "", create_mode: str = "default"
) -> Any:
    return VaultCreateOrUpdateParameters(
        location=LOCATION,
        properties=VaultProperties(
            sku=Sku(family="A", name=sku),
            tenant_id=tenant or site.tenant_id,
            access_policies=[],
            enable_rbac_authorization=rbac,
            create_mode=create_mode,
        ),
    )


def entry(tenant_id: str, object_id: str, **permissions: list[str]) -> Any:
    return AccessPolicyEntry(tenant_id=tenant_id, object_id=object_id, permissions=Permissions(**permissions))


def entries(site: Site, object_id: str, **permissions: list[str]) -> Any:
    given = [entry(site.tenant_id, object_id, **permissions)]
    return VaultAccessPolicyParameters(properties=VaultAccessPolicyProperties(access_policies=given))


def assign(site: Site, scope: str, role: str, principal_id: str) -> str:
    """Returns the assignment's ARM id."""
    wanted: Mapping[str, object] = {
        "properties": {
            "roleDefinitionId": f"/providers/Microsoft.Authorization/roleDefinitions/{ROLES[role]}",
            "principalId": principal_id,
        }
    }
    name = uuid5(NAMESPACE_DNS, f"{scope}{role}{principal_id}")
    made = site.authorization(site.owner).role_assignments.create(scope, str(name), wanted)
    return str(made.id)


def accepted(status: int) -> None:
    if status not in (200, 201):
        raise HttpResponseError(f"{status}", response=None)


def command(facts: Facts, *words: str) -> str:
    """`hsmvault WORDS` beside the running instance."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HSMVAULT_")}
    ended = subprocess.run(
        [sys.executable, "-m", "hsmvault", *words, "--data-dir", str(facts.data_dir)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
