"""What the stores of keys, secrets and certificates have in common: names with their lives, and versions.

Names compare by their lower case; the spelling of the first version is kept and answered. Every change of a name or
of any of its versions is a compare-and-swap on the name's revision, so that two nodes cannot lose each other's.
Statements are confined to one container, but for that of the purge job.

A version is *pending* while the name's latest version is an older one, or itself, not enabled: certificates make their
key and secret so, before they are issued. It is published, or removed again.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Generic, Protocol, TypedDict, TypeVar

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from hsmvault.model.objects import ObjectName
from hsmvault.store.database import Transaction
from hsmvault.store.schema.installation import deleted_containers
from hsmvault.store.statements import Row, Statement, Value, same


class Version(Protocol):
    """sequence: order of the versions of one name, whatever the clock said."""

    @property
    def container_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def sequence(self) -> int: ...
    @property
    def created(self) -> int: ...


class FirstName(TypedDict):
    """Arguments of an ObjectName."""

    container_id: str
    name: str
    latest_version: str
    next_sequence: int
    created: int
    revision: int


N = TypeVar("N", bound=ObjectName)
V = TypeVar("V", bound=Version)
NAME_FIELDS: Final = (
    "container_id",
    "folded",
    "name",
    "latest_version",
    "next_sequence",
    "created",
    "revision",
    "deleted_at",
    "purge_at",
)
"""Columns that every table of names begins with."""
_READ_FIELDS: Final = tuple(name for name in NAME_FIELDS if name != "folded")


class Rows(Generic[N, V]):
    """How the names and versions of one kind lie in their tables.

    change: the kind of change that caches are told of. names, versions: the tables. name_fields, version_fields: the
    columns in the order in which rows are decoded; of a name, folded is left out when it is read, and of a version it
    stands for the name's own spelling. heavy: columns at the end of version_fields that pages of a list leave out (null
    there). mutable: columns that an update replaces.
    """

    def __init__(
        self,
        change: str,
        names: sa.Table,
        versions: sa.Table,
        *,
        name_fields: Sequence[str],
        version_fields: Sequence[str],
        mutable: Sequence[str],
        encode_name: Callable[[N], dict[str, Value]],
        decode_name: Callable[[Row], N],
        encode_version: Callable[[V], dict[str, Value]],
        decode_version: Callable[[Row], V],
        heavy: Iterable[str] = (),
    ) -> None:
        self.change = change
        self.names = names
        self.versions = versions
        self.name_fields = tuple(name_fields)
        self.version_fields = tuple(version_fields)
        self.mutable = tuple(mutable)
        self.encode_name = encode_name
        self.decode_name = decode_name
        self.encode_version = encode_version
        self.decode_version = decode_version
        heavy = frozenset(heavy)
        self.name_columns: Final = [names.c[name] for name in name_fields if name != "folded"]
        self.version_columns: Final[list[ColumnElement[Any]]] = [
            names.c.name.label("spelling") if name == "folded" else versions.c[name] for name in version_fields
        ]
        self.light_columns: Final[list[ColumnElement[Any]]] = [
            sa.null().label(name) if name in heavy else column
            for name, column in zip(version_fields, self.version_columns, strict=True)
        ]


class ObjectStore(Generic[N, V]):
    """Every function takes the transaction first. What raises Conflicted has changed nothing that can be committed."""

    def __init__(self, rows: Rows[N, V]) -> None:
        self._rows = rows
        self._change = rows.change
        self._split = len(rows.name_columns)
        names, versions = rows.names, rows.versions
        of_name = sa.and_(versions.c.container_id == names.c.container_id, versions.c.folded == names.c.folded)
        every = names.join(versions, of_name)
        latest = names.join(versions, sa.and_(of_name, versions.c.version == names.c.latest_version))
        active, deleted = names.c.deleted_at.is_(None), names.c.deleted_at.is_not(None)
        this_name = same(names.c.container_id, names.c.folded)
        as_read = sa.and_(this_name, names.c.revision == sa.bindparam("read_revision"))
        this_version = same(versions.c.container_id, versions.c.folded, versions.c.version)
        behind = names.c.folded > sa.bindparam("after")
        limit: sa.BindParameter[int] = sa.bindparam("limit")

        self._name = Statement(sa.select(*rows.name_columns).where(this_name))
        self._latest = Statement(sa.select(*rows.version_columns).select_from(latest).where(this_name, active))
        self._version = Statement(
            sa.select(*rows.version_columns).select_from(every).where(this_name, same(versions.c.version), active)
        )
        self._any_version = Statement(
            sa.select(*rows.version_columns).select_from(every).where(this_name, same(versions.c.version))
        )
        self._latest_of_deleted = Statement(
            sa.select(*rows.name_columns, *rows.version_columns).select_from(latest).where(this_name, deleted)
        )
        self._name_and_latest = Statement(
            sa.select(*rows.name_columns, *rows.light_columns).select_from(latest).where(this_name)
        )
        self._versions = Statement(
            sa.select(*rows.version_columns).select_from(every).where(this_name).order_by(versions.c.sequence)
        )
        self._page = Statement(
            sa.select(*rows.light_columns)
            .select_from(latest)
            .where(same(names.c.container_id), behind, active)
            .order_by(names.c.folded)
            .limit(limit)
        )
        self._version_page = Statement(
            sa.select(*rows.light_columns)
            .select_from(every)
            .where(this_name, active, versions.c.sequence > sa.bindparam("after"))
            .order_by(versions.c.sequence)
            .limit(limit)
        )
        self._deleted_page = Statement(
            sa.select(*rows.name_columns, *rows.light_columns)
            .select_from(latest)
            .where(same(names.c.container_id), behind, deleted)
            .order_by(names.c.folded)
            .limit(limit)
        )
        self._due = Statement(
            sa.select(*rows.name_columns)
            .where(names.c.purge_at <= sa.bindparam("now"), deleted, names.c.container_id.not_in(deleted_containers()))
            .order_by(names.c.purge_at)
            .limit(limit)
        )
        self._insert_name = Statement(sa.insert(names), rows.name_fields)
        self._insert_version = Statement(sa.insert(versions), rows.version_fields)
        self._new_latest = Statement(
            sa.update(names).where(as_read, active), ["latest_version", "next_sequence", "revision"]
        )
        self._touch_name = Statement(sa.update(names).where(as_read, active), ["revision"])
        self._update_version = Statement(sa.update(versions).where(this_version), list(rows.mutable))
        self._mark_deleted = Statement(sa.update(names).where(as_read, active), ["deleted_at", "purge_at", "revision"])
        self._recover = Statement(sa.update(names).where(as_read, deleted), ["deleted_at", "purge_at", "revision"])
        self._remove_version = Statement(sa.delete(versions).where(this_version))
        self._purge_versions = Statement(sa.delete(versions).where(same(versions.c.container_id, versions.c.folded)))
        self._purge_name = Statement(sa.delete(names).where(as_read, deleted))
        self._remove_name = Statement(sa.delete(names).where(as_read))
        self._as_read, self._active = as_read, active

    def setting(self, *columns: str) -> Statement:
        """To change columns of an active name: see set_columns."""
        return Statement(sa.update(self._rows.names).where(self._as_read, self._active), [*columns, "revision"])

    async def name(self, tx: Transaction, container_id: str, name: str) -> N | None:
        """Active or deleted."""
        row = await tx.row(self._name, container_id=container_id, folded=name.lower())
        return None if row is None else self._rows.decode_name(row)

    async def version(self, tx: Transaction, container_id: str, name: str, version: str | None) -> V | None:
        """version: None for the latest. None when there is none, or the name is deleted."""
        if version is None:
            row = await tx.row(self._latest, container_id=container_id, folded=name.lower())
        else:
            row = await tx.row(self._version, container_id=container_id, folded=name.lower(), version=version)
        return None if row is None else self._rows.decode_version(row)

    async def any_version(self, tx: Transaction, container_id: str, name: str, version: str) -> V | None:
        """As version(), deleted or not."""
        row = await tx.row(self._any_version, container_id=container_id, folded=name.lower(), version=version)
        return None if row is None else self._rows.decode_version(row)

    async def name_and_latest(self, tx: Transaction, container_id: str, name: str) -> tuple[N, V] | None:
        """Active or deleted; of the latest version all but what is heavy."""
        row = await tx.row(self._name_and_latest, container_id=container_id, folded=name.lower())
        return None if row is None else self._both(row)

    async def deleted_version(self, tx: Transaction, container_id: str, name: str) -> tuple[N, V] | None:
        """A deleted name and its latest version; None when there is none, or the name is active."""
        row = await tx.row(self._latest_of_deleted, container_id=container_id, folded=name.lower())
        return None if row is None else self._both(row)

    async def all_versions(self, tx: Transaction, container_id: str, name: str) -> list[V]:
        """All of them by sequence, deleted or not."""
        rows = await tx.rows(self._versions, container_id=container_id, folded=name.lower())
        return [self._rows.decode_version(row) for row in rows]

    async def insert_name(self, tx: Transaction, name: N, first: V) -> None:
        """A name that was free, and its first version. Raises Conflicted when the name exists, deleted or not."""
        self._check_belongs(first, name)
        await tx.run(self._insert_name, **self._rows.encode_name(name))
        await tx.run(self._insert_version, **self._rows.encode_version(first))
        tx.changed(self._change, name.container_id, name.folded)

    async def add_version(self, tx: Transaction, version: V, at_name: N, *, pending: bool = False) -> None:
        """One more version. pending: the latest stays the latest.

        version.sequence is at_name.next_sequence. Raises Conflicted when the name is not active at the revision that
        was read.
        """
        self._check_belongs(version, at_name)
        if version.sequence != at_name.next_sequence:
            raise ValueError("the sequence of a new version is the next of its name")
        await tx.swap(
            self._new_latest,
            **self._read(at_name),
            latest_version=at_name.latest_version if pending else version.version,
            next_sequence=version.sequence + 1,
            revision=at_name.revision + 1,
        )
        await tx.run(self._insert_version, **self._rows.encode_version(version))
        tx.changed(self._change, version.container_id, at_name.folded)

    async def publish(self, tx: Transaction, version: V, at_name: N) -> None:
        """A pending version, as it is now, becomes the latest. Raises Conflicted as add_version, and when the version
        is gone."""
        self._check_belongs(version, at_name)
        await tx.swap(
            self._new_latest,
            **self._read(at_name),
            latest_version=version.version,
            next_sequence=at_name.next_sequence,
            revision=at_name.revision + 1,
        )
        await self._replace(tx, version, at_name)

    async def restore(self, tx: Transaction, name: N, versions: Sequence[V]) -> None:
        """A name with all its versions, as they are given. Raises Conflicted when the name exists, deleted or not."""
        if name.latest_version not in {version.version for version in versions}:
            raise ValueError("the latest version is not among the versions")
        if name.next_sequence <= max(version.sequence for version in versions):
            raise ValueError("the next sequence comes after that of every version")
        await tx.run(self._insert_name, **self._rows.encode_name(name))
        for version in versions:
            self._check_belongs(version, name)
            await tx.run(self._insert_version, **self._rows.encode_version(version))
        tx.changed(self._change, name.container_id, name.folded)

    async def update_version(self, tx: Transaction, version: V, *, at_name: N) -> None:
        """Replace what may change. The name's revision goes up by one. Raises Conflicted when the name is not active
        at the revision that was read."""
        self._check_belongs(version, at_name)
        await tx.swap(self._touch_name, **self._read(at_name), revision=at_name.revision + 1)
        await self._replace(tx, version, at_name)

    async def remove_version(self, tx: Transaction, at_name: N, version: str) -> None:
        """A pending version that is not to be: of a name that has others. Raises Conflicted as update_version."""
        if version == at_name.latest_version:
            raise ValueError("the latest version cannot be removed")
        await tx.swap(self._touch_name, **self._read(at_name), revision=at_name.revision + 1)
        await tx.swap(self._remove_version, container_id=at_name.container_id, folded=at_name.folded, version=version)
        tx.changed(self._change, at_name.container_id, at_name.folded)

    async def remove(self, tx: Transaction, at_name: N) -> None:
        """The name and every version, deleted or not: of an object that never came to be. Raises Conflicted when it
        is not at the revision that was read."""
        await tx.run(self._purge_versions, container_id=at_name.container_id, folded=at_name.folded)
        await tx.swap(self._remove_name, **self._read(at_name))
        tx.changed(self._change, at_name.container_id, at_name.folded)

    async def set_columns(self, tx: Transaction, setting: Statement, at_name: N, **values: Value) -> None:
        """setting: as setting() made it for these columns. Raises Conflicted when the name is not active at the
        revision that was read."""
        await tx.swap(setting, **self._read(at_name), **values, revision=at_name.revision + 1)
        tx.changed(self._change, at_name.container_id, at_name.folded)

    async def mark_deleted(self, tx: Transaction, at_name: N, deleted_at: int, purge_at: int) -> None:
        """Both in seconds since 1970 UTC. Raises Conflicted when the name is not active at the revision that was
        read."""
        await self._mark(tx, self._mark_deleted, at_name, deleted_at, purge_at)

    async def mark_recovered(self, tx: Transaction, at_name: N) -> None:
        """Raises Conflicted when the name is not deleted at the revision that was read."""
        await self._mark(tx, self._recover, at_name, None, None)

    async def purge(self, tx: Transaction, at_name: N) -> None:
        """Remove the name and every version. Raises Conflicted when it is not deleted at the revision that was
        read."""
        await tx.run(self._purge_versions, container_id=at_name.container_id, folded=at_name.folded)
        await tx.swap(self._purge_name, **self._read(at_name))
        tx.changed(self._change, at_name.container_id, at_name.folded)

    async def page(self, tx: Transaction, container_id: str, after: str | None, limit: int) -> list[V]:
        """The latest versions of active names, by name in lower case. after: the name that ended the page before."""
        rows = await tx.rows(self._page, container_id=container_id, after=(after or "").lower(), limit=limit)
        return [self._rows.decode_version(row) for row in rows]

    async def version_page(
        self, tx: Transaction, container_id: str, name: str, after_sequence: int | None, limit: int
    ) -> list[V]:
        """Versions of an active name, oldest first. after_sequence: of the version that ended the page before."""
        after = -1 if after_sequence is None else after_sequence
        rows = await tx.rows(
            self._version_page, container_id=container_id, folded=name.lower(), after=after, limit=limit
        )
        return [self._rows.decode_version(row) for row in rows]

    async def deleted_page(
        self, tx: Transaction, container_id: str, after: str | None, limit: int
    ) -> list[tuple[N, V]]:
        """Deleted names and their latest versions, by name in lower case."""
        rows = await tx.rows(self._deleted_page, container_id=container_id, after=(after or "").lower(), limit=limit)
        return [self._both(row) for row in rows]

    async def due_for_purge(self, tx: Transaction, now: int, limit: int) -> list[N]:
        """Deleted names whose purge_at has come, the longest due first, of every container that is in use: those of a
        deleted one come back with it, or go with it."""
        return [self._rows.decode_name(row) for row in await tx.rows(self._due, now=now, limit=limit)]

    async def _mark(
        self, tx: Transaction, statement: Statement, at_name: N, deleted_at: int | None, purge_at: int | None
    ) -> None:
        await tx.swap(
            statement,
            **self._read(at_name),
            deleted_at=deleted_at,
            purge_at=purge_at,
            revision=at_name.revision + 1,
        )
        tx.changed(self._change, at_name.container_id, at_name.folded)

    async def _replace(self, tx: Transaction, version: V, at_name: N) -> None:
        columns = self._rows.encode_version(version)
        await tx.swap(
            self._update_version,
            container_id=version.container_id,
            folded=at_name.folded,
            version=version.version,
            **{name: columns[name] for name in self._rows.mutable},
        )
        tx.changed(self._change, version.container_id, at_name.folded)

    def _read(self, at_name: N) -> Mapping[str, Any]:
        return {
            "container_id": at_name.container_id,
            "folded": at_name.folded,
            "read_revision": at_name.revision,
        }

    def _both(self, row: Row) -> tuple[N, V]:
        return self._rows.decode_name(row[: self._split]), self._rows.decode_version(row[self._split :])

    def _check_belongs(self, version: V, name: N) -> None:
        if (version.container_id, version.name.lower()) != (name.container_id, name.folded):
            raise ValueError("the version is of another name")


def first_name(version: Version) -> FirstName:
    """Of a name that has this version alone."""
    return {
        "container_id": version.container_id,
        "name": version.name,
        "latest_version": version.version,
        "next_sequence": version.sequence + 1,
        "created": version.created,
        "revision": 1,
    }


def encode_name(name: ObjectName) -> dict[str, Value]:
    """The columns of NAME_FIELDS."""
    return {
        "container_id": name.container_id,
        "folded": name.folded,
        "name": name.name,
        "latest_version": name.latest_version,
        "next_sequence": name.next_sequence,
        "created": name.created,
        "revision": name.revision,
        "deleted_at": name.deleted_at,
        "purge_at": name.purge_at,
    }


def decode_name(row: Row) -> dict[str, Any]:
    """Arguments of an ObjectName, from the columns of NAME_FIELDS without folded, in that order."""
    return dict(zip(_READ_FIELDS, row, strict=True))
