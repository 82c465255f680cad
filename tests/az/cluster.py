"""A cluster that makes tokens for its service accounts, as an instance is told to believe them."""

import json
import time
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

ISSUER = "https://cluster.example"
AUDIENCE = "api://AzureADTokenExchange"
_TENANT = "11111111-1111-1111-1111-111111111111"


class Cluster:
    """configuration: for --trust-issuer; none of its own tokens is good for a vault."""

    def __init__(self, folder: Path) -> None:
        self._key = rsa.generate_private_key(65537, 2048)
        keys = folder / "keys.json"
        keys.write_text(json.dumps({"keys": [{**json.loads(RSAAlgorithm.to_jwk(self._key.public_key())), "kid": "1"}]}))
        self.configuration = folder / "issuer.toml"
        self.configuration.write_text(
            f'[[issuers]]\nissuer = "{ISSUER}"\njwks_file = "{keys}"\ntenant = "{_TENANT}"\n'
            '[issuers.audiences]\nvault = ["nobody"]\n'
        )

    def token(self, subject: str) -> str:
        now = int(time.time())
        members = {"iss": ISSUER, "sub": subject, "aud": [AUDIENCE], "iat": now, "exp": now + 3600}
        return jwt.encode(members, self._key, algorithm="RS256", headers={"kid": "1"})
