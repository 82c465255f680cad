"""The record of one attempt to get a token. It goes to the audit log before the answer leaves, and never holds a
secret: ids are kept only when they have the form of one, because people paste secrets into the wrong field.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

_GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)


def guid_or_empty(text: str) -> str:
    """The GUID in lower case, or nothing when text is not one."""
    lower = text.lower() if len(text) == 36 else ""
    return lower if _GUID.fullmatch(lower) else ""


@dataclass(frozen=True, slots=True)
class LoginAttempt:
    """tenant_id, client_id: GUIDs, empty when unknown. grant: a grant type that the issuer knows, or 'unknown'.

    result_code: 0 for a token, else the AADSTS code. status: of HTTP. address: of the client.
    object_id, credential_id: who proved to be whom with what, empty unless proven. resource: what was asked for, when
    it is a known one. token_id: `uti` of the token that was made.
    """

    time: float
    tenant_id: str
    client_id: str
    grant: str
    result_code: int
    status: int
    address: str
    trace_id: str
    correlation_id: str
    object_id: str = ""
    credential_id: str = ""
    resource: str = ""
    token_id: str = ""


RecordAttempt = Callable[[LoginAttempt], Awaitable[None]]
"""Raises Unavailable when no sink accepts the record; the token then does not leave."""


@dataclass(slots=True)
class AttemptNotes:
    """What is known so far about the attempt in hand; made at the door, filled in on the way, recorded once."""

    address: str
    trace_id: str
    correlation_id: str
    grant: str = "unknown"
    tenant_id: str = ""
    client_id: str = ""
    object_id: str = ""
    credential_id: str = ""
    resource: str = ""
    token_id: str = ""

    def finished(self, *, time: float, result_code: int, status: int) -> LoginAttempt:
        return LoginAttempt(
            time=time,
            tenant_id=self.tenant_id,
            client_id=self.client_id,
            grant=self.grant,
            result_code=result_code,
            status=status,
            address=self.address,
            trace_id=self.trace_id,
            correlation_id=self.correlation_id,
            object_id=self.object_id,
            credential_id=self.credential_id,
            resource=self.resource,
            token_id=self.token_id,
        )
