"""Subscriptions: the tenant of each, and the management group that it stands in."""

from typing import Final

import sqlalchemy as sa

from hsmvault.model.subscriptions import Subscription, SubscriptionState
from hsmvault.store.database import Transaction
from hsmvault.store.schema import subscriptions as table
from hsmvault.store.statements import Row, Statement, same

_FIELDS: Final = ("id", "tenant_id", "display_name", "state", "management_group", "created")
_COLUMNS: Final = [table.c[name] for name in _FIELDS]

_FIND = Statement(sa.select(*_COLUMNS).where(same(table.c.id)))
_ALL = Statement(sa.select(*_COLUMNS).order_by(table.c.id))
_OF_TENANT = Statement(sa.select(*_COLUMNS).where(same(table.c.tenant_id)).order_by(table.c.id))
_IN_GROUP = Statement(
    sa.select(*_COLUMNS).where(same(table.c.tenant_id, table.c.management_group)).order_by(table.c.id)
)
_INSERT = Statement(sa.insert(table), _FIELDS)
_UPDATE = Statement(sa.update(table).where(same(table.c.id)), ["display_name", "state", "management_group"])
_DELETE = Statement(sa.delete(table).where(same(table.c.id)))


async def find(tx: Transaction, subscription_id: str) -> Subscription | None:
    """subscription_id: in any case."""
    row = await tx.row(_FIND, id=subscription_id.lower())
    return None if row is None else _decode(row)


async def list_all(tx: Transaction) -> list[Subscription]:
    """By id, of every tenant."""
    return [_decode(row) for row in await tx.rows(_ALL)]


async def of_tenant(tx: Transaction, tenant_id: str) -> list[Subscription]:
    """By id."""
    return [_decode(row) for row in await tx.rows(_OF_TENANT, tenant_id=tenant_id)]


async def in_management_group(tx: Transaction, tenant_id: str, group: str) -> list[Subscription]:
    """Those that stand right in it, by id. group: name in any case; "" for the tenant's root group."""
    rows = await tx.rows(_IN_GROUP, tenant_id=tenant_id, management_group=group.lower())
    return [_decode(row) for row in rows]


async def insert(tx: Transaction, subscription: Subscription) -> None:
    """Raises Conflicted when the id is taken."""
    await tx.run(
        _INSERT,
        id=subscription.id.lower(),
        tenant_id=subscription.tenant_id,
        display_name=subscription.display_name,
        state=subscription.state.value,
        management_group=subscription.management_group.lower(),
        created=subscription.created,
    )
    tx.changed("subscription", "", subscription.id.lower())


async def update(tx: Transaction, subscription: Subscription) -> None:
    """Name, state and management group; the rest never changes. Raises Conflicted when it is gone."""
    await tx.swap(
        _UPDATE,
        id=subscription.id,
        display_name=subscription.display_name,
        state=subscription.state.value,
        management_group=subscription.management_group.lower(),
    )
    tx.changed("subscription", "", subscription.id)


async def delete(tx: Transaction, subscription_id: str) -> bool:
    """Whether it was there. The caller has seen to it that nothing is in it."""
    if await tx.run(_DELETE, id=subscription_id.lower()) == 0:
        return False
    tx.changed("subscription", "", subscription_id.lower())
    return True


def _decode(row: Row) -> Subscription:
    subscription_id, tenant_id, display_name, state, management_group, created = row
    return Subscription(
        subscription_id, tenant_id, display_name, SubscriptionState(state), management_group, int(created)
    )
