"""Whose word counts. For bearer tokens: the embedded issuer for its tenants, and the issuers of the configuration. For
environments that keys are released to: the attestation authorities of the configuration."""

import ssl
from collections.abc import Mapping

from cryptography.hazmat.primitives.serialization import load_der_public_key

from hsmvault.clock import Clock
from hsmvault.config import Names, Settings
from hsmvault.config import settings as configuration
from hsmvault.config.settings import AttestationAuthority, TrustedIssuer
from hsmvault.errors import ConfigurationError
from hsmvault.login.federation import FederatedIssuer
from hsmvault.login.signing_keys import SigningKeys
from hsmvault.outbound.jwks import FileKeySet, PublicKey, RemoteKeySet
from hsmvault.pipeline.issuers import ClaimNames, Issuer
from hsmvault.resources import environment_assertions
from hsmvault.store import directory
from hsmvault.store.database import Database


class EmbeddedKeys:
    """The embedded issuer's own keys, from where it reads them itself."""

    def __init__(self, keys: SigningKeys) -> None:
        self._keys = keys
        self._loaded: dict[str, PublicKey] = {}

    async def find(self, kid: str) -> PublicKey | None:
        published = {key.id: key for key in await self._keys.published()}
        self._loaded = {known: key for known, key in self._loaded.items() if known in published}
        if kid not in self._loaded and kid in published:
            self._loaded[kid] = load_der_public_key(published[kid].public)  # type: ignore[assignment]  # RSA: published() leaves others out
        return self._loaded.get(kid)


async def embedded_issuers(database: Database, names: Names, keys: EmbeddedKeys) -> tuple[Issuer, ...]:
    """One issuer for each tenant of the directory: tokens of both versions, for our own planes."""
    async with database.read() as tx:
        tenants = await directory.list_tenants(tx)
    return tuple(
        Issuer(
            issuers=frozenset({f"{names.login}/{tenant.id}/", f"{names.login}/{tenant.id}/v2.0"}),
            tenant_id=tenant.id,
            keys=keys,
            audiences=_own_audiences(names),
            embedded=True,
        )
        for tenant in tenants
    )


def configured_issuer(settings: TrustedIssuer, names: Names, clock: Clock) -> Issuer:
    """Raises ConfigurationError when its files cannot be read."""
    return Issuer(
        issuers=frozenset(settings.issuers),
        tenant_id=None if settings.tenant is None else str(settings.tenant),  # not a Guid: no encoder takes one
        keys=_key_set(settings, "issuers", clock),
        audiences={
            names.vault_resource: frozenset(settings.audiences.vault),
            names.pool_resource: frozenset(settings.audiences.managedhsm),
            names.management: frozenset(settings.audiences.management),
        },
        algorithms=frozenset(settings.algorithms),
        claims=ClaimNames(
            principal=settings.principal_claim,
            application=settings.application_claims,
            groups=settings.groups_claim,
            tenant=settings.tenant_claim or None,
        ),
    )


def configured_authority(settings: AttestationAuthority, clock: Clock) -> environment_assertions.AttestationAuthority:
    """Raises ConfigurationError when its files cannot be read."""
    return environment_assertions.AttestationAuthority(
        settings.issuer, _key_set(settings, "attestation_authorities", clock), frozenset(settings.algorithms)
    )


def federated_issuers(settings: Settings, clock: Clock) -> Mapping[str, FederatedIssuer]:
    """Whose tokens may prove applications: issuers for that alone, and those that are trusted anyway.

    Raises ConfigurationError when their files cannot be read.
    """
    found: dict[str, FederatedIssuer] = {}
    for issuer in settings.issuers:
        trusted = FederatedIssuer(_key_set(issuer, "issuers", clock), frozenset(issuer.algorithms))
        found.update(dict.fromkeys(issuer.issuers, trusted))
    for federated in settings.login.federated_issuers:
        found[federated.issuer] = federated_issuer(federated, clock)
    return found


def federated_issuer(settings: configuration.FederatedIssuer, clock: Clock) -> FederatedIssuer:
    """Raises ConfigurationError when its files cannot be read."""
    return FederatedIssuer(_key_set(settings, "login.federated_issuers", clock), frozenset(settings.algorithms))


def _own_audiences(names: Names) -> Mapping[str, frozenset[str]]:
    """A trailing slash more or less is the same resource."""
    resources = (names.vault_resource, names.pool_resource, names.management, names.graph)
    return {resource: frozenset({resource, resource + "/"}) for resource in resources}


def _key_set(
    settings: TrustedIssuer | AttestationAuthority | configuration.FederatedIssuer, table: str, clock: Clock
) -> FileKeySet | RemoteKeySet:
    if settings.jwks_file is not None:
        return FileKeySet(settings.jwks_file, clock)
    try:
        context = ssl.create_default_context(cafile=None if settings.ca_file is None else str(settings.ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"{table}: ca_file {settings.ca_file} cannot be read.") from error
    return RemoteKeySet(settings.jwks_uri, clock, context)
