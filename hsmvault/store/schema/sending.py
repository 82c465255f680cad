"""What is to be sent out."""

from sqlalchemy import BigInteger, Column, Index, Integer, Table

from hsmvault.store.schema.base import metadata, text

# Events that are to be delivered, in the order of their commits.
outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("event_id", text(), nullable=False),
    Column("type", text(), nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("container_id", text(), nullable=False),
    Column("object_type", text(), nullable=False),
    Column("name", text(), nullable=False),
    Column("version", text(), nullable=False),
    Column("not_before", BigInteger),
    Column("expires", BigInteger),
    sqlite_autoincrement=True,
)

# How far each subscriber has got in the outbox.
event_deliveries = Table(
    "event_deliveries",
    metadata,
    Column("subscription", text(), primary_key=True),
    Column("delivered", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("retry_at", BigInteger),
    Column("error", text(), nullable=False),
)

mails = Table(
    "mails",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("container_id", text(), nullable=False),
    Column("recipient", text(), nullable=False),
    Column("subject", text(), nullable=False),
    Column("body", text(), nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("retry_at", BigInteger, nullable=False),
    Column("error", text(), nullable=False),
    sqlite_autoincrement=True,
)
Index("ix_mails_retry_at", mails.c.retry_at)
