"""Owners of groups, registrations and service principals: they may change what they own (rules.py)."""

from hsmvault.model.directory import Application
from hsmvault.model.principals import Principal, PrincipalKind
from hsmvault.resources.directory.lookups import SERVICE_PRINCIPALS, principal_of
from hsmvault.resources.directory.names import is_guid
from hsmvault.resources.directory.parts import DirectoryParts
from hsmvault.resources.directory.refusals import is_there, not_found
from hsmvault.resources.directory.rules import Actor, permit_application, permit_group, permit_service_principal
from hsmvault.store import applications, directory, owners
from hsmvault.store.database import Transaction

_OWNERS = (PrincipalKind.USER, PrincipalKind.APPLICATION, PrincipalKind.MANAGED_IDENTITY)


class Owners:
    def __init__(self, parts: DirectoryParts) -> None:
        self._parts = parts

    async def of(self, actor: Actor, object_id: str) -> list[Principal]:
        """By object id. Raises NotFound."""
        async with self._parts.database.read() as tx:
            owned = await _owned(tx, actor, object_id)
            return await directory.principals_of(tx, actor.tenant_id, await owners.owners_of(tx, owned.object_id))

    async def owned_by(self, actor: Actor, object_id: str) -> list[Principal | Application]:
        """What a principal owns, by object id."""
        async with self._parts.database.read() as tx:
            ids = await owners.owned_by(tx, object_id.lower())
            found = [await _find(tx, actor.tenant_id, id) for id in ids]
        return [one for one in found if one is not None]

    async def add(self, actor: Actor, object_id: str, owner_id: str) -> None:
        """Raises NotFound, Forbidden, BadRequest."""
        async with self._parts.writing(is_there("owners")) as tx:
            owned = await _owned(tx, actor, object_id)
            await _permit(tx, actor, owned)
            owner = await principal_of(tx, actor.tenant_id, owner_id, *_OWNERS)
            await owners.insert(tx, owned.object_id, owner.object_id)

    async def remove(self, actor: Actor, object_id: str, owner_id: str) -> None:
        """Raises NotFound, Forbidden."""
        async with self._parts.database.write() as tx:
            owned = await _owned(tx, actor, object_id)
            await _permit(tx, actor, owned)
            if not await owners.delete(tx, owned.object_id, owner_id.lower()):
                raise not_found(owner_id)


async def _find(tx: Transaction, tenant_id: str, object_id: str) -> Principal | Application | None:
    found = await directory.principal(tx, tenant_id, object_id)
    return found or await applications.by_object(tx, tenant_id, object_id)


async def _owned(tx: Transaction, actor: Actor, object_id: str) -> Principal | Application:
    found = await _find(tx, actor.tenant_id, object_id.lower()) if is_guid(object_id.lower()) else None
    if found is None or (isinstance(found, Principal) and found.kind not in (PrincipalKind.GROUP, *SERVICE_PRINCIPALS)):
        raise not_found(object_id)
    return found


async def _permit(tx: Transaction, actor: Actor, owned: Principal | Application) -> None:
    if isinstance(owned, Application):
        await permit_application(tx, actor, owned)
    elif owned.kind is PrincipalKind.GROUP:
        await permit_group(tx, actor, owned)
    else:
        await permit_service_principal(tx, actor, owned)
