"""What differs on the wire between the data plane of vaults and that of managed HSM pools.

Sources: recorded answers of the service, published with its client libraries. What nothing is published about is the
same for both, but for the activity id at the end of every message of a pool (wire/failures.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from hsmvault.errors import BadRequest, Forbidden, NotFound, RequestError
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.model.keys import NAME, VERSION
from hsmvault.model.operations import Kind, Operation
from hsmvault.wire.routes import Match

_BEFORE_ACTIVATION = ("/securitydomain/", "/settings")


@dataclass(frozen=True, slots=True)
class Form:
    """word: what a container is called. unknown_code: of the 404 for one that is not there.

    body_without_token: of the challenge, in place of a JSON error. fixed: headers of every answer. is_timed: whether
    answers say how long they took. bad_identifier: the refusal of a path that names no key, in place of the vault's.
    """

    kind: ContainerKind
    word: str
    unknown_code: str
    body_without_token: bytes | None
    fixed: Mapping[str, str]
    is_timed: bool
    bad_identifier: bool

    def headers(self, seconds: float) -> Mapping[str, str]:
        """seconds: from the request to the answer."""
        if not self.is_timed:
            return self.fixed
        return {**self.fixed, "x-ms-server-latency": str(int(seconds * 1000))}

    def unknown(self, name: str) -> NotFound:
        return NotFound(f"The {self.word} '{name}' was not found.", code=self.unknown_code)

    def no_route(self, path: str) -> RequestError:
        if self.bad_identifier and ("/" + path.lstrip("/")).split("/")[1] in ("keys", "deletedkeys"):
            return _bad_identifier()
        return NotFound("The requested resource does not exist.")

    def check_activated(self, container: Container, operation: Operation) -> None:
        """A pool whose security domain nobody has taken yet could be lost with all its keys: it has none before.

        Raises Forbidden. What is refused, and how, is not published (docs/divergences.md).
        """
        if not operation.path.startswith(_BEFORE_ACTIVATION):
            self.require_activated(container)

    def require_activated(self, container: Container) -> None:
        """Raises Forbidden."""
        if not container.activated:
            raise Forbidden(
                f"The managed HSM '{container.name}' is not activated: download its security domain first.",
                inner="HsmNotActivated",
            )

    def check(self, match: Match) -> None:
        """Raises BadRequest for what cannot name a key or a version, where that has one form for both."""
        if not self.bad_identifier:
            return
        is_key = match.operation.kind is Kind.KEYS and "{name}" in match.operation.path
        if (is_key or match.object_name) and not NAME.fullmatch(match.object_name):
            raise _bad_identifier()
        if match.version is not None and not VERSION.fullmatch(match.version.lower()):
            raise _bad_identifier()


VAULT = Form(
    ContainerKind.VAULT,
    "vault",
    "VaultNotFound",
    body_without_token=None,
    fixed={"x-ms-keyvault-service-version": "1"},
    is_timed=False,
    bad_identifier=False,
)
POOL = Form(
    ContainerKind.POOL,
    "managed HSM",
    "ManagedHsmNotFound",
    body_without_token=b"OK",
    fixed={
        "x-ms-build-version": "1",
        "Content-Security-Policy": "default-src 'self'",
        "X-Frame-Options": "SAMEORIGIN",
    },
    is_timed=True,
    bad_identifier=True,
)


def _bad_identifier() -> BadRequest:
    return BadRequest("Invalid key identifier", code="Invalidkeyidentifier")
