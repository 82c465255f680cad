"""What an ACME client signs (RFC 8555, 6.2): flattened JSON Web Signatures by a key that somebody else holds."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hsmvault.model import base64url

SHORTEST_BINDING_BYTES: Final = 16  # guessed: public authorities hand out 32 or more


class AccountKey:
    """The key of an account. Its private part never comes here.

    public: SubjectPublicKeyInfo in DER, RSA or EC P-256; ValueError otherwise. sign: takes a SHA-256 digest and returns
    RSASSA-PKCS1-v1_5, or r || s of 64 bytes (RFC 7518, 3.3 and 3.4).
    """

    def __init__(self, public: bytes, sign: Callable[[bytes], Awaitable[bytes]]) -> None:
        self.algorithm, self.jwk = _jwk_of(public)
        self._sign = sign
        # RFC 7638, 3.2: the members of `jwk` are the required ones, in the order of their names, without blanks.
        self.thumbprint = base64url.encode(hashlib.sha256(msgspec.json.encode(self.jwk)).digest())

    def __repr__(self) -> str:
        return f"AccountKey({self.algorithm} {self.thumbprint})"

    async def envelope(self, payload: bytes, *, url: str, nonce: str, account: str | None) -> bytes:
        """The body of a request. payload: JSON, or empty for POST-as-GET. account: its URL, or None when the request
        itself carries the key. Raises what sign raises.
        """
        who: dict[str, object] = {"jwk": self.jwk} if account is None else {"kid": account}
        protected = _encoded({"alg": self.algorithm, **who, "nonce": nonce, "url": url})
        text = base64url.encode(payload)
        signature = await self._sign(hashlib.sha256(f"{protected}.{text}".encode("ascii")).digest())
        return msgspec.json.encode({"protected": protected, "payload": text, "signature": base64url.encode(signature)})

    def authorization(self, token: str) -> str:
        """The key authorization of a challenge (RFC 8555, 8.1)."""
        return f"{token}.{self.thumbprint}"


@dataclass(frozen=True, slots=True)
class ExternalBinding:
    """An account that the authority knows already (RFC 8555, 7.3.4). mac_key: of HMAC-SHA-256."""

    kid: str
    mac_key: bytes = field(repr=False)

    def bound(self, key: AccountKey, url: str) -> dict[str, str]:
        """The member externalAccountBinding. url: of newAccount."""
        protected = _encoded({"alg": "HS256", "kid": self.kid, "url": url})
        payload = _encoded(key.jwk)
        mac = hmac.digest(self.mac_key, f"{protected}.{payload}".encode("ascii"), "sha256")
        return {"protected": protected, "payload": payload, "signature": base64url.encode(mac)}


def dns_answer(authorization: str) -> str:
    """The value of the TXT record of dns-01 (RFC 8555, 8.4)."""
    return base64url.encode(hashlib.sha256(authorization.encode("ascii")).digest())


def _encoded(value: Mapping[str, object]) -> str:
    return base64url.encode(msgspec.json.encode(value))


def _jwk_of(public: bytes) -> tuple[str, dict[str, str]]:
    key = load_der_public_key(public)
    if isinstance(key, RSAPublicKey):
        numbers = key.public_numbers()
        return "RS256", {"e": _integer(numbers.e), "kty": "RSA", "n": _integer(numbers.n)}
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        point = key.public_numbers()
        x, y = (base64url.encode(one.to_bytes(32, "big")) for one in (point.x, point.y))
        return "ES256", {"crv": "P-256", "kty": "EC", "x": x, "y": y}
    raise ValueError("an account key is RSA or EC P-256")


def _integer(number: int) -> str:
    return base64url.encode(number.to_bytes((number.bit_length() + 7) // 8, "big"))
