"""A security world: the tokens that share one world key, and what they do together.

A world wraps hard keys (hard.py), binds what is stored to its row with a MAC, and has system keys, which are the root
of everything sealed in software. Any token of the world can serve any of its keys; so far there is one.

Which world key wraps and which system key seals what is new can change while this process serves (Token.adopt,
KeyRing.replace): whoever uses either asks for the id first and finds that key by its id (world_keys.locate).
"""

import hmac
from collections.abc import Callable, Sequence
from typing import TypeVar

from hsmvault.clock import Identifiers
from hsmvault.custody.unpadders import Unpadders
from hsmvault.errors import CiphertextRefused, Unavailable
from hsmvault.hsm import mechanisms
from hsmvault.hsm.returncodes import StaleHandle
from hsmvault.hsm.token import Token
from hsmvault.hsm.work import WorkSession
from hsmvault.hsm.world_keys import SYSTEM_KEY, locate

T = TypeVar("T")
LONGEST_SEALED_BYTES = 4096


def mac_message(purpose: str, message: bytes) -> bytes:
    """What a MAC is made over: the purpose behind its length, so that no MAC serves two purposes."""
    encoded = purpose.encode()
    return len(encoded).to_bytes(2, "big") + encoded + message


def world_mac(work: WorkSession, purpose: str, message: bytes) -> bytes:
    """HMAC-SHA256 under the world's MAC key, in the token. For jobs; blocks."""
    assert work.world is not None
    return mechanisms.hmac_sha256(work, work.world.mac, mac_message(purpose, message))


def same_mac(first: bytes, second: bytes) -> bool:
    """In constant time."""
    return hmac.compare_digest(first, second)


class World:
    """tokens: in order of preference, all with the same ids."""

    def __init__(self, tokens: Sequence[Token], identifiers: Identifiers) -> None:
        assert tokens
        self.tokens = tuple(tokens)
        self.identifiers = identifiers
        self.unpadders = Unpadders()

    @property
    def world_key_id(self) -> bytes:
        """CKA_ID of the world key that wraps what is new, 16 bytes; another one after a rotation. Only in worlds that
        offer wrapped custody.
        """
        world = self.tokens[0].ids.world
        assert world is not None
        return world

    def token(self) -> Token:
        """A token that is up, or the first, which then refuses with Unavailable by itself."""
        for token in self.tokens:
            if token.is_up:
                return token
        return self.tokens[0]

    async def mac(self, purpose: str, message: bytes) -> bytes:
        """HMAC-SHA256 made in the token, 32 bytes. purpose: a constant; no two uses share one."""
        return await _reached("MAC key", self, lambda work: world_mac(work, purpose, message))

    async def random(self, length: int) -> bytes:
        """Bytes of the token's own generator (C_GenerateRandom). length: 1 to 4096. Raises Unavailable, Throttled."""
        assert 0 < length <= LONGEST_SEALED_BYTES
        return await _reached("session", self, lambda work: work.session.generate_random(8 * length))


class TokenSystemKey:
    """Implements SystemKey: one of the system keys of a world, the active one or an older one.

    key_id: its CKA_ID, 16 bytes. The token is asked for it at the first use.
    """

    def __init__(self, world: World, key_id: bytes) -> None:
        self.id = key_id.hex()
        self._world = world
        self._key_id = key_id

    async def seal(self, plaintext: bytes, bound_to: bytes) -> bytes:
        """See SystemKey. The IV is 96 random bits for each call (SP 800-38D, 8.2.2)."""
        assert len(plaintext) <= LONGEST_SEALED_BYTES
        iv = self._world.identifiers.random(mechanisms.GCM_IV_BYTES)

        def job(work: WorkSession) -> bytes:
            return mechanisms.gcm_seal(work, locate(work, SYSTEM_KEY, self._key_id), iv, plaintext, bound_to)

        return iv + await _reached("system key", self._world, job)

    async def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        """See SystemKey."""
        iv, rest = sealed[: mechanisms.GCM_IV_BYTES], sealed[mechanisms.GCM_IV_BYTES :]
        if not mechanisms.GCM_TAG_BYTES <= len(rest) <= LONGEST_SEALED_BYTES + mechanisms.GCM_TAG_BYTES:
            raise CiphertextRefused(detail="length of the sealed value")

        def job(work: WorkSession) -> bytes:
            return mechanisms.gcm_open(work, locate(work, SYSTEM_KEY, self._key_id), iv, rest, bound_to)

        return await _reached("system key", self._world, job, refusable=True)


async def _reached(name: str, world: World, job: Callable[[WorkSession], T], *, refusable: bool = False) -> T:
    try:
        return await world.token().run(job, refusable=refusable)
    except StaleHandle as error:
        raise Unavailable(
            "The service is temporarily unavailable. Please retry the request.",
            detail=f"the token does not know the handle of the {name}",
        ) from error
