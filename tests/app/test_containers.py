"""Containers that are there from the first start."""

from pathlib import Path

import pytest

from hsmvault.app.containers import declare_containers
from hsmvault.app.first_start import DeclaredPool, FirstStart
from hsmvault.clock import MovedClock, RandomIdentifiers
from hsmvault.config import Settings
from hsmvault.config.network import ContainerRules, Network
from hsmvault.config.settings import Custody, DeclaredVault
from hsmvault.config.values import Guid
from hsmvault.model import local_roles, pool_roles
from hsmvault.model.containers import AuthorizationModel, Container, ContainerKind
from hsmvault.model.network import parse_address
from hsmvault.model.worlds import WorldRow
from hsmvault.store import containers, roles, worlds
from hsmvault.store.database import Database
from hsmvault.store.migrations import migrate

TENANT = "22222222-0000-0000-0000-000000000001"
OWNER = "44444444-0000-0000-0000-000000000001"
VAULT = DeclaredVault(name="dev", tenant=Guid(TENANT))
POOL = DeclaredPool(
    name="devhsm",
    tenant_id=TENANT,
    subscription_id="33333333-0000-0000-0000-000000000001",
    resource_group="group",
    location="local",
    world="devhsm",
    roles=((OWNER, "Managed HSM Crypto User"), (OWNER, "Managed HSM Administrator")),
)


async def start(path: Path, first: FirstStart, settings: Settings, *, own_world: bool = True) -> Container | None:
    """As at one start of an instance. Returns the pool."""
    url = f"sqlite:///{path / 'hsmvault.db'}"
    migrate(url)
    clock = MovedClock()
    database = await Database.open(url, clock=clock)
    try:
        async with database.write() as tx:
            for name in ("default", *(["devhsm"] if own_world else [])):
                if await worlds.world(tx, name) is None:
                    await worlds.insert_world(tx, WorldRow(f"id-{name}", name, "local", name, b"", b"m", "wrapped", 0))
        hosts = await declare_containers(settings, database, clock, RandomIdentifiers(), first)
        async with database.read() as tx:
            pool = await containers.find(tx, ContainerKind.POOL, "devhsm")
            if pool is not None:
                assert settings.names.pool_host("devhsm") in hosts
                assigned = await roles.assignments_of(tx, [OWNER])
                assert {pool_roles.BY_ID[one.role_id].name for one in assigned} == {name for _, name in POOL.roles}
                assert {local_roles.shown_scope(pool.id, one.scope) for one in assigned} == {"/"}
            return pool
    finally:
        await database.close()


async def test_the_pool_is_made_once_in_its_own_world_and_without_software_keys(tmp_path: Path) -> None:
    first = FirstStart(vaults=(VAULT,), pools=(POOL,))
    pool = await start(tmp_path, first, Settings(custody=Custody(soft=True)))
    assert pool is not None
    assert (pool.premium, pool.software_keys, pool.authorization) == (True, False, AuthorizationModel.LOCAL)
    assert (pool.world_id, pool.retention.days, pool.retention.purge_protection) == ("id-devhsm", 90, False)
    assert pool.resource_id.endswith("/providers/Microsoft.KeyVault/managedHSMs/devhsm")
    assert await start(tmp_path, first, Settings(custody=Custody(soft=True))) == pool


async def test_an_installation_of_before_gets_its_pool_at_the_next_start(tmp_path: Path) -> None:
    assert await start(tmp_path, FirstStart(vaults=(VAULT,)), Settings(), own_world=False) is None
    pool = await start(tmp_path, FirstStart(vaults=(VAULT,), pools=(POOL,)), Settings())
    assert pool is not None and pool.world_id == "id-devhsm"


async def test_network_rules_of_the_configuration_apply_to_a_pool(tmp_path: Path) -> None:
    rules = ContainerRules(name="devhsm", kind="pool", default_action="deny")
    pool = await start(tmp_path, FirstStart(pools=(POOL,)), Settings(network=Network(containers=(rules,))))
    assert pool is not None and not pool.network.admits(parse_address("127.0.0.1"))
    pool = await start(tmp_path, FirstStart(pools=(POOL,)), Settings())
    assert pool is not None and pool.network.admits(parse_address("127.0.0.1"))


@pytest.mark.parametrize("kind", ContainerKind)
def test_the_rules_of_a_container_are_those_of_its_kind(kind: ContainerKind) -> None:
    container = Container("id", kind, "name", TENANT, "s", "g", "l", "w")
    is_pool = kind is ContainerKind.POOL
    assert (container.hardware_only, container.oct_keys, container.rotation_needs_policy) == (is_pool,) * 3
    assert container.has_events is not is_pool
    assert container.rsa_exponents == ((3, 17, 65537) if is_pool else (65537,))
    assert container.most_versions == (100 if is_pool else None)
