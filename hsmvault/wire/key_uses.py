"""Using keys on the wire: sign, verify, encrypt, decrypt, wrap, unwrap."""

from collections.abc import Mapping

import msgspec

from hsmvault.resources.aes_parameters import NONE, AesParameters
from hsmvault.resources.key_operations import KeyOperations
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.codec import decode_body, from_base64url
from hsmvault.wire.key_answers import answer_used
from hsmvault.wire.requests import Handler, Request


class UseKey(msgspec.Struct, frozen=True):
    """sign, encrypt, decrypt, wrapkey, unwrapkey. value may be a plaintext: the repr shows nothing."""

    alg: str
    value: str
    iv: str | None = None
    aad: str | None = None
    tag: str | None = None

    def __repr__(self) -> str:
        return f"UseKey({self.alg!r})"


class VerifyWithKey(msgspec.Struct, frozen=True):
    alg: str
    digest: str
    value: str


class KeyUses:
    def __init__(self, operations: KeyOperations) -> None:
        self._operations = operations
        self.table: Mapping[str, Handler] = {
            "sign": self._sign,
            "verify": self._verify,
            "encrypt": self._encrypt,
            "wrap_key": self._wrap,
            "decrypt": self._decrypt,
            "unwrap_key": self._unwrap,
        }

    async def _sign(self, request: Request) -> WireAnswer:
        body = decode_body(request.body, UseKey)
        digest = from_base64url(body.value, "value")
        return answer_used(
            request,
            await self._operations.sign(request.container, request.name, request.version, body.alg, digest),
        )

    async def _verify(self, request: Request) -> WireAnswer:
        body = decode_body(request.body, VerifyWithKey)
        digest, signature = from_base64url(body.digest, "digest"), from_base64url(body.value, "value")
        is_good = await self._operations.verify(
            request.container, request.name, request.version, body.alg, digest, signature
        )
        return ok({"value": is_good})

    async def _encrypt(self, request: Request) -> WireAnswer:
        return await self._seal(request, "encrypt")

    async def _wrap(self, request: Request) -> WireAnswer:
        return await self._seal(request, "wrapKey")

    async def _decrypt(self, request: Request) -> WireAnswer:
        return await self._open(request, "decrypt")

    async def _unwrap(self, request: Request) -> WireAnswer:
        return await self._open(request, "unwrapKey")

    async def _seal(self, request: Request, operation: str) -> WireAnswer:
        body = decode_body(request.body, UseKey)
        plaintext, given = from_base64url(body.value, "value"), _parameters(body)
        return answer_used(
            request,
            await self._operations.encrypt(
                request.container, request.name, request.version, operation, body.alg, plaintext, given
            ),
        )

    async def _open(self, request: Request, operation: str) -> WireAnswer:
        body = decode_body(request.body, UseKey)
        ciphertext, given = from_base64url(body.value, "value"), _parameters(body)
        return answer_used(
            request,
            await self._operations.decrypt(
                request.container, request.name, request.version, operation, body.alg, ciphertext, given
            ),
        )


def _parameters(body: UseKey) -> AesParameters:
    if body.iv is None and body.aad is None and body.tag is None:
        return NONE
    return AesParameters(
        from_base64url(body.iv or "", "iv"),
        from_base64url(body.aad or "", "aad"),
        from_base64url(body.tag or "", "tag"),
    )
