"""The principals of `hsmvault dev`, as its env file names them."""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import azure.identity
from azure.core.credentials import AccessToken

_RENEWED_SECONDS = 900  # before it expires


class Principal(NamedTuple):
    """The three positional arguments of every client secret credential."""

    tenant_id: str
    client_id: str
    secret: str

    def __repr__(self) -> str:
        return f"Principal({self.client_id})"


class Tokens:
    """Access tokens of one principal for the whole run: the real credential is asked once for each audience. What the
    credentials themselves do is judged by test_credentials.py."""

    def __init__(self, principal: Principal) -> None:
        self._principal = principal
        self._tokens: dict[tuple[str, ...], AccessToken] = {}

    def of(self, *scopes: str) -> AccessToken:
        found = self._tokens.get(scopes)
        if found is None or found.expires_on < time.time() + _RENEWED_SECONDS:
            with azure.identity.ClientSecretCredential(*self._principal, disable_instance_discovery=True) as real:
                found = self._tokens[scopes] = real.get_token(*scopes)
        return found


class SyncTokens(Tokens):
    """A credential for the synchronous clients."""

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        return self.of(*scopes)

    def close(self) -> None:
        """Nothing is open."""


class AsyncTokens(Tokens):
    """A credential for the asynchronous clients."""

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        return self.of(*scopes)

    async def close(self) -> None:
        """Nothing is open."""


def principal_of(environment: Mapping[str, str], name: str) -> Principal:
    """name: owner, reader, nobody or other."""
    tenant = environment["HSMVAULT_OTHER_TENANT_ID" if name == "other" else "AZURE_TENANT_ID"]
    prefix = "AZURE" if name == "owner" else f"HSMVAULT_{name.upper()}"
    return Principal(tenant, environment[f"{prefix}_CLIENT_ID"], environment[f"{prefix}_CLIENT_SECRET"])
