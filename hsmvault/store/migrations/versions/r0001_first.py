"""The first schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def text() -> TypeEngine[str]:
    return sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "changes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("kind", text(), nullable=False),
        sa.Column("container_id", text(), nullable=False),
        sa.Column("name", text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_changes"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "containers",
        sa.Column("id", text(), nullable=False),
        sa.Column("kind", text(), nullable=False),
        sa.Column("name", text(), nullable=False),
        sa.Column("tenant_id", text(), nullable=False),
        sa.Column("subscription_id", text(), nullable=False),
        sa.Column("resource_group", text(), nullable=False),
        sa.Column("location", text(), nullable=False),
        sa.Column("world_id", text(), nullable=False),
        sa.Column("premium", sa.Boolean(), nullable=False),
        sa.Column("software_keys", sa.Boolean(), nullable=False),
        sa.Column("authorization_model", text(), nullable=False),
        sa.Column("retention_days", sa.Integer(), nullable=False),
        sa.Column("purge_protection", sa.Boolean(), nullable=False),
        sa.Column("network", text(), nullable=False),
        sa.Column("access_policies", text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_containers"),
        sa.UniqueConstraint("kind", "name", name="uq_containers_kind_name"),
    )
    op.create_table(
        "credentials",
        sa.Column("id", text(), nullable=False),
        sa.Column("application_id", text(), nullable=False),
        sa.Column("kind", text(), nullable=False),
        sa.Column("display_name", text(), nullable=False),
        sa.Column("verifier", text(), nullable=False),
        sa.Column("thumbprint_sha1", text(), nullable=False),
        sa.Column("thumbprint_sha256", text(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_credentials"),
    )
    op.create_index("ix_credentials_application_id", "credentials", ["application_id"], unique=False)
    op.create_table(
        "data_keys",
        sa.Column("id", text(), nullable=False),
        sa.Column("container_id", text(), nullable=False),
        sa.Column("system_key_id", text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("superseded_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_data_keys"),
    )
    op.create_index(
        "uq_data_keys_current",
        "data_keys",
        ["container_id"],
        unique=True,
        sqlite_where=sa.text("superseded_at IS NULL"),
        postgresql_where=sa.text("superseded_at IS NULL"),
    )
    op.create_table(
        "intents",
        sa.Column("id", text(), nullable=False),
        sa.Column("kind", text(), nullable=False),
        sa.Column("owner", text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_intents"),
    )
    op.create_table(
        "leases",
        sa.Column("job", text(), nullable=False),
        sa.Column("owner", text(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("job", name="pk_leases"),
    )
    op.create_table(
        "login_keys",
        sa.Column("id", text(), nullable=False),
        sa.Column("certificate_der", sa.LargeBinary(), nullable=False),
        sa.Column("family", text(), nullable=False),
        sa.Column("size_bits", sa.Integer(), nullable=False),
        sa.Column("curve", text(), nullable=True),
        sa.Column("public_exponent", sa.BigInteger(), nullable=False),
        sa.Column("public", sa.LargeBinary(), nullable=False),
        sa.Column("reference", sa.LargeBinary(), nullable=False),
        sa.Column("custody", text(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("signs_from", sa.BigInteger(), nullable=False),
        sa.Column("retires_at", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_login_keys"),
    )
    op.create_table(
        "meta",
        sa.Column("name", text(), nullable=False),
        sa.Column("value", text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_meta"),
    )
    op.create_table(
        "role_assignments",
        sa.Column("id", text(), nullable=False),
        sa.Column("scope", text(), nullable=False),
        sa.Column("folded_scope", text(), nullable=False),
        sa.Column("role_id", text(), nullable=False),
        sa.Column("principal_id", text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_role_assignments"),
        sa.UniqueConstraint(
            "folded_scope", "role_id", "principal_id", name="uq_role_assignments_folded_scope_role_id_principal_id"
        ),
    )
    op.create_index("ix_role_assignments_principal_id", "role_assignments", ["principal_id"], unique=False)
    op.create_table(
        "tenants",
        sa.Column("id", text(), nullable=False),
        sa.Column("display_name", text(), nullable=False),
        sa.Column("domain", text(), nullable=False),
        sa.Column("folded_domain", text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tenants"),
        sa.UniqueConstraint("folded_domain", name="uq_tenants_folded_domain"),
    )
    op.create_table(
        "worlds",
        sa.Column("id", text(), nullable=False),
        sa.Column("name", text(), nullable=False),
        sa.Column("geography", text(), nullable=False),
        sa.Column("token_label", text(), nullable=False),
        sa.Column("world_key_id", sa.LargeBinary(), nullable=False),
        sa.Column("mac_key_id", sa.LargeBinary(), nullable=False),
        sa.Column("custody", text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_worlds"),
        sa.UniqueConstraint("name", name="uq_worlds_name"),
    )
    op.create_table(
        "key_names",
        sa.Column("container_id", text(), nullable=False),
        sa.Column("folded", text(), nullable=False),
        sa.Column("name", text(), nullable=False),
        sa.Column("latest_version", text(), nullable=False),
        sa.Column("next_sequence", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.Column("purge_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["container_id"], ["containers.id"], name="fk_key_names_containers"),
        sa.PrimaryKeyConstraint("container_id", "folded", name="pk_key_names"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_key_names_deleted",
        "key_names",
        ["container_id", "folded"],
        unique=False,
        sqlite_where=sa.text("deleted_at IS NOT NULL"),
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    )
    op.create_index(
        "ix_key_names_purge_at",
        "key_names",
        ["purge_at"],
        unique=False,
        sqlite_where=sa.text("purge_at IS NOT NULL"),
        postgresql_where=sa.text("purge_at IS NOT NULL"),
    )
    op.create_table(
        "principals",
        sa.Column("object_id", text(), nullable=False),
        sa.Column("tenant_id", text(), nullable=False),
        sa.Column("kind", text(), nullable=False),
        sa.Column("display_name", text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("application_id", text(), nullable=True),
        sa.Column("resource_id", text(), nullable=True),
        sa.Column("folded_resource_id", text(), nullable=True),
        sa.Column("upn", text(), nullable=True),
        sa.Column("folded_upn", text(), nullable=True),
        sa.Column("password_hash", text(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_principals_tenants"),
        sa.PrimaryKeyConstraint("object_id", name="pk_principals"),
        sa.UniqueConstraint("application_id", "tenant_id", name="uq_principals_application_id_tenant_id"),
        sa.UniqueConstraint("folded_resource_id", name="uq_principals_folded_resource_id"),
        sa.UniqueConstraint("folded_upn", "tenant_id", name="uq_principals_folded_upn_tenant_id"),
    )
    op.create_table(
        "system_keys",
        sa.Column("id", text(), nullable=False),
        sa.Column("world_id", text(), nullable=False),
        sa.Column("key_id", sa.LargeBinary(), nullable=False),
        sa.Column("state", text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["world_id"], ["worlds.id"], name="fk_system_keys_worlds"),
        sa.PrimaryKeyConstraint("id", name="pk_system_keys"),
    )
    op.create_index(
        "uq_system_keys_active",
        "system_keys",
        ["state"],
        unique=True,
        sqlite_where=sa.text("state = 'active'"),
        postgresql_where=sa.text("state = 'active'"),
    )
    op.create_table(
        "key_versions",
        sa.Column("container_id", text(), nullable=False),
        sa.Column("folded", text(), nullable=False),
        sa.Column("version", text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("family", text(), nullable=False),
        sa.Column("size_bits", sa.Integer(), nullable=False),
        sa.Column("curve", text(), nullable=True),
        sa.Column("public_exponent", sa.BigInteger(), nullable=False),
        sa.Column("custody", text(), nullable=False),
        sa.Column("public", sa.LargeBinary(), nullable=False),
        sa.Column("reference", sa.LargeBinary(), nullable=False),
        sa.Column("public_members", text(), nullable=False),
        sa.Column("operations", text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=True),
        sa.Column("expires", sa.BigInteger(), nullable=True),
        sa.Column("exportable", sa.Boolean(), nullable=False),
        sa.Column("managed", sa.Boolean(), nullable=False),
        sa.Column("tags", text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["container_id", "folded"], ["key_names.container_id", "key_names.folded"], name="fk_key_versions_key_names"
        ),
        sa.PrimaryKeyConstraint("container_id", "folded", "version", name="pk_key_versions"),
        sa.UniqueConstraint("container_id", "folded", "sequence", name="uq_key_versions_container_id_folded_sequence"),
    )
    op.create_table(
        "memberships",
        sa.Column("member_id", text(), nullable=False),
        sa.Column("group_id", text(), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["principals.object_id"], name="fk_memberships_group"),
        sa.ForeignKeyConstraint(["member_id"], ["principals.object_id"], name="fk_memberships_member"),
        sa.PrimaryKeyConstraint("member_id", "group_id", name="pk_memberships"),
        sqlite_with_rowid=False,
    )
