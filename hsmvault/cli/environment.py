"""dev.env: what a client of an embedded instance needs, as NAME=value lines."""

import os
import re
import shlex
from collections.abc import Mapping

from hsmvault.config import Layout, Prepared, Settings
from hsmvault.config.files import write_private
from hsmvault.errors import ConfigurationError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def environment_of(settings: Settings, prepared: Prepared) -> dict[str, str]:
    """The lines of dev.env. What app.prepare made (principals, vault) wins over what follows from the settings."""
    layout, names = settings.layout, settings.names
    ca = str(layout.ca_certificate)
    return {
        "AZURE_AUTHORITY_HOST": names.login,
        "AZURE_KEYVAULT_URL": names.vault_url("dev"),
        "ARM_ENDPOINT": names.management,
        "REQUESTS_CA_BUNDLE": ca,
        "SSL_CERT_FILE": ca,
        "NODE_EXTRA_CA_CERTS": ca,
        "AZURE_CORE_INSTANCE_DISCOVERY": "false",
        "AZURE_POD_IDENTITY_AUTHORITY_HOST": identity_url(settings),
        "HSMVAULT_CLIENT_CERTIFICATE_PATH": str(layout.client_certificate),
        "HSMVAULT_DATA_DIR": str(layout.data_dir),
        "HSMVAULT_PID": str(os.getpid()),
        **prepared.environment,
    }


def identity_environment_of(settings: Settings, prepared: Prepared) -> dict[str, str]:
    """The lines of dev-identity.env, for clients that shall speak to the App Service endpoint."""
    return {"IDENTITY_ENDPOINT": f"{identity_url(settings)}/msi/token", **prepared.identity_environment}


def identity_url(settings: Settings) -> str:
    return f"http://127.0.0.1:{settings.identity_port}"


def write_environment(settings: Settings, prepared: Prepared) -> None:
    """Write both files, dev.env last: who sees it may start."""
    layout = settings.layout
    write_private(layout.identity_environment, encode(identity_environment_of(settings, prepared)))
    write_private(layout.environment, encode(environment_of(settings, prepared)))


def remove_environment(layout: Layout) -> None:
    layout.environment.unlink(missing_ok=True)
    layout.identity_environment.unlink(missing_ok=True)


def encode(variables: Mapping[str, str]) -> bytes:
    """Lines that a shell can read: values stand in single quotes where they need to."""
    lines: list[str] = []
    for name, value in variables.items():
        if not _NAME.fullmatch(name) or any(ord(character) < 32 for character in value):
            raise ValueError(f"{name} cannot stand in an environment file")
        lines.append(f"{name}={shlex.quote(value) if value else ''}\n")
    return "".join(lines).encode()


def export_lines(layout: Layout) -> str:
    """dev.env as `export NAME=value` lines. Raises ConfigurationError when no instance is ready there."""
    try:
        lines = layout.environment.read_text().splitlines()
    except FileNotFoundError:
        raise ConfigurationError(
            f"No instance is running on the data directory {layout.data_dir}: there is no {layout.environment.name}; "
            "start one with `hsmvault dev`, or name another directory with --data-dir."
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{layout.environment} cannot be read ({error.strerror}).") from error
    return "".join(f"export {line}\n" for line in lines if "=" in line)
