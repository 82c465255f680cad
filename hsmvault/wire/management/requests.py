"""A request for an operation of the management plane, as the handlers get it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from hsmvault.model.management import ManagementOperation
from hsmvault.model.principals import Caller
from hsmvault.wire.answers import WireAnswer


@dataclass(frozen=True, slots=True)
class ManagementRequest:
    """names: the variables of the operation's path, percent-decoded, as the caller spelled them. scope: the ARM id that
    the permission was asked for; of an operation on any scope, what stands before its own part of the path, '' for
    '/'. tenant_id: of the subscription in the path, or of the caller where there is none. origin: begins every link.

    query: names in lower case. api_version: as it came. served_as: the known version that decides what the answer has.

    may: whether the caller has a control action on another resource, for lists that show only what one may read.
    """

    operation: ManagementOperation
    names: Mapping[str, str]
    scope: str
    tenant_id: str
    caller: Caller
    origin: str
    query: Mapping[str, str]
    body: bytes
    api_version: str
    served_as: str
    may: Callable[[str, str], Awaitable[bool]]

    def __repr__(self) -> str:
        return f"ManagementRequest({self.operation.name} {self.scope})"


ManagementHandler = Callable[[ManagementRequest], Awaitable[WireAnswer]]
