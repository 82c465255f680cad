"""The one bridge from our errors to what a client sees: status, code, message, headers.

Whatever it does not know becomes 500 with a fixed text; the details stay in the log. Source: the error tables of the
Azure Key Vault REST documentation and recorded answers.
"""

import msgspec

from hsmvault import errors
from hsmvault.pipeline.authentication import TokenRefused

_STATUS: dict[type[errors.RequestError], int] = {
    errors.BadRequest: 400,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.MethodNotAllowed: 405,
    errors.Conflict: 409,
    errors.TooLarge: 413,
    errors.Throttled: 429,
    errors.NotBuilt: 501,
    errors.Unavailable: 503,
}


class _Inner(msgspec.Struct, frozen=True):
    code: str


class _Error(msgspec.Struct, frozen=True, omit_defaults=True):
    code: str
    message: str
    innererror: _Inner | None = None


class _Body(msgspec.Struct, frozen=True):
    error: _Error


def status_of(error: errors.RequestError) -> int:
    for kind in type(error).__mro__:
        status = _STATUS.get(kind)
        if status is not None:
            return status
    return 500


def body_of(error: errors.RequestError, activity_id: str | None = None) -> bytes:
    """{"error":{"code":"…","message":"…","innererror":{"code":"…"}}}

    activity_id: given for managed HSM, whose every message ends in it.
    """
    inner = None if error.inner is None else _Inner(error.inner)
    message = error.message
    if activity_id is not None:
        own = error.in_pools if isinstance(error, TokenRefused) else None
        message = f"{(own or message).rstrip()} (Activity ID: {activity_id})"
    return msgspec.json.encode(_Body(_Error(error.code, message, inner)))


def headers_of(error: errors.RequestError) -> dict[str, str]:
    """Retry-After in whole seconds where trying again makes sense."""
    if isinstance(error, errors.Retryable):
        return {"Retry-After": str(max(1, error.retry_after_seconds))}
    return {}
