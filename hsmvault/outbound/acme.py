"""A client of an ACME server (RFC 8555): accounts, orders, authorizations, certificates. One call is one step.

What the steps lead to, and what is kept between them, is not decided here (resources/certificate_issuers/acme.py).
"""

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hsmvault.clock import Clock
from hsmvault.model import base64url
from hsmvault.outbound.acme_http import AcmeHttp, Answer
from hsmvault.outbound.acme_jws import AccountKey, ExternalBinding
from hsmvault.outbound.acme_objects import (
    LONGEST_URL,
    Authorization,
    Challenge,
    Directory,
    Identifier,
    Order,
    decode,
)
from hsmvault.outbound.acme_problems import BAD_NONCE, UNREADABLE, AcmeRefused, AcmeUnavailable

_MOST_CERTIFICATES = 10  # of a chain
Seen = TypeVar("Seen")


@dataclass(frozen=True, slots=True)
class Polled(Generic[Seen]):
    """What a server told, and how long it asks to wait before it is asked again, in seconds; None: it does not say."""

    value: Seen
    retry_after_seconds: int | None


class AcmeClient:
    """directory_url: https; ValueError otherwise. context: trusts the configured CA file, or the system's CAs."""

    def __init__(self, directory_url: str, context: ssl.SSLContext, clock: Clock) -> None:
        AcmeHttp(directory_url, context, clock)
        self._directory_url = directory_url
        self._context = context
        self._clock = clock

    @asynccontextmanager
    async def connected(self, key: AccountKey) -> AsyncIterator["AcmeSession"]:
        """Read the directory, anew each time: enrolments are rare, and servers move. Raises AcmeError."""
        async with AcmeHttp(self._directory_url, self._context, self._clock) as http:
            answer = await http.send("GET", self._directory_url)
            yield AcmeSession(http, decode(answer.body, Directory), key)


class AcmeSession:
    """Everything here raises AcmeUnavailable, AcmeRefused, and what the key's sign() raises. All but register() need
    `account`, the URL of an account of this key.
    """

    def __init__(self, http: AcmeHttp, directory: Directory, key: AccountKey) -> None:
        self._http = http
        self._directory = directory
        self.key = key
        self.account: str | None = None

    @property
    def terms_of_service(self) -> str:
        """A URL that was not checked, to be shown; may be empty."""
        return self._directory.meta.terms_of_service

    async def register(self, contacts: Sequence[str], binding: ExternalBinding | None) -> str:
        """Make an account, or find the one that this key has (RFC 8555, 7.3), agreeing to the terms. Returns its URL.

        contacts: e-mail addresses.
        """
        url = self._directory.new_account
        body: dict[str, object] = {"contact": _mailto(contacts), "termsOfServiceAgreed": True}
        if binding is not None:
            body["externalAccountBinding"] = binding.bound(self.key, url)
        self.account = None
        self.account = _location(await self._post(url, body))
        return self.account

    async def change_contacts(self, contacts: Sequence[str]) -> None:
        """RFC 8555, 7.3.2."""
        await self._post(self._known_account(), {"contact": _mailto(contacts)})

    async def new_order(self, identifiers: Sequence[Identifier]) -> tuple[str, Order]:
        """Returns its URL, too."""
        answer = await self._post(self._directory.new_order, {"identifiers": list(identifiers)})
        return _location(answer), decode(answer.body, Order)

    async def order(self, url: str) -> Polled[Order]:
        return _polled(await self._post(url), Order)

    async def authorization(self, url: str) -> Polled[Authorization]:
        return _polled(await self._post(url), Authorization)

    async def respond(self, challenge: Challenge) -> None:
        """Tell the server that the challenge can be validated now (RFC 8555, 7.5.1)."""
        await self._post(challenge.url, {})

    async def finalize(self, order: Order, request_der: bytes) -> Polled[Order]:
        """request_der: PKCS#10 (RFC 2986) for exactly the identifiers of the order, and not by the account's key."""
        return _polled(await self._post(order.finalize, {"csr": base64url.encode(request_der)}), Order)

    async def certificate(self, url: str) -> tuple[bytes, ...]:
        """The chain in DER, the leaf first; the root is usually not in it (RFC 8555, 7.4.2; RFC 8555, 9.1)."""
        answer = await self._post(url)
        try:
            chain = x509.load_pem_x509_certificates(answer.body)
        except ValueError as error:
            raise AcmeUnavailable(UNREADABLE, "The ACME server's answer is no certificate chain.") from error
        if not 0 < len(chain) <= _MOST_CERTIFICATES:
            raise AcmeRefused(UNREADABLE, f"The ACME server's chain has {len(chain)} certificates.")
        return tuple(certificate.public_bytes(Encoding.DER) for certificate in chain)

    async def _post(self, url: str, body: dict[str, object] | None = None) -> Answer:
        """body: None for POST-as-GET. A nonce that the server does not know any more is replaced once."""
        try:
            return await self._post_once(url, body)
        except AcmeUnavailable as error:
            if error.kind != BAD_NONCE:
                raise
        return await self._post_once(url, body)

    async def _post_once(self, url: str, body: dict[str, object] | None) -> Answer:
        self._http.checked(url)  # before anything is signed for it
        account = None if url == self._directory.new_account else self._known_account()
        payload = b"" if body is None else msgspec.json.encode(body)
        nonce = await self._nonce()
        return await self._http.send(
            "POST", url, await self.key.envelope(payload, url=url, nonce=nonce, account=account)
        )

    async def _nonce(self) -> str:
        nonce = self._http.take_nonce()
        if nonce is None:
            await self._http.send("HEAD", self._directory.new_nonce)
            nonce = self._http.take_nonce()
        if nonce is None:
            raise AcmeUnavailable(UNREADABLE, "The ACME server gives no nonce.")
        return nonce

    def _known_account(self) -> str:
        if self.account is None:
            raise RuntimeError("no account")
        return self.account


def _mailto(contacts: Sequence[str]) -> list[str]:
    return [f"mailto:{contact}" for contact in contacts]


def _location(answer: Answer) -> str:
    """Of what was made. It is checked when it is followed."""
    if not 0 < len(answer.location) <= LONGEST_URL:
        raise AcmeUnavailable(UNREADABLE, "The ACME server does not say where what it made is.")
    return answer.location


def _polled(answer: Answer, kind: type[Seen]) -> Polled[Seen]:
    return Polled(decode(answer.body, kind), answer.retry_after_seconds)
