"""Signing keys of the embedded issuer, as their rows are."""

from dataclasses import dataclass, field

from hsmvault.model.algorithms import KeySpec


@dataclass(frozen=True, slots=True)
class LoginKeyRow:
    """id: the kid of the JWKS and of token headers. certificate_der: self-signed, for x5c and x5t.

    spec, public, reference, custody: as of any held key. Times in seconds since 1970 UTC: the key is published from
    not_before, signs from signs_from (clients have fetched it by then), and leaves the JWKS at retires_at.
    """

    id: str
    certificate_der: bytes
    spec: KeySpec
    public: bytes
    reference: bytes = field(repr=False)
    custody: str
    not_before: int
    signs_from: int
    retires_at: int
    created: int
