"""What the issuer has handed out and can take back (model/login_grants.py). Rows hold the SHA-256 of what clients hold.

Whoever ends a person's sessions beyond a bump of sessions_valid_from, or removes an application, calls revoke_of_person
or revoke_of_application in the same transaction.
"""

from typing import Final

import msgspec
import sqlalchemy as sa

from hsmvault.model.login_grants import Grant, GrantDetails, GrantKind, GrantStatus
from hsmvault.store.columns import json_to_column, null_if_empty
from hsmvault.store.database import Transaction
from hsmvault.store.schema import login_grants as table
from hsmvault.store.statements import Row, Statement, same

_FIELDS: Final = (
    "id",
    "kind",
    "family",
    "tenant_id",
    "object_id",
    "application_id",
    "status",
    "created",
    "expires",
    "user_code",
    "details",
    "redeemed_at",
)
_COLUMNS: Final = [table.c[name] for name in _FIELDS]
_MOST_AT_ONCE: Final = 1_000
_details = msgspec.json.Decoder(GrantDetails)

_FIND = Statement(sa.select(*_COLUMNS).where(same(table.c.id, table.c.kind)))
_BY_USER_CODE = Statement(sa.select(*_COLUMNS).where(same(table.c.user_code)))
_IN_FAMILY = Statement(sa.select(table.c.id).where(same(table.c.family)).limit(1))
_INSERT = Statement(sa.insert(table), _FIELDS)
_REDEEM = Statement(
    sa.update(table).where(same(table.c.id), table.c.status == sa.bindparam("before")),
    ["status", "redeemed_at", "expires"],
)
_DECIDE = Statement(
    sa.update(table).where(same(table.c.id), table.c.status == GrantStatus.PENDING.value),
    ["status", "tenant_id", "object_id", "created", "details"],
)
_SET_DETAILS = Statement(sa.update(table).where(same(table.c.id)), ["details"])
_COUNT = Statement(sa.select(sa.func.count(table.c.id)).select_from(table).where(same(table.c.object_id)))
_OLDEST = Statement(
    sa.select(table.c.id)
    .where(same(table.c.object_id))
    .order_by(table.c.created, table.c.id)
    .limit(sa.bindparam("most"))
)
_DELETE = Statement(sa.delete(table).where(same(table.c.id)))
_DELETE_FAMILY = Statement(sa.delete(table).where(same(table.c.family)))
_DELETE_OF_PERSON = Statement(sa.delete(table).where(same(table.c.object_id)))
_DELETE_OF_APPLICATION = Statement(sa.delete(table).where(same(table.c.tenant_id, table.c.application_id)))
_EXPIRED = Statement(sa.select(table.c.id).where(table.c.expires <= sa.bindparam("now")).limit(_MOST_AT_ONCE))


async def find(tx: Transaction, kind: GrantKind, id: str) -> Grant | None:
    """Also what has expired or was redeemed."""
    return _decode(await tx.row(_FIND, id=id, kind=kind.value))


async def by_user_code(tx: Transaction, user_code: str) -> Grant | None:
    """The device code that a person was shown these characters for."""
    return _decode(await tx.row(_BY_USER_CODE, user_code=user_code)) if user_code else None


async def has_family(tx: Transaction, family: str) -> bool:
    """Whether anything of this sign-in is left."""
    return await tx.row(_IN_FAMILY, family=family) is not None


async def insert(tx: Transaction, grant: Grant) -> None:
    """Raises Conflicted when the id or the user code is taken."""
    await tx.run(
        _INSERT,
        id=grant.id,
        kind=grant.kind.value,
        family=grant.family,
        tenant_id=grant.tenant_id,
        object_id=grant.object_id,
        application_id=grant.application_id,
        status=grant.status.value,
        created=grant.created,
        expires=grant.expires,
        user_code=null_if_empty(grant.user_code),
        details=json_to_column(grant.details),
        redeemed_at=grant.redeemed_at or None,
    )


async def redeem(tx: Transaction, grant: Grant, *, now: int, kept_until: int) -> bool:
    """False when its status has changed since it was read: somebody else was quicker.

    kept_until: when the row may go; until then a second use is recognised by the row, later by its family.
    """
    redeemed = GrantStatus.REDEEMED.value
    before = grant.status.value
    return await tx.run(_REDEEM, id=grant.id, before=before, status=redeemed, redeemed_at=now, expires=kept_until) == 1


async def decide(
    tx: Transaction, id: str, status: GrantStatus, *, tenant_id: str, object_id: str, since: int, details: GrantDetails
) -> bool:
    """A person has approved or declined a device code. False when it was decided before.

    since: when the person signed in. It is the grant's `created` from now on, so that the end of the person's earlier
    sessions, as by a new password, does not end what was approved after it.
    """
    values = {"status": status.value, "tenant_id": tenant_id, "object_id": object_id, "created": since}
    return await tx.run(_DECIDE, id=id, details=json_to_column(details), **values) == 1


async def set_details(tx: Transaction, id: str, details: GrantDetails) -> bool:
    """Whether it was there."""
    return await tx.run(_SET_DETAILS, id=id, details=json_to_column(details)) == 1


async def delete_oldest(tx: Transaction, object_id: str, *, kept: int) -> int:
    """Of a person, all but the newest. Returns how many."""
    row = await tx.row(_COUNT, object_id=object_id)
    assert row is not None
    too_many = int(row[0]) - kept
    if too_many <= 0:
        return 0
    ids = [row[0] for row in await tx.rows(_OLDEST, object_id=object_id, most=too_many)]
    for id in ids:
        await tx.run(_DELETE, id=id)
    return len(ids)


async def delete(tx: Transaction, id: str) -> bool:
    """Whether it was there."""
    return await tx.run(_DELETE, id=id) == 1


async def revoke_family(tx: Transaction, family: str) -> int:
    """Everything that one sign-in gave. Returns how many rows."""
    return await tx.run(_DELETE_FAMILY, family=family)


async def revoke_of_person(tx: Transaction, object_id: str) -> int:
    """Sessions of browsers too. Returns how many rows."""
    return await tx.run(_DELETE_OF_PERSON, object_id=object_id)


async def revoke_of_application(tx: Transaction, tenant_id: str, application_id: str) -> int:
    """What people of the tenant got through it. Returns how many rows."""
    return await tx.run(_DELETE_OF_APPLICATION, tenant_id=tenant_id, application_id=application_id)


async def delete_expired(tx: Transaction, now: int) -> int:
    """A thousand at a time. Returns how many."""
    ids = [row[0] for row in await tx.rows(_EXPIRED, now=now)]
    for id in ids:
        await tx.run(_DELETE, id=id)
    return len(ids)


def _decode(row: Row | None) -> Grant | None:
    if row is None:
        return None
    values = dict(zip(_FIELDS, row, strict=True))
    return Grant(
        id=values["id"],
        kind=GrantKind(values["kind"]),
        family=values["family"],
        tenant_id=values["tenant_id"],
        object_id=values["object_id"],
        application_id=values["application_id"],
        status=GrantStatus(values["status"]),
        created=values["created"],
        expires=values["expires"],
        user_code=values["user_code"] or "",
        details=_details.decode(values["details"]),
        redeemed_at=values["redeemed_at"] or 0,
    )
