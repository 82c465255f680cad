"""Finding what a caller names, in its own tenant and nowhere else."""

from hsmvault.model.directory import Application
from hsmvault.model.principals import Principal, PrincipalKind, Tenant
from hsmvault.resources.directory.names import is_guid
from hsmvault.resources.directory.refusals import not_found
from hsmvault.store import applications, directory
from hsmvault.store.database import Transaction

SERVICE_PRINCIPALS = (PrincipalKind.APPLICATION, PrincipalKind.MANAGED_IDENTITY)


async def tenant_of(tx: Transaction, tenant_id: str) -> Tenant:
    found = await directory.tenant(tx, tenant_id)
    if found is None:
        raise not_found(tenant_id)
    return found


async def principal_of(tx: Transaction, tenant_id: str, object_id: str, *kinds: PrincipalKind) -> Principal:
    """kinds: those that are meant; none for all. Raises NotFound."""
    found = await directory.principal(tx, tenant_id, object_id.lower()) if is_guid(object_id.lower()) else None
    if found is None or (kinds and found.kind not in kinds):
        raise not_found(object_id)
    return found


async def user_of(tx: Transaction, tenant_id: str, id_or_name: str) -> Principal:
    """Raises NotFound."""
    if is_guid(id_or_name.lower()):
        return await principal_of(tx, tenant_id, id_or_name, PrincipalKind.USER)
    found = await directory.user_by_name(tx, tenant_id, id_or_name)
    if found is None:
        raise not_found(id_or_name)
    return found


async def application_of(tx: Transaction, tenant_id: str, object_id: str) -> Application:
    """By the object id of the registration. Raises NotFound."""
    found = await applications.by_object(tx, tenant_id, object_id.lower()) if is_guid(object_id.lower()) else None
    if found is None:
        raise not_found(object_id)
    return found


async def application_by_client(tx: Transaction, tenant_id: str, application_id: str) -> Application:
    """By the client id. Raises NotFound."""
    found = await applications.find(tx, tenant_id, application_id.lower())
    if found is None:
        raise not_found(application_id)
    return found


async def application_behind(tx: Transaction, service_principal: Principal) -> Application:
    """The registration, when its home is this tenant. Raises NotFound."""
    return await application_by_client(tx, service_principal.tenant_id, service_principal.application_id)
