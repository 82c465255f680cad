"""Rows as certificates make them: a key and a secret that live as their certificate does."""

from dataclasses import replace

from hsmvault.custody.sealing import Sealer
from hsmvault.model.containers import Container
from hsmvault.model.keys import KeyName, KeyVersion
from hsmvault.model.secrets import SecretName, SecretVersion
from hsmvault.resources.secret_cache import binding_of
from hsmvault.store.database import Database
from hsmvault.store.keys import KEYS
from hsmvault.store.secrets import SECRETS

VERSION = "c" * 32


async def managed_secret(
    database: Database,
    sealer: Sealer,
    container: Container,
    *,
    name: str = "site",
    value: str = "value",
    content_type: str = "application/x-pkcs12",
    expires: int | None = None,
    enabled: bool = True,
    deleted_at: int | None = None,
    purge_at: int | None = None,
) -> SecretVersion:
    """One with one version. deleted_at, purge_at: when it is deleted already."""
    sealed = await sealer.seal(value.encode(), binding_of(container.id, name, VERSION))
    row = SecretVersion(
        container.id,
        name,
        VERSION,
        1,
        sealed,
        5,
        5,
        enabled=enabled,
        expires=expires,
        content_type=content_type,
        managed=True,
        previous_version="b" * 32,
    )
    at_name = SecretName(container.id, name, VERSION, 2, 5, 1)
    async with database.write() as tx:
        await SECRETS.insert_name(tx, at_name, row)
        if deleted_at is not None and purge_at is not None:
            await SECRETS.mark_deleted(tx, at_name, deleted_at, purge_at)
    return row


async def made_managed(
    database: Database, row: KeyVersion, name: str = "site", *, expires: int | None = None
) -> KeyVersion:
    """A copy of the key under this name, which is that of a certificate. Its material is bound to the old name, so it
    can do nothing."""
    copy = replace(row, name=name, managed=True, expires=expires)
    async with database.write() as tx:
        await KEYS.insert_name(tx, KeyName(row.container_id, name, row.version, row.sequence + 1, row.created, 1), copy)
    return copy
