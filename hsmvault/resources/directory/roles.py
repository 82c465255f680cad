"""Roles of the directory: who has which."""

from hsmvault.model.directory import DirectoryRole
from hsmvault.model.principals import Principal
from hsmvault.resources.directory.lookups import principal_of
from hsmvault.resources.directory.parts import DirectoryParts
from hsmvault.resources.directory.refusals import bad, not_found, same_key
from hsmvault.resources.directory.rules import GLOBAL, Actor, permit_global
from hsmvault.store import directory, directory_roles


class Roles:
    def __init__(self, parts: DirectoryParts) -> None:
        self._parts = parts

    async def list_all(self, actor: Actor) -> list[tuple[str, DirectoryRole]]:
        """Pairs of a principal's object id and a role that it has itself, by principal."""
        async with self._parts.database.read() as tx:
            return await directory_roles.list_all(tx, actor.tenant_id)

    async def members(self, actor: Actor, role: DirectoryRole) -> list[Principal]:
        """Who has the role itself."""
        async with self._parts.database.read() as tx:
            pairs = await directory_roles.list_all(tx, actor.tenant_id)
            ids = [principal_id for principal_id, held in pairs if held is role]
            return await directory.principals_of(tx, actor.tenant_id, ids)

    async def assign(self, actor: Actor, principal_id: str, role: DirectoryRole) -> Principal:
        """Raises NotFound, Forbidden, Conflict."""
        conflict = same_key("A conflicting object with one or more of the specified property values is present.")
        async with self._parts.writing(conflict) as tx:
            await permit_global(tx, actor)
            principal = await principal_of(tx, actor.tenant_id, principal_id)
            await directory_roles.insert(tx, principal.object_id, role)
        return principal

    async def remove(self, actor: Actor, principal_id: str, role: DirectoryRole) -> None:
        """Over the wire the last Global Administrator stays: nobody could ever give the role again.

        Raises NotFound, Forbidden, BadRequest.
        """
        async with self._parts.database.write() as tx:
            await permit_global(tx, actor)
            principal = await principal_of(tx, actor.tenant_id, principal_id)
            if not await directory_roles.delete(tx, principal.object_id, role):
                raise not_found(principal_id)
            if role is GLOBAL and not actor.is_operator:
                left = await directory_roles.list_all(tx, actor.tenant_id)
                if not any(held is GLOBAL for _, held in left):
                    raise bad("Removing the last Global Administrator of the tenant is not allowed.")
