"""Issuers of bearer tokens: the embedded one, and any OIDC issuer that the configuration trusts.

An issuer is an exact `iss`, its own key set, its own list of algorithms, its own audiences and tenant. They are looked
up together, never a key alone, so that no issuer can speak for another.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

VerificationKey = RSAPublicKey | EllipticCurvePublicKey


class KeySet(Protocol):
    """The published keys of one issuer."""

    async def find(self, kid: str) -> VerificationKey | None:
        """The key of this id, or None. An unknown id makes it look again, at most once a minute, and keeps the old
        keys when that fails. It connects to the configured place only."""
        ...


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """Where an issuer writes what we need. tenant: None when the issuer speaks for one fixed tenant."""

    principal: str = "oid"
    application: tuple[str, ...] = ("appid", "azp")
    groups: str = "groups"
    tenant: str | None = "tid"


@dataclass(frozen=True, slots=True)
class Issuer:
    """issuers: exact values of `iss`. audiences: plane's resource to the accepted values of `aud`.

    tenant_id: the only tenant it may speak for, in lower case; None where claims.tenant names the tenant of each token.
    embedded: its principals stand in our directory, which then decides whether they are still enabled and which groups
    they are in.
    """

    issuers: frozenset[str]
    tenant_id: str | None
    keys: KeySet
    audiences: Mapping[str, frozenset[str]]
    algorithms: frozenset[str] = frozenset({"RS256"})
    claims: ClaimNames = field(default=ClaimNames())
    embedded: bool = False


class Issuers:
    """Every issuer that is trusted, found by the `iss` of a token that is not proved yet."""

    def __init__(self, issuers: tuple[Issuer, ...] = ()) -> None:
        self._by_iss: dict[str, Issuer] = {}
        for issuer in issuers:
            self.add(issuer)

    def add(self, issuer: Issuer) -> None:
        for iss in issuer.issuers:
            self._by_iss[iss] = issuer

    def find(self, iss: object) -> Issuer | None:
        return self._by_iss.get(iss) if isinstance(iss, str) else None

    def replace_embedded(self, issuers: tuple[Issuer, ...]) -> None:
        """Tenants have come or gone."""
        self._by_iss = {iss: issuer for iss, issuer in self._by_iss.items() if not issuer.embedded}
        for issuer in issuers:
            self.add(issuer)

    def names_for(self, tenant_id: str | None) -> list[str]:
        """What a refusal may list: the issuers that speak for the tenant asked for; nothing when none was."""
        if tenant_id is None:
            return []
        return sorted(iss for iss, issuer in self._by_iss.items() if issuer.tenant_id in (None, tenant_id))
