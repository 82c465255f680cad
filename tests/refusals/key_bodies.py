"""The bodies of the operations on keys, after the models of the Azure Key Vault REST API reference."""

from tests.refusals.bodies import Body, Kind

ATTRIBUTES = {
    "attributes": Kind.OBJECT,
    "attributes.enabled": Kind.BOOL,
    "attributes.nbf": Kind.NUMBER,
    "attributes.exp": Kind.NUMBER,
    "attributes.exportable": Kind.BOOL,
    "tags": Kind.TEXTS_BY_NAME,
    "release_policy": Kind.OBJECT,
    "release_policy.contentType": Kind.TEXT,
    "release_policy.immutable": Kind.BOOL,
    "release_policy.data": Kind.TEXT,
}
JWK_MEMBERS = ("kty", "crv", "n", "e", "d", "dp", "dq", "qi", "p", "q", "k", "x", "y", "key_hsm")
CREATE = Body(
    good={"kty": "EC", "crv": "P-256"},
    members={
        "kty": Kind.TEXT,
        "key_size": Kind.NUMBER,
        "public_exponent": Kind.NUMBER,
        "key_ops": Kind.TEXTS,
        "crv": Kind.TEXT,
        **ATTRIBUTES,
    },
    required=("kty",),
    words=("kty", "crv", "key_ops"),
)
IMPORT = Body(
    good={"key": {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA", "d": "AAAA"}},
    members={
        "Hsm": Kind.BOOL,
        "key": Kind.OBJECT,
        "key.key_ops": Kind.TEXTS,
        **{f"key.{name}": Kind.TEXT for name in JWK_MEMBERS},
        **ATTRIBUTES,
    },
    required=("key", "key.kty"),
    words=("key.kty", "key.crv", "key.key_ops"),
    encoded=("key.x", "key.y", "key.d"),
)
UPDATE = Body(good={}, members={"key_ops": Kind.TEXTS, **ATTRIBUTES}, words=("key_ops",))
RESTORE = Body(good={"value": "AAAA"}, members={"value": Kind.TEXT}, required=("value",), encoded=("value",))
USE = Body(
    good={"alg": "RSA-OAEP", "value": "AAAA"},
    members=dict.fromkeys(("alg", "value", "iv", "aad", "tag"), Kind.TEXT),
    required=("alg", "value"),
    words=("alg",),
    encoded=("value", "iv", "aad", "tag"),
)
SIGN = Body(
    good={"alg": "RS256", "value": "A" * 43},
    members=dict.fromkeys(("alg", "value"), Kind.TEXT),
    required=("alg", "value"),
    words=("alg",),
    encoded=("value",),
)
VERIFY = Body(
    good={"alg": "RS256", "digest": "A" * 43, "value": "AAAA"},
    members=dict.fromkeys(("alg", "digest", "value"), Kind.TEXT),
    required=("alg", "digest", "value"),
    words=("alg",),
    encoded=("digest", "value"),
)
RELEASE = Body(
    good={"target": "e30.e30.AAAA"},
    members=dict.fromkeys(("target", "nonce", "enc"), Kind.TEXT),
    required=("target",),
    words=("enc",),
)
ROTATION_POLICY = Body(
    good={"lifetimeActions": [], "attributes": {}},
    members={"lifetimeActions": Kind.ACTIONS, "attributes": Kind.OBJECT, "attributes.expiryTime": Kind.TEXT},
)
RANDOM_BYTES = Body(good={"count": 8}, members={"count": Kind.NUMBER}, required=("count",))
SECURE_WRAP = Body(good={"alg": "RSA-OAEP-256"}, members={"alg": Kind.TEXT}, required=("alg",), words=("alg",))
SECURE_UNWRAP = Body(
    good={"alg": "RSA-OAEP-256", "value": "AAAA", "target": "e30.e30.AAAA"},
    members=dict.fromkeys(("alg", "value", "target"), Kind.TEXT),
    required=("alg", "value", "target"),
    words=("alg",),
    encoded=("value",),
)
