"""Making the first principals: what `hsmvault dev` and the tests fill a directory with.

Each function works inside a transaction of the caller and leaves nothing behind when that is rolled back. Secrets come
back once, as GeneratedSecret; the directory keeps their hashes.
"""

import base64

from hsmvault.clock import Identifiers
from hsmvault.login.certificates import read_registered
from hsmvault.login.passwords import hash_password
from hsmvault.login.secrets import HINT_CHARACTERS, GeneratedSecret, generate_secret, hash_secret
from hsmvault.model.directory import Application, RedirectUri
from hsmvault.model.principals import Credential, CredentialKind, Principal, PrincipalKind, Tenant
from hsmvault.store import applications, directory
from hsmvault.store.database import Transaction


async def create_tenant(tx: Transaction, identifiers: Identifiers, *, display_name: str, domain: str) -> Tenant:
    """Raises Conflicted when the domain is taken."""
    tenant = Tenant(identifiers.guid(), display_name, domain)
    await directory.insert_tenant(tx, tenant)
    return tenant


async def create_application(
    tx: Transaction,
    identifiers: Identifiers,
    *,
    tenant_id: str,
    display_name: str,
    with_secret: bool = True,
    certificate_der: bytes | None = None,
    public_client: bool = False,
    redirect_uris: tuple[RedirectUri, ...] = (),
) -> tuple[Principal, GeneratedSecret | None]:
    """A registration, its service principal with a client id of its own, and its credentials.

    certificate_der: X.509, with an RSA key. Raises BadRequest when it is another kind.
    """
    principal = Principal(
        object_id=identifiers.guid(),
        tenant_id=tenant_id,
        kind=PrincipalKind.APPLICATION,
        display_name=display_name,
        application_id=identifiers.guid(),
    )
    await directory.insert_principal(tx, principal)
    registration = Application(
        application_id=principal.application_id,
        object_id=identifiers.guid(),
        tenant_id=tenant_id,
        display_name=display_name,
        public_client=public_client,
        redirect_uris=redirect_uris,
    )
    await applications.insert(tx, registration)
    secret = await add_secret(tx, identifiers, principal.application_id) if with_secret else None
    if certificate_der is not None:
        await add_certificate(tx, identifiers, principal.application_id, certificate_der)
    return principal, secret


async def add_secret(
    tx: Transaction, identifiers: Identifiers, application_id: str, *, display_name: str = "", expires: int = 0
) -> GeneratedSecret:
    """One more client secret. expires: seconds since 1970 UTC, 0 for never."""
    return await _add_generated(tx, identifiers, application_id, CredentialKind.SECRET, display_name, expires)


async def add_certificate(
    tx: Transaction, identifiers: Identifiers, application_id: str, certificate_der: bytes, *, display_name: str = ""
) -> Credential:
    """One more certificate. Raises BadRequest when it cannot be one."""
    facts = read_registered(certificate_der)
    credential = Credential(
        id=identifiers.guid(),
        application_id=application_id,
        kind=CredentialKind.CERTIFICATE,
        display_name=display_name,
        verifier=base64.b64encode(certificate_der).decode("ascii"),
        thumbprint_sha1=facts.thumbprint_sha1,
        thumbprint_sha256=facts.thumbprint_sha256,
        expires=facts.expires,
    )
    await directory.insert_credential(tx, credential)
    return credential


async def create_managed_identity(
    tx: Transaction, identifiers: Identifiers, *, tenant_id: str, display_name: str, resource_id: str
) -> tuple[Principal, GeneratedSecret]:
    """The identity of an ARM resource, and the value of IDENTITY_HEADER for its App Service endpoint."""
    principal = Principal(
        object_id=identifiers.guid(),
        tenant_id=tenant_id,
        kind=PrincipalKind.MANAGED_IDENTITY,
        display_name=display_name,
        application_id=identifiers.guid(),
        resource_id=resource_id,
    )
    await directory.insert_principal(tx, principal)
    kind = CredentialKind.IDENTITY_HEADER
    return principal, await _add_generated(tx, identifiers, principal.application_id, kind, "", 0)


async def create_user(
    tx: Transaction,
    identifiers: Identifiers,
    *,
    tenant_id: str,
    display_name: str,
    upn: str,
    password_hash: str,
) -> Principal:
    """password_hash: from passwords.hash_password, which takes a tenth of a second: call it before the transaction."""
    principal = Principal(
        object_id=identifiers.guid(),
        tenant_id=tenant_id,
        kind=PrincipalKind.USER,
        display_name=display_name,
        upn=upn,
        password_hash=password_hash,
    )
    await directory.insert_principal(tx, principal)
    return principal


async def generate_password(identifiers: Identifiers) -> tuple[GeneratedSecret, str]:
    """A password for a first user, and its hash."""
    password = generate_secret(identifiers)
    return password, await hash_password(identifiers, password.reveal())


async def create_group(
    tx: Transaction, identifiers: Identifiers, *, tenant_id: str, display_name: str, members: tuple[str, ...] = ()
) -> Principal:
    """members: object ids, of the same tenant. Raises BadRequest otherwise."""
    principal = Principal(
        object_id=identifiers.guid(), tenant_id=tenant_id, kind=PrincipalKind.GROUP, display_name=display_name
    )
    await directory.insert_principal(tx, principal)
    for member in members:
        await directory.add_member(tx, principal.object_id, member)
    return principal


async def _add_generated(
    tx: Transaction,
    identifiers: Identifiers,
    application_id: str,
    kind: CredentialKind,
    display_name: str,
    expires: int,
) -> GeneratedSecret:
    secret = generate_secret(identifiers)
    await directory.insert_credential(
        tx,
        Credential(
            id=identifiers.guid(),
            application_id=application_id,
            kind=kind,
            display_name=display_name,
            verifier=hash_secret(identifiers, secret),
            expires=expires,
            hint=secret.reveal()[:HINT_CHARACTERS],
        ),
    )
    return secret
