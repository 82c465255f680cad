"""The audit record: the fields of Azure's AuditEvent, as one line of JSON, linked to the line before.

No secret value, private key, signature, plaintext, PIN or bearer token enters a record: it is made from names, ids,
addresses and refusals only, and query strings are cut off.

A line is {"sequence":n,"previous":"…",…fields…}. `sequence` counts from 1 for each writer and gives the order (times do
not: clocks jump). `previous` is the SHA-256 of the line before, without its line feed, in base64url without padding;
the first line of a writer has the empty string. docs/audit.md describes the format for readers of logs.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

OBJECT_ID_CLAIM = "http://schemas.microsoft.com/identity/claims/objectidentifier"
UPN_CLAIM = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn"


class Properties(msgspec.Struct, frozen=True, omit_defaults=True):
    """requestUri: without its query. id: the object that was used, or the container."""

    clientInfo: str = ""
    requestUri: str = ""
    id: str = ""
    httpStatusCode: int = 0
    requestId: str = ""


class AuditRecord(msgspec.Struct, frozen=True):
    """One call. Names of the members are Azure's (diagnostic log schema of Key Vault, category AuditEvent)."""

    time: str
    resourceId: str
    operationName: str
    operationVersion: str
    category: str
    resultType: str
    resultSignature: str
    resultDescription: str
    durationMs: str
    callerIpAddress: str
    correlationId: str
    identity: Mapping[str, Mapping[str, str]]
    properties: Properties


def timestamp(seconds: float) -> str:
    """2016-01-05T01:32:01.2691226Z: UTC with seven digits, as Azure writes it."""
    whole = int(seconds)
    return f"{_second(whole)}.{int((seconds - whole) * 10_000_000):07d}Z"


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    """Formatting costs as much as the rest of a record, and a second has thousands of records."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def identity(*, object_id: str, application_id: str, tenant_id: str, upn: str = "") -> Mapping[str, Mapping[str, str]]:
    """The claims of a caller who has been identified; empty members are left out."""
    claims = {OBJECT_ID_CLAIM: object_id, "appid": application_id, "tid": tenant_id, UPN_CLAIM: upn}
    return {"claim": {name: value for name, value in claims.items() if value}}
