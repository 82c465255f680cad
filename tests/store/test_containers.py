"""Containers in the store."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from hsmvault.errors import BadRequest, Damaged
from hsmvault.model.containers import AccessPolicy, AuthorizationModel, ContainerKind
from hsmvault.model.lifecycle import Retention
from hsmvault.model.network import NetworkRules
from hsmvault.store import containers
from hsmvault.store.database import Change, Conflicted, Database
from hsmvault.store.schema import containers as table
from hsmvault.store.statements import Statement, same

from .samples import OTHER_VAULT, VAULT

_SET_NETWORK = Statement(
    sa.update(table).where(same(table.c.id)).values(network=sa.bindparam("new_network")),
)
POOL_ID = "00000000-0000-0000-0000-00000000000f"


async def test_a_container_comes_back_as_it_was_written(database: Database) -> None:
    async with database.read() as tx:
        assert await containers.find(tx, ContainerKind.VAULT, "NORTH") == VAULT
        assert await containers.by_id(tx, VAULT.id) == VAULT
        assert await containers.find(tx, ContainerKind.POOL, "north") is None
        assert await containers.by_id(tx, "nobody") is None
        assert await containers.list_all(tx) == [VAULT, OTHER_VAULT]


async def test_a_name_is_taken_once_for_each_kind(database: Database) -> None:
    pool = replace(VAULT, id=POOL_ID, kind=ContainerKind.POOL)
    async with database.write() as tx:
        await containers.insert(tx, pool)
    with pytest.raises(Conflicted):
        async with database.write() as tx:
            await containers.insert(tx, replace(VAULT, id="q"))
    with pytest.raises(Conflicted):
        async with database.write() as tx:
            await containers.insert(tx, replace(VAULT, name="west"))
    async with database.read() as tx:
        assert await containers.list_all(tx) == [pool, VAULT, OTHER_VAULT]


async def test_settings_change_and_identity_does_not(database: Database) -> None:
    changed = replace(
        VAULT,
        premium=False,
        software_keys=True,
        authorization=AuthorizationModel.RBAC,
        retention=Retention(),
        network=NetworkRules(public_access=False),
        access_policies=(AccessPolicy("a", "b"),),
        resource_group="Other",
    )
    heard: list[Change] = []
    database.listen(lambda changes: heard.extend(change for _, change in changes))
    async with database.write() as tx:
        await containers.update(tx, replace(changed, name="else", created=0))
    async with database.read() as tx:
        assert await containers.by_id(tx, VAULT.id) == replace(changed, revision=2)
    assert [change.kind for change in heard] == ["container"]


async def test_a_pool_stays_a_pool_without_software_keys(database: Database) -> None:
    pool = replace(VAULT, id=POOL_ID, kind=ContainerKind.POOL, software_keys=True)
    async with database.write() as tx:
        await containers.insert(tx, pool)
        await containers.update(tx, replace(pool, kind=ContainerKind.VAULT))
    async with database.read() as tx:
        found = await containers.by_id(tx, POOL_ID)
    assert found == replace(pool, revision=2)
    assert found is not None and (found.software_keys, found.premium) == (False, True)
    assert found.authorization is AuthorizationModel.LOCAL


async def test_whoever_read_an_older_revision_changes_nothing(database: Database) -> None:
    async with database.write() as tx:
        await containers.update(tx, VAULT)
    for container in (replace(VAULT, premium=False), replace(VAULT, id="nobody")):
        with pytest.raises(Conflicted):
            async with database.write() as tx:
                await containers.update(tx, container)
    async with database.read() as tx:
        assert await containers.by_id(tx, VAULT.id) == replace(VAULT, revision=2)


async def test_bad_text_in_a_policy_is_refused(database: Database) -> None:
    for policy in (AccessPolicy("t", "o\0"), AccessPolicy("t", "o", keys=frozenset({"\ud800"}))):
        with pytest.raises(BadRequest):
            async with database.write() as tx:
                await containers.update(tx, replace(VAULT, access_policies=(policy,)))


@pytest.mark.parametrize("container_id", ["login", "statements", "backups:world", "", POOL_ID.upper(), POOL_ID + "\n"])
async def test_a_container_whose_id_is_no_guid_is_damaged(database: Database, container_id: str) -> None:
    """The keys of the service itself are bound to words that stand where a vault's keys have its id."""
    async with database.write() as tx:
        await containers.insert(tx, replace(VAULT, id=container_id, name="forged"))
    async with database.read() as tx:
        with pytest.raises(Damaged):
            await containers.find(tx, ContainerKind.VAULT, "forged")
        with pytest.raises(Damaged):
            await containers.by_id(tx, container_id)
        with pytest.raises(Damaged):
            await containers.list_all(tx)


@pytest.mark.parametrize(
    "network",
    [
        "",
        "{}",
        "[]",
        '{"allow_by_default":true,"ranges":["10.0.0.1/8"],"public_access":true}',
        '{"allow_by_default":true,"ranges":["everybody"],"public_access":true}',
        '{"allow_by_default":1,"ranges":[],"public_access":true}',
    ],
)
async def test_network_rules_that_cannot_be_read_let_nobody_in(database: Database, network: str) -> None:
    """And no other container, nor the start, suffers from them."""
    async with database.write() as tx:
        await tx.run(_SET_NETWORK, id=VAULT.id, new_network=network)
    async with database.read() as tx:
        found = await containers.by_id(tx, VAULT.id)
        assert found == replace(VAULT, network=NetworkRules.closed())
        assert await containers.list_all(tx) == [found, OTHER_VAULT]
