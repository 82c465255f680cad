"""One visit to an ACME server for one order, and what it finds there. Any worker can repeat it.

    pending, to be proved ── told ──→ ready ── finalized ──→ processing ──→ valid: the chain
                               ╲────────────────────────────────╲──→ invalid: refused

What to do next is what the server's word of the order says, never what we remember of it. What we remember
(acme_state.py) is which order it is and what was published for it. That is handed back to be kept before anything is
published, so that what a crash leaves lying about is known, and is taken away by whoever goes on.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsmvault.clock import Clock
from hsmvault.errors import RequestError
from hsmvault.outbound.acme import AcmeSession, Polled
from hsmvault.outbound.acme_objects import Authorization, Challenge, Identifier, Order
from hsmvault.outbound.acme_problems import UNREADABLE, AcmeRefused, AcmeUnavailable, Problem
from hsmvault.resources.certificate_issuers.acme_challenges import Publisher
from hsmvault.resources.certificate_issuers.acme_state import OrderState, Proof
from hsmvault.resources.certificate_issuers.protocol import Issued, Waiting

LOG = logging.getLogger("hsmvault.issuers")
INVALID = "invalid"  # of AcmeRefused: the server's last word on the order
NOT_READY = "orderNotReady"
_PATIENCE_SECONDS = 8.0  # an issuer answers within about ten
_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)  # between looks at an order when the server names no time (RFC 8555, 7.5.1)
_LATER_SECONDS = 10
_MOST_REASONS = 3
_WILDCARD = "*."


@dataclass(frozen=True, slots=True)
class Request:
    """names: to be certified, each once. request_der: PKCS#10 for them. public: SubjectPublicKeyInfo of its key."""

    names: Sequence[Identifier]
    request_der: bytes = field(repr=False)
    public: bytes = field(repr=False)


