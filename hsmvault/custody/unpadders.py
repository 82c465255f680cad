"""Throwaway keys for RSA-OAEP-256 on modules that lack it (hsm/oaep.py), made when they are first needed."""

import asyncio

from hsmvault.hsm.oaep import Unpadder


class Unpadders:
    """One throwaway key for each modulus size, made on first use outside the event loop. One that could not be made is
    tried again at the next use.
    """

    def __init__(self) -> None:
        self._made: dict[int, asyncio.Future[Unpadder]] = {}

    async def get(self, size_bits: int) -> Unpadder:
        made = self._made.get(size_bits)
        if made is None or (made.done() and (made.cancelled() or made.exception() is not None)):
            made = self._made[size_bits] = asyncio.ensure_future(asyncio.to_thread(Unpadder, size_bits))
        return await asyncio.shield(made)
