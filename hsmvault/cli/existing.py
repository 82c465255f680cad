"""The installation that a command works on: the one of a data directory, or of a configuration."""

import shlex
from pathlib import Path
from urllib.parse import urlsplit

from hsmvault.cli.dev import DevOptions, dev_settings
from hsmvault.config import Layout, Settings, read_settings
from hsmvault.errors import ConfigurationError

_HTTPS = 443
_URL, _HOST = "ARM_ENDPOINT", "management."


def settings_of(config: Path | None, data_dir: Path) -> Settings:
    """data_dir: of `hsmvault dev`, where no configuration is named. While it runs its URLs are known, else they are
    shown as if it ran with its usual options. Raises ConfigurationError.
    """
    if config is not None:
        return read_settings(config)
    settings = dev_settings(DevOptions(data_dir))
    if not settings.layout.database.exists():
        raise ConfigurationError(f"There is no instance in {data_dir}; name its --data-dir, or its --config.")
    served = _served(settings.layout)
    return settings if served is None else dev_settings(DevOptions(data_dir, port=served[1], suffix=served[0]))


def _served(layout: Layout) -> tuple[str, int] | None:
    """Suffix and port of the instance that runs."""
    try:
        lines = layout.environment.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.partition("=")
        if name == _URL:
            url = urlsplit("".join(shlex.split(value)))
            return (url.hostname or "").removeprefix(_HOST), url.port or _HTTPS
    return None
