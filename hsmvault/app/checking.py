"""What `hsmvault check` finds beside the token: files of the configuration that a start cannot do without, and what a
start would let pass but some later work would fail on.

Nobody outside is asked for anything, and nothing is changed.
"""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from hsmvault.app import acme, exporting, sending
from hsmvault.app.trust import configured_authority, configured_issuer, federated_issuer
from hsmvault.clock import Clock
from hsmvault.config import Settings
from hsmvault.config.tls import listener_context
from hsmvault.errors import ConfigurationError
from hsmvault.model.certificates import CertificateIssuer
from hsmvault.model.containers import ContainerKind
from hsmvault.resources.certificate_issuers.acme import AcmeIssuer
from hsmvault.resources.certificate_issuers.local_ca import PROVIDER as LOCAL_CA
from hsmvault.store import authorities, certificate_issuers, containers
from hsmvault.store.database import Database, Transaction

_PAGE = 100


def unreadable(settings: Settings, clock: Clock) -> list[ConfigurationError]:
    """Files that every worker reads at its start. Blocks."""
    found: list[ConfigurationError] = []
    for read in _readings(settings, clock):
        try:
            read()
        except ConfigurationError as error:
            found.append(error)
    return found


def _readings(settings: Settings, clock: Clock) -> Iterator[Callable[[], object]]:
    for issuer in settings.issuers:
        yield partial(configured_issuer, issuer, settings.names, clock)
    for authority in settings.attestation_authorities:
        yield partial(configured_authority, authority, clock)
    for federated in settings.login.federated_issuers:
        yield partial(federated_issuer, federated, clock)
    for server in settings.acme:
        yield partial(acme.context_of, server)
        yield partial(acme.binding_of, server)
    for subscription in settings.events:
        yield partial(sending.webhook_of, subscription)
    for destination in settings.audit.destinations:
        yield partial(exporting.sink_of, destination)
    if settings.server.certificate_file is not None and settings.server.key_file is not None:
        for listener in settings.server.listeners:
            yield partial(listener_context, settings, listener)
    if settings.mail_enabled:
        yield partial(sending.mail_server_of, settings.smtp, settings.smtp_port)


def missing_on_machine(settings: Settings) -> list[str]:
    """Programs and directories that are looked for when a certificate is ordered; sentences. Blocks."""
    found: list[str] = []
    for server in settings.acme:
        if server.hook and not (Path(server.hook[0]).is_file() and os.access(server.hook[0], os.X_OK)):
            found.append(f"acme '{server.name}': the hook {server.hook[0]} is no program that can be run")
        if server.webroot is not None and not (server.webroot.is_dir() and os.access(server.webroot, os.W_OK)):
            found.append(f"acme '{server.name}': webroot {server.webroot} is no directory that can be written to")
    return found


async def unknown_names(settings: Settings, database: Database) -> list[str]:
    """Names in the configuration and in issuers of vaults behind which there is nothing; sentences."""
    async with database.read() as tx:
        vaults = [one for one in await containers.list_all(tx) if one.kind is ContainerKind.VAULT]
        names = {one.name for one in vaults} | {one.name for one in settings.containers}
        found = [
            f"{table} '{name}': there is no vault '{vault}'"
            for table, name, wanted in _vaults_named(settings)
            for vault in wanted
            if vault not in names
        ]
        for vault in vaults:
            found += [
                f"vault '{vault.name}': the issuer '{issuer.name}' names '{issuer.account_id or ''}', and there is no "
                f"such table in [[{table}]] for this vault; its certificates are not renewed"
                for issuer in await _issuers(tx, vault.id)
                if (table := _missing_table(settings, vault.name, issuer)) is not None
            ]
        made = {row.name for row in await authorities.list_all(tx)}
    for name in sorted(made - {one.name for one in settings.authorities}):
        found.append(
            f"authority '{name}' was made and is not configured any more: its revocation lists are not published"
        )
    return found


def _vaults_named(settings: Settings) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Table, its name, and the vaults that it names."""
    for subscription in settings.events:
        yield "events", subscription.name, subscription.containers
    for authority in settings.authorities:
        yield "authorities", authority.name, authority.containers
    for server in settings.acme:
        yield "acme", server.name, server.containers


async def _issuers(tx: Transaction, container_id: str) -> list[CertificateIssuer]:
    found: list[CertificateIssuer] = []
    while page := await certificate_issuers.page(tx, container_id, found[-1].name if found else None, _PAGE):
        found += page
    return found


def _missing_table(settings: Settings, vault: str, issuer: CertificateIssuer) -> str | None:
    """The table of the configuration that an issuer object of this vault needs and does not find."""
    if issuer.provider == AcmeIssuer.provider:
        servers = {one.name for one in settings.acme if vault in one.containers or not one.containers}
        return None if issuer.account_id in servers else "acme"
    if issuer.provider != LOCAL_CA:
        return None
    known = {one.name for one in settings.authorities if vault in one.containers or not one.containers}
    is_the_only_one = not issuer.account_id and len(settings.authorities) == len(known) == 1
    return None if is_the_only_one or issuer.account_id in known else "authorities"
