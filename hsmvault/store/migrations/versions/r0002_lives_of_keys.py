"""Rotation and release policies, the schedule, the outbox, and generations of the keys of a world."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def text() -> TypeEngine[str]:
    return sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("key_names", sa.Column("rotation_policy", text(), nullable=True))
    op.add_column("key_versions", sa.Column("release_policy", text(), nullable=True))
    op.add_column("worlds", sa.Column("export_key_id", sa.LargeBinary(), nullable=True))
    op.add_column("worlds", sa.Column("attestation_key_id", sa.LargeBinary(), nullable=True))
    op.add_column("worlds", sa.Column("attestation_certificate", sa.LargeBinary(), nullable=True))
    op.create_table(
        "older_world_keys",
        sa.Column("id", text(), nullable=False),
        sa.Column("world_id", text(), nullable=False),
        sa.Column("key_id", sa.LargeBinary(), nullable=False),
        sa.Column("retired", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["world_id"], ["worlds.id"], name="fk_older_world_keys_worlds"),
        sa.PrimaryKeyConstraint("id", name="pk_older_world_keys"),
    )
    op.drop_index("uq_system_keys_active", table_name="system_keys")
    op.create_index(
        "uq_system_keys_active",
        "system_keys",
        ["world_id"],
        unique=True,
        sqlite_where=sa.text("state = 'active'"),
        postgresql_where=sa.text("state = 'active'"),
    )
    op.create_table(
        "schedule",
        sa.Column("container_id", text(), nullable=False),
        sa.Column("kind", text(), nullable=False),
        sa.Column("folded", text(), nullable=False),
        sa.Column("what", text(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("container_id", "kind", "folded", "what", name="pk_schedule"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_schedule_due_at", "schedule", ["what", "due_at"])
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("event_id", text(), nullable=False),
        sa.Column("type", text(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("container_id", text(), nullable=False),
        sa.Column("object_type", text(), nullable=False),
        sa.Column("name", text(), nullable=False),
        sa.Column("version", text(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=True),
        sa.Column("expires", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sqlite_autoincrement=True,
    )
