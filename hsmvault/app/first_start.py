"""What `hsmvault dev` has from its first start: two tenants, principals to try permissions and refusals with, a vault
and a managed HSM pool.

The directory keeps hashes only, so the secrets also stand in the data directory (mode 0600), from where each start puts
them into dev.env. They are written before the transaction commits: a crash in between leaves a file that the next
start replaces, never principals whose secret is lost.
"""

from base64 import b64decode
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hsmvault.app.subscriptions import OWNER, give_once, have_group, have_subscription
from hsmvault.clock import Clock, Identifiers
from hsmvault.config import Settings
from hsmvault.config.files import write_private
from hsmvault.config.settings import DeclaredVault, RoleAssignmentEntry
from hsmvault.config.values import Guid
from hsmvault.errors import ConfigurationError
from hsmvault.login import bootstrap
from hsmvault.model.directory import DirectoryRole
from hsmvault.model.principals import CredentialKind
from hsmvault.model.subscriptions import management_group_id
from hsmvault.store import directory, directory_roles, meta
from hsmvault.store.database import Database, Transaction

_DONE = "first-start"
_ADMINISTRATOR = "first-administrator"  # dev-owner has its role of the directory; once, so that it can be taken away
_PLACED = "first-placement"
DEFAULT_TENANT = "default-tenant"
LOCAL_IDENTITIES = "local-identities"  # ARM ids with blanks between them; the first is the system-assigned one
LOCATION = "local"
POOL = "devhsm"
POOL_WORLD = "devhsm"
RESOURCE_GROUP = "hsmvault"
SUBSCRIPTION = "hsmvault dev"


@dataclass(frozen=True, slots=True)
class DeclaredPool:
    """A pool that is made at start when it is not there; an existing one is left as it is.

    world: name of its security world, which is there already. roles: pairs of a principal's object id and the name of
    a built-in role of pools, assigned for the whole pool.
    """

    name: str
    tenant_id: str
    subscription_id: str
    resource_group: str
    location: str
    world: str
    roles: tuple[tuple[str, str], ...]
    retention_days: int = 90


@dataclass(frozen=True, slots=True)
class FirstStart:
    """environment, identity_environment: lines of dev.env and dev-identity.env; they hold secrets."""

    environment: dict[str, str] = field(default_factory=dict, repr=False)
    identity_environment: dict[str, str] = field(default_factory=dict, repr=False)
    vaults: tuple[DeclaredVault, ...] = ()
    pools: tuple[DeclaredPool, ...] = ()


class DevPrincipals(msgspec.Struct, frozen=True):
    """What was made, as the file keeps it. Its repr shows nothing."""

    tenant_id: str
    other_tenant_id: str
    subscription_id: str
    owner_object_id: str
    owner_client_id: str
    owner_secret: str
    reader_object_id: str
    reader_client_id: str
    reader_secret: str
    nobody_client_id: str
    nobody_secret: str
    other_client_id: str
    other_secret: str
    user_name: str
    user_password: str
    group_object_id: str
    identity_object_id: str
    identity_client_id: str
    identity_header: str

    def __repr__(self) -> str:
        return f"DevPrincipals({self.tenant_id})"


async def first_start(settings: Settings, database: Database, clock: Clock, identifiers: Identifiers) -> FirstStart:
    """Make the principals when they are not there, and return what clients need. Raises ConfigurationError when the
    file with their secrets was removed."""
    path = settings.layout.credentials / "principals.json"
    async with database.read() as tx:
        is_done = await meta.get(tx, _DONE) is not None
    if is_done:
        made = _read(path)
    else:
        password, password_hash = await bootstrap.generate_password(identifiers)
        async with database.write() as tx:
            made = await _make(tx, settings, identifiers, password.reveal(), password_hash)
            write_private(path, msgspec.json.encode(made))
            await meta.put(tx, DEFAULT_TENANT, made.tenant_id)
            await meta.put(tx, LOCAL_IDENTITIES, identity_resource(made.subscription_id))
            await meta.put(tx, _DONE, str(int(clock.now())))
    await _place(database, clock, identifiers, made)
    await _have_administrator(database, clock, made)
    await _register_certificate(settings, database, identifiers, made)
    identity = {"IDENTITY_HEADER": made.identity_header}
    return FirstStart(_environment(settings, made), identity, (_vault(made),), (_pool(made),))


