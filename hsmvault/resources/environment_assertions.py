"""Environment assertions: what an attestation authority says about a trusted execution environment, as a signed JWT.

Authorities are those of the configuration, each with its own key set and its own algorithms. A policy and a token only
*name* an authority: no connection is ever made to anything that they hold. Everything that is wrong with an assertion
has one refusal, in the words of the service; the reason is for the operator's log.

Sources: RFC 7515, 7519, 8725; the "Environment Assertion" of the secure key release policy grammar; tokens of Microsoft
Azure Attestation, whose claim `x-ms-runtime` holds what the environment itself has said, its encryption keys included.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeGuard

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from hsmvault.clock import Clock
from hsmvault.custody.public import PublicKey, RsaMembers, public_from_jwk
from hsmvault.errors import BadRequest, Forbidden
from hsmvault.model import base64url
from hsmvault.model.release_policies import issuer_name
from hsmvault.model.strict_json import NotStrictJson, parse_object

LONGEST_BYTES = 64 * 1024  # assertions of Azure Attestation have 4 to 12 kB
_LEEWAY_SECONDS = 60
_MOST_KEYS = 64
_SMALLEST_KEY_BITS = 2048
_LARGEST_KEY_BITS = 4096
_LONGEST_EXPONENT_BITS = 32
_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_PART = re.compile(r"[A-Za-z0-9_-]{1,1024}", re.ASCII)
_JWS = jwt.PyJWS()
_CURVES = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}

VerificationKey = RSAPublicKey | EllipticCurvePublicKey


class KeySet(Protocol):
    """The published keys of one authority."""

    async def find(self, kid: str) -> VerificationKey | None:
        """The key of this id, or None. It connects to the configured place only."""
        ...


@dataclass(frozen=True, slots=True)
class AttestationAuthority:
    """issuer: the value of `iss`; a slash at its end makes no difference. algorithms: those that are accepted."""

    issuer: str
    keys: KeySet
    algorithms: frozenset[str] = frozenset({"RS256"})


@dataclass(frozen=True, slots=True)
class EnvironmentKey:
    """The key that an environment wants to receive keys under. id: its `kid`, or empty. public: RSA, 2048 to 4096 bits
    with a length of whole bytes."""

    id: str
    public: PublicKey


@dataclass(frozen=True, slots=True)
class EnvironmentAssertion:
    """A verified assertion. authority: as issuer_name() has it."""

    authority: str
    claims: Mapping[str, object] = field(repr=False)
    key: EnvironmentKey


class EnvironmentAssertions:
    def __init__(self, authorities: Iterable[AttestationAuthority], clock: Clock) -> None:
        self._authorities = {issuer_name(authority.issuer): authority for authority in authorities}
        self._clock = clock

    async def verify(self, token: str) -> EnvironmentAssertion:
        """Raises Forbidden."""
        if len(token) > LONGEST_BYTES or not _FORM.fullmatch(token):
            raise _refused("it is not a JSON web token in compact form")
        encoded_header, encoded_claims, _ = token.split(".")
        header, claims = _read(encoded_header), _read(encoded_claims)
        iss = claims.get("iss")
        authority = self._authorities.get(issuer_name(iss)) if isinstance(iss, str) else None
        if authority is None:
            raise _refused("its issuer is not one of the configured attestation authorities")
        await _check_signature(token, header, authority)
        self._check_times(claims)
        return EnvironmentAssertion(issuer_name(authority.issuer), claims, _encryption_key(claims))

    def _check_times(self, claims: Mapping[str, object]) -> None:
        now = self._clock.now()
        expires, not_before = claims.get("exp"), claims.get("nbf", 0)
        if not _is_number(expires) or now >= expires + _LEEWAY_SECONDS:
            raise _refused("it has expired, or does not say when")
        if not _is_number(not_before) or now < not_before - _LEEWAY_SECONDS:
            raise _refused("it is not valid yet")


async def _check_signature(token: str, header: Mapping[str, object], authority: AttestationAuthority) -> None:
    """The algorithm is ours to choose, the key comes from the authority's configured key set, and nothing that the
    header says about keys (jwk, jku, x5c, x5u) is read."""
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in authority.algorithms or "crit" in header or "b64" in header:
        raise _refused("its signature algorithm is not one of the authority's")
    key = await authority.keys.find(kid) if isinstance(kid, str) and len(kid) <= 256 else None
    if key is None:
        raise _refused("its signing key is not one of the authority's, or they are out of reach")
    if not _fits(key, algorithm):
        raise _refused("its signature algorithm does not fit the authority's key")
    try:
        _JWS.decode_complete(token, key, algorithms=[algorithm])
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise _refused("its signature is wrong") from None


def _encryption_key(claims: Mapping[str, object]) -> EnvironmentKey:
    """The first RSA key for encryption of the JWK set in x-ms-runtime (RFC 7517, 4.2 and 4.3)."""
    runtime = claims.get("x-ms-runtime")
    members = runtime.get("keys") if isinstance(runtime, dict) else None
    if not isinstance(members, list) or len(members) > _MOST_KEYS:
        raise _refused("x-ms-runtime.keys is not a list of keys")
    for member in members:
        if isinstance(member, dict) and member.get("kty") == "RSA" and _is_for_encryption(member):
            key = _public(member.get("n"), member.get("e"))
            if key is not None:
                kid = member.get("kid")
                return EnvironmentKey(kid[:256] if isinstance(kid, str) else "", key)
    raise _refused("x-ms-runtime.keys has no RSA key of 2048 to 4096 bits for encryption")


def _is_for_encryption(member: Mapping[str, object]) -> bool:
    uses = member.get("key_ops")
    return member.get("use") == "enc" or (isinstance(uses, list) and ("encrypt" in uses or "wrapKey" in uses))


def _public(n: object, e: object) -> PublicKey | None:
    """None for what nothing should be wrapped under."""
    if not (isinstance(n, str) and isinstance(e, str) and _PART.fullmatch(n) and _PART.fullmatch(e)):
        return None
    try:
        members = RsaMembers(base64url.decode(n), base64url.decode(e))
        exponent, modulus = int.from_bytes(members.e, "big"), int.from_bytes(members.n, "big")
        if exponent.bit_length() > _LONGEST_EXPONENT_BITS or exponent < 3 or not exponent & modulus & 1:
            return None
        public = public_from_jwk(members)
    except (BadRequest, ValueError):
        return None
    bits = public.spec.size_bits
    return public if _SMALLEST_KEY_BITS <= bits <= _LARGEST_KEY_BITS and bits % 8 == 0 else None


def _fits(key: VerificationKey, algorithm: str) -> bool:
    """RS and PS need an RSA key, ES256, ES384 and ES512 a key on their own curve (RFC 7518, 3.4)."""
    if isinstance(key, RSAPublicKey):
        return algorithm.startswith(("RS", "PS"))
    return _CURVES.get(algorithm) == key.curve.name


def _read(part: str) -> Mapping[str, object]:
    try:
        return parse_object(base64url.decode(part))
    except (NotStrictJson, ValueError):
        raise _refused("it is not made of two JSON objects") from None


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refused(why: str) -> Forbidden:
    return Forbidden(
        "Target environment attestation statement cannot be verified.",
        inner="AccessDenied",
        detail=f"environment assertion: {why}",
    )
