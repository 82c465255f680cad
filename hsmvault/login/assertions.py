"""Client assertions: a JWT that an application signed with the key of its registered certificate (RFC 7523, 3). What
another issuer has signed for it is read here too and judged in federation.py.

The shapes are those of the real clients: parts with or without `=` padding, times as integers or as floats, `x5t`
(SHA-1) or `x5t#S256`, RS256 or PS256, `nbf` up to half a second ahead of the clock (msal-node rounds the current time
up). The key is the registered certificate's, always: `x5c`, `jwk`, `jku` and `kid` in the header are not looked at.
`jti` is not one-time, because MSAL sends the same assertion again for every further scope; the accepted life is capped
instead.
"""

import base64
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import RSAAlgorithm, RSAPSSAlgorithm

from hsmvault.login.refusals import (
    ASSERTION_AUDIENCE,
    ASSERTION_KEY,
    ASSERTION_MALFORMED,
    ASSERTION_SUBJECT,
    ASSERTION_TIME,
    LoginRefused,
)
from hsmvault.model import strict_json
from hsmvault.model.principals import Credential, CredentialKind

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LONGEST_CHARACTERS = 16 * 1024  # a certificate chain in x5c takes most of it
_LEEWAY_SECONDS = 300
_LONGEST_LIFE_SECONDS = 3600
_ALGORITHMS: Mapping[str, RSAAlgorithm] = {
    "RS256": RSAAlgorithm(RSAAlgorithm.SHA256),
    "PS256": RSAPSSAlgorithm(RSAPSSAlgorithm.SHA256),
}
_PART = re.compile(r"([A-Za-z0-9_-]+)={0,2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Assertion:
    """An assertion that has been taken apart and not yet verified.

    signed: what the signature is over, paddings included. thumbprints: base64url without padding, empty when absent.
    audiences: as many as the list has, when it is one; only other issuers write lists.
    """

    algorithm: str
    key_id: str
    thumbprint_sha1: str
    thumbprint_sha256: str
    issuer: str
    subject: str
    audiences: tuple[str, ...]
    has_audience_list: bool
    times: Mapping[str, float]
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def parse(text: str) -> Assertion:
    """Take an assertion apart. Raises LoginRefused (50027) for everything that is not one."""
    parts = text.split(".")
    if len(text) > _LONGEST_CHARACTERS or len(parts) != 3:
        raise LoginRefused(ASSERTION_MALFORMED)
    header_bytes, claims_bytes, signature = (_decode(part) for part in parts)
    try:
        header = strict_json.parse_object(header_bytes)
        claims = strict_json.parse_object(claims_bytes)
    except strict_json.NotStrictJson:
        raise LoginRefused(ASSERTION_MALFORMED) from None
    if "crit" in header or "b64" in header:
        raise LoginRefused(ASSERTION_MALFORMED)
    return Assertion(
        algorithm=_text(header, "alg"),
        key_id=_text(header, "kid"),
        thumbprint_sha1=_text(header, "x5t").rstrip("="),
        thumbprint_sha256=_text(header, "x5t#S256").rstrip("="),
        issuer=_text(claims, "iss"),
        subject=_text(claims, "sub"),
        audiences=_audiences(claims.get("aud", "")),
        has_audience_list=isinstance(claims.get("aud"), list),
        times={name: _seconds(claims[name]) for name in ("exp", "nbf", "iat") if name in claims},
        signed=f"{parts[0]}.{parts[1]}".encode("ascii"),
        signature=signature,
    )


def verify(
    assertion: Assertion,
    *,
    client_id: str,
    credentials: Sequence[Credential],
    audiences: frozenset[str],
    now: float,
) -> Credential:
    """The registered certificate that the assertion was signed with.

    client_id: GUID in lower case. audiences: in lower case, without trailing slashes. now: seconds since 1970 UTC.
    Raises LoginRefused; what is wrong inside is told only to who holds the key.
    """
    if assertion.algorithm not in _ALGORITHMS or assertion.has_audience_list:
        raise LoginRefused(ASSERTION_MALFORMED)
    credential = named_certificate(assertion, credentials)
    if credential is None or not credential.is_good(now):
        raise LoginRefused(ASSERTION_KEY)
    key = x509.load_der_x509_certificate(base64.b64decode(credential.verifier)).public_key()
    if not isinstance(key, RSAPublicKey):
        raise LoginRefused(ASSERTION_KEY)
    if not _ALGORITHMS[assertion.algorithm].verify(assertion.signed, key, assertion.signature):
        raise LoginRefused(ASSERTION_KEY)
    if {assertion.issuer.lower(), assertion.subject.lower()} != {client_id}:
        raise LoginRefused(ASSERTION_SUBJECT)
    if assertion.audiences[0].lower().removesuffix("/") not in audiences:
        raise LoginRefused(ASSERTION_AUDIENCE)
    if not is_timely(assertion.times, now, longest_life_seconds=_LONGEST_LIFE_SECONDS):
        raise LoginRefused(ASSERTION_TIME)
    return credential


def named_certificate(assertion: Assertion, credentials: Sequence[Credential]) -> Credential | None:
    """The registered certificate that the assertion names, if it names one at all."""
    if not assertion.thumbprint_sha1 and not assertion.thumbprint_sha256:
        return None
    certificates = (credential for credential in credentials if credential.kind is CredentialKind.CERTIFICATE)
    return next((credential for credential in certificates if _names(assertion, credential)), None)


def _names(assertion: Assertion, credential: Credential) -> bool:
    """Every thumbprint that is there names this certificate."""
    return assertion.thumbprint_sha1 in ("", credential.thumbprint_sha1) and assertion.thumbprint_sha256 in (
        "",
        credential.thumbprint_sha256,
    )


def is_timely(times: Mapping[str, float], now: float, *, longest_life_seconds: float) -> bool:
    """Five minutes of leeway on both sides."""
    if "exp" not in times:
        return False
    earliest, latest = now - _LEEWAY_SECONDS, now + _LEEWAY_SECONDS
    return (
        earliest < times["exp"] <= latest + longest_life_seconds
        and times.get("nbf", now) <= latest
        and times.get("iat", now) <= latest
    )


def _decode(part: str) -> bytes:
    match = _PART.fullmatch(part)
    if match is None:
        raise LoginRefused(ASSERTION_MALFORMED)
    digits = match.group(1)
    try:
        return base64.urlsafe_b64decode(digits + "=" * (-len(digits) % 4))
    except ValueError:
        raise LoginRefused(ASSERTION_MALFORMED) from None


def _text(members: Mapping[str, object], name: str) -> str:
    value = members.get(name, "")
    if not isinstance(value, str):
        raise LoginRefused(ASSERTION_MALFORMED)
    return value


def _audiences(value: object) -> tuple[str, ...]:
    """RFC 7519, 4.1.3: one string, or a list of them, as Kubernetes writes it."""
    found = value if isinstance(value, list) else [value]
    if not found or not all(isinstance(each, str) for each in found):
        raise LoginRefused(ASSERTION_MALFORMED)
    return tuple(found)


def _seconds(value: object) -> float:
    """A NumericDate (RFC 7519, 2). JSON's true is a bool and no number, though Python thinks otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise LoginRefused(ASSERTION_MALFORMED)
    try:
        seconds = float(value)
    except OverflowError:
        raise LoginRefused(ASSERTION_MALFORMED) from None
    if not math.isfinite(seconds):
        raise LoginRefused(ASSERTION_MALFORMED)
    return seconds
