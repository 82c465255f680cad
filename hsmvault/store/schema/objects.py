"""Keys, secrets and certificates, and what is to happen to them."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKeyConstraint, Index, LargeBinary, Table, UniqueConstraint

from hsmvault.store.schema.base import metadata, name_columns, name_indexes, spec_columns, text, version_columns

key_names = Table(
    "key_names",
    metadata,
    *name_columns(),
    Column("rotation_policy", text()),
    sqlite_with_rowid=False,
)
name_indexes(key_names)

key_versions = Table(
    "key_versions",
    metadata,
    Column("container_id", text(), primary_key=True),
    Column("folded", text(), primary_key=True),
    Column("version", text(), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    *spec_columns(),
    Column("custody", text(), nullable=False),
    Column("public", LargeBinary, nullable=False),
    Column("reference", LargeBinary, nullable=False),
    Column("public_members", text(), nullable=False),
    Column("operations", text(), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("not_before", BigInteger),
    Column("expires", BigInteger),
    Column("exportable", Boolean, nullable=False),
    Column("managed", Boolean, nullable=False),
    Column("tags", text(), nullable=False),
    Column("release_policy", text()),
    UniqueConstraint("container_id", "folded", "sequence"),
    ForeignKeyConstraint(["container_id", "folded"], ["key_names.container_id", "key_names.folded"]),
)

secret_names = Table(
    "secret_names",
    metadata,
    *name_columns(),
    sqlite_with_rowid=False,
)
name_indexes(secret_names)

# sealed: the value, as custody/sealing.py seals it; last, so that pages of a list do not read it.
secret_versions = Table(
    "secret_versions",
    metadata,
    *version_columns(),
    Column("content_type", text()),
    Column("managed", Boolean, nullable=False),
    Column("previous_version", text()),
    Column("sealed", LargeBinary, nullable=False),
    UniqueConstraint("container_id", "folded", "sequence"),
    ForeignKeyConstraint(["container_id", "folded"], ["secret_names.container_id", "secret_names.folded"]),
)

certificate_names = Table(
    "certificate_names",
    metadata,
    *name_columns(),
    Column("policy", text(), nullable=False),
    sqlite_with_rowid=False,
)
name_indexes(certificate_names)

# certificate: in DER; null, like its thumbprint (SHA-1), for a first version that is not there yet.
certificate_versions = Table(
    "certificate_versions",
    metadata,
    *version_columns(),
    Column("subject", text(), nullable=False),
    Column("thumbprint", LargeBinary),
    Column("preserve_order", Boolean, nullable=False),
    Column("certificate", LargeBinary),
    UniqueConstraint("container_id", "folded", "sequence"),
    ForeignKeyConstraint(["container_id", "folded"], ["certificate_names.container_id", "certificate_names.folded"]),
)

# What is to happen to an object by itself, and when. `kind` is the word of the access policy ("keys"); one row for each
# object and each thing that can happen to it.
schedule = Table(
    "schedule",
    metadata,
    Column("container_id", text(), primary_key=True),
    Column("kind", text(), primary_key=True),
    Column("folded", text(), primary_key=True),
    Column("what", text(), primary_key=True),
    Column("due_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
Index("ix_schedule_due_at", schedule.c.what, schedule.c.due_at)
