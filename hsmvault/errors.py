"""What can go wrong, as one small tree. Nothing here knows HTTP: wire/failures.py is the one bridge.

    HsmvaultError
    ├── OperatorError            start-up and configuration: one sentence that says what to do, and an exit code
    │   ├── ConfigurationError   2
    │   ├── HsmRefusal           3   PIN, token, module
    │   ├── DatabaseRefusal      4
    │   ├── PortTaken            5
    │   └── DirectoryInUse       6
    └── RequestError             a refusal that a caller may see
        ├── BadRequest           the request is malformed or asks for what the object cannot do
        │   └── CiphertextRefused     padding, tag or integrity: one text for every cause
        ├── Unauthorized         the bearer token is missing or not good
        ├── Forbidden            firewall, permission, state; `inner` says which
        ├── NotFound, MethodNotAllowed
        ├── Conflict
        ├── TooLarge, Throttled, NotBuilt
        └── Unavailable          token, database, disk or audit sink out of reach; try again
            └── Damaged          a stored value does not open for its row

What a caller may see is in `message`; what only the operator may see is in `detail`, which reaches the log alone.
"""


class HsmvaultError(Exception):
    """Root of everything that hsmvault raises on purpose."""


class OperatorError(HsmvaultError):
    """A refusal on the operator's side. str(error) is one sentence that says what to do."""

    exit_code = 1


class ConfigurationError(OperatorError):
    """The command line or a configuration file is wrong; names the key, the file and the line."""

    exit_code = 2


class HsmRefusal(OperatorError):
    """The module, the token or the PIN refuses. A wrong PIN is never tried again."""

    exit_code = 3


class DatabaseRefusal(OperatorError):
    """The database cannot be opened, is damaged, or has a schema that this version does not know."""

    exit_code = 4


class PortTaken(OperatorError):
    """Another process listens on the port."""

    exit_code = 5


class DirectoryInUse(OperatorError):
    """Another instance owns the data directory."""

    exit_code = 6


class RequestError(HsmvaultError):
    """A refusal that a caller may see.

    message: for the caller. code: the error code of the Azure documentation. inner: its inner code, or None.
    detail: for the operator's log alone.
    """

    code = "InternalError"

    def __init__(
        self, message: str, *, code: str | None = None, inner: str | None = None, detail: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        self.inner = inner
        self.detail = detail


class BadRequest(RequestError):
    code = "BadParameter"


class CiphertextRefused(BadRequest):
    """Decryption or unwrapping failed. The text is the same for padding, tag, length inside and wrong key."""

    def __init__(self, *, detail: str | None = None) -> None:
        super().__init__("The parameter is incorrect.\r\n", detail=detail)


class Unauthorized(RequestError):
    code = "Unauthorized"


class Forbidden(RequestError):
    code = "Forbidden"


class NotFound(RequestError):
    code = "NotFound"


class MethodNotAllowed(RequestError):
    """allowed: the methods that are, as the header Allow has them; empty when it is not said."""

    code = "MethodNotAllowed"

    def __init__(self, message: str, *, allowed: str = "") -> None:
        super().__init__(message)
        self.allowed = allowed


class Conflict(RequestError):
    code = "Conflict"


class TooLarge(RequestError):
    code = "RequestEntityTooLarge"


class NotBuilt(RequestError):
    """hsmvault knows the operation and does not serve it yet; docs/divergences.md lists each."""

    code = "NotImplemented"


class Retryable(RequestError):
    """Worth trying again. retry_after_seconds: whole seconds, at least 1."""

    def __init__(
        self,
        message: str,
        *,
        retry_after_seconds: int = 1,
        code: str | None = None,
        detail: str | None = None,
    ) -> None:
        super().__init__(message, code=code, detail=detail)
        self.retry_after_seconds = retry_after_seconds


class Throttled(Retryable):
    """A bounded queue is full."""

    code = "Throttled"


class Unavailable(Retryable):
    """The HSM, the database, the disk or the audit sink is out of reach. Nothing was done."""

    code = "ServiceUnavailable"


class Damaged(Unavailable):
    """What was stored does not open: changed, cut, or of another row. Other rows go on."""
