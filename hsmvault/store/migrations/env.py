"""Alembic's entry: runs the revisions on the connection, and in the transaction, that migrate() has made."""

from alembic import context

from hsmvault.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
