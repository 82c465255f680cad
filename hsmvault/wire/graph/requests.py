"""A request for an operation of the Graph subset, as the handlers get it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from hsmvault.model.principals import Caller
from hsmvault.resources.directory.rules import Actor
from hsmvault.wire.answers import WireAnswer


@dataclass(frozen=True, slots=True)
class GraphRequest:
    """names: the variables of the operation's path, percent-decoded. root: https://host/v1.0, begins every link.

    path: behind the version, as it came. query: names in lower case.
    """

    caller: Caller
    names: Mapping[str, str]
    root: str
    path: str
    query: Mapping[str, str]
    body: bytes

    @property
    def actor(self) -> Actor:
        return Actor(self.caller.tenant_id, self.caller.object_id)

    def context(self, fragment: str) -> str:
        """Value of @odata.context."""
        return f"{self.root}/$metadata#{fragment}"

    def __repr__(self) -> str:
        return f"GraphRequest({self.path[:100]})"


GraphHandler = Callable[[GraphRequest], Awaitable[WireAnswer]]
