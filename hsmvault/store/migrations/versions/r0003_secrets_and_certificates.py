"""Secrets, certificates with their issuers and operations, authorities of our own, what is to be sent out."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def text() -> TypeEngine[str]:
    return sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "acme_challenges",
        sa.Column("token", text(), nullable=False),
        sa.Column("authorization", text(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("token", name="pk_acme_challenges"),
    )
    op.create_table(
        "authorities",
        sa.Column("name", text(), nullable=False),
        sa.Column("role", text(), nullable=False),
        sa.Column("family", text(), nullable=False),
        sa.Column("size_bits", sa.Integer(), nullable=False),
        sa.Column("curve", text(), nullable=True),
        sa.Column("public_exponent", sa.BigInteger(), nullable=False),
        sa.Column("custody", text(), nullable=False),
        sa.Column("public", sa.LargeBinary(), nullable=False),
        sa.Column("reference", sa.LargeBinary(), nullable=False),
        sa.Column("version", text(), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("crl_number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "role", name="pk_authorities"),
    )
    op.create_table(
        "authority_certificates",
        sa.Column("authority", text(), nullable=False),
        sa.Column("serial", text(), nullable=False),
        sa.Column("not_after", sa.BigInteger(), nullable=False),
        sa.Column("issued", sa.BigInteger(), nullable=False),
        sa.Column("container_id", text(), nullable=False),
        sa.Column("name", text(), nullable=False),
        sa.Column("version", text(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("authority", "serial", name="pk_authority_certificates"),
    )
    op.create_index(
        "ix_authority_certificates_revoked",
        "authority_certificates",
        ["authority", "revoked_at"],
        sqlite_where=sa.text("revoked_at IS NOT NULL"),
        postgresql_where=sa.text("revoked_at IS NOT NULL"),
    )
    op.create_table(
        "certificate_operations",
        sa.Column("container_id", text(), nullable=False),
        sa.Column("folded", text(), nullable=False),
        sa.Column("version", text(), nullable=False),
        sa.Column("request_id", text(), nullable=False),
        sa.Column("status", text(), nullable=False),
        sa.Column("policy", text(), nullable=False),
        sa.Column("csr", sa.LargeBinary(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("tags", text(), nullable=False),
        sa.Column("preserve_order", sa.Boolean(), nullable=False),
        sa.Column("is_renewal", sa.Boolean(), nullable=False),
        sa.Column("cancellation_requested", sa.Boolean(), nullable=False),
        sa.Column("details", text(), nullable=False),
        sa.Column("error_code", text(), nullable=True),
        sa.Column("error_message", text(), nullable=True),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("retry_at", sa.BigInteger(), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("container_id", "folded", name="pk_certificate_operations"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_certificate_operations_retry_at",
        "certificate_operations",
        ["retry_at"],
        sqlite_where=sa.text("retry_at IS NOT NULL"),
        postgresql_where=sa.text("retry_at IS NOT NULL"),
    )
    op.create_table(
        "event_deliveries",
        sa.Column("subscription", text(), nullable=False),
        sa.Column("delivered", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("retry_at", sa.BigInteger(), nullable=True),
        sa.Column("error", text(), nullable=False),
        sa.PrimaryKeyConstraint("subscription", name="pk_event_deliveries"),
    )
    op.create_table(
        "mails",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("container_id", text(), nullable=False),
        sa.Column("recipient", text(), nullable=False),
        sa.Column("subject", text(), nullable=False),
        sa.Column("body", text(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("retry_at", sa.BigInteger(), nullable=False),
        sa.Column("error", text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_mails"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_mails_retry_at", "mails", ["retry_at"], unique=False)
    op.create_table(
        "certificate_contacts",
        sa.Column("container_id", text(), nullable=False),
        sa.Column("contacts", text(), nullable=False),
        sa.ForeignKeyConstraint(["container_id"], ["containers.id"], name="fk_certificate_contacts_containers"),
        sa.PrimaryKeyConstraint("container_id", name="pk_certificate_contacts"),
    )
    op.create_table(
        "certificate_issuers",
        sa.Column("container_id", text(), nullable=False),
        sa.Column("folded", text(), nullable=False),
        sa.Column("name", text(), nullable=False),
        sa.Column("provider", text(), nullable=False),
        sa.Column("account_id", text(), nullable=True),
        sa.Column("password", sa.LargeBinary(), nullable=True),
        sa.Column("organization", text(), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["container_id"], ["containers.id"], name="fk_certificate_issuers_containers"),
        sa.PrimaryKeyConstraint("container_id", "folded", name="pk_certificate_issuers"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "certificate_names",
        sa.Column("container_id", text(), nullable=False),
        sa.Column("folded", text(), nullable=False),
        sa.Column("name", text(), nullable=False),
        sa.Column("latest_version", text(), nullable=False),
        sa.Column("next_sequence", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.Column("purge_at", sa.BigInteger(), nullable=True),
        sa.Column("policy", text(), nullable=False),
        sa.ForeignKeyConstraint(["container_id"], ["containers.id"], name="fk_certificate_names_containers"),
        sa.PrimaryKeyConstraint("container_id", "folded", name="pk_certificate_names"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_certificate_names_deleted",
        "certificate_names",
        ["container_id", "folded"],
        sqlite_where=sa.text("deleted_at IS NOT NULL"),
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    )
    op.create_index(
        "ix_certificate_names_purge_at",
        "certificate_names",
        ["purge_at"],
        sqlite_where=sa.text("purge_at IS NOT NULL"),
        postgresql_where=sa.text("purge_at IS NOT NULL"),
    )
    op.create_table(
        "secret_names",
        sa.Column("container_id", text(), nullable=False),
        sa.Column("folded", text(), nullable=False),
        sa.Column("name", text(), nullable=False),
        sa.Column("latest_version", text(), nullable=False),
        sa.Column("next_sequence", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.Column("purge_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["container_id"], ["containers.id"], name="fk_secret_names_containers"),
        sa.PrimaryKeyConstraint("container_id", "folded", name="pk_secret_names"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_secret_names_deleted",
        "secret_names",
        ["container_id", "folded"],
        sqlite_where=sa.text("deleted_at IS NOT NULL"),
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    )
    op.create_index(
        "ix_secret_names_purge_at",
        "secret_names",
        ["purge_at"],
        sqlite_where=sa.text("purge_at IS NOT NULL"),
        postgresql_where=sa.text("purge_at IS NOT NULL"),
    )
    op.create_table(
        "certificate_versions",
        sa.Column("container_id", text(), nullable=False),
        sa.Column("folded", text(), nullable=False),
        sa.Column("version", text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=True),
        sa.Column("expires", sa.BigInteger(), nullable=True),
        sa.Column("tags", text(), nullable=False),
        sa.Column("subject", text(), nullable=False),
        sa.Column("thumbprint", sa.LargeBinary(), nullable=True),
        sa.Column("preserve_order", sa.Boolean(), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["container_id", "folded"],
            ["certificate_names.container_id", "certificate_names.folded"],
            name="fk_certificate_versions_certificate_names",
        ),
        sa.PrimaryKeyConstraint("container_id", "folded", "version", name="pk_certificate_versions"),
        sa.UniqueConstraint(
            "container_id", "folded", "sequence", name="uq_certificate_versions_container_id_folded_sequence"
        ),
    )
    op.create_table(
        "secret_versions",
        sa.Column("container_id", text(), nullable=False),
        sa.Column("folded", text(), nullable=False),
        sa.Column("version", text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=True),
        sa.Column("expires", sa.BigInteger(), nullable=True),
        sa.Column("tags", text(), nullable=False),
        sa.Column("content_type", text(), nullable=True),
        sa.Column("managed", sa.Boolean(), nullable=False),
        sa.Column("previous_version", text(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["container_id", "folded"],
            ["secret_names.container_id", "secret_names.folded"],
            name="fk_secret_versions_secret_names",
        ),
        sa.PrimaryKeyConstraint("container_id", "folded", "version", name="pk_secret_versions"),
        sa.UniqueConstraint(
            "container_id", "folded", "sequence", name="uq_secret_versions_container_id_folded_sequence"
        ),
    )
