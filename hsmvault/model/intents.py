"""An intent: a token object that is being made or destroyed, while no row answers for it."""

from dataclasses import dataclass

MAKE = "make"
DESTROY = "destroy"


@dataclass(frozen=True, slots=True)
class Intent:
    """id: the object's CKA_ID in hexadecimal. kind: MAKE or DESTROY. owner: the run of a node that began it.

    created: seconds since 1970 UTC.
    """

    id: str
    kind: str
    owner: str
    created: int
