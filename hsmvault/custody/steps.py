"""What both hard custodians share when they make a key: named steps, names for caches, meanings for errors."""

import hashlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from hsmvault.custody.protocols import Binding, HeldKey
from hsmvault.errors import Unavailable
from hsmvault.hsm import objects
from hsmvault.hsm.pairwise import PairwiseFailed
from hsmvault.hsm.returncodes import ModuleError, StaleHandle, WrongAttributes
from hsmvault.hsm.work import KeyObject, WorkSession
from hsmvault.model.algorithms import KeySpec

T = TypeVar("T")


class Steps:
    """Names every token call of an act that changes something, so that a test can crash before and after each."""

    def __init__(self, fault: Callable[[str], None] | None) -> None:
        self._fault = fault

    def __call__(self, name: str, action: Callable[[], T]) -> T:
        if self._fault is None:
            return action()
        self._fault(f"before {name}")
        result = action()
        self._fault(f"after {name}")
        return result


async def translated(road: Callable[[Callable[[WorkSession], T]], Awaitable[T]], job: Callable[[WorkSession], T]) -> T:
    """Take a job down a road of the token, and give the errors of making a key their meaning for callers."""
    try:
        return await road(job)
    except (StaleHandle, WrongAttributes, PairwiseFailed) as error:
        raise unusable(f"{type(error).__name__}: {error}") from error


def destroy_quietly(key: KeyObject) -> None:
    """For session objects: what cannot be destroyed goes with the session."""
    with suppress(*ModuleError):
        objects.destroy(key)


def cache_name(held: HeldKey, binding: Binding, *, secure: bool = False) -> bytes:
    """A name for a key in a row: the same reference in another row is another name, and is checked anew. So is what a
    handle for secure wrapping has loaded: no other handle finds it.
    """
    use = b"secure" if secure else b""
    return hashlib.sha256(binding.encode(spec_bytes(held.spec), held.public, held.reference, use)).digest()


def cache_names(held: HeldKey, binding: Binding) -> tuple[bytes, bytes]:
    """All of them."""
    return cache_name(held, binding), cache_name(held, binding, secure=True)


def spec_bytes(spec: KeySpec) -> bytes:
    """A key's spec as bytes for a MAC."""
    curve = spec.curve.value if spec.curve is not None else ""
    return f"{spec.family.value} {spec.size_bits} {curve} {spec.public_exponent}".encode()


def unusable(why: str) -> Unavailable:
    """One text for the caller; why is for the operator's log."""
    return Unavailable("The service is temporarily unavailable. Please retry the request.", detail=why)
