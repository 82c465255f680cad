"""One ACME server of the configuration: its account, and orders begun, followed and begun anew.

An order that the server has forgotten, or that is of an account or a key that we no longer have, is followed by a new
one.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from hsmvault.clock import Clock
from hsmvault.model.containers import Container
from hsmvault.outbound.acme import AcmeClient, AcmeSession
from hsmvault.outbound.acme_problems import ACCOUNT_DOES_NOT_EXIST, MALFORMED, NOT_FOUND, AcmeRefused, AcmeUnavailable
from hsmvault.resources.certificate_issuers.acme_account import AcmeAccount
from hsmvault.resources.certificate_issuers.acme_challenges import ChallengeType, Publisher
from hsmvault.resources.certificate_issuers.acme_order import Request, Visit, at_once, withdraw
from hsmvault.resources.certificate_issuers.acme_state import OrderState
from hsmvault.resources.certificate_issuers.protocol import Issued, Waiting

LOG = logging.getLogger("hsmvault.issuers")
_MOST_ORDERS = 5  # for one operation
_GONE = frozenset({NOT_FOUND, MALFORMED, "unauthorized"})  # an order that the server has forgotten


class AcmeServer:
    """name: in the configuration, and of issuer objects. containers: names of the vaults that it serves; empty for all.
    pause: waits so many seconds."""

    def __init__(
        self,
        name: str,
        client: AcmeClient,
        account: AcmeAccount,
        publisher: Publisher,
        clock: Clock,
        *,
        containers: frozenset[str] = frozenset(),
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.name = name
        self._containers = containers
        self._client = client
        self._account = account
        self._publisher = publisher
        self._clock = clock
        self._pause = pause

    @property
    def challenge(self) -> ChallengeType:
        """By which it has names proved."""
        return self._publisher.challenge

    def serves(self, container: Container) -> bool:
        """Whether certificates of this vault may be asked for."""
        return not self._containers or container.name in self._containers

    async def advance(self, state: OrderState | None, request: Request) -> Issued | Waiting:
        """As far as it goes. Raises AcmeRefused, which is final: what was published is withdrawn; AcmeUnavailable,
        Unavailable, Throttled, behind which the same state is still good.
        """
        try:
            async with self._client.connected(await self._account.key()) as session:
                account = await self._account.open(session)
                if state is None or (state.account, state.thumbprint) != (account, session.key.thumbprint):
                    return await self._begin(session, request, state)
                return await self._go_on(session, request, state)
        except AcmeRefused as error:
            if error.kind == ACCOUNT_DOES_NOT_EXIST:  # it was lost while we were there: the next visit makes another
                raise AcmeUnavailable(error.kind, error.text, detail=error.detail) from error
            await self.abandon(state)
            raise

    async def abandon(self, state: OrderState | None) -> None:
        """Take away what was published."""
        if state is not None:
            for proof in state.proofs or ():
                await withdraw(self._publisher, state, proof)

    async def _begin(self, session: AcmeSession, request: Request, old: OrderState | None) -> Waiting:
        """A new order, to be kept before anything is done for it."""
        orders = 1 if old is None else old.orders + 1
        if orders > _MOST_ORDERS:
            raise AcmeRefused(NOT_FOUND, "The ACME server forgets its orders.")
        await self.abandon(old)
        try:
            url, _ = await session.new_order(request.names)
        except AcmeRefused as error:
            if error.kind != ACCOUNT_DOES_NOT_EXIST:
                raise
            await self._account.open(session, anew=True)
            url, _ = await session.new_order(request.names)
        assert session.account is not None
        state = OrderState.begin(session.account, session.key.thumbprint, url, orders)
        return at_once(state, self._clock, "It is ordered.")

    async def _go_on(self, session: AcmeSession, request: Request, state: OrderState) -> Issued | Waiting:
        try:
            seen = await session.order(state.order)
        except AcmeRefused as error:
            if error.kind not in _GONE | {ACCOUNT_DOES_NOT_EXIST}:
                raise
            LOG.warning("acme: %s does not know the order %s any more: %s", self.name, state.order, error.kind)
            return await self._begin(session, request, state)
        visit = Visit(session, self._publisher, self._clock, request, state, self._pause)
        return await visit.go_on(seen)
