"""Federated credentials: a token of another issuer proves an application ("workload identity federation").

Issuer, subject and audience are compared exactly, case included, with what is registered for the application. Keys come
from the issuers that the operator has configured and from nowhere else: what an owner of an application registers is
compared, and never becomes an address that is asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import get_default_algorithms

from hsmvault.login.assertions import Assertion, is_timely
from hsmvault.login.refusals import (
    ASSERTION_KEY,
    ASSERTION_TIME,
    NO_FEDERATED_AUDIENCE,
    NO_FEDERATED_ISSUER,
    NO_FEDERATED_SUBJECT,
    LoginRefused,
)
from hsmvault.model.directory import FederatedCredential

_LONGEST_LIFE_SECONDS: Final = 365 * 86_400  # theirs to decide; Kubernetes writes a year when nobody says less
_LONGEST_KEY_ID_CHARACTERS: Final = 256
_ALGORITHMS: Final = get_default_algorithms()
_CURVES: Final = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}


class KeySet(Protocol):
    async def find(self, kid: str) -> RSAPublicKey | EllipticCurvePublicKey | None: ...


@dataclass(frozen=True, slots=True)
class FederatedIssuer:
    """algorithms: that are accepted from it, whatever a token says."""

    keys: KeySet
    algorithms: frozenset[str]


FederatedIssuers = Mapping[str, FederatedIssuer]
"""By the exact value of `iss`."""


async def verify(
    assertion: Assertion, *, records: Sequence[FederatedCredential], issuers: FederatedIssuers, now: float
) -> FederatedCredential:
    """The record that the assertion meets. now: seconds since 1970 UTC. Raises LoginRefused."""
    record = _matching(assertion, records)
    issuer = issuers.get(assertion.issuer)
    if issuer is None:
        raise LoginRefused(NO_FEDERATED_ISSUER)
    if assertion.algorithm not in issuer.algorithms or not 0 < len(assertion.key_id) <= _LONGEST_KEY_ID_CHARACTERS:
        raise LoginRefused(ASSERTION_KEY)
    key = await issuer.keys.find(assertion.key_id)
    if key is None or not _is_signed(assertion, key):
        raise LoginRefused(ASSERTION_KEY)
    if not is_timely(assertion.times, now, longest_life_seconds=_LONGEST_LIFE_SECONDS):
        raise LoginRefused(ASSERTION_TIME)
    return record


def _matching(assertion: Assertion, records: Sequence[FederatedCredential]) -> FederatedCredential:
    of_issuer = [record for record in records if record.issuer == assertion.issuer]
    if not of_issuer:
        raise LoginRefused(NO_FEDERATED_ISSUER)
    of_subject = [record for record in of_issuer if record.subject == assertion.subject]
    if not of_subject:
        raise LoginRefused(NO_FEDERATED_SUBJECT)
    for record in of_subject:
        if set(record.audiences) & set(assertion.audiences):
            return record
    raise LoginRefused(NO_FEDERATED_AUDIENCE)


def _is_signed(assertion: Assertion, key: RSAPublicKey | EllipticCurvePublicKey) -> bool:
    """The key has the type, and the curve, that the algorithm wants (RFC 7518, 3.4)."""
    algorithm = _ALGORITHMS.get(assertion.algorithm)
    if isinstance(key, RSAPublicKey):
        fits = assertion.algorithm.startswith(("RS", "PS"))
    else:
        fits = _CURVES.get(assertion.algorithm) == key.curve.name
    try:
        return fits and algorithm is not None and algorithm.verify(assertion.signed, key, assertion.signature)
    except (jwt.PyJWTError, ValueError, TypeError):
        return False
