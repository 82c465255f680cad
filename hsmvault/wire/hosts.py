"""From the one Host header to the plane and container that are meant. Firewall, permissions, audit and storage all use
what this returns, and nothing else of a request names a container.

Names (port left out when it is 443): {vault}.vault.SUFFIX, {pool}.managedhsm.SUFFIX, login., management., graph.,
attest.SUFFIX, {account}.blob.SUFFIX.
"""

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from hsmvault.errors import BadRequest

_HOST = re.compile(r"([a-z0-9.-]{1,253})(?::([0-9]{1,5}))?", re.ASCII)
_ADDRESS = re.compile(r"([0-9A-Za-z.-]{0,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?", re.ASCII)
_MOST_KEPT = 10_000  # headers that were read once; a stranger can push others out, which costs a parse
_LABEL = re.compile(r"[a-z0-9-]{1,63}", re.ASCII)


class Plane(Enum):
    VAULT = "vault"
    POOL = "managedhsm"
    LOGIN = "login"
    MANAGEMENT = "management"
    DIRECTORY = "graph"
    ATTESTATION = "attest"
    STORAGE = "blob"
    NONE = ""  # an address or the bare suffix: health only


_NAMED = {plane.value: plane for plane in (Plane.VAULT, Plane.POOL, Plane.STORAGE)}
_SINGLE = {plane.value: plane for plane in (Plane.LOGIN, Plane.MANAGEMENT, Plane.DIRECTORY, Plane.ATTESTATION)}


@dataclass(frozen=True, slots=True)
class Destination:
    """name: of the vault, pool or storage account, in lower case; empty for the other planes.

    origin: https://host[:port] as every id and link of the answer begins; resource: the audience of the plane.
    """

    plane: Plane
    name: str
    origin: str
    resource: str


class Hosts:
    """suffix: for instance localhost. port: as clients see it."""

    def __init__(self, suffix: str, port: int) -> None:
        self.suffix = suffix.lower()
        self._port = port
        self._shown = "" if port == 443 else f":{port}"
        self._read = lru_cache(maxsize=_MOST_KEPT)(self._parse)

    def origin(self, host: str) -> str:
        """The URL of a host under the suffix: origin('login') is https://login.localhost:8443."""
        return f"https://{host}.{self.suffix}{self._shown}"

    def find(self, header: str) -> Destination:
        """Raises BadRequest for anything that is not one of our hosts or an address, also for another port."""
        return self._read(header)

    def _parse(self, header: str) -> Destination:
        match = _HOST.fullmatch(header.lower()) if header.isascii() else None  # lower() makes k of the Kelvin sign
        if match is None:
            return self._address(header)
        host, port = match[1], match[2]
        if port is not None and int(port) != self._port:
            raise BadRequest("The Host header names another port.")
        head, dot, suffix = host[: -len(self.suffix) - 1], host[-len(self.suffix) - 1 : -len(self.suffix)], self.suffix
        if dot != "." or not host.endswith("." + suffix):
            return self._address(header)
        name, _, word = head.rpartition(".")
        plane = _NAMED.get(word) if name else _SINGLE.get(word)
        if plane is None or (name and not _LABEL.fullmatch(name)):
            raise BadRequest("The Host header names no service.")
        return Destination(plane, name, self.origin(head), self.origin(word))

    def _address(self, header: str) -> Destination:
        """Load balancers ask for health by address; nothing else is served there."""
        if not _ADDRESS.fullmatch(header):
            raise BadRequest("The Host header cannot be read.")
        return Destination(Plane.NONE, "", f"https://{self.suffix}{self._shown}", "")
