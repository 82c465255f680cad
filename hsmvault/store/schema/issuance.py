"""How certificates come to be: operations, issuers, contacts, authorities of our own."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, Table

from hsmvault.store.schema.base import metadata, spec_columns, text

# One for each certificate: the version that is being issued, or the last that was.
certificate_operations = Table(
    "certificate_operations",
    metadata,
    Column("container_id", text(), primary_key=True),
    Column("folded", text(), primary_key=True),
    Column("version", text(), nullable=False),
    Column("request_id", text(), nullable=False),
    Column("status", text(), nullable=False),
    Column("policy", text(), nullable=False),
    Column("csr", LargeBinary, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("tags", text(), nullable=False),
    Column("preserve_order", Boolean, nullable=False),
    Column("is_renewal", Boolean, nullable=False),
    Column("cancellation_requested", Boolean, nullable=False),
    Column("details", text(), nullable=False),
    Column("error_code", text()),
    Column("error_message", text()),
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
    Column("container_id", text(), ForeignKey("containers.id"), primary_key=True),
    Column("folded", text(), primary_key=True),
    Column("name", text(), nullable=False),
    Column("provider", text(), nullable=False),
    Column("account_id", text()),
    Column("password", LargeBinary),
    Column("organization", text()),
    Column("enabled", Boolean, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

certificate_contacts = Table(
    "certificate_contacts",
    metadata,
    Column("container_id", text(), ForeignKey("containers.id"), primary_key=True),
    Column("contacts", text(), nullable=False),
)

authorities = Table(
    "authorities",
    metadata,
    Column("name", text(), primary_key=True),
    Column("role", text(), primary_key=True),
    *spec_columns(),
    Column("custody", text(), nullable=False),
    Column("public", LargeBinary, nullable=False),
    Column("reference", LargeBinary, nullable=False),
    Column("version", text(), nullable=False),
    Column("certificate", LargeBinary, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("crl_number", BigInteger, nullable=False),
)

authority_certificates = Table(
    "authority_certificates",
    metadata,
    Column("authority", text(), primary_key=True),
    Column("serial", text(), primary_key=True),
    Column("not_after", BigInteger, nullable=False),
    Column("issued", BigInteger, nullable=False),
    Column("container_id", text(), nullable=False),
    Column("name", text(), nullable=False),
    Column("version", text(), nullable=False),
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
    Column("token", text(), primary_key=True),
    Column("authorization", text(), nullable=False),
    Column("expires", BigInteger, nullable=False),
)
