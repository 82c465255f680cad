"""Pairwise consistency: a private key in the token and a stored public key belong together (SP 800-56A, 5.6.2.1.4).

SoftHSM accepts a wrong private exponent and signs with it, so every key signs once, and the signature is verified
outside the token, before its row is committed.
"""

import hashlib

from hsmvault.errors import HsmvaultError
from hsmvault.hsm import mechanisms
from hsmvault.hsm.public import verifies
from hsmvault.hsm.work import KeyObject, WorkSession
from hsmvault.model.algorithms import SIGNATURE_ALGORITHMS, Curve, Family, KeySpec

_MESSAGE = b"hsmvault pairwise consistency test"
_BY_CURVE = {Curve.P256: "ES256", Curve.P384: "ES384", Curve.P521: "ES512", Curve.P256K: "ES256K"}


class PairwiseFailed(HsmvaultError):
    """The private key does not belong to the public key."""


def prove(work: WorkSession, key: KeyObject, spec: KeySpec, public: bytes) -> None:
    """Sign and verify once. Blocks. Raises PairwiseFailed, or the module's error."""
    name = "RS256" if spec.family is Family.RSA or spec.curve is None else _BY_CURVE[spec.curve]
    algorithm = SIGNATURE_ALGORITHMS[name]
    digest = hashlib.new(algorithm.hash.value, _MESSAGE).digest()
    signature = mechanisms.signing(spec, algorithm, digest)(work.bind(key))
    if not verifies(public, algorithm, digest, signature):
        raise PairwiseFailed
