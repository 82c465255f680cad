"""The configuration: one typed, frozen value, read once; every key is explained in conf/hsmvault.toml.

settings   what there is to set, with defaults that are safe on one machine
reading    TOML to settings; a mistake is refused with its key, file and line
names      host names and URLs of an instance
layout     where things lie under the data directory
files      files that are there whole and durable, or not at all
process    what supervisor and workers hand to each other
tls        the TLS of the listeners
"""

from hsmvault.config.layout import Layout
from hsmvault.config.names import Names
from hsmvault.config.process import Checked, Control, Listeners, Prepared, WorkerSettings
from hsmvault.config.reading import read_issuers, read_settings
from hsmvault.config.settings import Settings

__all__ = [
    "Checked",
    "Control",
    "Layout",
    "Listeners",
    "Names",
    "Prepared",
    "Settings",
    "WorkerSettings",
    "read_issuers",
    "read_settings",
]
