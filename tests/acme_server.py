"""An ACME server in memory, whose faults a test can choose. What it does when nothing is wrong, `pebble` does too: the
same tests run on both.

It is as strict as RFC 8555 lets it be: every signature, nonce, URL and content type is checked, and nonces are good
once.
"""

import base64
import hashlib
import hmac
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from tests.login.world import certificate, free_socket, serve_on, tls_context
from tests.pipeline.world import rsa_key

_LONG_AFTER = datetime(2035, 1, 1, tzinfo=UTC)
Validate = Callable[[str, str, str, str], Awaitable[bool]]
"""Type, name, token and key authorization of a challenge: whether its answer is to be found."""


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


class _Problem(Exception):
    def __init__(self, status: int, kind: str, detail: str = "") -> None:
        self.status, self.kind, self.detail = status, kind, detail


@dataclass
class Fault:
    """Instead of the right answer, for requests of this path. times: how often; they go first in, first out."""

    path: str
    status: int = 500
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1


@dataclass
class Order:
    account: str
    identifiers: list[dict[str, str]]
    authorizations: list[str]
    status: str = "pending"
    processing: int = 0
    error: dict[str, object] | None = None
    chain: bytes = b""


@dataclass
class Authorization:
    identifier: dict[str, str]
    wildcard: bool
    token: str
    status: str = "pending"
    challenge_status: str = "pending"
    error: dict[str, object] | None = None


