"""The embedded directory: who is there, how they prove it, and what the issuer has handed out."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Table, UniqueConstraint

from hsmvault.store.schema.base import EMPTY, metadata, text

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
    Column("details", text(), nullable=False, server_default="{}"),
    Column("created", BigInteger, nullable=False, server_default="0"),
    Column("sessions_valid_from", BigInteger, nullable=False, server_default="0"),
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
    Column("starts", BigInteger, nullable=False, server_default="0"),
    Column("hint", text(), nullable=False, server_default=EMPTY),
)
Index("ix_credentials_application_id", credentials.c.application_id)

# An application's registration; its service principal is a row of principals. details: what clients set and read back.
applications = Table(
    "applications",
    metadata,
    Column("application_id", text(), primary_key=True),
    Column("object_id", text(), nullable=False),
    Column("tenant_id", text(), ForeignKey("tenants.id"), nullable=False),
    Column("display_name", text(), nullable=False),
    Column("public_client", Boolean, nullable=False),
    Column("redirect_uris", text(), nullable=False),
    Column("details", text(), nullable=False),
    Column("created", BigInteger, nullable=False),
    UniqueConstraint("object_id"),
)
Index("ix_applications_tenant_id", applications.c.tenant_id)

federated_credentials = Table(
    "federated_credentials",
    metadata,
    Column("id", text(), primary_key=True),
    Column("application_id", text(), nullable=False),
    Column("name", text(), nullable=False),
    Column("folded_name", text(), nullable=False),
    Column("issuer", text(), nullable=False),
    Column("subject", text(), nullable=False),
    Column("audiences", text(), nullable=False),
    Column("description", text(), nullable=False),
    UniqueConstraint("application_id", "folded_name"),
    UniqueConstraint("application_id", "issuer", "subject"),
)

owners = Table(
    "owners",
    metadata,
    Column("object_id", text(), primary_key=True),
    Column("owner_id", text(), primary_key=True),
    sqlite_with_rowid=False,
)

directory_roles = Table(
    "directory_roles",
    metadata,
    Column("principal_id", text(), primary_key=True),
    Column("role_id", text(), primary_key=True),
    sqlite_with_rowid=False,
)

# What the issuer has handed out and can take back: codes, device codes, refresh tokens, sessions of browsers. id: the
# SHA-256 of what the client holds, in hexadecimal digits. family: of everything that one sign-in gave.
login_grants = Table(
    "login_grants",
    metadata,
    Column("id", text(), primary_key=True),
    Column("kind", text(), nullable=False),
    Column("family", text(), nullable=False),
    Column("tenant_id", text(), nullable=False),
    Column("object_id", text(), nullable=False),
    Column("application_id", text(), nullable=False),
    Column("user_code", text()),
    Column("status", text(), nullable=False),
    Column("details", text(), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("redeemed_at", BigInteger),
    UniqueConstraint("user_code"),
)
Index("ix_login_grants_family", login_grants.c.family)
Index("ix_login_grants_object_id", login_grants.c.object_id)
Index("ix_login_grants_expires", login_grants.c.expires)
