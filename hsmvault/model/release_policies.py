"""The release policy of an exportable key: who may receive it (secure key release).

Source: "Azure Key Vault secure key release policy grammar".
"""

from dataclasses import dataclass

CONTENT_TYPE = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class ReleasePolicy:
    """data: the JSON text as the caller gave it, UTF-8. immutable: once true, neither it nor data changes any more."""

    data: bytes
    content_type: str = CONTENT_TYPE
    immutable: bool = False
