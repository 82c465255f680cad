"""Who is there, and who may do what."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Table, UniqueConstraint

from hsmvault.store.schema.base import metadata, text

role_assignments = Table(
    "role_assignments",
    metadata,
    Column("id", text(), primary_key=True),
    Column("scope", text(), nullable=False),
    Column("folded_scope", text(), nullable=False),
    Column("role_id", text(), nullable=False),
    Column("principal_id", text(), nullable=False),
    Column("created", BigInteger, nullable=False),
    UniqueConstraint("folded_scope", "role_id", "principal_id"),
)
Index("ix_role_assignments_principal_id", role_assignments.c.principal_id)

tenants = Table(
    "tenants",
    metadata,
    Column("id", text(), primary_key=True),
    Column("display_name", text(), nullable=False),
    Column("domain", text(), nullable=False),
    Column("folded_domain", text(), nullable=False),
    UniqueConstraint("folded_domain"),
)

# application_id, resource_id and upn are null where the model has the empty text: null is never a duplicate.
principals = Table(
    "principals",
    metadata,
    Column("object_id", text(), primary_key=True),
    Column("tenant_id", text(), ForeignKey("tenants.id"), nullable=False),
    Column("kind", text(), nullable=False),
    Column("display_name", text(), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("application_id", text()),
    Column("resource_id", text()),
    Column("folded_resource_id", text()),
    Column("upn", text()),
    Column("folded_upn", text()),
    Column("password_hash", text(), nullable=False),
    UniqueConstraint("application_id", "tenant_id"),
    UniqueConstraint("folded_resource_id"),
    UniqueConstraint("folded_upn", "tenant_id"),
)

memberships = Table(
    "memberships",
    metadata,
    Column("member_id", text(), ForeignKey("principals.object_id", name="fk_memberships_member"), primary_key=True),
    Column("group_id", text(), ForeignKey("principals.object_id", name="fk_memberships_group"), primary_key=True),
    sqlite_with_rowid=False,
)

credentials = Table(
    "credentials",
    metadata,
    Column("id", text(), primary_key=True),
    Column("application_id", text(), nullable=False),
    Column("kind", text(), nullable=False),
    Column("display_name", text(), nullable=False),
    Column("verifier", text(), nullable=False),
    Column("thumbprint_sha1", text(), nullable=False),
    Column("thumbprint_sha256", text(), nullable=False),
    Column("expires", BigInteger, nullable=False),
)
Index("ix_credentials_application_id", credentials.c.application_id)
