"""Taking in a key that was wrapped for the HSM (BYOK): what both hard custodians share.

The target is opened wholly inside the token: the exchange key unwraps an AES key, which unwraps the target. Both live
in a session of their own, which ends with the act: whatever a refusal leaves behind in the token ends with it.
Whatever is wrong in what arrived is one refusal, and the time does not tell whether the AES key or the target was it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from hsmvault.custody.protocols import CustodyClass, HeldKey, Terms
from hsmvault.custody.steps import Steps, unusable
from hsmvault.errors import BadRequest, CiphertextRefused
from hsmvault.hsm import exchange
from hsmvault.hsm.objects import Stay
from hsmvault.hsm.pairwise import PairwiseFailed
from hsmvault.hsm.returncodes import StaleHandle, WrongAttributes
from hsmvault.hsm.work import KeyObject, WorkSession
from hsmvault.model.algorithms import Curve, Family, KeySpec

T = TypeVar("T")
NO_EXCHANGE_KEY = "The key is not a key exchange key."


@dataclass(frozen=True, slots=True, repr=False)
class Parcel:
    """What arrived. ephemeral: the AES key under the exchange key, as long as its modulus. target: the key under it."""

    family: Family
    curve: Curve | None
    ephemeral: bytes
    target: bytes


@dataclass(frozen=True, slots=True)
class Arrived:
    """A target as an object of the session that it was opened in. public: SPKI, empty for oct."""

    private: KeyObject
    spec: KeySpec
    public: bytes


def parcel(kek: HeldKey, custody: CustodyClass, family: Family, curve: Curve | None, wrapped: bytes) -> Parcel:
    """Everything that can be told before the token is asked. Raises BadRequest, CiphertextRefused."""
    if kek.spec.family is not Family.RSA or kek.custody is not custody:
        raise BadRequest(NO_EXCHANGE_KEY)
    return Parcel(family, curve, *exchange.split(kek.spec.modulus_bytes, wrapped))


def require_exchange(terms: Terms) -> None:
    """terms: as the reference of a key has them, after its MAC was checked."""
    if not terms.exchange:
        raise BadRequest(NO_EXCHANGE_KEY)


def unwrap_ephemeral(work: WorkSession, step: Steps, kek: KeyObject, parcel: Parcel) -> KeyObject:
    """See hsm/exchange.py."""
    return step("unwrap ephemeral", lambda: exchange.unwrap_ephemeral(work, kek, parcel.ephemeral))


def unwrap_target(work: WorkSession, step: Steps, ephemeral: KeyObject, parcel: Parcel, stay: Stay) -> Arrived:
    """The key, and what it is."""
    if parcel.family is Family.OCT:
        secret, size = step("unwrap target", lambda: exchange.unwrap_secret(work, ephemeral, parcel.target, stay))
        return Arrived(secret, size, b"")
    private = step("unwrap target", lambda: exchange.unwrap_target(work, ephemeral, parcel.target, parcel.family, stay))
    spec, public = exchange.read_spec(work, private, parcel.family, parcel.curve)
    return Arrived(private, spec, public)


async def admitted(road: Callable[[Callable[[WorkSession], T]], Awaitable[T]], job: Callable[[WorkSession], T]) -> T:
    """As steps.translated(), for a key that nobody outside the token has seen: that it does not prove itself is its
    maker's fault.
    """
    try:
        return await road(job)
    except PairwiseFailed as error:
        raise CiphertextRefused(detail="the wrapped key is not consistent") from error
    except (StaleHandle, WrongAttributes) as error:
        raise unusable(f"{type(error).__name__}: {error}") from error
