"""Refusals as Microsoft Graph writes them."""

from datetime import UTC, datetime

import msgspec

from hsmvault.errors import BadRequest, MethodNotAllowed, NotFound, RequestError, TooLarge, Unavailable
from hsmvault.pipeline.graph import CODE as BAD_TOKEN
from hsmvault.wire import failures
from hsmvault.wire.answers import WireAnswer

_CODES: dict[type[RequestError], str] = {
    BadRequest: "Request_BadRequest",
    NotFound: "Request_ResourceNotFound",
    MethodNotAllowed: "Request_BadRequest",
    TooLarge: "Request_BadRequest",
    Unavailable: "Service_UnavailableError",
}
_OURS = ("Request_", "Authorization_", "Directory_", "Service_", BAD_TOKEN, "BadRequest")


class _Inner(
    msgspec.Struct, frozen=True, rename={"request_id": "request-id", "client_request_id": "client-request-id"}
):
    date: str
    request_id: str
    client_request_id: str


class _Error(msgspec.Struct, frozen=True, rename="camel"):
    code: str
    message: str
    inner_error: _Inner


class _Body(msgspec.Struct, frozen=True):
    error: _Error


def answer_of(
    error: RequestError, *, now: float, request_id: str, client_request_id: str, headers: dict[str, str]
) -> WireAnswer:
    """now: seconds since 1970 UTC. headers: of the answer, which get those of the refusal."""
    headers.update(failures.headers_of(error))
    date = f"{datetime.fromtimestamp(int(now), UTC):%Y-%m-%dT%H:%M:%S}"
    inner = _Inner(date, request_id, client_request_id or request_id)
    body = msgspec.json.encode(_Body(_Error(_code(error), error.message, inner)))
    return WireAnswer(failures.status_of(error), body)


def _code(error: RequestError) -> str:
    """What the shared parts refuse has a code of Key Vault."""
    if error.code.startswith(_OURS):
        return error.code
    for kind in type(error).__mro__:
        if kind in _CODES:
            return _CODES[kind]
    return "Service_InternalServerError"