async def _make(
    tx: Transaction, settings: Settings, identifiers: Identifiers, password: str, password_hash: str
) -> DevPrincipals:
    tenant = await bootstrap.create_tenant(tx, identifiers, display_name="Development", domain="dev.hsmvault.invalid")
    other = await bootstrap.create_tenant(tx, identifiers, display_name="Other", domain="other.hsmvault.invalid")

    async def application(name: str, tenant_id: str) -> tuple[str, str, str]:
        principal, secret = await bootstrap.create_application(tx, identifiers, tenant_id=tenant_id, display_name=name)
        assert secret is not None
        return principal.object_id, principal.application_id, secret.reveal()

    owner = await application("dev-owner", tenant.id)
    reader = await application("dev-reader", tenant.id)
    nobody = await application("dev-nobody", tenant.id)
    foreign = await application("dev-other-tenant", other.id)
    user = await bootstrap.create_user(
        tx,
        identifiers,
        tenant_id=tenant.id,
        display_name="Dev User",
        upn=f"dev-user@{tenant.domain}",
        password_hash=password_hash,
    )
    group = await bootstrap.create_group(
        tx, identifiers, tenant_id=tenant.id, display_name="dev-group", members=(user.object_id, reader[0])
    )
    subscription_id = identifiers.guid()
    identity, header = await bootstrap.create_managed_identity(
        tx,
        identifiers,
        tenant_id=tenant.id,
        display_name="dev-identity",
        resource_id=identity_resource(subscription_id),
    )
    return DevPrincipals(
        tenant_id=tenant.id,
        other_tenant_id=other.id,
        subscription_id=subscription_id,
        owner_object_id=owner[0],
        owner_client_id=owner[1],
        owner_secret=owner[2],
        reader_object_id=reader[0],
        reader_client_id=reader[1],
        reader_secret=reader[2],
        nobody_client_id=nobody[1],
        nobody_secret=nobody[2],
        other_client_id=foreign[1],
        other_secret=foreign[2],
        user_name=user.upn,
        user_password=password,
        group_object_id=group.object_id,
        identity_object_id=identity.object_id,
        identity_client_id=identity.application_id,
        identity_header=header.reveal(),
    )


async def _place(database: Database, clock: Clock, identifiers: Identifiers, made: DevPrincipals) -> None:
    """The subscription and its group, and roles of the owner that reach what it makes there later; also in data
    directories of older versions. Once: what was removed since stays removed."""
    subscription, tenant, owner = made.subscription_id, made.tenant_id, made.owner_object_id
    async with database.write() as tx:
        if await meta.get(tx, _PLACED) is not None:
            return
        await have_subscription(tx, subscription, tenant, SUBSCRIPTION, int(clock.now()))
        await have_group(tx, subscription, RESOURCE_GROUP, LOCATION, int(clock.now()))
        place = f"/subscriptions/{subscription}"
        for role, scope in (
            (OWNER, place),
            ("Key Vault Administrator", place),
            (OWNER, management_group_id(tenant)),  # to make management groups
        ):
            await give_once(tx, owner, role, scope, tenant, clock, identifiers)
        await meta.put(tx, _PLACED, str(int(clock.now())))


def identity_resource(subscription_id: str) -> str:
    """ARM id of the machine that the system-assigned identity belongs to."""
    return (
        f"/subscriptions/{subscription_id}/resourceGroups/{RESOURCE_GROUP}"
        "/providers/Microsoft.Compute/virtualMachines/dev"
    )


def _vault(made: DevPrincipals) -> DeclaredVault:
    """The owner may do everything, the group (with dev-reader and the user in it) read, the identity use keys."""
    return DeclaredVault(
        name="dev",
        tenant=Guid(made.tenant_id),
        subscription=Guid(made.subscription_id),
        resource_group=RESOURCE_GROUP,
        location=LOCATION,
        role_assignments=(
            RoleAssignmentEntry(principal=Guid(made.owner_object_id), role="Key Vault Administrator"),
            RoleAssignmentEntry(principal=Guid(made.group_object_id), role="Key Vault Reader"),
            RoleAssignmentEntry(principal=Guid(made.identity_object_id), role="Key Vault Crypto User"),
        ),
    )


