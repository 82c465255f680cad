"""Objects of the directory by id, whatever they are; and everything that a directory has, in one place."""

from collections.abc import Sequence

from hsmvault.model.directory import Application
from hsmvault.model.principals import Principal
from hsmvault.resources.directory.application_credentials import ApplicationCredentials
from hsmvault.resources.directory.applications import Applications
from hsmvault.resources.directory.federation import Federation
from hsmvault.resources.directory.groups import Groups
from hsmvault.resources.directory.identities import Identities
from hsmvault.resources.directory.names import is_guid
from hsmvault.resources.directory.owned import Owners
from hsmvault.resources.directory.parts import DirectoryParts
from hsmvault.resources.directory.roles import Roles
from hsmvault.resources.directory.rules import Actor
from hsmvault.resources.directory.service_principals import ServicePrincipals
from hsmvault.resources.directory.tenants import Tenants
from hsmvault.resources.directory.users import Users
from hsmvault.store import applications, directory


class Directory:
    """Everything. Each part asks for the right of its actor."""

    def __init__(self, parts: DirectoryParts) -> None:
        self._parts = parts
        self.tenants = Tenants(parts)
        self.users = Users(parts)
        self.groups = Groups(parts)
        self.applications = Applications(parts)
        self.credentials = ApplicationCredentials(parts)
        self.federation = Federation(parts)
        self.service_principals = ServicePrincipals(parts)
        self.identities = Identities(parts)
        self.owners = Owners(parts)
        self.roles = Roles(parts)

    async def principals_named(self, actor: Actor, id_or_upn: str) -> list[Principal]:
        """One or none, of every kind: by object id, or a user by its principal name."""
        folded = id_or_upn.lower()
        async with self._parts.database.read() as tx:
            if is_guid(folded):
                found = await directory.principal(tx, actor.tenant_id, folded)
            else:
                found = await directory.user_by_name(tx, actor.tenant_id, id_or_upn)
        return [] if found is None else [found]

    async def by_ids(self, actor: Actor, ids: Sequence[str]) -> list[Principal | Application]:
        """Those of the tenant that there are, in this order; nothing for the others."""
        found: list[Principal | Application] = []
        async with self._parts.database.read() as tx:
            for id in dict.fromkeys(text.lower() for text in ids):
                if not is_guid(id):
                    continue
                one = await directory.principal(tx, actor.tenant_id, id)
                one_more = one or await applications.by_object(tx, actor.tenant_id, id)
                if one_more is not None:
                    found.append(one_more)
        return found
