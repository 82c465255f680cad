"""What the HSM itself answers for: random bytes, and attestations of keys."""

from collections.abc import Mapping

import msgspec

from hsmvault.errors import BadRequest
from hsmvault.resources.key_attestation import KeyAttestations
from hsmvault.resources.key_secure_wrap import Random
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.codec import decode_body, to_base64url
from hsmvault.wire.key_answers import answer_attested
from hsmvault.wire.requests import Handler, Request

_MOST_RANDOM_BYTES = 128


class GetRandomBytes(msgspec.Struct, frozen=True):
    count: int


class HsmAnswers:
    def __init__(self, attestations: KeyAttestations, random: Random) -> None:
        self._attestations = attestations
        self._random_bytes = random
        self.table: Mapping[str, Handler] = {
            "get_key_attestation": self._attest,
            "get_random_bytes": self._random,
        }

    async def _attest(self, request: Request) -> WireAnswer:
        row, attestation = await self._attestations.attest(request.container, request.name, request.version)
        return answer_attested(request, row, attestation)

    async def _random(self, request: Request) -> WireAnswer:
        count = decode_body(request.body, GetRandomBytes).count
        if not 1 <= count <= _MOST_RANDOM_BYTES:
            raise BadRequest(f"GetRandomBytesRequest: count cannot be greater than {_MOST_RANDOM_BYTES} or less than 1")
        return ok({"value": to_base64url(await self._random_bytes(request.container, count))})
