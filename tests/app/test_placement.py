"""Subscriptions and groups that are there from the start, their owners, and the cursors of exports."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from hsmvault.app.containers import declare_containers
from hsmvault.app.exporting import begin_exports, sink_of
from hsmvault.app.first_start import DevPrincipals, FirstStart, _place
from hsmvault.app.subscriptions import declare_subscriptions
from hsmvault.clock import MovedClock, RandomIdentifiers
from hsmvault.config import Settings
from hsmvault.config.auditing import AuditDestination
from hsmvault.config.management import DeclaredSubscription, Management
from hsmvault.config.settings import Audit, DeclaredVault, Server
from hsmvault.config.values import Guid
from hsmvault.errors import ConfigurationError
from hsmvault.jobs.audit_sinks import FileSink, SyslogSink, WebhookSink
from hsmvault.model import builtin_roles
from hsmvault.model.subscriptions import ResourceGroup, Subscription
from hsmvault.model.worlds import WorldRow
from hsmvault.store import containers, resource_groups, roles, subscriptions, worlds
from hsmvault.store.database import Database
from hsmvault.store.migrations import migrate

TENANT = "22222222-0000-0000-0000-000000000001"
OTHER_TENANT = "22222222-0000-0000-0000-000000000002"
SUBSCRIPTION = "33333333-0000-0000-0000-000000000001"
OWNER = "44444444-0000-0000-0000-000000000001"
DECLARED = DeclaredSubscription(id=Guid(SUBSCRIPTION), tenant=Guid(TENANT), name="Production", owners=(Guid(OWNER),))
VAULT = DeclaredVault(name="dev", tenant=Guid(TENANT), subscription=Guid(SUBSCRIPTION), location="westeurope")


@dataclass
class Instance:
    database: Database
    clock: MovedClock
    identifiers: RandomIdentifiers

    async def start(self, settings: Settings) -> None:
        await declare_subscriptions(settings, self.database, self.clock, self.identifiers)
        await declare_containers(settings, self.database, self.clock, self.identifiers, FirstStart())

    async def held(self) -> set[tuple[str, str, str]]:
        async with self.database.read() as tx:
            found = await roles.assignments_of(tx, [OWNER])
        return {(builtin_roles.BY_ID[one.role_id].name, one.scope, one.tenant_id) for one in found}

    async def take_away(self) -> None:
        async with self.database.write() as tx:
            for one in await roles.assignments_of(tx, [OWNER]):
                await roles.delete(tx, one.id)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "hsmvault.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
async def instance(tmp_path: Path, template: Path) -> Instance:
    shutil.copy(template, tmp_path)
    url, clock = f"sqlite:///{tmp_path / template.name}", MovedClock()
    database = await Database.open(url, clock=clock)
    async with database.write() as tx:
        await worlds.insert_world(tx, WorldRow("w", "default", "local", "t", b"", b"m", "wrapped", 0))
    return Instance(database, clock, RandomIdentifiers())


async def test_a_declared_subscription_has_its_owners_once(instance: Instance) -> None:
    settings = Settings(subscriptions=(DECLARED,))
    owns = {("Owner", f"/subscriptions/{SUBSCRIPTION}", TENANT)}
    for _ in range(2):
        await instance.start(settings)
        assert await instance.held() == owns
    await instance.take_away()
    await instance.start(settings)
    assert await instance.held() == set()
    async with instance.database.read() as tx:
        found = await subscriptions.find(tx, SUBSCRIPTION)
    assert found is not None and (found.tenant_id, found.display_name) == (TENANT, "Production")
    await instance.database.close()


async def test_a_declared_vault_has_its_subscription_and_its_group(instance: Instance) -> None:
    await instance.start(Settings(containers=(VAULT,)))
    async with instance.database.read() as tx:
        made = await subscriptions.find(tx, SUBSCRIPTION)
        group = await resource_groups.find(tx, SUBSCRIPTION, "HSMVAULT")
    assert made is not None and (made.tenant_id, made.display_name) == (TENANT, "hsmvault")
    assert group is not None and (group.name, group.location) == ("hsmvault", "westeurope")
    await instance.start(Settings(containers=(VAULT,), subscriptions=(DECLARED,)))
    async with instance.database.read() as tx:
        named = await subscriptions.find(tx, SUBSCRIPTION)
    assert named is not None and named.display_name == "Production"
    await instance.database.close()


async def test_a_subscription_of_another_tenant_is_refused(instance: Instance) -> None:
    async with instance.database.write() as tx:
        await subscriptions.insert(tx, Subscription(SUBSCRIPTION, OTHER_TENANT, "Theirs"))
    for settings in (Settings(subscriptions=(DECLARED,)), Settings(containers=(VAULT,))):
        with pytest.raises(ConfigurationError, match="one tenant for ever"):
            await instance.start(settings)
    await instance.database.close()


async def test_tenants_whose_vaults_name_no_subscription_get_one_each(instance: Instance) -> None:
    tenants = (TENANT, OTHER_TENANT)
    vaults = tuple(DeclaredVault(name=f"vault{n}", tenant=Guid(tenant)) for n, tenant in enumerate(tenants * 2))
    for _ in range(2):
        await instance.start(Settings(containers=vaults))
    async with instance.database.read() as tx:
        made = await containers.list_all(tx)
        places = {one.subscription_id: one.tenant_id for one in made}
        assert {one.id: one.tenant_id for one in await subscriptions.list_all(tx)} == places
    assert (len(made), sorted(places.values())) == (4, sorted(tenants))
    assert places["00000000-0000-0000-0000-000000000001"] == TENANT
    await instance.database.close()


async def test_an_older_development_instance_gets_its_place_once(instance: Instance) -> None:
    """The migration has made the rows; roles and names come with the next start."""
    made = DevPrincipals(TENANT, OTHER_TENANT, SUBSCRIPTION, OWNER, *[""] * 15)
    async with instance.database.write() as tx:
        await subscriptions.insert(tx, Subscription(SUBSCRIPTION, TENANT, "hsmvault"))
        await resource_groups.insert(tx, ResourceGroup(SUBSCRIPTION, "hsmvault", "local"))
    await _place(instance.database, instance.clock, instance.identifiers, made)
    place = f"/subscriptions/{SUBSCRIPTION}"
    root = f"/providers/Microsoft.Management/managementGroups/{TENANT}"
    assert await instance.held() == {
        ("Owner", place, TENANT),
        ("Key Vault Administrator", place, TENANT),
        ("Owner", root, TENANT),
    }
    async with instance.database.read() as tx:
        found = await subscriptions.find(tx, SUBSCRIPTION)
    assert found is not None and found.display_name == "hsmvault dev"
    await instance.take_away()
    async with instance.database.write() as tx:
        await resource_groups.delete(tx, SUBSCRIPTION, "hsmvault")
    await _place(instance.database, instance.clock, instance.identifiers, made)
    assert await instance.held() == set()
    async with instance.database.read() as tx:
        assert await resource_groups.find(tx, SUBSCRIPTION, "hsmvault") is None
    await instance.database.close()


def test_regions_of_declared_vaults_are_regions(tmp_path: Path) -> None:
    assert Settings().locations == ("local",)
    settings = Settings(management=Management(locations=("eu", "us")), containers=(VAULT,))
    assert settings.locations == ("eu", "us", "westeurope")


def test_every_destination_gets_its_sink_and_its_cursor(tmp_path: Path) -> None:
    headers = tmp_path / "headers"
    headers.write_text("Authorization: Bearer sesame\n")
    headers.chmod(0o600)
    destinations = (
        AuditDestination(name="one", kind="file", path=tmp_path / "one"),
        AuditDestination(name="two", kind="webhook", url="https://localhost/x", header_file=headers),
        AuditDestination(name="three", kind="syslog", address="[::1]:6514"),
        AuditDestination(name="four", kind="syslog", address="localhost:514", protocol="udp"),
    )
    kinds = [FileSink, WebhookSink, SyslogSink, SyslogSink]
    assert [type(sink_of(one)) for one in destinations] == kinds
    assert "sesame" not in repr(sink_of(destinations[1]))
    settings = Settings(server=Server(data_dir=tmp_path), audit=Audit(destinations=destinations))
    begin_exports(settings)
    assert sorted(path.stem for path in settings.layout.audit_exports.iterdir()) == ["four", "one", "three", "two"]
    headers.chmod(0o644)
    with pytest.raises(ConfigurationError, match="other users"):
        sink_of(destinations[1])
