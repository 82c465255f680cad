"""What goes back, before it is an HTTP message: status, body, and the headers that the planes share."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from hsmvault.model.network import Address
from hsmvault.wire.codec import encode_body

JSON = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True, repr=False)
class WireAnswer:
    """body: JSON in UTF-8, or empty. used: id of the object, for the audit record. location: for the header of this
    name, or empty. more: further headers, name and value. about: what was changed, for the audit record, where used and
    the URL do not say it; never a secret. The repr shows no body."""

    status: int
    body: bytes = b""
    used: str = ""
    content_type: str = JSON
    location: str = ""
    more: tuple[tuple[str, str], ...] = ()
    about: str = ""

    def __repr__(self) -> str:
        return f"WireAnswer({self.status}, {len(self.body)} bytes)"


def ok(value: object, used: str = "", about: str = "") -> WireAnswer:
    return WireAnswer(200, encode_body(value), used, about=about)


SECURITY_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-cache, no-store",
    "Pragma": "no-cache",
    "Expires": "-1",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "Server": "hsmvault",
}


@lru_cache(maxsize=4096)
def network_info(address: Address) -> str:
    """x-ms-keyvault-network-info, as the service writes it."""
    family, name = ("Ipv4", "InterNetwork") if address.version == 4 else ("Ipv6", "InterNetworkV6")
    return f"conn_type={family};addr={address};act_addr_fam={name};"
