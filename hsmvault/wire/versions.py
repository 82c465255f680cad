"""api-version: required on every call, one list of what is known, and one rule for what comes after."""

import re

from hsmvault.errors import BadRequest

STABLE = (
    "2015-06-01",
    "2016-10-01",
    "7.0",
    "7.1",
    "7.2",
    "7.3",
    "7.4",
    "7.5",
    "7.6",
    "2025-07-01",
    "2026-04-01",
)
PREVIEW = frozenset(
    {
        "7.5-preview.1",
        "7.6-preview.2",
        "2025-06-01-preview",
        "2026-01-01-preview",
        "2026-03-01-preview",
        "2026-05-01-preview",
        "2026-07-01-preview",
    }
)
NEWEST = STABLE[-1]
_DATED = re.compile(r"20[0-9]{2}-[01][0-9]-[0-3][0-9](-preview)?", re.ASCII)
_KNOWN = PREVIEW | set(STABLE)


class ApiVersions:
    """serve_newer: a well-formed version that is dated later than the newest known is served as the newest, because
    clients move on every month; the real service refuses it (docs/divergences.md)."""

    def __init__(self, *, serve_newer: bool = True) -> None:
        self._serve_newer = serve_newer

    def check(self, text: str) -> str:
        """The version that the call is served as. Raises BadRequest."""
        if text in _KNOWN:
            return text
        if not text:
            raise BadRequest("api-version must be specified")
        if self._serve_newer and _DATED.fullmatch(text) and text[:10] > NEWEST:
            return NEWEST
        raise BadRequest(
            f"The specified version ({text[:64]}) is not recognized. Consider using the latest supported version "
            f"({NEWEST})."
        )


def position(version: str) -> int:
    """Order of versions; a preview counts as the stable version before or at its date."""
    if version in STABLE:
        return STABLE.index(version)
    base = version.partition("-preview")[0]
    if base in STABLE:
        return STABLE.index(base)
    return sum(1 for known in STABLE if not known.startswith("20") or known <= base) - 1


def is_since(version: str, since: str) -> bool:
    """Whether an operation that came with `since` is part of `version`."""
    return position(version) >= STABLE.index(since)
