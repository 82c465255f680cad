"""What the tables are made of: the metadata, types, and columns that several tables have in common."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, MetaData, Table, Text
from sqlalchemy import text as literal
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

EMPTY = literal("''")  # the default of a column that came later; an empty Python text would be no default at all


def text() -> TypeEngine[str]:
    """Text that compares by code points everywhere: keyset paging and prefix ranges depend on it."""
    return Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def spec_columns() -> tuple[Column[str], Column[int], Column[str], Column[int]]:
    """A model.algorithms.KeySpec; curve is null but for EC."""
    return (
        Column("family", text(), nullable=False),
        Column("size_bits", Integer, nullable=False),
        Column("curve", text()),
        Column("public_exponent", BigInteger, nullable=False),
    )


def name_columns() -> tuple[Column[str] | Column[int] | Column[int | None], ...]:
    """What keys, secrets and certificates have in common: a name with its life in one container."""
    return (
        Column("container_id", text(), ForeignKey("containers.id"), primary_key=True),
        Column("folded", text(), primary_key=True),
        Column("name", text(), nullable=False),
        Column("latest_version", text(), nullable=False),
        Column("next_sequence", BigInteger, nullable=False),
        Column("created", BigInteger, nullable=False),
        Column("revision", BigInteger, nullable=False),
        Column("deleted_at", BigInteger),
        Column("purge_at", BigInteger),
    )


def name_indexes(table: Table) -> None:
    """For the lists of what is deleted, and for the purge job."""
    Index(
        f"ix_{table.name}_deleted",
        table.c.container_id,
        table.c.folded,
        sqlite_where=table.c.deleted_at.is_not(None),
        postgresql_where=table.c.deleted_at.is_not(None),
    )
    Index(
        f"ix_{table.name}_purge_at",
        table.c.purge_at,
        sqlite_where=table.c.purge_at.is_not(None),
        postgresql_where=table.c.purge_at.is_not(None),
    )


def version_columns() -> tuple[Column[str] | Column[int] | Column[bool] | Column[int | None], ...]:
    """What the versions of secrets and certificates have in common."""
    return (
        Column("container_id", text(), primary_key=True),
        Column("folded", text(), primary_key=True),
        Column("version", text(), primary_key=True),
        Column("sequence", BigInteger, nullable=False),
        Column("created", BigInteger, nullable=False),
        Column("updated", BigInteger, nullable=False),
        Column("enabled", Boolean, nullable=False),
        Column("not_before", BigInteger),
        Column("expires", BigInteger),
        Column("tags", text(), nullable=False),
    )
