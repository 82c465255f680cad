"""Tenants, which the operator makes at the command line: nobody inside of one can make another."""

from hsmvault.model.principals import Tenant
from hsmvault.resources.directory import names
from hsmvault.resources.directory.parts import DirectoryParts
from hsmvault.resources.directory.refusals import not_found, taken
from hsmvault.store import directory


class Tenants:
    def __init__(self, parts: DirectoryParts) -> None:
        self._parts = parts

    async def find(self, id_or_domain: str) -> Tenant:
        """In any case. Raises NotFound."""
        async with self._parts.database.read() as tx:
            found = await directory.tenant(tx, id_or_domain)
        if found is None:
            raise not_found(id_or_domain)
        return found

    async def list_all(self) -> list[Tenant]:
        """By id."""
        async with self._parts.database.read() as tx:
            return await directory.list_tenants(tx)

    async def create(self, display_name: str, domain: str) -> Tenant:
        """Raises BadRequest, also when the domain is taken."""
        tenant = Tenant(
            self._parts.identifiers.guid(), names.checked_display_name(display_name), names.checked_domain(domain)
        )
        async with self._parts.writing(taken("domain")) as tx:
            await directory.insert_tenant(tx, tenant)
        return tenant

    async def rename(self, id_or_domain: str, display_name: str) -> Tenant:
        """Its domain stays: the names of its users end in it. Raises NotFound, BadRequest."""
        before = await self.find(id_or_domain)
        tenant = Tenant(before.id, names.checked_display_name(display_name), before.domain)
        async with self._parts.database.write() as tx:
            await directory.update_tenant(tx, tenant)
        return tenant