@dataclass(slots=True)
class Visit:
    """session: with the account whose order it is. pause: waits so many seconds."""

    session: AcmeSession
    publisher: Publisher
    clock: Clock
    request: Request
    state: OrderState
    pause: Callable[[float], Awaitable[object]] = asyncio.sleep
    _began: float = field(init=False)
    _paused: float = 0.0

    def __post_init__(self) -> None:
        self._began = self.clock.monotonic()

    async def go_on(self, seen: Polled[Order]) -> Issued | Waiting:
        """As far as it goes. seen: the order as it is now. Raises AcmeUnavailable, AcmeRefused, Unavailable, Throttled;
        then what was remembered before is still good.
        """
        for pause in _PAUSES:
            outcome = await self._step(seen)
            if isinstance(outcome, Issued | Waiting):
                return outcome
            seen, seconds = outcome, max(pause, float(outcome.retry_after_seconds or 0))
            if not self._has_time(seconds):
                break
            await self.pause(seconds)
            self._paused += seconds
            seen = await self.session.order(self.state.order)
        wait = max(_LATER_SECONDS, seen.retry_after_seconds or 0)
        details = f"The ACME server says that the order is {seen.value.status}."
        return Waiting(self.state.encode(), int(self.clock.now()) + wait, details)

    async def _step(self, seen: Polled[Order]) -> Issued | Waiting | Polled[Order]:
        """What the order's status asks for. Returns the order when there is nothing to do but to look again."""
        order = seen.value
        if order.status == "invalid":
            raise await self._invalid(order)
        if order.status == "pending":
            return await self._prove(order) or seen
        if self.state.proofs and not await self._clean():
            return at_once(self.state, self.clock, "Its names are proved.")
        if order.status == "ready":
            seen = await self._finalize(seen)
        if seen.value.status == "valid":
            return Issued(await self._chain(seen.value))
        return seen

    async def _prove(self, order: Order) -> Waiting | None:
        """Publish answers and tell the server. A Waiting when there is something to be kept first, or no time left."""
        if self.state.proofs is None:
            self.state = self.state.with_proofs(await self._to_be_proved(order))
            return at_once(self.state, self.clock, "Its names are to be proved.")
        for proof in self.state.untold:
            if not self._has_time():
                return at_once(self.state, self.clock, "Its names are being proved.")
            await self._tell(proof)
            self.state = self.state.told(proof)
        return None

    async def _to_be_proved(self, order: Order) -> tuple[Proof, ...]:
        """What is not proved by an earlier order already."""
        proofs: list[Proof] = []
        for url in order.authorizations:
            authorization = (await self.session.authorization(url)).value
            if authorization.status == "pending":
                proofs.append(Proof(url, self._known_name(authorization), self._challenge(authorization).token))
        return tuple(proofs)

    def _known_name(self, authorization: Authorization) -> str:
        """One of those that we asked for: it goes to a hook, and may become a DNS record."""
        name = authorization.identifier
        full = f"{_WILDCARD}{name.value}" if authorization.wildcard else name.value
        if Identifier(name.type, full.lower()) not in self.request.names:
            raise AcmeRefused(UNREADABLE, "The ACME server wants names to be proved that nobody asked for.")
        return name.value.lower()

    def _challenge(self, authorization: Authorization, token: str | None = None) -> Challenge:
        for challenge in authorization.challenges:
            if challenge.type == self.publisher.challenge and challenge.token and token in (None, challenge.token):
                return challenge
        name = authorization.identifier.value
        raise AcmeRefused(UNREADABLE, f"The ACME server has no {self.publisher.challenge} challenge for {name}.")

    async def _tell(self, proof: Proof) -> None:
        authorization = (await self.session.authorization(proof.authorization)).value
        challenge = self._challenge(authorization, proof.token)
        if authorization.status != "pending" or challenge.status != "pending":
            return  # told before a crash, or proved by another order
        await self.publisher.publish(proof.name, proof.token, self.state.authorization_of(proof))
        try:
            await self.session.respond(challenge)
        except AcmeRefused:
            authorization = (await self.session.authorization(proof.authorization)).value
            if authorization.status == "pending" and self._challenge(authorization, proof.token).status == "pending":
                raise

    async def _clean(self) -> bool:
        """Whether all that was published is withdrawn."""
        while self.state.proofs:
            if not self._has_time():
                return False
            first, *rest = self.state.proofs
            await withdraw(self.publisher, self.state, first)
            self.state = self.state.with_proofs(tuple(rest))
        return True

    async def _finalize(self, seen: Polled[Order]) -> Polled[Order]:
        try:
            return await self.session.finalize(seen.value, self.request.request_der)
        except AcmeRefused as error:
            if error.kind != NOT_READY:
                raise
            return await self.session.order(self.state.order)  # it has moved on meanwhile

    async def _chain(self, order: Order) -> tuple[bytes, ...]:
        if order.certificate is None:
            raise AcmeUnavailable(UNREADABLE, "The ACME server does not say where the certificate is.")
        chain = await self.session.certificate(order.certificate)
        if _public_of(chain[0]) != self.request.public:
            raise AcmeRefused(UNREADABLE, "The ACME server's certificate is for another key.")
        return chain

    async def _invalid(self, order: Order) -> AcmeRefused:
        """With the names that could not be validated, if that is why."""
        failed: list[tuple[str, Problem]] = []
        for url in order.authorizations:
            authorization = (await self.session.authorization(url)).value
            errors = (challenge.error for challenge in authorization.challenges)
            failed += [(authorization.identifier.value, error) for error in errors if error is not None]
            if len(failed) >= _MOST_REASONS:
                break
        texts = [f"{name} could not be validated. {problem.text}" for name, problem in failed]
        details = [f"{name}: {problem.log_text}" for name, problem in failed]
        if not failed and order.error is not None:
            texts, details = [order.error.text], [order.error.log_text]
        text = " ".join(texts) or "The ACME server calls the order invalid and does not say why."
        return AcmeRefused(INVALID, text, detail=" ".join(details))

    def _has_time(self, seconds: float = 0.0) -> bool:
        return max(self._paused, self.clock.monotonic() - self._began) + seconds <= _PATIENCE_SECONDS


def _public_of(certificate_der: bytes) -> bytes | None:
    """SubjectPublicKeyInfo; None for a key of a kind that nobody here has."""
    try:
        public = x509.load_der_x509_certificate(certificate_der).public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def at_once(state: OrderState, clock: Clock, details: str) -> Waiting:
    """Keep the state, and go on."""
    return Waiting(state.encode(), int(clock.now()), details)


async def withdraw(publisher: Publisher, state: OrderState, proof: Proof) -> None:
    """What is left behind is public and of no further use; a certificate does not wait for it."""
    try:
        await publisher.withdraw(proof.name, proof.token, state.authorization_of(proof))
    except RequestError as error:
        LOG.warning("acme: the answer for %s is not withdrawn: %s", proof.name, error.detail or error.message)
