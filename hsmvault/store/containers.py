"""Vaults and managed HSM pools."""

import logging
import re
from ipaddress import ip_network
from typing import Any

import msgspec
import sqlalchemy as sa

from hsmvault.errors import Damaged
from hsmvault.model.containers import AccessPolicy, AuthorizationModel, Container, ContainerKind, Properties
from hsmvault.model.lifecycle import Retention
from hsmvault.model.network import NetworkRules, PrivateEndpointConnection, SubnetRule
from hsmvault.store.database import Transaction
from hsmvault.store.schema import containers as table
from hsmvault.store.statements import Row, Statement, Value, checked, same

LOG = logging.getLogger("hsmvault.store")

_NAMES = (
    "id",
    "kind",
    "name",
    "tenant_id",
    "subscription_id",
    "resource_group",
    "location",
    "world_id",
    "premium",
    "software_keys",
    "authorization_model",
    "retention_days",
    "purge_protection",
    "network",
    "access_policies",
    "created",
    "revision",
    "folded_group",
    "tags",
    "properties",
    "connections",
    "activated",
    "arm_keys",
    "deleted_at",
    "purge_at",
    "purging",
)
_COLUMNS = [table.c[name] for name in _NAMES]
_FIXED = frozenset({"id", "kind", "name", "created"})
_CHANGEABLE = [name for name in _NAMES if name not in _FIXED]

_FIND = Statement(sa.select(*_COLUMNS).where(same(table.c.kind, table.c.name)))
_BY_ID = Statement(sa.select(*_COLUMNS).where(same(table.c.id)))
_KINDS_AND_NAMES = Statement(sa.select(table.c.kind, table.c.name))
_ALL = Statement(sa.select(*_COLUMNS).order_by(table.c.kind, table.c.name))
_INSERT = Statement(sa.insert(table), _NAMES)
_DELETE = Statement(sa.delete(table).where(same(table.c.id)))


def _page(is_deleted: bool, *columns: sa.ColumnElement[Any]) -> Statement:
    """Those whose columns equal the parameters of their names, by name."""
    return Statement(
        sa.select(*_COLUMNS)
        .where(
            same(*columns),
            table.c.deleted_at.is_not(None) if is_deleted else table.c.deleted_at.is_(None),
            table.c.name > sa.bindparam("after"),
        )
        .order_by(table.c.name)
        .limit(sa.bindparam("most"))
    )


_OF_SUBSCRIPTION = _page(False, table.c.subscription_id, table.c.kind)
_OF_GROUP = _page(False, table.c.subscription_id, table.c.kind, table.c.folded_group)
_DELETED = _page(True, table.c.subscription_id, table.c.kind)
_OF_WORLD = Statement(sa.select(table.c.kind, table.c.name).where(same(table.c.world_id)))
_DUE = Statement(
    sa.select(*_COLUMNS)
    .where(
        sa.or_(
            table.c.purging == sa.bindparam("purging"),
            sa.and_(table.c.purge_at.is_not(None), table.c.purge_at <= sa.bindparam("now")),
        )
    )
    .order_by(table.c.purge_at, table.c.id)
    .limit(sa.bindparam("most"))
)
_UPDATE = Statement(
    sa.update(table).where(same(table.c.id), table.c.revision == sa.bindparam("read_revision")),
    _CHANGEABLE,
)


async def find(tx: Transaction, kind: ContainerKind, name: str) -> Container | None:
    """name: in any case."""
    row = await tx.row(_FIND, kind=kind.value, name=name.lower())
    return None if row is None else _decode(row)


async def by_id(tx: Transaction, container_id: str) -> Container | None:
    row = await tx.row(_BY_ID, id=container_id)
    return None if row is None else _decode(row)


async def all_names(tx: Transaction) -> frozenset[tuple[ContainerKind, str]]:
    """Which containers there are, names in lower case. Read from an index, so that it is cheap for many."""
    return frozenset([(ContainerKind(row[0]), str(row[1])) for row in await tx.rows(_KINDS_AND_NAMES)])


async def list_all(tx: Transaction) -> list[Container]:
    """By kind and name. Everything at once: for start-up and the operator, not for a request."""
    return [_decode(row) for row in await tx.rows(_ALL)]


