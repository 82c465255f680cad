"""The installation: facts, changes, leases, worlds and their keys, containers and their data keys."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Select,
    Table,
    UniqueConstraint,
    false,
    select,
    true,
)

from hsmvault.store.schema.base import EMPTY, metadata, spec_columns, text

meta = Table(
    "meta",
    metadata,
    Column("name", text(), primary_key=True),
    Column("value", text(), nullable=False),
)

changes = Table(
    "changes",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("kind", text(), nullable=False),
    Column("container_id", text(), nullable=False),
    Column("name", text(), nullable=False),
    sqlite_autoincrement=True,  # an id that was pruned never comes back
)

leases = Table(
    "leases",
    metadata,
    Column("job", text(), primary_key=True),
    Column("owner", text(), nullable=False),
    Column("until", BigInteger, nullable=False),
)

intents = Table(
    "intents",
    metadata,
    Column("id", text(), primary_key=True),
    Column("kind", text(), nullable=False),
    Column("owner", text(), nullable=False),
    Column("created", BigInteger, nullable=False),
)

worlds = Table(
    "worlds",
    metadata,
    Column("id", text(), primary_key=True),
    Column("name", text(), nullable=False),
    Column("geography", text(), nullable=False),
    Column("token_label", text(), nullable=False),
    Column("world_key_id", LargeBinary, nullable=False),
    Column("mac_key_id", LargeBinary, nullable=False),
    Column("custody", text(), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("export_key_id", LargeBinary),
    Column("attestation_key_id", LargeBinary),
    Column("attestation_certificate", LargeBinary),
    Column("state", text(), nullable=False, server_default="serving"),
    UniqueConstraint("name"),
)

older_world_keys = Table(
    "older_world_keys",
    metadata,
    Column("id", text(), primary_key=True),
    Column("world_id", text(), ForeignKey("worlds.id"), nullable=False),
    Column("key_id", LargeBinary, nullable=False),
    Column("retired", BigInteger, nullable=False),
)

system_keys = Table(
    "system_keys",
    metadata,
    Column("id", text(), primary_key=True),
    Column("world_id", text(), ForeignKey("worlds.id"), nullable=False),
    Column("key_id", LargeBinary, nullable=False),
    Column("state", text(), nullable=False),
    Column("created", BigInteger, nullable=False),
)
Index(
    "uq_system_keys_active",
    system_keys.c.world_id,
    unique=True,
    sqlite_where=system_keys.c.state == "active",
    postgresql_where=system_keys.c.state == "active",
)

login_keys = Table(
    "login_keys",
    metadata,
    Column("id", text(), primary_key=True),
    Column("certificate_der", LargeBinary, nullable=False),
    *spec_columns(),
    Column("public", LargeBinary, nullable=False),
    Column("reference", LargeBinary, nullable=False),
    Column("custody", text(), nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Column("signs_from", BigInteger, nullable=False),
    Column("retires_at", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
)

containers = Table(
    "containers",
    metadata,
    Column("id", text(), primary_key=True),
    Column("kind", text(), nullable=False),
    Column("name", text(), nullable=False),
    Column("tenant_id", text(), nullable=False),
    Column("subscription_id", text(), nullable=False),
    Column("resource_group", text(), nullable=False),
    Column("location", text(), nullable=False),
    Column("world_id", text(), nullable=False),
    Column("premium", Boolean, nullable=False),
    Column("software_keys", Boolean, nullable=False),
    Column("authorization_model", text(), nullable=False),
    Column("retention_days", Integer, nullable=False),
    Column("purge_protection", Boolean, nullable=False),
    Column("network", text(), nullable=False),
    Column("access_policies", text(), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("folded_group", text(), nullable=False, server_default=EMPTY),
    Column("tags", text(), nullable=False, server_default="{}"),
    Column("properties", text(), nullable=False, server_default="{}"),
    Column("connections", text(), nullable=False, server_default="[]"),
    Column("activated", Boolean, nullable=False, server_default=true()),
    Column("arm_keys", Boolean, nullable=False, server_default=false()),
    Column("deleted_at", BigInteger),
    Column("purge_at", BigInteger),
    Column("purging", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("kind", "name"),
)
Index("ix_containers_listed", containers.c.subscription_id, containers.c.kind, containers.c.folded_group)
Index(
    "ix_containers_purge_at",
    containers.c.purge_at,
    sqlite_where=containers.c.purge_at.is_not(None),
    postgresql_where=containers.c.purge_at.is_not(None),
)


def deleted_containers() -> Select[tuple[str]]:
    """Ids of those that are deleted, from the index above."""
    return select(containers.c.id).where(containers.c.purge_at.is_not(None))


data_keys = Table(
    "data_keys",
    metadata,
    Column("id", text(), primary_key=True),
    Column("container_id", text(), nullable=False),
    Column("system_key_id", text(), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("superseded_at", BigInteger),  # null: the container's current data key
)
Index(
    "uq_data_keys_current",
    data_keys.c.container_id,
    unique=True,
    sqlite_where=data_keys.c.superseded_at.is_(None),
    postgresql_where=data_keys.c.superseded_at.is_(None),
)