def _pool(made: DevPrincipals) -> DeclaredPool:
    """As in the vault: the owner may do everything, the group reads, the identity uses keys."""
    owner = ("Administrator", "Crypto Officer", "Crypto User", "EKM Administrator")
    return DeclaredPool(
        name=POOL,
        tenant_id=made.tenant_id,
        subscription_id=made.subscription_id,
        resource_group=RESOURCE_GROUP,
        location=LOCATION,
        world=POOL_WORLD,
        roles=(
            *((made.owner_object_id, f"Managed HSM {role}") for role in owner),
            (made.group_object_id, "Managed HSM Crypto Auditor"),
            (made.identity_object_id, "Managed HSM Crypto User"),
        ),
    )


async def _have_administrator(database: Database, clock: Clock, made: DevPrincipals) -> None:
    """dev-owner, also in data directories that are older than the roles of the directory."""
    async with database.write() as tx:
        if await meta.get(tx, _ADMINISTRATOR) is None:
            if await directory.principal(tx, made.tenant_id, made.owner_object_id) is not None:
                await directory_roles.insert(tx, made.owner_object_id, DirectoryRole.GLOBAL_ADMINISTRATOR)
            await meta.put(tx, _ADMINISTRATOR, str(int(clock.now())))


async def _register_certificate(
    settings: Settings, database: Database, identifiers: Identifiers, made: DevPrincipals
) -> None:
    """dev-owner's certificate, also after it was renewed; the old one goes."""
    certificate = x509.load_pem_x509_certificate(settings.layout.client_certificate.read_bytes())
    der = certificate.public_bytes(Encoding.DER)
    async with database.write() as tx:
        for credential in await directory.credentials_of(tx, made.owner_client_id):
            if credential.kind is not CredentialKind.CERTIFICATE:
                continue
            if b64decode(credential.verifier) == der:
                return
            await directory.delete_credential(tx, made.owner_client_id, credential.id)
        await bootstrap.add_certificate(tx, identifiers, made.owner_client_id, der)


def _environment(settings: Settings, made: DevPrincipals) -> dict[str, str]:
    return {
        "AZURE_TENANT_ID": made.tenant_id,
        "AZURE_CLIENT_ID": made.owner_client_id,
        "AZURE_CLIENT_SECRET": made.owner_secret,
        "AZURE_SUBSCRIPTION_ID": made.subscription_id,
        "AZURE_RESOURCE_GROUP": RESOURCE_GROUP,
        "AZURE_LOCATION": LOCATION,
        "AZURE_MANAGEDHSM_URL": settings.names.pool_url(POOL),
        "AZURE_KEYVAULT_ATTESTATION_URL": settings.names.attestation,
        "BLOB_STORAGE_URL": settings.names.url("devstore.blob"),
        "BLOB_CONTAINER_NAME": "backup",
        "HSMVAULT_READER_CLIENT_ID": made.reader_client_id,
        "HSMVAULT_READER_CLIENT_SECRET": made.reader_secret,
        "HSMVAULT_NOBODY_CLIENT_ID": made.nobody_client_id,
        "HSMVAULT_NOBODY_CLIENT_SECRET": made.nobody_secret,
        "HSMVAULT_OTHER_TENANT_ID": made.other_tenant_id,
        "HSMVAULT_OTHER_CLIENT_ID": made.other_client_id,
        "HSMVAULT_OTHER_CLIENT_SECRET": made.other_secret,
        "HSMVAULT_USER_NAME": made.user_name,
        "HSMVAULT_USER_PASSWORD": made.user_password,
    }


def _read(path: Path) -> DevPrincipals:
    try:
        return msgspec.json.decode(path.read_bytes(), type=DevPrincipals)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigurationError(
            f"The secrets of the development principals in {path} cannot be read; restore the file, or delete the data "
            "directory to begin anew."
        ) from error
