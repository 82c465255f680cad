"""The embedded issuer, put together, and which issuer clients are sent to."""

from collections.abc import Callable

from hsmvault.app.base import Base
from hsmvault.app.first_start import DEFAULT_TENANT, LOCAL_IDENTITIES
from hsmvault.app.observation import RecordLogin
from hsmvault.app.trust import federated_issuers
from hsmvault.config import Settings, WorkerSettings
from hsmvault.custody.protocols import Custodian
from hsmvault.login.application import LoginApplication
from hsmvault.login.managed_identities import IdentityEndpoints
from hsmvault.login.rotation import Rotation
from hsmvault.login.settings import LoginSettings
from hsmvault.login.signing_keys import SigningKeys
from hsmvault.store import meta
from hsmvault.store.database import Database, Transaction


async def make_login(
    base: Base, tenant_id: str, keys: SigningKeys, custodian: Custodian, worker: WorkerSettings
) -> tuple[LoginApplication | None, IdentityEndpoints | None, Rotation | None]:
    """The embedded issuer, or nothing where it is switched off."""
    if not base.settings.login.enabled:
        return None, None, None
    configured, names = base.settings.login, base.settings.names
    settings = LoginSettings(
        origin=names.login,
        default_tenant_id=tenant_id,
        resources={
            "vault": names.vault_resource,
            "managedhsm": names.pool_resource,
            "management": names.management,
            "graph": names.graph,
        },
        token_life_seconds=(configured.token_seconds, configured.token_seconds * 3 // 2),
        identity_life_seconds=configured.identity_token_seconds,
        key_life_seconds=configured.signing_key_days * 86_400,
        password_grant=configured.password_grant,
        built_in_clients=configured.public_clients,
        refresh_token_seconds=configured.refresh_token_days * 86_400,
        session_seconds=configured.session_hours * 3600,
        device_code_seconds=configured.device_code_minutes * 60,
    )
    record = RecordLogin(base.audit, base.metrics, base.clock)
    login = LoginApplication(
        settings,
        database=base.database,
        keys=keys,
        clock=base.clock,
        identifiers=base.identifiers,
        record_attempt=record,
        federated=federated_issuers(base.settings, base.clock),
    )
    identity = IdentityEndpoints(
        settings,
        database=base.database,
        keys=keys,
        clock=base.clock,
        identifiers=base.identifiers,
        record_attempt=record,
        named=_local_identities if configured.managed_identities else None,
    )
    rotation = Rotation(
        settings,
        database=base.database,
        custodian=custodian,
        clock=base.clock,
        identifiers=base.identifiers,
        intents=base.intents,
        owner=f"worker-{worker.index}-{base.identifiers.guid()}",
    )
    return login, identity, rotation


async def _local_identities(tx: Transaction) -> tuple[str, ...]:
    """The resources whose managed identity the local endpoints hand out."""
    return tuple((await meta.get(tx, LOCAL_IDENTITIES) or "").split())


async def default_tenant(database: Database) -> str:
    """Behind the alias `adfs`; the tenant that challenges of hosts without a container name."""
    async with database.read() as tx:
        return await meta.get(tx, DEFAULT_TENANT) or "00000000-0000-0000-0000-000000000000"


def issuer_urls(settings: Settings) -> Callable[[str], str]:
    """The issuer that a challenge names, by tenant: a configured one where it says so, else the embedded."""
    outside = {str(issuer.tenant): issuer.authorization for issuer in settings.issuers if issuer.authorization}
    login = settings.names.login
    return lambda tenant_id: outside.get(tenant_id) or f"{login}/{tenant_id}"


def home_authority(settings: Settings, tenant_id: str) -> str:
    """The issuer that clients are sent to before it is known which tenant they want: the embedded one, with its default
    tenant, or the first of the configuration that says where it is asked."""
    if not settings.login.enabled:
        for issuer in settings.issuers:
            if issuer.authorization:
                return issuer.authorization.rstrip("/")
    return f"{settings.names.login}/{tenant_id}"
