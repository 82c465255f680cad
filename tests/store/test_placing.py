"""What the revision 0004 makes of containers and role assignments of before."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command

from hsmvault.clock import MovedClock
from hsmvault.model.containers import ContainerKind
from hsmvault.store import containers, migrations, resource_groups, roles, subscriptions
from hsmvault.store.database import Database

NORTH, SOUTH = "22222222-0000-0000-0000-000000000001", "22222222-0000-0000-0000-000000000002"
SHARED = "00000000-0000-0000-0000-000000000001"
INSERT = (
    "INSERT INTO containers (id, kind, name, tenant_id, subscription_id, resource_group, location, world_id, "
    "premium, software_keys, authorization_model, retention_days, purge_protection, network, access_policies, created, "
    "revision) "
    "VALUES (?, 'vault', ?, ?, ?, ?, 'local', 'w', 1, 1, 'rbac', 90, 0, ?, '[]', 5, 1)"
)
NETWORK = '{"allow_by_default":true,"ranges":[],"public_access":true}'


@pytest.fixture
def older(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A database of the revision before, with vaults of two tenants in one subscription."""
    path = tmp_path / "hsmvault.db"
    upgrade = command.upgrade

    def to_the_one_before(config: Any, _: str) -> None:
        upgrade(config, "0003")

    with monkeypatch.context() as patched:
        patched.setattr(command, "upgrade", to_the_one_before)
        migrations.migrate(f"sqlite:///{path}")
    connection = sqlite3.connect(path)
    for number, (name, tenant, group) in enumerate(
        (("north", NORTH, "Group"), ("south", SOUTH, "Group"), ("souther", SOUTH, "Other"))
    ):
        identifier = f"11111111-0000-0000-0000-{number:012}"
        connection.execute(
            INSERT,
            (identifier, name, tenant, SHARED, group, NETWORK),
        )
        scope = f"/subscriptions/{SHARED}/resourceGroups/{group}/providers/Microsoft.KeyVault/vaults/{name}"
        connection.execute(
            "INSERT INTO role_assignments (id, scope, folded_scope, role_id, principal_id, created) "
            "VALUES (?, ?, ?, 'role', ?, 5)",
            (f"a{number}", f"{scope}/keys/K", f"{scope}/keys/K".lower(), f"of {name}"),
        )
    connection.commit()
    connection.close()
    yield path


async def test_every_tenant_has_its_own_subscription_and_its_roles_go_along(older: Path) -> None:
    migrations.migrate(f"sqlite:///{older}")
    database = await Database.open(f"sqlite:///{older}", clock=MovedClock())
    async with database.read() as tx:
        made = {one.name: one for one in await containers.list_all(tx)}
        tenants = {one.id: one.tenant_id for one in await subscriptions.list_all(tx)}
        assert made["north"].subscription_id == SHARED
        assert made["south"].subscription_id == made["souther"].subscription_id != SHARED
        assert tenants == {made[name].subscription_id: made[name].tenant_id for name in ("north", "south")}
        for name, container in made.items():
            assert container.kind is ContainerKind.VAULT
            group = await resource_groups.find(tx, container.subscription_id, container.resource_group.upper())
            assert group is not None and group.name == container.resource_group
            (assignment,) = await roles.assignments_of(tx, [f"of {name}"])
            assert assignment.scope == f"{container.resource_id}/keys/K"
            assert assignment.tenant_id == container.tenant_id
            assert await roles.list_at(tx, container.resource_id) == [assignment]
    await database.close()
