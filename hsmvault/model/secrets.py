"""Secrets, as their rows are: a name with its life (objects.py), and versions with their sealed values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from hsmvault.model.keys import NO_TAGS
from hsmvault.model.objects import ObjectName

LONGEST_VALUE_BYTES: Final = 25 * 1024
"""Of a value in UTF-8 ("About Azure Key Vault secrets": 25 KB)."""

SecretName = ObjectName


@dataclass(frozen=True, slots=True)
class SecretVersion:
    """One version of a secret. Its value never changes; attributes do.

    sealed: the value in UTF-8, sealed for its row (custody/sealing.py); empty in the pages of a list, which do not read
    it. managed: it is that of a certificate of the same name and version. previous_version: of those alone.
    created, updated, not_before, expires: seconds since 1970 UTC; None when not set.
    """

    container_id: str
    name: str
    version: str
    sequence: int
    sealed: bytes = field(repr=False)
    created: int
    updated: int
    enabled: bool = True
    not_before: int | None = None
    expires: int | None = None
    content_type: str | None = None
    managed: bool = False
    previous_version: str | None = None
    tags: Mapping[str, str] = field(default_factory=lambda: NO_TAGS)
