"""The attestation authority of `hsmvault dev`: it vouches for anybody who asks, so that secure key release can be tried
without a trusted execution environment.

Its tokens say `sdk-test: true`, the claim that the tests of the Azure SDKs ask for, and name a key for encryption: one
whose private part nobody has, or the caller's own. It is no part of any production configuration: what a release policy
gives to this authority it gives to everybody.
"""

import asyncio

import msgspec
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hsmvault.clock import Clock, Identifiers
from hsmvault.custody.public import PublicKey, RsaMembers
from hsmvault.custody.statement_keys import StatementKeys
from hsmvault.lanes import Lane
from hsmvault.model import base64url

ALGORITHM = "RS256"
_LIFE_SECONDS = 8 * 3600
_KEY_ID = "hsmvault-dev-release-key"


class DevelopmentAuthority:
    """issuer: its URL, without a slash at its end. keys: sign nothing else. generation: makes the encryption key."""

    def __init__(
        self, issuer: str, keys: StatementKeys, clock: Clock, identifiers: Identifiers, generation: Lane[None]
    ) -> None:
        self.issuer = issuer
        self._keys = keys
        self._clock = clock
        self._identifiers = identifiers
        self._generation = generation
        self._making = asyncio.Lock()
        self._encryption: RsaMembers | None = None
        self._known: tuple[str, RSAPublicKey] | None = None

    async def find(self, kid: str) -> RSAPublicKey | None:
        """As the key set of an authority that is trusted: without a way over HTTP to itself."""
        key = await self._keys.current()
        if kid != key.id:
            return None
        if self._known is None or self._known[0] != kid:
            public = load_der_public_key(key.public)
            assert isinstance(public, RSAPublicKey)
            self._known = kid, public
        return self._known[1]

    def configuration(self) -> dict[str, object]:
        """OpenID Connect Discovery 1.0, 3, as far as a reader of signed statements needs it."""
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/keys",
            "response_types_supported": ["token", "none"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
            "claims_supported": ["iss", "iat", "nbf", "exp", "jti", "sdk-test", "x-ms-runtime"],
        }

    async def key_set(self) -> dict[str, object]:
        """RFC 7517, 5."""
        key = await self._keys.current()
        members = PublicKey.load(key.public).members()
        assert isinstance(members, RsaMembers)
        return {"keys": [_jwk(members, key.id) | {"use": "sig", "alg": ALGORITHM}]}

    async def token(self, encryption: RsaMembers | None = None) -> str:
        """An environment assertion. encryption: the public key of the caller's environment. Raises Unavailable,
        Throttled."""
        now = int(self._clock.now())
        key = encryption or await self._thrown_away()
        claims = {
            "iss": self.issuer,
            "iat": now,
            "nbf": now,
            "exp": now + _LIFE_SECONDS,
            "jti": self._identifiers.guid(),
            "sdk-test": True,
            "x-ms-runtime": {"keys": [_jwk(key, _KEY_ID) | {"use": "enc"}]},
        }
        return await self._keys.sign(msgspec.json.encode(claims))

    async def _thrown_away(self) -> RsaMembers:
        """A key whose private part does not outlive its making; one for the life of this process, because making one
        takes long."""
        async with self._making:
            if self._encryption is None:
                self._encryption = await self._generation.submit(lambda _: _generated())
            return self._encryption


def _generated() -> RsaMembers:
    members = PublicKey.of(rsa.generate_private_key(65537, 2048).public_key()).members()
    assert isinstance(members, RsaMembers)
    return members


def _jwk(members: RsaMembers, kid: str) -> dict[str, object]:
    return {"kty": "RSA", "kid": kid, "n": base64url.encode(members.n), "e": base64url.encode(members.e)}
