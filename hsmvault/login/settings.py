"""What the operator decides about the issuer; safe when nothing is said.

Lives and leads are in seconds. Every URL that the issuer hands out begins with `origin`, never with what a client wrote
into its Host header.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from hsmvault.errors import ConfigurationError

_DAY = 86_400


@dataclass(frozen=True, slots=True)
class LoginSettings:
    """origin: https://login.SUFFIX:PORT, without a trailing slash.

    default_tenant_id: the tenant behind the alias `adfs`, and the one of the managed identities.
    resources: plane name → the resource that tokens are asked for, without a trailing slash.
    aliases: further resources, such as Microsoft's own; whoever sets one tells the planes to accept it as well.
    token_life_seconds: shortest and longest life; one in between is drawn for each token, as Entra does, so that a
    thousand clients that started together do not come back together.
    managed_identities: ARM ids of the resources whose identity the local endpoints hand out; the first is the
    system-assigned one, which a request without a name gets. Empty: the endpoints refuse everything.
    key_life_seconds: how long one key signs. key_lead_seconds: how long a key is published before it signs; longer
    than anybody caches the key set. key_overlap_seconds: how long a key stays published after its successor began to
    sign, beyond the longest token life: leeway, and a clock that is set wrong for a while.

    password_grant: whether a client may send a person's password. refresh_token_seconds: how long a refresh token is
    good that is not used; each use gives a new one. session_seconds: how long a browser need not ask again.
    device_code_seconds: how long a person has to approve a device. built_in_clients: whether every tenant knows the
    public client of az and the SDKs.
    """

    origin: str
    default_tenant_id: str
    resources: Mapping[str, str]
    aliases: frozenset[str] = frozenset()
    token_life_seconds: tuple[int, int] = (3600, 5400)
    identity_life_seconds: int = _DAY
    managed_identities: tuple[str, ...] = ()
    key_life_seconds: int = 90 * _DAY
    key_lead_seconds: int = 2 * _DAY
    key_overlap_seconds: int = 3 * 3600
    key_set_cache_seconds: int = 3600
    body_seconds: float = 30.0
    password_grant: bool = False
    refresh_token_seconds: int = 90 * _DAY
    session_seconds: int = _DAY // 2
    device_code_seconds: int = 900
    built_in_clients: bool = True
    known_resources: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.origin)
        if parts.scheme != "https" or not parts.netloc or parts.path or parts.query:
            raise ConfigurationError("login: origin must be https://host or https://host:port, without a path.")
        if not 0 < self.token_life_seconds[0] <= self.token_life_seconds[1]:
            raise ConfigurationError("login: token_life_seconds must be a shortest and a longest life, in this order.")
        if not 0 < self.key_set_cache_seconds < self.key_lead_seconds < self.key_life_seconds:
            raise ConfigurationError("login: key_lead_seconds must lie between key_set_cache_seconds and key life.")
        known = frozenset(self.resources.values()) | self.aliases
        if any(resource.endswith("/") for resource in known):
            raise ConfigurationError("login: resources and aliases are written without a trailing slash.")
        object.__setattr__(self, "known_resources", known)

    @property
    def host(self) -> str:
        return urlsplit(self.origin).hostname or ""

    @property
    def key_retention_seconds(self) -> int:
        """How long a key stays published after its successor began to sign."""
        return max(self.identity_life_seconds, self.token_life_seconds[1]) + self.key_overlap_seconds
