"""The principals of `hsmvault dev`, as its env file names them."""

from collections.abc import Mapping
from typing import NamedTuple


class Principal(NamedTuple):
    """The three positional arguments of every client secret credential."""

    tenant_id: str
    client_id: str
    secret: str

    def __repr__(self) -> str:
        return f"Principal({self.client_id})"


def principal_of(environment: Mapping[str, str], name: str) -> Principal:
    """name: owner, reader, nobody or other."""
    tenant = environment["HSMVAULT_OTHER_TENANT_ID" if name == "other" else "AZURE_TENANT_ID"]
    prefix = "AZURE" if name == "owner" else f"HSMVAULT_{name.upper()}"
    return Principal(tenant, environment[f"{prefix}_CLIENT_ID"], environment[f"{prefix}_CLIENT_SECRET"])
