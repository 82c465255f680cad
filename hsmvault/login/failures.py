"""The one bridge from any exception to a refusal. What it does not know becomes a plain server error, and stays in the
operator's log.
"""

import logging

from hsmvault.errors import BadRequest, RequestError, Throttled, Unavailable
from hsmvault.login.refusals import SERVER_ERROR, TEMPORARILY_UNAVAILABLE, THROTTLED, LoginRefused, malformed

_log = logging.getLogger(__name__)


def as_refusal(error: Exception) -> LoginRefused:
    """Never raises. Refusals of ours pass through."""
    match error:
        case LoginRefused():
            return error
        case Throttled():
            return LoginRefused(THROTTLED, retry_after_seconds=error.retry_after_seconds)
        case Unavailable():
            _log.warning("login: unavailable: %s", error.detail)
            return LoginRefused(TEMPORARILY_UNAVAILABLE, retry_after_seconds=error.retry_after_seconds)
        case BadRequest():
            return malformed()
        case RequestError():
            _log.error("login: refused below: %s: %s", error.code, error.detail)
        case _:
            # The class and the place alone: the text of a foreign exception may repeat what a client sent.
            _log.error("login: %s at %s", type(error).__name__, _where(error))
    return LoginRefused(SERVER_ERROR)


def _where(error: Exception) -> str:
    """File and line that raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
