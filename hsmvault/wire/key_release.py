"""What goes to attested environments alone: released keys, and data keys that were securely wrapped."""

from collections.abc import Mapping

import msgspec

from hsmvault.resources.key_release import KeyRelease, ReleaseRequest
from hsmvault.resources.key_secure_wrap import KeySecureWrap, SecurelyWrapped
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.codec import decode_body, from_base64url, to_base64url
from hsmvault.wire.key_answers import bundle, kid_of
from hsmvault.wire.requests import Handler, Request


class ReleaseKey(msgspec.Struct, frozen=True):
    """target: an environment assertion, which its bearer keeps to himself: the repr shows nothing."""

    target: str
    nonce: str | None = None
    enc: str | None = None

    def __repr__(self) -> str:
        return "ReleaseKey()"


class SecureWrap(msgspec.Struct, frozen=True):
    alg: str


class SecureUnwrap(msgspec.Struct, frozen=True):
    alg: str
    value: str
    target: str

    def __repr__(self) -> str:
        return f"SecureUnwrap({self.alg!r})"


class KeyReleases:
    def __init__(self, release: KeyRelease, secure: KeySecureWrap) -> None:
        self._key_release = release
        self._secure = secure
        self.table: Mapping[str, Handler] = {
            "release": self._release,
            "securewrapkey": self._wrap,
            "secureunwrapkey": self._unwrap,
        }

    async def _release(self, request: Request) -> WireAnswer:
        body = decode_body(request.body, ReleaseKey)
        version = "" if request.version is None else f"/{request.version}"
        asked = ReleaseRequest(
            target=body.target,
            kid=f"{request.origin}/keys/{request.name}{version}",
            api_version=request.api_version,
            nonce=body.nonce,
            enc=body.enc,
        )
        released = await self._key_release.release(
            request.container, request.name, request.version, asked, lambda row: bundle(request, row)
        )
        return ok({"value": released.value}, kid_of(request.origin, released.row))

    async def _wrap(self, request: Request) -> WireAnswer:
        body = decode_body(request.body, SecureWrap)
        return _answer(request, await self._secure.wrap(request.container, request.name, request.version, body.alg))

    async def _unwrap(self, request: Request) -> WireAnswer:
        body = decode_body(request.body, SecureUnwrap)
        wrapped = from_base64url(body.value, "value")
        return _answer(
            request,
            await self._secure.unwrap(request.container, request.name, request.version, body.alg, wrapped, body.target),
        )


def _answer(request: Request, wrapped: SecurelyWrapped) -> WireAnswer:
    """SecureKeyOperationResult of the reference."""
    kid = kid_of(request.origin, wrapped.row)
    return ok({"kid": kid, "alg": wrapped.algorithm, "value": to_base64url(wrapped.value)}, kid)
