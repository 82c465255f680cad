"""The issuer "ACME", put together from the [[acme]] tables of the configuration."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable

from hsmvault.clock import Clock, Identifiers
from hsmvault.config import certificates as configuration
from hsmvault.config.secret_files import read_secret_file
from hsmvault.custody.custodians import WorldCustody
from hsmvault.custody.intents import Intents
from hsmvault.custody.statement_keys import StatementKeys
from hsmvault.errors import ConfigurationError
from hsmvault.model import base64url
from hsmvault.outbound.acme import AcmeClient
from hsmvault.outbound.acme_hook import Hook
from hsmvault.outbound.acme_jws import SHORTEST_BINDING_BYTES, ExternalBinding
from hsmvault.resources.certificate_issuers.acme import AcmeIssuer
from hsmvault.resources.certificate_issuers.acme_account import PURPOSE, AcmeAccount
from hsmvault.resources.certificate_issuers.acme_challenges import DnsHook, HttpHook, Publisher, ServedHere, Webroot
from hsmvault.resources.certificate_issuers.acme_server import AcmeServer
from hsmvault.store.database import Database


def acme_issuer(
    servers: tuple[configuration.AcmeServer, ...],
    *,
    home: str,
    world: WorldCustody,
    database: Database,
    clock: Clock,
    identifiers: Identifiers,
    intents: Intents,
    pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> AcmeIssuer:
    """home, world: the security world that the keys of the accounts live in. pause: waits so many seconds. Nothing is
    asked of a server, and no key is made, before the first enrolment. Raises ConfigurationError when a file cannot be
    read.
    """
    made: dict[str, AcmeServer] = {}
    for server in servers:
        keys = StatementKeys(
            PURPOSE + server.name,
            home,
            world,
            database=database,
            clock=clock,
            identifiers=identifiers,
            intents=intents,
            common_name=f"hsmvault {PURPOSE}{server.name}",
        )
        made[server.name] = AcmeServer(
            server.name,
            AcmeClient(server.directory, context_of(server), clock),
            AcmeAccount(
                server.name,
                server.directory,
                keys,
                database,
                contacts=server.contacts,
                binding=binding_of(server),
            ),
            _publisher(server, database, clock),
            clock,
            containers=frozenset(server.containers),
            pause=pause,
        )
    return AcmeIssuer(made)


def context_of(server: configuration.AcmeServer) -> ssl.SSLContext:
    """Raises ConfigurationError."""
    try:
        return ssl.create_default_context(cafile=None if server.ca_file is None else str(server.ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"acme '{server.name}': ca_file {server.ca_file} cannot be read.") from error


def binding_of(server: configuration.AcmeServer) -> ExternalBinding | None:
    """Raises ConfigurationError."""
    if server.eab_key_file is None:
        return None
    text = read_secret_file(server.eab_key_file, f"acme '{server.name}': eab_key_file")
    try:
        key = base64url.decode(text.strip().rstrip("="))
    except ValueError:
        key = b""
    if len(key) < SHORTEST_BINDING_BYTES:
        raise ConfigurationError(
            f"acme '{server.name}': eab_key_file {server.eab_key_file} is no HMAC key of at least "
            f"{SHORTEST_BINDING_BYTES} bytes in base64url."
        )
    return ExternalBinding(server.eab_kid, key)


def _publisher(server: configuration.AcmeServer, database: Database, clock: Clock) -> Publisher:
    if server.hook:
        hook = Hook(server.hook, server.hook_seconds)
        return DnsHook(hook) if server.challenge == "dns-01" else HttpHook(hook)
    return ServedHere(database, clock) if server.webroot is None else Webroot(server.webroot)
