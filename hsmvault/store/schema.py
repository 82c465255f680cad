"""Every table, as metadata: the migrations lead to exactly this (tests/store/test_migrations.py).

Types are the few that mean the same in every database and need no conversion by the driver: text, 64-bit integers,
booleans, bytes. Times are seconds since 1970 UTC. What a caller writes as a list or a map is JSON in a text column
that is never searched. `folded` is the text in lower case, by which names compare.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

SCHEMA_REVISION = "0003"  # head of migrations/; four digits that go up, so that a newer one is known to be newer
APPLICATION_ID = 0x48534D56  # 'HSMV' in the header of an SQLite file (PRAGMA application_id)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def _text() -> TypeEngine[str]:
    """Text that compares by code points everywhere: keyset paging and prefix ranges depend on it."""
    return Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def _spec_columns() -> tuple[Column[str], Column[int], Column[str], Column[int]]:
    """A model.algorithms.KeySpec; curve is null but for EC."""
    return (
        Column("family", _text(), nullable=False),
        Column("size_bits", Integer, nullable=False),
        Column("curve", _text()),
        Column("public_exponent", BigInteger, nullable=False),
    )


def _name_columns() -> tuple[Column[str] | Column[int] | Column[int | None], ...]:
    """What keys, secrets and certificates have in common: a name with its life in one container."""
    return (
        Column("container_id", _text(), ForeignKey("containers.id"), primary_key=True),
        Column("folded", _text(), primary_key=True),
        Column("name", _text(), nullable=False),
        Column("latest_version", _text(), nullable=False),
        Column("next_sequence", BigInteger, nullable=False),
        Column("created", BigInteger, nullable=False),
        Column("revision", BigInteger, nullable=False),
        Column("deleted_at", BigInteger),
        Column("purge_at", BigInteger),
    )


def _name_indexes(table: Table) -> None:
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


def _version_columns() -> tuple[Column[str] | Column[int] | Column[bool] | Column[int | None], ...]:
    """What the versions of secrets and certificates have in common."""
    return (
        Column("container_id", _text(), primary_key=True),
        Column("folded", _text(), primary_key=True),
        Column("version", _text(), primary_key=True),
        Column("sequence", BigInteger, nullable=False),
        Column("created", BigInteger, nullable=False),
        Column("updated", BigInteger, nullable=False),
        Column("enabled", Boolean, nullable=False),
        Column("not_before", BigInteger),
        Column("expires", BigInteger),
        Column("tags", _text(), nullable=False),
    )


meta = Table(
    "meta",
    metadata,
    Column("name", _text(), primary_key=True),
    Column("value", _text(), nullable=False),
)

changes = Table(
    "changes",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("kind", _text(), nullable=False),
    Column("container_id", _text(), nullable=False),
    Column("name", _text(), nullable=False),
    sqlite_autoincrement=True,  # an id that was pruned never comes back
)

leases = Table(
    "leases",
    metadata,
    Column("job", _text(), primary_key=True),
    Column("owner", _text(), nullable=False),
    Column("until", BigInteger, nullable=False),
)

intents = Table(
    "intents",
    metadata,
    Column("id", _text(), primary_key=True),
    Column("kind", _text(), nullable=False),
    Column("owner", _text(), nullable=False),
    Column("created", BigInteger, nullable=False),
)

worlds = Table(
    "worlds",
    metadata,
    Column("id", _text(), primary_key=True),
    Column("name", _text(), nullable=False),
    Column("geography", _text(), nullable=False),
    Column("token_label", _text(), nullable=False),
    Column("world_key_id", LargeBinary, nullable=False),
    Column("mac_key_id", LargeBinary, nullable=False),
    Column("custody", _text(), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("export_key_id", LargeBinary),
    Column("attestation_key_id", LargeBinary),
    Column("attestation_certificate", LargeBinary),
    UniqueConstraint("name"),
)

older_world_keys = Table(
    "older_world_keys",
    metadata,
    Column("id", _text(), primary_key=True),
    Column("world_id", _text(), ForeignKey("worlds.id"), nullable=False),
    Column("key_id", LargeBinary, nullable=False),
    Column("retired", BigInteger, nullable=False),
)

system_keys = Table(
    "system_keys",
    metadata,
    Column("id", _text(), primary_key=True),
    Column("world_id", _text(), ForeignKey("worlds.id"), nullable=False),
    Column("key_id", LargeBinary, nullable=False),
    Column("state", _text(), nullable=False),
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
    Column("id", _text(), primary_key=True),
    Column("certificate_der", LargeBinary, nullable=False),
    *_spec_columns(),
    Column("public", LargeBinary, nullable=False),
    Column("reference", LargeBinary, nullable=False),
    Column("custody", _text(), nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Column("signs_from", BigInteger, nullable=False),
    Column("retires_at", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
)

containers = Table(
    "containers",
    metadata,
    Column("id", _text(), primary_key=True),
    Column("kind", _text(), nullable=False),
    Column("name", _text(), nullable=False),
    Column("tenant_id", _text(), nullable=False),
    Column("subscription_id", _text(), nullable=False),
    Column("resource_group", _text(), nullable=False),
    Column("location", _text(), nullable=False),
    Column("world_id", _text(), nullable=False),
    Column("premium", Boolean, nullable=False),
    Column("software_keys", Boolean, nullable=False),
    Column("authorization_model", _text(), nullable=False),
    Column("retention_days", Integer, nullable=False),
    Column("purge_protection", Boolean, nullable=False),
    Column("network", _text(), nullable=False),
    Column("access_policies", _text(), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    UniqueConstraint("kind", "name"),
)

data_keys = Table(
    "data_keys",
    metadata,
    Column("id", _text(), primary_key=True),
    Column("container_id", _text(), nullable=False),
    Column("system_key_id", _text(), nullable=False),
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

key_names = Table(
    "key_names",
    metadata,
    *_name_columns(),
    Column("rotation_policy", _text()),
    sqlite_with_rowid=False,
)
_name_indexes(key_names)

key_versions = Table(
    "key_versions",
    metadata,
    Column("container_id", _text(), primary_key=True),
    Column("folded", _text(), primary_key=True),
    Column("version", _text(), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    *_spec_columns(),
    Column("custody", _text(), nullable=False),
    Column("public", LargeBinary, nullable=False),
    Column("reference", LargeBinary, nullable=False),
    Column("public_members", _text(), nullable=False),
    Column("operations", _text(), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("not_before", BigInteger),
    Column("expires", BigInteger),
    Column("exportable", Boolean, nullable=False),
    Column("managed", Boolean, nullable=False),
    Column("tags", _text(), nullable=False),
    Column("release_policy", _text()),
    UniqueConstraint("container_id", "folded", "sequence"),
    ForeignKeyConstraint(["container_id", "folded"], ["key_names.container_id", "key_names.folded"]),
)

secret_names = Table(
    "secret_names",
    metadata,
    *_name_columns(),
    sqlite_with_rowid=False,
)
_name_indexes(secret_names)

# sealed: the value, as custody/sealing.py seals it; last, so that pages of a list do not read it.
secret_versions = Table(
    "secret_versions",
    metadata,
    *_version_columns(),
    Column("content_type", _text()),
    Column("managed", Boolean, nullable=False),
    Column("previous_version", _text()),
    Column("sealed", LargeBinary, nullable=False),
    UniqueConstraint("container_id", "folded", "sequence"),
    ForeignKeyConstraint(["container_id", "folded"], ["secret_names.container_id", "secret_names.folded"]),
)

certificate_names = Table(
    "certificate_names",
    metadata,
    *_name_columns(),
    Column("policy", _text(), nullable=False),
    sqlite_with_rowid=False,
)
_name_indexes(certificate_names)

# certificate: in DER; null, like its thumbprint (SHA-1), for a first version that is not there yet.
certificate_versions = Table(
    "certificate_versions",
    metadata,
    *_version_columns(),
    Column("subject", _text(), nullable=False),
    Column("thumbprint", LargeBinary),
    Column("preserve_order", Boolean, nullable=False),
    Column("certificate", LargeBinary),
    UniqueConstraint("container_id", "folded", "sequence"),
    ForeignKeyConstraint(["container_id", "folded"], ["certificate_names.container_id", "certificate_names.folded"]),
)

# One for each certificate: the version that is being issued, or the last that was.
certificate_operations = Table(
    "certificate_operations",
    metadata,
    Column("container_id", _text(), primary_key=True),
    Column("folded", _text(), primary_key=True),
    Column("version", _text(), nullable=False),
    Column("request_id", _text(), nullable=False),
    Column("status", _text(), nullable=False),
    Column("policy", _text(), nullable=False),
    Column("csr", LargeBinary, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("tags", _text(), nullable=False),
    Column("preserve_order", Boolean, nullable=False),
    Column("is_renewal", Boolean, nullable=False),
    Column("cancellation_requested", Boolean, nullable=False),
    Column("details", _text(), nullable=False),
    Column("error_code", _text()),
    Column("error_message", _text()),
    Column("state", LargeBinary, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("retry_at", BigInteger),  # null: nobody but a caller goes on with it
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
Index(
    "ix_certificate_operations_retry_at",
    certificate_operations.c.retry_at,
    sqlite_where=certificate_operations.c.retry_at.is_not(None),
    postgresql_where=certificate_operations.c.retry_at.is_not(None),
)

# password: sealed; null when none was given.
certificate_issuers = Table(
    "certificate_issuers",
    metadata,
    Column("container_id", _text(), ForeignKey("containers.id"), primary_key=True),
    Column("folded", _text(), primary_key=True),
    Column("name", _text(), nullable=False),
    Column("provider", _text(), nullable=False),
    Column("account_id", _text()),
    Column("password", LargeBinary),
    Column("organization", _text()),
    Column("enabled", Boolean, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

certificate_contacts = Table(
    "certificate_contacts",
    metadata,
    Column("container_id", _text(), ForeignKey("containers.id"), primary_key=True),
    Column("contacts", _text(), nullable=False),
)

authorities = Table(
    "authorities",
    metadata,
    Column("name", _text(), primary_key=True),
    Column("role", _text(), primary_key=True),
    *_spec_columns(),
    Column("custody", _text(), nullable=False),
    Column("public", LargeBinary, nullable=False),
    Column("reference", LargeBinary, nullable=False),
    Column("version", _text(), nullable=False),
    Column("certificate", LargeBinary, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("crl_number", BigInteger, nullable=False),
)

authority_certificates = Table(
    "authority_certificates",
    metadata,
    Column("authority", _text(), primary_key=True),
    Column("serial", _text(), primary_key=True),
    Column("not_after", BigInteger, nullable=False),
    Column("issued", BigInteger, nullable=False),
    Column("container_id", _text(), nullable=False),
    Column("name", _text(), nullable=False),
    Column("version", _text(), nullable=False),
    Column("revoked_at", BigInteger),
    Column("reason", Integer),
)
Index(
    "ix_authority_certificates_revoked",
    authority_certificates.c.authority,
    authority_certificates.c.revoked_at,
    sqlite_where=authority_certificates.c.revoked_at.is_not(None),
    postgresql_where=authority_certificates.c.revoked_at.is_not(None),
)

acme_challenges = Table(
    "acme_challenges",
    metadata,
    Column("token", _text(), primary_key=True),
    Column("authorization", _text(), nullable=False),
    Column("expires", BigInteger, nullable=False),
)

# What is to happen to an object by itself, and when. `kind` is the word of the access policy ("keys"); one row for each
# object and each thing that can happen to it.
schedule = Table(
    "schedule",
    metadata,
    Column("container_id", _text(), primary_key=True),
    Column("kind", _text(), primary_key=True),
    Column("folded", _text(), primary_key=True),
    Column("what", _text(), primary_key=True),
    Column("due_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
Index("ix_schedule_due_at", schedule.c.what, schedule.c.due_at)

# Events that are to be delivered, in the order of their commits.
outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("event_id", _text(), nullable=False),
    Column("type", _text(), nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("container_id", _text(), nullable=False),
    Column("object_type", _text(), nullable=False),
    Column("name", _text(), nullable=False),
    Column("version", _text(), nullable=False),
    Column("not_before", BigInteger),
    Column("expires", BigInteger),
    sqlite_autoincrement=True,
)

# How far each subscriber has got in the outbox.
event_deliveries = Table(
    "event_deliveries",
    metadata,
    Column("subscription", _text(), primary_key=True),
    Column("delivered", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("retry_at", BigInteger),
    Column("error", _text(), nullable=False),
)

mails = Table(
    "mails",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("container_id", _text(), nullable=False),
    Column("recipient", _text(), nullable=False),
    Column("subject", _text(), nullable=False),
    Column("body", _text(), nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("retry_at", BigInteger, nullable=False),
    Column("error", _text(), nullable=False),
    sqlite_autoincrement=True,
)
Index("ix_mails_retry_at", mails.c.retry_at)

role_assignments = Table(
    "role_assignments",
    metadata,
    Column("id", _text(), primary_key=True),
    Column("scope", _text(), nullable=False),
    Column("folded_scope", _text(), nullable=False),
    Column("role_id", _text(), nullable=False),
    Column("principal_id", _text(), nullable=False),
    Column("created", BigInteger, nullable=False),
    UniqueConstraint("folded_scope", "role_id", "principal_id"),
)
Index("ix_role_assignments_principal_id", role_assignments.c.principal_id)

tenants = Table(
    "tenants",
    metadata,
    Column("id", _text(), primary_key=True),
    Column("display_name", _text(), nullable=False),
    Column("domain", _text(), nullable=False),
    Column("folded_domain", _text(), nullable=False),
    UniqueConstraint("folded_domain"),
)

# application_id, resource_id and upn are null where the model has the empty text: null is never a duplicate.
principals = Table(
    "principals",
    metadata,
    Column("object_id", _text(), primary_key=True),
    Column("tenant_id", _text(), ForeignKey("tenants.id"), nullable=False),
    Column("kind", _text(), nullable=False),
    Column("display_name", _text(), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("application_id", _text()),
    Column("resource_id", _text()),
    Column("folded_resource_id", _text()),
    Column("upn", _text()),
    Column("folded_upn", _text()),
    Column("password_hash", _text(), nullable=False),
    UniqueConstraint("application_id", "tenant_id"),
    UniqueConstraint("folded_resource_id"),
    UniqueConstraint("folded_upn", "tenant_id"),
)

memberships = Table(
    "memberships",
    metadata,
    Column("member_id", _text(), ForeignKey("principals.object_id", name="fk_memberships_member"), primary_key=True),
    Column("group_id", _text(), ForeignKey("principals.object_id", name="fk_memberships_group"), primary_key=True),
    sqlite_with_rowid=False,
)

credentials = Table(
    "credentials",
    metadata,
    Column("id", _text(), primary_key=True),
    Column("application_id", _text(), nullable=False),
    Column("kind", _text(), nullable=False),
    Column("display_name", _text(), nullable=False),
    Column("verifier", _text(), nullable=False),
    Column("thumbprint_sha1", _text(), nullable=False),
    Column("thumbprint_sha256", _text(), nullable=False),
    Column("expires", BigInteger, nullable=False),
)
Index("ix_credentials_application_id", credentials.c.application_id)
