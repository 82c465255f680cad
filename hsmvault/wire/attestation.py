"""The development attestation authority on the wire: attest.SUFFIX. It asks nobody for a token: what it gives away is
worth nothing outside this instance.
"""

from collections.abc import Awaitable, Callable, Mapping

import msgspec
from aiohttp.web import BaseRequest

from hsmvault.custody.public import RsaMembers
from hsmvault.errors import MethodNotAllowed, NotFound
from hsmvault.model.network import Address
from hsmvault.resources.development_authority import DevelopmentAuthority
from hsmvault.resources.refusals import invalid_property
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.codec import decode_body, from_base64url
from hsmvault.wire.data_plane import BodyLimits
from hsmvault.wire.hosts import Destination
from hsmvault.wire.reading import read_body

_LONGEST_BODY_BYTES = 8 * 1024
_MEMBER_BYTES = (256, 512)  # of a modulus: RSA-2048 to RSA-4096
_TOKEN = "/generate-test-token"  # noqa: S105 - a path


class EnvironmentJwk(msgspec.Struct, frozen=True):
    """RFC 7518, 6.3.1."""

    kty: str
    n: str
    e: str


class TokenRequest(msgspec.Struct, frozen=True):
    """key: the public key of the environment that the token is for."""

    key: EnvironmentJwk


class AttestationPlane:
    def __init__(self, authority: DevelopmentAuthority, limits: BodyLimits) -> None:
        self._authority = authority
        self._limits = limits
        self._routes: Mapping[str, Callable[[], Awaitable[WireAnswer]]] = {
            "/.well-known/openid-configuration": self._configuration,
            "/keys": self._key_set,
            _TOKEN: self._token,
        }

    async def handle(
        self, request: BaseRequest, destination: Destination, client: Address, request_id: str, headers: dict[str, str]
    ) -> WireAnswer:
        path = request.raw_path.partition("?")[0]
        answer = self._routes.get(path)
        if answer is None:
            raise NotFound("The attestation authority has no such document.")
        if request.method == "POST" and path == _TOKEN:
            return await self._token_for(request)
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed("This document can only be read.")
        return await answer()

    async def _configuration(self) -> WireAnswer:
        return ok(self._authority.configuration())

    async def _key_set(self) -> WireAnswer:
        return ok(await self._authority.key_set())

    async def _token(self) -> WireAnswer:
        return ok({"token": await self._authority.token()})

    async def _token_for(self, request: BaseRequest) -> WireAnswer:
        """With a key of the caller's, so that what is released with the token can be opened by somebody."""
        key = decode_body(await read_body(request, _LONGEST_BODY_BYTES, self._limits.seconds), TokenRequest).key
        members = RsaMembers(from_base64url(key.n, "n"), from_base64url(key.e, "e"))
        if key.kty != "RSA" or not _MEMBER_BYTES[0] <= len(members.n) <= _MEMBER_BYTES[1]:
            raise invalid_property("key")
        return ok({"token": await self._authority.token(members)})