async def of_subscription(
    tx: Transaction, subscription_id: str, kind: ContainerKind, *, after: str, most: int
) -> list[Container]:
    """Those in use, by name, behind the name `after`."""
    rows = await tx.rows(_OF_SUBSCRIPTION, subscription_id=subscription_id, kind=kind.value, after=after, most=most)
    return [_decode(row) for row in rows]


async def of_group(
    tx: Transaction, subscription_id: str, group: str, kind: ContainerKind, *, after: str, most: int
) -> list[Container]:
    """Those in use of a resource group (in any case), by name, behind the name `after`."""
    rows = await tx.rows(
        _OF_GROUP,
        subscription_id=subscription_id,
        folded_group=group.lower(),
        kind=kind.value,
        after=after,
        most=most,
    )
    return [_decode(row) for row in rows]


async def deleted(
    tx: Transaction, subscription_id: str, kind: ContainerKind, *, after: str, most: int
) -> list[Container]:
    """Those that are deleted, by name, behind the name `after`."""
    rows = await tx.rows(_DELETED, subscription_id=subscription_id, kind=kind.value, after=after, most=most)
    return [_decode(row) for row in rows]


async def to_purge(tx: Transaction, now: int, most: int) -> list[Container]:
    """Those whose purge was asked for, or whose retention ended. now: seconds since 1970 UTC."""
    return [_decode(row) for row in await tx.rows(_DUE, purging=True, now=now, most=most)]


async def of_world(tx: Transaction, world_id: str) -> list[tuple[ContainerKind, str]]:
    """Kinds and names, in lower case, of those that have this security world, deleted ones too."""
    return [(ContainerKind(row[0]), str(row[1])) for row in await tx.rows(_OF_WORLD, world_id=world_id)]


async def delete(tx: Transaction, container: Container) -> bool:
    """The row itself, when nothing of the container is left. Whether it was there."""
    if await tx.run(_DELETE, id=container.id) == 0:
        return False
    tx.changed("container", container.id, container.name)
    return True


async def insert(tx: Transaction, container: Container) -> None:
    """Raises Conflicted when the id, or the name among its kind, is taken."""
    await tx.run(_INSERT, **_encode(container))
    tx.changed("container", container.id, container.name)


async def update(tx: Transaction, container: Container) -> None:
    """Everything but id, kind, name and created. container.revision is the one that was read; the row gets the next.

    Raises Conflicted when the row has another revision by now, or is gone.
    """
    values = {name: value for name, value in _encode(container).items() if name in _CHANGEABLE}
    values["revision"] = container.revision + 1
    await tx.swap(_UPDATE, id=container.id, read_revision=container.revision, **values)
    tx.changed("container", container.id, container.name)


class _Network(msgspec.Struct, frozen=True, omit_defaults=True):
    """NetworkRules in its column; ranges in CIDR notation."""

    allow_by_default: bool
    ranges: tuple[str, ...]
    public_access: bool
    bypass: bool = True
    subnets: tuple[SubnetRule, ...] = ()
    service_tags: tuple[str, ...] = ()
    perimeter: bool = False
    set: bool = False


class _Policy(msgspec.Struct, frozen=True, omit_defaults=True):
    """AccessPolicy in its column; permissions sorted."""

    tenant_id: str
    object_id: str
    application_id: str = ""
    keys: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()
    storage: tuple[str, ...] = ()


_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_encoder = msgspec.json.Encoder()
_network_decoder = msgspec.json.Decoder(_Network)
_policies_decoder = msgspec.json.Decoder(tuple[_Policy, ...])
_tags_decoder = msgspec.json.Decoder(dict[str, str])
_properties_decoder = msgspec.json.Decoder(Properties)
_connections_decoder = msgspec.json.Decoder(tuple[PrivateEndpointConnection, ...])


