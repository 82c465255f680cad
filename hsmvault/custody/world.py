"""A security world: the tokens that share one world key, and what they do together.

A world wraps hard keys (hard.py), binds what is stored to its row with a MAC, and, where it has a system key, is
the root of everything sealed in software. Any token of the world can serve any of its keys; so far there is one.
"""

import hmac
from collections.abc import Sequence

from hsmvault.clock import Identifiers
from hsmvault.custody.unpadders import Unpadders
from hsmvault.errors import CiphertextRefused, Unavailable
from hsmvault.hsm import mechanisms
from hsmvault.hsm.returncodes import StaleHandle
from hsmvault.hsm.token import Token
from hsmvault.hsm.work import WorkSession

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
    """Implements SystemKey. tokens: in order of preference, all started with the same ids."""

    def __init__(self, tokens: Sequence[Token], identifiers: Identifiers) -> None:
        assert tokens
        self.tokens = tuple(tokens)
        self.unpadders = Unpadders()
        self._identifiers = identifiers
        self._ids = tokens[0].ids

    @property
    def world_key_id(self) -> bytes:
        """CKA_ID of the world key, 16 bytes. Only in worlds that offer wrapped custody."""
        assert self._ids.world is not None
        return self._ids.world

    @property
    def id(self) -> str:
        """The system key's id: hex of its CKA_ID, or empty when the world has none."""
        return self._ids.system.hex() if self._ids.system is not None else ""

    def token(self) -> Token:
        """A token that is up, or the first, which then refuses with Unavailable by itself."""
        for token in self.tokens:
            if token.is_up:
                return token
        return self.tokens[0]

    async def mac(self, purpose: str, message: bytes) -> bytes:
        """HMAC-SHA256 made in the token, 32 bytes. purpose: a constant; no two uses share one."""
        try:
            return await self.token().run(lambda work: world_mac(work, purpose, message))
        except StaleHandle as error:
            raise _unreachable("MAC key") from error

    async def seal(self, plaintext: bytes, bound_to: bytes) -> bytes:
        """See SystemKey. The IV is 96 random bits for each call (SP 800-38D, 8.2.2)."""
        assert len(plaintext) <= LONGEST_SEALED_BYTES
        iv = self._identifiers.random(mechanisms.GCM_IV_BYTES)

        def job(work: WorkSession) -> bytes:
            assert work.world is not None and work.world.system is not None
            return mechanisms.gcm_seal(work, work.world.system, iv, plaintext, bound_to)

        try:
            return iv + await self.token().run(job)
        except StaleHandle as error:
            raise _unreachable("system key") from error

    async def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        """See SystemKey."""
        iv, rest = sealed[: mechanisms.GCM_IV_BYTES], sealed[mechanisms.GCM_IV_BYTES :]
        if not mechanisms.GCM_TAG_BYTES <= len(rest) <= LONGEST_SEALED_BYTES + mechanisms.GCM_TAG_BYTES:
            raise CiphertextRefused(detail="length of the sealed value")

        def job(work: WorkSession) -> bytes:
            assert work.world is not None and work.world.system is not None
            return mechanisms.gcm_open(work, work.world.system, iv, rest, bound_to)

        try:
            return await self.token().run(job, refusable=True)
        except StaleHandle as error:
            raise _unreachable("system key") from error


def _unreachable(name: str) -> Unavailable:
    return Unavailable(
        "The service is temporarily unavailable. Please retry the request.",
        detail=f"the token does not know the handle of the {name}",
    )