@dataclass
class AcmeDouble:
    """types: of the challenges that it offers. processing: how many looks find an order in processing. validates:
    whether it comes to look for answers. rewrite: changes what is answered, by path. dates: of what it issues.
    """

    ca_file: Path
    port: int = 0
    validate: Validate | None = None
    validates: bool = True
    types: tuple[str, ...] = ("http-01", "dns-01")
    processing: int = 0
    dates: Callable[[], tuple[datetime, datetime]] = lambda: (datetime(2025, 1, 1, tzinfo=UTC), _LONG_AFTER)
    retry_after: str = ""
    bindings: dict[str, bytes] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    lost: int | None = None  # the number of the request, from 0, that is done and whose answer never arrives
    rewrite: dict[str, Callable[[dict[str, object]], object]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    contacts: dict[str, list[str]] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    authorizations: dict[str, Authorization] = field(default_factory=dict)
    finalized: list[bytes] = field(default_factory=list)
    key_of: dict[str, dict[str, str]] = field(default_factory=dict)
    signer: rsa.RSAPrivateKey = field(default_factory=lambda: rsa_key(5))
    _nonces: set[str] = field(default_factory=set)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    @property
    def origin(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def directory(self) -> str:
        return f"{self.origin}/directory"

    @property
    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca_file))

    def number(self) -> str:
        return f"{next(self._numbers):04d}"

    def fail(self, path: str, status: int, kind: str, *, times: int = 1, **headers: str) -> None:
        """A problem document of RFC 8555."""
        body = json.dumps({"type": f"urn:ietf:params:acme:error:{kind}", "detail": f"{kind} of the test"}).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.faults.append(Fault(path, status, body, named, times))

    def forget(self) -> None:
        """As a server that lost its database."""
        self.contacts.clear()
        self.key_of.clear()
        self.orders.clear()
        self.authorizations.clear()

    async def handle(self, request: web.BaseRequest) -> web.Response:
        self.asked.append(f"{request.method} {request.path}")
        if self.lost == len(self.asked) - 1:
            await self._answer(request)
            return web.Response(status=500)
        fault = next((one for one in self.faults if request.path.startswith(one.path)), None)
        if fault is not None:
            fault.times -= 1
            if fault.times == 0:
                self.faults.remove(fault)
            headers = {"Replay-Nonce": self._nonce(), **fault.headers}
            return web.Response(status=fault.status, body=fault.body, headers=headers)
        try:
            response = await self._answer(request)
        except _Problem as problem:
            body = {"type": f"urn:ietf:params:acme:error:{problem.kind}", "detail": problem.detail or problem.kind}
            response = web.json_response(body, status=problem.status, content_type="application/problem+json")
        if request.path != "/directory":
            response.headers["Replay-Nonce"] = self._nonce()
        return response

    def _nonce(self) -> str:
        nonce = _encoded(f"nonce {self.number()}".encode())
        self._nonces.add(nonce)
        return nonce

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        place, _, number = request.path.strip("/").partition("/")
        if place == "directory":
            names = {"newNonce": "nonce", "newAccount": "new-account", "newOrder": "new-order"}
            directory: dict[str, object] = {name: f"{self.origin}/{path}" for name, path in names.items()}
            directory["meta"] = {"termsOfService": f"{self.origin}/terms"}
            return self._json(request, directory)
        if place == "nonce":
            return web.Response()
        payload, account, jwk = await self._verified(request)
        if place == "new-account":
            return self._account(request, jwk, json.loads(payload))
        if place == "accounts":
            self.contacts[account] = json.loads(payload)["contact"]
            return self._json(request, {"status": "valid"})
        if place == "new-order":
            return self._new_order(request, account, json.loads(payload))
        if place == "challenges":
            return await self._challenge(request, account, number, payload)
        if place == "authorizations":
            return self._json(request, self._shown(self._found(self.authorizations, number), number))
        order = self._found(self.orders, number)
        if order.account != account:
            raise _Problem(403, "unauthorized")
        if place == "finalize":
            return self._finalize(request, order, number, json.loads(payload))
        if place == "certificates":
            return web.Response(body=order.chain, content_type="application/pem-certificate-chain")
        self._look(order)
        return self._order(request, order, number)

    async def _verified(self, request: web.BaseRequest) -> tuple[bytes, str, dict[str, str]]:
        if request.method != "POST" or request.content_type != "application/jose+json":
            raise _Problem(405, "malformed", "not a signed POST")
        body = json.loads(await request.read())
        protected = json.loads(_decoded(body["protected"]))
        if protected["url"] != f"{self.origin}{request.path}":
            raise _Problem(401, "unauthorized", "another URL")
        is_new = request.path == "/new-account"
        assert protected.keys() == {"alg", "nonce", "url", "jwk" if is_new else "kid"}
        account = "" if is_new else protected["kid"]
        if not is_new and account not in self.key_of:
            raise _Problem(400, "accountDoesNotExist")
        jwk = protected["jwk"] if is_new else self.key_of[account]
        _verify(jwk, protected["alg"], _decoded(body["signature"]), f"{body['protected']}.{body['payload']}".encode())
        if protected["nonce"] not in self._nonces:
            raise _Problem(400, "badNonce")
        self._nonces.remove(protected["nonce"])
        return _decoded(body["payload"]), account, jwk

    def _account(self, request: web.BaseRequest, jwk: dict[str, str], body: dict[str, object]) -> web.Response:
        assert body["termsOfServiceAgreed"] is True
        if self.bindings:
            self._check_binding(jwk, body.get("externalAccountBinding"))
        known = next((url for url, key in self.key_of.items() if key == jwk), None)
        url = known or f"{self.origin}/accounts/{self.number()}"
        if known is None:
            self.key_of[url] = jwk
            self.contacts[url] = list(body["contact"])  # type: ignore[call-overload]  # a list of texts
        return self._json(request, {"status": "valid"}, 200 if known else 201, Location=url)

    def _check_binding(self, jwk: dict[str, str], binding: object) -> None:
        if not isinstance(binding, dict):
            raise _Problem(403, "externalAccountRequired")
        protected = json.loads(_decoded(binding["protected"]))
        signed = f"{binding['protected']}.{binding['payload']}".encode()
        mac = hmac.digest(self.bindings.get(protected["kid"], b"?"), signed, "sha256")
        right = {"alg": "HS256", "kid": protected["kid"], "url": f"{self.origin}/new-account"}
        if (
            mac != _decoded(binding["signature"])
            or protected != right
            or json.loads(_decoded(binding["payload"])) != jwk
        ):
            raise _Problem(403, "unauthorized")

    def _new_order(self, request: web.BaseRequest, account: str, body: dict[str, object]) -> web.Response:
        identifiers = body["identifiers"]
        assert isinstance(identifiers, list)
        numbers = []
        for identifier in identifiers:
            numbers.append(self.number())
            value, wildcard = identifier["value"].removeprefix("*."), identifier["value"].startswith("*.")
            token = _encoded(hashlib.sha256(numbers[-1].encode()).digest())
            self.authorizations[numbers[-1]] = Authorization({**identifier, "value": value}, wildcard, token)
        number = self.number()
        self.orders[number] = Order(account, identifiers, numbers)
        location = f"{self.origin}/orders/{number}"
        return self._order(request, self.orders[number], number, 201, Location=location)

    async def _challenge(self, request: web.BaseRequest, account: str, name: str, payload: bytes) -> web.Response:
        assert payload == b"{}"
        number, _, kind = name.partition("/")
        authorization = self._found(self.authorizations, number)
        if authorization.status != "pending":
            raise _Problem(400, "malformed", "it is not pending")
        thumbprint = _encoded(hashlib.sha256(json.dumps(self.key_of[account], separators=(",", ":")).encode()).digest())
        answer = f"{authorization.token}.{thumbprint}"
        if not self.validates:
            return self._json(request, {"type": kind, "url": request.path, "status": "processing"})
        is_there = self.validate is None or await self.validate(
            kind, authorization.identifier["value"], authorization.token, answer
        )
        authorization.status = authorization.challenge_status = "valid" if is_there else "invalid"
        if not is_there:
            authorization.error = {"type": "urn:ietf:params:acme:error:unauthorized", "detail": "no such answer"}
        return self._json(request, {"type": kind, "url": request.path, "status": authorization.challenge_status})

    def _look(self, order: Order) -> None:
        states = [self.authorizations[number].status for number in order.authorizations]
        if order.status == "pending":
            order.status = "invalid" if "invalid" in states else "ready" if set(states) == {"valid"} else "pending"
        elif order.status == "processing":
            order.processing -= 1
            order.status = "valid" if order.processing < 0 else "processing"

    def _finalize(self, request: web.BaseRequest, order: Order, number: str, body: dict[str, str]) -> web.Response:
        self._look(order)
        if order.status != "ready":
            raise _Problem(403, "orderNotReady")
        self.finalized.append(_decoded(body["csr"]))
        csr = x509.load_der_x509_csr(self.finalized[-1])
        wanted = {(one["type"], one["value"]) for one in order.identifiers}
        if not csr.is_signature_valid or _names(csr) != wanted:
            raise _Problem(400, "badCSR")
        root = certificate(self.signer, "double CA", is_ca=True)
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        builder = x509.CertificateBuilder(root.subject, x509.Name([]), csr.public_key(), x509.random_serial_number())
        begins, ends = self.dates()
        builder = builder.not_valid_before(begins).not_valid_after(ends).add_extension(names.value, critical=True)
        leaf = builder.sign(self.signer, SHA256())
        order.chain = leaf.public_bytes(Encoding.PEM) + root.public_bytes(Encoding.PEM)
        order.status, order.processing = "processing", self.processing
        self._look(order)
        return self._order(request, order, number)

    def _order(
        self, request: web.BaseRequest, order: Order, number: str, status: int = 200, **headers: str
    ) -> web.Response:
        shown: dict[str, object] = {
            "status": order.status,
            "identifiers": order.identifiers,
            "authorizations": [f"{self.origin}/authorizations/{one}" for one in order.authorizations],
            "finalize": f"{self.origin}/finalize/{number}",
        }
        if order.error is not None:
            shown["error"] = order.error
        if order.status == "valid":
            shown["certificate"] = f"{self.origin}/certificates/{number}"
        if self.retry_after and order.status in ("pending", "processing"):
            headers["Retry-After"] = self.retry_after
        return self._json(request, shown, status, **headers)

    def _shown(self, authorization: Authorization, number: str) -> dict[str, object]:
        challenges: list[dict[str, object]] = []
        for kind in self.types:
            url = f"{self.origin}/challenges/{number}/{kind}"
            challenges.append({"type": kind, "url": url, "token": authorization.token})
            challenges[-1]["status"] = authorization.challenge_status
            if authorization.error is not None:
                challenges[-1]["error"] = authorization.error
        shown: dict[str, object] = {"identifier": authorization.identifier, "status": authorization.status}
        return shown | {"challenges": challenges} | ({"wildcard": True} if authorization.wildcard else {})

    def _json(
        self, request: web.BaseRequest, body: dict[str, object], status: int = 200, **headers: str
    ) -> web.Response:
        for path, change in self.rewrite.items():
            if request.path.startswith(path):
                return web.json_response(change(body), status=status, headers=headers)
        return web.json_response(body, status=status, headers=headers)

    @staticmethod
    def _found(things: "dict[str, Order] | dict[str, Authorization]", number: str) -> "Order | Authorization":
        found = things.get(number)
        if found is None:
            raise _Problem(404, "malformed", "no such thing")
        return found