def _encode(container: Container) -> dict[str, Value]:
    return {
        "id": container.id,
        "kind": container.kind.value,
        "name": container.name,
        "tenant_id": container.tenant_id,
        "subscription_id": container.subscription_id,
        "resource_group": container.resource_group,
        "location": container.location,
        "world_id": container.world_id,
        "premium": container.premium,
        "software_keys": container.software_keys,
        "authorization_model": container.authorization.value,
        "retention_days": container.retention.days,
        "purge_protection": container.retention.purge_protection,
        "network": _encode_network(container.network),
        "access_policies": _encode_policies(container.access_policies),
        "created": container.created,
        "revision": container.revision,
        "folded_group": container.resource_group.lower(),
        "tags": _json(dict(container.tags)),
        "properties": _json(container.properties),
        "connections": _json(container.connections),
        "activated": container.activated,
        "arm_keys": container.arm_keys,
        "deleted_at": container.deleted_at,
        "purge_at": container.purge_at,
        "purging": container.purging,
    }


def _json(value: object) -> str:
    """Raises BadRequest for what the database would not keep: the escaped form of NUL is refused as well."""
    text = _encoder.encode(value).decode()
    if "\\u0000" in text:
        checked("\0")
    checked(text)
    return text


def _encode_network(rules: NetworkRules) -> str:
    ranges = tuple(str(network) for network in rules.ranges)
    return _json(
        _Network(
            rules.allow_by_default,
            ranges,
            rules.public_access,
            rules.bypass,
            rules.subnets,
            rules.service_tags,
            rules.perimeter,
            rules.set,
        )
    )


def _encode_policies(policies: tuple[AccessPolicy, ...]) -> str:
    encoded = tuple(
        _Policy(
            policy.tenant_id,
            policy.object_id,
            policy.application_id,
            tuple(sorted(policy.keys)),
            tuple(sorted(policy.secrets)),
            tuple(sorted(policy.certificates)),
            tuple(sorted(policy.storage)),
        )
        for policy in policies
    )
    for policy in encoded:
        for text in (policy.tenant_id, policy.object_id, policy.application_id):
            checked(text)
        for text in policy.keys + policy.secrets + policy.certificates + policy.storage:
            checked(text)
    return _encoder.encode(encoded).decode()


def _decode(row: Row) -> Container:
    """Raises Damaged when the id is no GUID: what is bound to 'login', 'statements' or a place of backups is bound to
    those words where a vault's key has this id, and no row in this table may stand for them.
    """
    values = dict(zip(_NAMES, row, strict=True))
    if _GUID.fullmatch(values["id"]) is None:
        raise Damaged("The object is not available.", detail="the id of a container in the database is not a GUID")
    return Container(
        id=values["id"],
        kind=ContainerKind(values["kind"]),
        name=values["name"],
        tenant_id=values["tenant_id"],
        subscription_id=values["subscription_id"],
        resource_group=values["resource_group"],
        location=values["location"],
        world_id=values["world_id"],
        premium=bool(values["premium"]),
        software_keys=bool(values["software_keys"]),
        authorization=AuthorizationModel(values["authorization_model"]),
        retention=Retention(values["retention_days"], bool(values["purge_protection"])),
        network=_decode_network(values["network"]),
        access_policies=tuple(
            AccessPolicy(
                policy.tenant_id,
                policy.object_id,
                policy.application_id,
                frozenset(policy.keys),
                frozenset(policy.secrets),
                frozenset(policy.certificates),
                frozenset(policy.storage),
            )
            for policy in _policies_decoder.decode(values["access_policies"])
        ),
        created=values["created"],
        revision=values["revision"],
        tags=_tags_decoder.decode(values["tags"]),
        properties=_properties_decoder.decode(values["properties"]),
        connections=_connections_decoder.decode(values["connections"]),
        activated=bool(values["activated"]),
        arm_keys=bool(values["arm_keys"]),
        deleted_at=values["deleted_at"],
        purge_at=values["purge_at"],
        purging=bool(values["purging"]),
    )


def _decode_network(text: str) -> NetworkRules:
    """What cannot be read lets nobody in; other containers go on, and so does the start."""
    try:
        network = _network_decoder.decode(text)
        ranges = tuple(ip_network(one) for one in network.ranges)
    except ValueError:  # msgspec's errors are ValueErrors
        LOG.error("the network rules of a container cannot be read: it is closed until new ones are set")
        return NetworkRules.closed()
    return NetworkRules(
        network.allow_by_default,
        ranges,
        network.public_access,
        network.bypass,
        network.subnets,
        network.service_tags,
        network.perimeter,
        network.set,
    )
