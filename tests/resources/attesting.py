"""An attestation authority whose key the test holds, and environments that it speaks of."""

import json
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from hsmvault.clock import MovedClock
from hsmvault.resources.environment_assertions import AttestationAuthority, EnvironmentAssertions
from tests.pipeline.world import KeysOfTest, PrivateKey, b64, part, rsa_key, signature

ISSUER = "https://attest.example"
POLICY = json.dumps(
    {"version": "1.0.0", "anyOf": [{"authority": ISSUER + "/", "allOf": [{"claim": "sdk-test", "equals": True}]}]}
).encode()


def integer(number: int) -> str:
    return b64(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def jwk(key: rsa.RSAPublicKey, **more: Any) -> dict[str, Any]:
    numbers = key.public_numbers()
    members = {"kty": "RSA", "kid": "enclave", "use": "enc", "n": integer(numbers.n), "e": integer(numbers.e)} | more
    return {name: value for name, value in members.items() if value is not None}


def environment(number: int = 3) -> rsa.RSAPrivateKey:
    """The key of an environment, made once for each number."""
    return rsa_key(number)


@dataclass
class Attesting:
    """key: signs. keys: what the authority has published."""

    clock: MovedClock = field(default_factory=MovedClock)
    key: PrivateKey = field(default_factory=lambda: rsa_key(1))
    algorithms: tuple[str, ...] = ("RS256",)

    def __post_init__(self) -> None:
        self.keys = KeysOfTest({"k1": self.key.public_key()})
        authority = AttestationAuthority(ISSUER, self.keys, frozenset(self.algorithms))
        self.assertions = EnvironmentAssertions((authority,), self.clock)

    def claims(self, **more: Any) -> dict[str, Any]:
        """None takes a claim away."""
        now = int(self.clock.now())
        runtime = {"keys": [jwk(environment().public_key())]}
        claims = {"iss": ISSUER, "nbf": now, "iat": now, "exp": now + 3600, "sdk-test": True, "x-ms-runtime": runtime}
        return {name: value for name, value in (claims | more).items() if value is not None}

    def token(
        self,
        claims: dict[str, Any] | bytes | None = None,
        header: dict[str, Any] | bytes | None = None,
        *,
        key: PrivateKey | None = None,
        algorithm: str = "RS256",
        **more: Any,
    ) -> str:
        if header is None:
            header = {"typ": "JWT", "alg": algorithm, "kid": "k1"}
        signed = f"{part(header)}.{part(self.claims(**more) if claims is None else claims)}"
        return f"{signed}.{b64(signature(key or self.key, algorithm, signed.encode()))}"
