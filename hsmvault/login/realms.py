"""Who a URL speaks for: the first segment of every path of the issuer, and the URLs that follow from it.

A realm is a tenant (named by its GUID or its domain), the default tenant under the alias `adfs` (MSAL then takes the
authority for AD FS and skips instance discovery), or all tenants at once (`common`, `organizations`), which is enough
for discovery and not for a token.
"""

import re
from dataclasses import dataclass

from hsmvault.login.settings import LoginSettings
from hsmvault.model.principals import Tenant
from hsmvault.store import directory
from hsmvault.store.database import Database

ADFS = "adfs"
_SHARED = frozenset({"common", "organizations"})
_TENANT_NAME = re.compile(r"[0-9a-z](?:[0-9a-z.-]{0,251}[0-9a-z])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Realm:
    """segment: of the URLs that are handed out. tenant: None for all tenants."""

    origin: str
    segment: str
    tenant: Tenant | None

    @property
    def is_adfs(self) -> bool:
        return self.segment == ADFS

    @property
    def tenant_id_or_placeholder(self) -> str:
        """What discovery writes where the tenant's id belongs; Entra writes the placeholder literally."""
        return self.tenant.id if self.tenant else "{tenantid}"

    @property
    def base(self) -> str:
        return f"{self.origin}/{self.segment}"

    def assertion_audiences(self) -> frozenset[str]:
        """Every `aud` that a client assertion for this realm may carry, in lower case, without trailing slashes: the
        token endpoints as clients find or build them, and the issuer.
        """
        if self.tenant is None:
            return frozenset()
        names = {self.segment, self.tenant.id, self.tenant.domain} - {""}
        paths = {f"{self.origin}/{name}/oauth2{version}/token" for name in names for version in ("", "/v2.0")}
        issuers = {f"{self.origin}/{self.tenant.id}", f"{self.origin}/{self.tenant.id}/v2.0", self.base}
        return frozenset(url.lower() for url in paths | issuers)


def token_issuer(origin: str, tenant_id: str) -> str:
    """The `iss` of every access token (v1 shape, as Entra gives to Key Vault and ARM)."""
    return f"{origin}/{tenant_id}/"


def is_realm_name(name: str) -> bool:
    """Whether a segment in lower case has the form of a GUID, a domain or an alias; says nothing about existence."""
    return _TENANT_NAME.fullmatch(name) is not None


async def find_realm(database: Database, settings: LoginSettings, segment: str) -> Realm | None:
    """The realm of a path's first segment, or None when there is no such tenant."""
    name = segment.lower()
    if name in _SHARED:
        return Realm(settings.origin, name, None)
    if not is_realm_name(name):
        return None
    async with database.read() as tx:
        tenant = await directory.tenant(tx, settings.default_tenant_id if name == ADFS else name)
    if tenant is None:
        return None
    return Realm(settings.origin, ADFS if name == ADFS else tenant.id, tenant)
