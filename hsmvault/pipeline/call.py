"""One call: made at the door, filled in on the way, read once at the end by the audit record and the metrics."""

from dataclasses import dataclass

from hsmvault.errors import RequestError
from hsmvault.model.containers import Container
from hsmvault.model.network import Address
from hsmvault.model.operations import Operation
from hsmvault.model.principals import Caller


@dataclass(slots=True)
class Call:
    """authorization: the header as it came, or None; its repr must not show it.

    resource: audience that a token for this plane must have. object_name: of the object that is asked for, or "".
    url: without the query. started: monotonic seconds. networks: ids in lower case of the named networks that the call
    came through, subnets and private endpoints.
    """

    request_id: str
    started: float
    container: Container
    resource: str
    operation: Operation | None
    object_name: str
    authorization: str | None
    client_address: Address
    url: str
    api_version: str = ""
    user_agent: str = ""
    client_request_id: str = ""
    networks: frozenset[str] = frozenset()
    # filled in on the way
    caller: Caller | None = None
    object_id: str = ""
    status: int = 0
    refusal: RequestError | None = None

    @property
    def tenant_id(self) -> str:
        """The tenant of the container: nobody of another one has any business here."""
        return self.container.tenant_id

    def __repr__(self) -> str:
        operation = self.operation.name if self.operation else "?"
        return f"Call({self.request_id} {operation} {self.container.name})"
