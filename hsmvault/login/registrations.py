"""The applications that people come through: what is registered about them, and how far they have proven themselves."""

from dataclasses import dataclass

from hsmvault.login.attempts import guid_or_empty
from hsmvault.login.clients import Clients, Presented
from hsmvault.login.realms import Realm
from hsmvault.login.refusals import (
    APPLICATION_DISABLED,
    NO_PROOF,
    NO_TENANT,
    PUBLIC_CLIENT,
    UNKNOWN_APPLICATION,
    LoginRefused,
)
from hsmvault.login.settings import LoginSettings
from hsmvault.model.directory import Application, public_client
from hsmvault.store import applications, directory
from hsmvault.store.database import Database, Transaction

PUBLIC_STRENGTH = "0"


@dataclass(frozen=True, slots=True)
class ActingClient:
    """strength: `appidacr`."""

    application: Application
    strength: str

    @property
    def id(self) -> str:
        return self.application.application_id


class Registrations:
    def __init__(self, settings: LoginSettings, *, database: Database, clients: Clients) -> None:
        self._settings = settings
        self._database = database
        self._clients = clients

    async def find(self, tenant_id: str, client_id: str) -> Application:
        """tenant_id: empty while it is not known who will sign in; a registration has one home, and so is found then
        too. Raises LoginRefused for an unknown or disabled application.
        """
        async with self._database.read() as tx:
            found = await self._find(tx, tenant_id, guid_or_empty(client_id))
        if found is None:
            shown = tenant_id or "of any organization"
            raise LoginRefused(UNKNOWN_APPLICATION, application=guid_or_empty(client_id), tenant=shown)
        return found

    async def prove(
        self, realm: Realm, tenant_id: str, presented: Presented, *, address: str, needs_proof: bool | None = None
    ) -> ActingClient:
        """tenant_id: of the person, where the realm names none. needs_proof: as it was when the person came; None for
        what the registration says. Raises LoginRefused.
        """
        application = await self.find(realm.tenant.id if realm.tenant else tenant_id, presented.client_id)
        if presented.secret or presented.assertion:
            if self._built_in(application.tenant_id, application.application_id) is not None:
                raise LoginRefused(PUBLIC_CLIENT)
            proven = await self._clients.prove(await self._realm_of(realm, tenant_id), presented, address=address)
            return ActingClient(application, proven.strength)
        if not application.public_client if needs_proof is None else needs_proof:
            raise LoginRefused(NO_PROOF)
        return ActingClient(application, PUBLIC_STRENGTH)

    async def _realm_of(self, realm: Realm, tenant_id: str) -> Realm:
        if realm.tenant is not None:
            return realm
        async with self._database.read() as tx:
            tenant = await directory.tenant(tx, tenant_id) if tenant_id else None
        if tenant is None:
            raise LoginRefused(NO_TENANT)
        return Realm(realm.origin, tenant.id, tenant)

    async def _find(self, tx: Transaction, tenant_id: str, client_id: str) -> Application | None:
        if not client_id:
            return None
        if built_in := self._built_in(tenant_id or self._settings.default_tenant_id, client_id):
            return built_in if tenant_id == "" else await self._if_enabled(tx, tenant_id, built_in)
        if tenant_id:
            found = await applications.find(tx, tenant_id, client_id)
        else:
            found = await applications.anywhere(tx, client_id)
        return None if found is None else await self._if_enabled(tx, found.tenant_id, found)

    async def _if_enabled(self, tx: Transaction, tenant_id: str, application: Application) -> Application:
        """A tenant closes an application by disabling its service principal there."""
        principal = await directory.by_application(tx, tenant_id, application.application_id)
        if principal is not None and not principal.enabled:
            raise LoginRefused(APPLICATION_DISABLED, application=application.application_id)
        return application

    def _built_in(self, tenant_id: str, client_id: str) -> Application | None:
        return public_client(tenant_id, client_id) if self._settings.built_in_clients else None
