"""Tables of the file about where audit records go beside the audit log."""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from hsmvault.config.values import Table


class AuditDestination(Table, frozen=True, kw_only=True):
    """Who takes records. id: an ARM id by which diagnostic settings name it, beside its name. path: of a file. url,
    header_file: of a webhook. address, protocol: of a syslog server, as 'host:port' or '[IPv6]:port'. ca_file: of a
    webhook, and of a syslog server over TLS.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z0-9](-?[a-z0-9])*$", min_length=3, max_length=64)]
    kind: Literal["file", "webhook", "syslog"]
    id: str = ""
    path: Path | None = None
    url: str = ""
    header_file: Path | None = None
    address: str = ""
    protocol: Literal["udp", "tcp", "tls"] = "tls"
    ca_file: Path | None = None
    timeout_seconds: Annotated[float, Meta(gt=0, le=60)] = 30.0
