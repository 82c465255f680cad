"""One call: made at the door, filled in on the way, read once at the end by the audit record and the metrics."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from hsmvault.errors import RequestError
from hsmvault.model.containers import Container
from hsmvault.model.network import Address
from hsmvault.model.operations import Operation
from hsmvault.model.principals import Caller


@dataclass(slots=True, kw_only=True, repr=False)
class AnyCall(ABC):
    """What the calls of every plane have. authorization: the header as it came, or None; no repr shows it.

    resource: audience that a token for this plane must have. url: without the query. started: monotonic seconds.
    used: what the call was about, and about: what it did there where that does not show, for its record.
    """

    request_id: str
    started: float
    resource: str
    authorization: str | None
    client_address: Address
    url: str
    api_version: str = ""
    user_agent: str = ""
    client_request_id: str = ""
    # filled in on the way
    caller: Caller | None = None
    used: str = ""
    about: str = ""
    status: int = 0
    refusal: RequestError | None = None

    @property
    def tenant_id(self) -> str | None:
        """The only tenant that may call; None where everybody is at home in his own."""
        return None

    @property
    @abstractmethod
    def place(self) -> str:
        """`resourceId` of the record."""

    @property
    @abstractmethod
    def operation_name(self) -> str:
        """`operationName` of the record; empty for what is no operation."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.request_id} {self.operation_name or '?'} {self.place})"


@dataclass(slots=True, kw_only=True, repr=False)
class Call(AnyCall):
    """A call of the data plane. object_name: of the object that is asked for, or "". networks: ids in lower case of
    the named networks that the call came through, subnets and private endpoints.
    """

    container: Container
    operation: Operation | None
    object_name: str
    networks: frozenset[str] = frozenset()

    @property
    def tenant_id(self) -> str:
        """The tenant of the container: nobody of another one has any business here."""
        return self.container.tenant_id

    @property
    def place(self) -> str:
        return self.container.resource_id

    @property
    def operation_name(self) -> str:
        return "" if self.operation is None else self.operation.audit_name
