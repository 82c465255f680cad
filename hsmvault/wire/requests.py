"""A request for an operation of the data plane, as the handlers get it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from hsmvault.model.containers import Container
from hsmvault.model.keys import NAME, VERSION
from hsmvault.model.operations import Operation
from hsmvault.resources import refusals
from hsmvault.wire.answers import WireAnswer


@dataclass(frozen=True, slots=True)
class Request:
    """What a handler needs of a request. name and version are checked; origin begins every id of the answer.

    api_version: as it came. served_as: the known version that decides what the answer has.
    """

    container: Container
    origin: str
    name: str
    version: str | None
    query: Mapping[str, str]
    body: bytes
    api_version: str
    served_as: str

    def __repr__(self) -> str:
        return f"Request({self.container.name}/{self.name})"


Handler = Callable[[Request], Awaitable[WireAnswer]]


def check_segments(operation: Operation, name: str, version: str | None) -> None:
    """Raises BadRequest for a bad name and NotFound for what cannot be a version of anything."""
    if "{name}" in operation.path and not NAME.fullmatch(name):
        raise refusals.invalid_name(name[:256])
    if version is not None and not VERSION.fullmatch(version.lower()):
        raise refusals.not_found(operation.kind, name, version[:64])
