"""What is remembered of an ACME order between two steps: enough to go on with it in another process, after a crash."""

import logging
from typing import Annotated

import msgspec
from msgspec import Meta

from hsmvault.outbound.acme_objects import MOST_IDENTIFIERS, Token, Url

LOG = logging.getLogger("hsmvault.issuers")
_FORMAT = 1


class Proof(msgspec.Struct, frozen=True):
    """One challenge of one authorization. name: the host without `*.`, or the address. is_told: the server knows that
    it can look.
    """

    authorization: Url
    name: Annotated[str, Meta(pattern=r"^[a-z0-9.:-]{1,253}\Z")]
    token: Token
    is_told: bool = False


class OrderState(msgspec.Struct, frozen=True):
    """account, thumbprint: whose order it is; of another account's or key's nothing can be used. proofs: None while
    nobody has asked what there is to prove; what stands here is withdrawn in the end. orders: how many were begun for
    this operation.
    """

    format: int
    account: Url
    thumbprint: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43}\Z")]
    order: Url
    proofs: Annotated[tuple[Proof, ...], Meta(max_length=MOST_IDENTIFIERS)] | None = None
    orders: int = 1

    @classmethod
    def begin(cls, account: str, thumbprint: str, order: str, orders: int) -> "OrderState":
        return cls(_FORMAT, account, thumbprint, order, None, orders)

    @property
    def untold(self) -> tuple[Proof, ...]:
        return tuple(proof for proof in self.proofs or () if not proof.is_told)

    def authorization_of(self, proof: Proof) -> str:
        """The key authorization (RFC 8555, 8.1)."""
        return f"{proof.token}.{self.thumbprint}"

    def told(self, proof: Proof) -> "OrderState":
        proofs = (msgspec.structs.replace(one, is_told=True) if one == proof else one for one in self.proofs or ())
        return self.with_proofs(tuple(proofs))

    def with_proofs(self, proofs: tuple[Proof, ...]) -> "OrderState":
        return msgspec.structs.replace(self, proofs=proofs)

    def encode(self) -> bytes:
        return msgspec.json.encode(self)


def decode_state(state: bytes) -> OrderState | None:
    """None: nothing was begun, or what was remembered cannot be read and everything begins anew."""
    if not state:
        return None
    try:
        decoded = msgspec.json.decode(state, type=OrderState)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        LOG.warning("acme: the state of an operation cannot be read; its order begins anew")
        return None
    if decoded.format != _FORMAT:
        LOG.warning("acme: format %d of the state of an operation is not known; its order begins anew", decoded.format)
        return None
    return decoded