def _names(csr: x509.CertificateSigningRequest) -> set[tuple[str, str]]:
    names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {("dns" if isinstance(one, x509.DNSName) else "ip", str(one.value)) for one in names}


def _verify(jwk: dict[str, str], algorithm: str, signature: bytes, signed: bytes) -> None:
    """Raises InvalidSignature."""
    number = {name: int.from_bytes(_decoded(jwk[name]), "big") for name in ("n", "e", "x", "y") if name in jwk}
    if algorithm == "RS256":
        assert list(jwk) == ["e", "kty", "n"]
        rsa.RSAPublicNumbers(number["e"], number["n"]).public_key().verify(
            signature, signed, padding.PKCS1v15(), SHA256()
        )
    else:
        assert algorithm == "ES256"
        assert len(signature) == 64
        assert list(jwk) == ["crv", "kty", "x", "y"]
        r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
        point = ec.EllipticCurvePublicNumbers(number["x"], number["y"], ec.SECP256R1())
        point.public_key().verify(utils.encode_dss_signature(r, s), signed, ec.ECDSA(SHA256()))


@asynccontextmanager
async def acme_double(directory: Path) -> AsyncIterator[AcmeDouble]:
    """It listens on a port of its own, with a certificate of a CA of the test."""
    context, ca_file = tls_context(directory, "localhost", [rsa_key(3), rsa_key(4)])
    double = AcmeDouble(ca_file)
    runner, double.port = await serve_on(double.handle, free_socket(), context)
    try:
        yield double
    finally:
        await runner.cleanup()
