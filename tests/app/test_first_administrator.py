"""dev-owner is the Global Administrator of its tenant: from the first start on, in older data directories too, once."""

from pathlib import Path

from hsmvault.app.first_start import first_start
from hsmvault.cli.certificates import ensure_certificates
from hsmvault.cli.dev import DevOptions, dev_settings
from hsmvault.clock import RandomIdentifiers, SystemClock
from hsmvault.model.directory import DirectoryRole
from hsmvault.store import directory, directory_roles
from hsmvault.store.database import Database
from hsmvault.store.migrations import migrate


async def test_dev_owner_gets_its_role_once_and_a_registration(tmp_path: Path) -> None:
    settings, clock = dev_settings(DevOptions(tmp_path)), SystemClock()
    ensure_certificates(settings.layout, settings.names, clock)
    settings.layout.credentials.mkdir(parents=True, exist_ok=True)
    migrate(settings.store_url)
    database = await Database.open(settings.store_url, clock=clock)
    try:
        made = await first_start(settings, database, clock, RandomIdentifiers())
        tenant, client = made.environment["AZURE_TENANT_ID"], made.environment["AZURE_CLIENT_ID"]
        async with database.write() as tx:
            owner = await directory.by_application(tx, tenant, client)
            assert owner is not None
            role = DirectoryRole.GLOBAL_ADMINISTRATOR
            assert await directory_roles.list_all(tx, tenant) == [(owner.object_id, role)]
            assert await directory_roles.delete(tx, owner.object_id, role)
        await first_start(settings, database, clock, RandomIdentifiers())
        async with database.read() as tx:
            assert await directory_roles.list_all(tx, tenant) == []
            assert await directory.application_state(tx, tenant, client) is not None
            assert await directory.application_state(tx, made.environment["HSMVAULT_OTHER_TENANT_ID"], client) is None
    finally:
        await database.close()
