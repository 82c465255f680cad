"""The terms of hard keys: which combinations are served, and how a key is proved that is to serve on them."""

from hsmvault.custody.protocols import NOT_DISCLOSED, Terms
from hsmvault.errors import BadRequest
from hsmvault.hsm.exchange import prove_exchange
from hsmvault.hsm.pairwise import prove
from hsmvault.hsm.work import KeyObject, WorkSession
from hsmvault.model.algorithms import Family, KeySpec

EXCHANGE_ONLY = "The key is a key exchange key: it imports other keys and does nothing else."
SECURE_ONLY = "The key wraps and unwraps data keys for attested environments and does nothing else."


def check_terms(family: Family, terms: Terms) -> None:
    """Raises BadRequest when no hard key can have these terms."""
    if terms.disclosable:
        raise BadRequest(NOT_DISCLOSED)
    if terms.exchange and family is not Family.RSA:
        raise BadRequest("A key exchange key must be an RSA key.")
    if terms.exchange and terms.exportable:
        raise BadRequest("A key exchange key cannot be exportable.")
    if terms.secure and (family is Family.EC or terms.exchange or terms.exportable):
        raise BadRequest("A key for secure wrapping must be an RSA or oct key, and is nothing else.")


def require_use(terms: Terms, *, secure: bool) -> None:
    """Whether a handle may load a key. terms: as the reference has them, after its MAC was checked. secure: the handle
    was opened for secure wrapping. Raises BadRequest.
    """
    if terms.exchange:
        raise BadRequest(EXCHANGE_ONLY)
    if terms.secure and not secure:
        raise BadRequest(SECURE_ONLY)
    if secure and not terms.secure:
        raise BadRequest("The key was not made for secure wrapping.")


def prove_use(work: WorkSession, key: KeyObject, spec: KeySpec, public: bytes, terms: Terms) -> None:
    """One operation of the kind that the key is for, checked outside the token. Blocks. Raises PairwiseFailed, or the
    module's error.
    """
    if terms.exchange:
        prove_exchange(work, key, public)
    else:
        prove(work, key, spec, public)
