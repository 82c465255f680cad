"""Containers that the configuration declares, until the management plane makes them; and their firewall rules.

A vault or pool is created at start when it is not there; an existing one keeps its settings, except for network rules
that the configuration gives it and whether a vault takes soft keys, which follow the configuration at every start.
"""

from dataclasses import replace

from hsmvault.app.first_start import DeclaredPool, FirstStart
from hsmvault.app.subscriptions import OLDER_NAME, have_group, have_subscription, place_for
from hsmvault.app.worlds import WORLD_NAME
from hsmvault.clock import Clock, Identifiers
from hsmvault.config import Settings
from hsmvault.config.management import USUAL_SUBSCRIPTION
from hsmvault.config.network import ContainerRules
from hsmvault.config.settings import DeclaredVault
from hsmvault.errors import ConfigurationError
from hsmvault.model import builtin_roles, local_roles, pool_roles
from hsmvault.model.containers import AccessPolicy, AuthorizationModel, Container, ContainerKind
from hsmvault.model.lifecycle import Retention
from hsmvault.model.network import NetworkRules
from hsmvault.model.roles import RoleAssignment
from hsmvault.store import containers, roles, worlds
from hsmvault.store.database import Database, Transaction


async def declare_containers(
    settings: Settings, database: Database, clock: Clock, identifiers: Identifiers, first: FirstStart
) -> tuple[str, ...]:
    """Returns the hosts of all containers that are in use. Raises ConfigurationError for a role that does not exist."""
    hosts: list[str] = []
    async with database.write() as tx:
        world = await worlds.world(tx, WORLD_NAME)
        assert world is not None
        for declared in (*first.vaults, *settings.containers):
            if await containers.find(tx, ContainerKind.VAULT, declared.name) is None:
                await _create(tx, declared, world.id, clock, identifiers)
        for pool in first.pools:
            if await containers.find(tx, ContainerKind.POOL, pool.name) is None:
                own = await worlds.world(tx, pool.world)
                assert own is not None  # preparation.py has made it
                await _create_pool(tx, pool, own.id, clock, identifiers)
        rules = {(rule.kind, rule.name): rule for rule in settings.network.containers}
        for container in await containers.list_all(tx):
            declared_rules = rules.pop((container.kind.value, container.name), None)
            # Rules that a client has set stay until the configuration names the container.
            is_ours = declared_rules is not None or not container.network.set
            network = _network(declared_rules) if is_ours else container.network
            # A pool has no software keys, whatever is set here: Container sees to it.
            wanted = replace(container, network=network, software_keys=settings.custody.soft)
            if wanted != container:
                await containers.update(tx, wanted)
            if container.deleted_at is not None:
                continue  # no host of the data plane
            names = settings.names
            is_vault = container.kind is ContainerKind.VAULT
            hosts.append(names.vault_host(container.name) if is_vault else names.pool_host(container.name))
        if rules:
            unknown = ", ".join(sorted(f"{kind} '{name}'" for kind, name in rules))
            raise ConfigurationError(f"network.containers: there is no {unknown}; declare it, or remove its rules.")
    return tuple(hosts)


async def _create(
    tx: Transaction, declared: DeclaredVault, world_id: str, clock: Clock, identifiers: Identifiers
) -> None:
    now = int(clock.now())  # below, str() takes the configuration's own types away: no encoder knows them
    subscription_id = str(declared.subscription)
    if subscription_id == USUAL_SUBSCRIPTION:
        subscription_id = await place_for(tx, subscription_id, str(declared.tenant))
    container = Container(
        id=identifiers.guid(),
        kind=ContainerKind.VAULT,
        name=declared.name,
        tenant_id=str(declared.tenant),
        subscription_id=subscription_id,
        resource_group=declared.resource_group,
        location=declared.location,
        world_id=world_id,
        premium=declared.premium,
        authorization=AuthorizationModel(declared.authorization),
        retention=Retention(declared.retention_days, declared.purge_protection),
        access_policies=tuple(
            AccessPolicy(
                tenant_id=str(entry.tenant),
                object_id=str(entry.object_id),
                application_id=str(entry.application_id or ""),
                keys=frozenset(entry.keys),
                secrets=frozenset(entry.secrets),
                certificates=frozenset(entry.certificates),
            )
            for entry in declared.access_policies
        ),
        created=now,
    )
    await _have_place(tx, container)
    await containers.insert(tx, container)
    for assignment in declared.role_assignments:
        role = builtin_roles.BY_NAME.get(assignment.role) or builtin_roles.BY_ID.get(assignment.role.lower())
        if role is None:
            raise ConfigurationError(
                f"containers.role_assignments: there is no built-in role '{assignment.role}' (vault '{declared.name}')."
            )
        await roles.insert(
            tx,
            RoleAssignment(
                identifiers.guid(),
                container.resource_id,
                role.id,
                str(assignment.principal),
                now,
                tenant_id=container.tenant_id,
            ),
        )


async def _create_pool(
    tx: Transaction, declared: DeclaredPool, world_id: str, clock: Clock, identifiers: Identifiers
) -> None:
    now = int(clock.now())
    container = Container(
        id=identifiers.guid(),
        kind=ContainerKind.POOL,
        name=declared.name,
        tenant_id=declared.tenant_id,
        subscription_id=declared.subscription_id,
        resource_group=declared.resource_group,
        location=declared.location,
        world_id=world_id,
        authorization=AuthorizationModel.LOCAL,
        software_keys=False,
        retention=Retention(declared.retention_days),
        created=now,
    )
    await _have_place(tx, container)
    await containers.insert(tx, container)
    scope = local_roles.stored_scope(container.id, local_roles.ALL)
    for principal_id, name in declared.roles:
        role = pool_roles.BY_NAME[name]
        await roles.insert(
            tx, RoleAssignment(identifiers.guid(), scope, role.id, principal_id, now, tenant_id=declared.tenant_id)
        )


async def _have_place(tx: Transaction, container: Container) -> None:
    """Raises ConfigurationError when the subscription is another tenant's."""
    subscription_id, group = container.subscription_id, container.resource_group
    await have_subscription(tx, subscription_id, container.tenant_id, OLDER_NAME, container.created)
    await have_group(tx, subscription_id, group, container.location, container.created)


def _network(rules: ContainerRules | None) -> NetworkRules:
    if rules is None:
        return NetworkRules()
    return NetworkRules.of(
        allow_by_default=rules.default_action == "allow", ranges=rules.ip_rules, public_access=rules.public_access
    )
