"""Whether a key may be used for an operation just now: its key_ops, whether it is enabled, its times."""

from hsmvault.errors import Forbidden
from hsmvault.model.keys import KeyVersion


def check_usable(row: KeyVersion, operation: str, now: float, *, timely: bool) -> None:
    """operation: as in key_ops. timely: nbf and exp count, as for everything that makes new data, and for every
    operation of a certificate's key, which is of no use when that has expired. now: seconds since 1970 UTC. Raises
    Forbidden with the status and the texts of the reference."""
    if operation not in row.operations:
        raise Forbidden(f"Operation {operation} is not permitted on this key.", inner="KeyOperationForbidden")
    check_enabled(row, operation)
    if (timely or row.managed) and (row.not_before is not None or row.expires is not None):
        if row.not_before is not None and now < row.not_before:
            raise Forbidden(
                f"Operation {operation} is not allowed on a key that is not yet valid.", inner="KeyNotYetValid"
            )
        if row.expires is not None and now >= row.expires:
            raise Forbidden(f"Operation {operation} is not allowed on an expired key.", inner="KeyExpired")


def check_enabled(row: KeyVersion, operation: str) -> None:
    """operation: the word of the refusal. Raises Forbidden."""
    if not row.enabled:
        raise Forbidden(f"Operation {operation} is not allowed on a disabled key.", inner="KeyDisabled")
