"""api-versions of the management plane. Each resource provider has its own; clients move on with every release."""

import re

from hsmvault.errors import BadRequest
from hsmvault.model.management import KEY_VAULT, ManagementOperation

KEY_VAULT_STABLE = (
    "2015-06-01",
    "2016-10-01",
    "2018-02-14",
    "2019-09-01",
    "2021-10-01",
    "2022-07-01",
    "2022-11-01",
    "2023-02-01",
    "2023-07-01",
    "2024-11-01",
    "2025-05-01",
    "2026-02-01",
    "2026-05-15",
)
NEWEST = KEY_VAULT_STABLE[-1]
_PREVIEW = frozenset({"2026-03-01-preview", "2026-04-01-preview"})
_DATED = re.compile(r"20[0-9]{2}-[01][0-9]-[0-3][0-9](-preview|-privatepreview|-beta)?", re.ASCII)


class ManagementVersions:
    """serve_newer: as wire.versions.ApiVersions. Of other providers than Microsoft.KeyVault every well-formed version
    is served alike: their answers do not differ in what is served here."""

    def __init__(self, *, serve_newer: bool = True) -> None:
        self._serve_newer = serve_newer

    def check(self, operation: ManagementOperation, text: str) -> str:
        """The version that the call is served as: a date, with -preview where it has that. Raises BadRequest."""
        if not text:
            raise BadRequest(
                "The api-version query parameter (?api-version=) is required for all requests.",
                code="MissingApiVersionParameter",
            )
        if not _DATED.fullmatch(text):
            raise self._invalid(text)
        if operation.provider != KEY_VAULT:
            return text
        known = text in KEY_VAULT_STABLE or text in _PREVIEW
        if not known and not (self._serve_newer and text[:10] > NEWEST):
            raise self._invalid(text)
        served_as = text if known else NEWEST
        if served_as[:10] < operation.since:
            raise self._invalid(text)
        return served_as

    def _invalid(self, text: str) -> BadRequest:
        supported = ",".join((*KEY_VAULT_STABLE, *sorted(_PREVIEW)))
        return BadRequest(
            f"The api-version '{text[:64]}' is invalid. The supported versions are '{supported}'.",
            code="InvalidApiVersionParameter",
        )
