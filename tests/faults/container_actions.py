"""What is done to a vault while the process is killed, what is there before it, and what another one finds of it."""

from hsmvault.clock import RandomIdentifiers
from hsmvault.custody.intents import Intents
from hsmvault.jobs.container_purge import PurgeContainers
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.model.roles import RoleAssignment
from hsmvault.model.subscriptions import ResourceGroup, Subscription
from hsmvault.resources.container_lives import delete_container
from hsmvault.resources.container_removal import PURGE, ContainerRemoval, begin_purge
from hsmvault.resources.key_settings import KeySettings
from hsmvault.resources.secrets import SecretSettings
from hsmvault.resources.vaults.deleted import DeletedVaults
from hsmvault.resources.vaults.settings import Actor, Place, VaultSettings
from hsmvault.resources.vaults.vaults import VaultRules, Vaults
from hsmvault.store import containers, management_operations, outbox, resource_groups, roles, subscriptions
from hsmvault.store.container_contents import KINDS, names
from tests.faults.actions import CUSTODY, EC, SOFT, Case, Setup, nothing, run
from tests.faults.observing import State, strays
from tests.faults.parts import NODE, VAULT, Parts

_PLACE = Place(VAULT.tenant_id, VAULT.subscription_id, "group", "North")
_ACTOR = Actor("somebody", "User")
_WANTED = VaultSettings(
    location="local", tenant_id=VAULT.tenant_id, sku_family="A", sku="premium", policies=(), rbac=False
)


def vaults_of(parts: Parts) -> Vaults:
    rules = VaultRules(VAULT.world_id, ("local",))
    return Vaults(parts.database, parts.clock, RandomIdentifiers(), rules)


async def create(parts: Parts, _: Setup) -> None:
    await vaults_of(parts).put(_PLACE, _WANTED, _ACTOR, may_switch=_always, rbac=False)


async def change(parts: Parts, _: Setup) -> None:
    """The event is of the same transaction."""
    await vaults_of(parts).patch(_PLACE, VaultSettings(rbac=True, tags={"a": "b"}), _ACTOR, _always)


async def delete(parts: Parts, _: Setup) -> None:
    assert await vaults_of(parts).delete(_PLACE)


async def recover(parts: Parts, _: Setup) -> None:
    await vaults_of(parts).put(_PLACE, VaultSettings(recover=True), _ACTOR, may_switch=_always, rbac=False)


async def ask_for_purge(parts: Parts, _: Setup) -> None:
    deleted = DeletedVaults(parts.database, parts.clock, RandomIdentifiers())
    await deleted.purge(VAULT.subscription_id, "local", "north")


async def purge_by_job(parts: Parts, _: Setup) -> None:
    intents = Intents(parts.database, NODE, parts.clock)
    removal = ContainerRemoval(parts.database, parts.custodians, intents)
    await run(PurgeContainers(parts.database, removal, parts.records, parts.clock, RandomIdentifiers()))


async def observe(parts: Parts, _: Container) -> State:
    """Whether the vault is there, and whether everything about it is of the same moment. What is in one that is being
    purged goes a piece at a time, and is not looked at."""
    found = await _stored(parts)
    async with parts.database.read() as tx:
        told = [event for _, event in await outbox.page(tx, 0, 1000) if event.type == "VaultAccessPolicyChanged"]
        assigned = await roles.list_at(tx, _PLACE.resource_id)
        inside: list[str] = []
        going_on = finished = 0
        if found is not None:
            for kind in KINDS:
                inside += [f"{kind} {name}" for name in await names(tx, kind, found.id, 100)]
            operations = await management_operations.of_container(tx, found.id, PURGE)
            going_on = sum(one.finished is None for one in operations)
            finished = len(operations) - going_on
    if found is None:
        life = "absent"
    else:
        life = "purging" if found.purging else "deleted" if found.deleted_at is not None else "active"
    assert (going_on, finished) == (1 if life == "purging" else 0, 0)
    assert not assigned or life == "active", "roles do not outlive the vault"
    policy = "" if found is None else f"{found.authorization.value} {dict(found.tags)} {len(told)} told"
    shown = () if life == "purging" else (*inside, *(one.id for one in assigned))
    return State(life, shown, policy, 0, 0, await strays(parts), 0, 0)


async def require_usable(parts: Parts, setup: Setup, state: State) -> None:
    """Whatever the crash left, life goes on: to the end, and with the same name from the beginning."""
    if state.life == "active":
        await delete(parts, setup)
    if state.life in ("active", "deleted"):
        await recover(parts, setup)
        await delete(parts, setup)
        await ask_for_purge(parts, setup)
    if state.life != "absent":
        await purge_by_job(parts, setup)
    assert await strays(parts) == 0
    assert await _stored(parts) is None
    if state.life != "absent":  # before, it may be that not even its group is there
        await create(parts, setup)
        assert await _stored(parts) is not None


async def _always() -> bool:
    return True


async def _stored(parts: Parts) -> Container | None:
    async with parts.database.read() as tx:
        return await containers.find(tx, ContainerKind.VAULT, "north")


async def _have_group(parts: Parts, _: Setup) -> None:
    async with parts.database.write() as tx:
        await subscriptions.insert(tx, Subscription(VAULT.subscription_id, VAULT.tenant_id, "test"))
        await resource_groups.insert(tx, ResourceGroup(VAULT.subscription_id, "group", "local"))


async def _filled(parts: Parts, setup: Setup) -> None:
    await _have_group(parts, setup)
    await create(parts, setup)
    found = await _stored(parts)
    assert found is not None
    for name in ("one", "two"):
        await parts.keys.create(found, name, EC, KeySettings(), hardware=setup.hardware)
    await parts.keys.delete(found, "two")
    await parts.vault.secrets.set(found, "secret", "value", SecretSettings())
    async with parts.database.write() as tx:
        await roles.insert(tx, RoleAssignment("role", found.resource_id, "r", "p", tenant_id=found.tenant_id))


async def _deleted(parts: Parts, setup: Setup) -> None:
    await _filled(parts, setup)
    await delete(parts, setup)


async def _marked(parts: Parts, setup: Setup) -> None:
    await _deleted(parts, setup)
    await ask_for_purge(parts, setup)


CONTAINER_CASES = {
    "vault: create": Case(_have_group, create, (SOFT,)),
    "vault: change": Case(_filled, change, (SOFT,)),
    "vault: delete": Case(_filled, delete, (SOFT,)),
    "vault: recover": Case(_deleted, recover, (SOFT,)),
    "vault: ask for its purge": Case(_deleted, ask_for_purge, (SOFT,)),
    "vault: purge by the job": Case(_marked, purge_by_job, recorded="VaultPurge"),
}


async def remove(parts: Parts, setup: Setup) -> None:
    """The vault or pool of the setup goes for good, from the request to the last row."""
    async with parts.database.write() as tx:
        found = await containers.by_id(tx, setup.container.id)
        assert found is not None
        await delete_container(tx, found, int(parts.clock.now()))
    async with parts.database.write() as tx:
        found = await containers.by_id(tx, setup.container.id)
        assert found is not None
        await begin_purge(tx, found, RandomIdentifiers(), int(parts.clock.now()))
    await purge_by_job(parts, setup)
    async with parts.database.read() as tx:
        assert await containers.by_id(tx, setup.container.id) is None


REMOVALS = {"vault: goes with all in it": Case(nothing, remove, CUSTODY)}
"""What happens to a vault while something is made in it."""
