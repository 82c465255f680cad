"""Keys in the forms in which they come in from outside."""

import json
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec

from tests.pipeline.world import b64


def transfer(kid: str) -> dict[str, object]:
    """A JWK with a BYOK transfer blob that names its key-exchange key. What is wrapped in it is nothing."""
    header = {"kid": kid, "alg": "dir", "enc": "CKM_RSA_AES_KEY_WRAP"}
    blob = {"schema_version": "1.0.0", "header": header, "ciphertext": b64(bytes(256 + 40)), "generator": "tests"}
    return {"kty": "EC-HSM", "crv": "P-256", "key_hsm": b64(json.dumps(blob).encode())}


@cache
def importable(hardware: bool) -> dict[str, object]:
    """A JWK with its private part."""
    numbers = ec.generate_private_key(ec.SECP256R1()).private_numbers()
    members = {"d": numbers.private_value, "x": numbers.public_numbers.x, "y": numbers.public_numbers.y}
    encoded = {name: b64(value.to_bytes(32, "big")) for name, value in members.items()}
    return {"kty": "EC-HSM" if hardware else "EC", "crv": "P-256", **encoded}
