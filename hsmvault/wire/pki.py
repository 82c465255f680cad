"""What relying parties fetch, in plain HTTP on a listener of its own: revocation lists, answers to OCSP, certificates
of our authorities (RFC 5280, RFC 6960), and the answers to http-01 challenges (RFC 8555, 8.3).

    GET  /AUTHORITY/issuing.crl  /AUTHORITY/root.crl  /AUTHORITY/issuing.cer  /AUTHORITY/root.cer
    POST /AUTHORITY/ocsp         GET /AUTHORITY/ocsp/BASE64
    GET  /.well-known/acme-challenge/TOKEN
    GET  /healthstatus

Everything here is public and signed by itself, so that nobody is asked who he is; nothing here changes anything. Paths
are taken as they came; only the base64 of an OCSP request may have percent signs.
"""

import base64
import binascii
import logging
import re
from collections.abc import Awaitable, Callable
from urllib.parse import unquote_to_bytes

from aiohttp.web import BaseRequest, Response, StreamResponse

from hsmvault.errors import BadRequest, MethodNotAllowed, NotFound, RequestError, Retryable, TooLarge
from hsmvault.model.authorities import AuthorityRole
from hsmvault.resources.authorities import Authorities, LocalAuthority
from hsmvault.wire.failures import headers_of, status_of
from hsmvault.wire.reading import read_body

LOG = logging.getLogger("hsmvault.wire")
FindChallenge = Callable[[str], Awaitable[str | None]]
"""The token of a challenge to its key authorization: None when no such challenge is open."""

_LONGEST_REQUEST_BYTES = 2048  # one certificate by SHA-512, with a nonce, has some 250
_LONGEST_PATH = 4096
_BODY_SECONDS = 10.0
_CHALLENGES = "/.well-known/acme-challenge/"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,256}", re.ASCII)
_OCSP_REQUEST = "application/ocsp-request"
_OCSP_RESPONSE = "application/ocsp-response"
_FILES = {f"{role.value}.{suffix}": (role, suffix) for role in AuthorityRole for suffix in ("crl", "cer")}
_TYPES = {"crl": "application/pkix-crl", "cer": "application/pkix-cert"}
_HEADERS = {
    "Cache-Control": "no-cache",  # a revocation counts at once
    "X-Content-Type-Options": "nosniff",
    "Server": "hsmvault",
}


class PkiEndpoints:
    """handle() answers every request of the listener."""

    def __init__(self, authorities: Authorities, find_challenge: FindChallenge) -> None:
        self._authorities = authorities
        self._find_challenge = find_challenge

    async def handle(self, request: BaseRequest) -> StreamResponse:
        """Never raises but for cancellation."""
        try:
            return await self._answer(request)
        except RequestError as error:
            if isinstance(error, Retryable):
                LOG.warning("a request of a relying party was not answered: %s", error.detail or error)
            return _refusal(error)
        except Exception:
            LOG.exception("unexpected failure")
            return _refusal(RequestError("An error has occurred."))

    async def _answer(self, request: BaseRequest) -> Response:
        path, _, query = request.raw_path.partition("?")
        if query or len(path) > _LONGEST_PATH or not path.startswith("/") or not path.isascii():
            raise NotFound("There is nothing here.")
        if path == "/healthstatus":
            _only(request, "GET")
            return _response(b"{}", "application/json; charset=utf-8")
        if path.startswith(_CHALLENGES):
            return await self._challenge(request, path.removeprefix(_CHALLENGES))
        name, _, rest = path[1:].partition("/")
        authority = self._authorities.by_name.get(name)
        if authority is None:
            raise NotFound("There is nothing here.")
        if rest == "ocsp" or rest.startswith("ocsp/"):
            question = await _question(request, rest.removeprefix("ocsp").removeprefix("/"))
            return _response(await authority.status.answer(question), _OCSP_RESPONSE)
        return await _file(request, authority, rest)

    async def _challenge(self, request: BaseRequest, token: str) -> Response:
        _only(request, "GET")
        authorization = await self._find_challenge(token) if _TOKEN.fullmatch(token) else None
        if authorization is None:
            raise NotFound("There is nothing here.")
        return _response(authorization.encode("ascii"), "application/octet-stream")


async def _file(request: BaseRequest, authority: LocalAuthority, name: str) -> Response:
    found = _FILES.get(name)
    if found is None:
        raise NotFound("There is nothing here.")
    _only(request, "GET")
    role, suffix = found
    content = await (authority.status.crl(role) if suffix == "crl" else authority.certificate(role))
    return _response(content, _TYPES[suffix])


async def _question(request: BaseRequest, encoded: str) -> bytes:
    """The OCSP request in DER: in the body, or in the path (RFC 6960, A.1). Raises BadRequest, TooLarge."""
    if not encoded:
        _only(request, "POST")
        if request.content_type != _OCSP_REQUEST:
            raise BadRequest(f"The content type must be {_OCSP_REQUEST}.")
        return await read_body(request, _LONGEST_REQUEST_BYTES, _BODY_SECONDS)
    _only(request, "GET")
    try:
        question = base64.b64decode(unquote_to_bytes(encoded), validate=True)
    except binascii.Error:
        raise BadRequest("The OCSP request must be in base64.") from None
    if len(question) > _LONGEST_REQUEST_BYTES:
        raise TooLarge("The OCSP request is too large.")
    return question


def _only(request: BaseRequest, method: str) -> None:
    if request.method != method:
        raise MethodNotAllowed(f"Only {method} is served here.", allowed=method)


def _response(content: bytes, content_type: str) -> Response:
    return Response(body=content, headers={**_HEADERS, "Content-Type": content_type})


def _refusal(error: RequestError) -> Response:
    """A line of text: whoever reads it is a person."""
    headers = {**_HEADERS, **headers_of(error), "Content-Type": "text/plain; charset=utf-8"}
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = error.allowed
    return Response(status=status_of(error), text=f"{error.message}\n", headers=headers)
