"""The bodies of the key operations, after the models of the Azure Key Vault REST API reference."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """JSON types of members."""

    TEXT = "text"
    NUMBER = "number"
    BOOL = "true or false"
    OBJECT = "object"
    TEXTS = "list of texts"
    TEXTS_BY_NAME = "object of texts"
    ACTIONS = "list of the actions of a rotation policy"


OTHERS: Mapping[Kind, tuple[object, ...]] = {
    Kind.TEXT: (1, True, [], {}),
    Kind.NUMBER: ("1", 1.5, True, [], {}),
    Kind.BOOL: ("true", 1, [], {}),
    Kind.OBJECT: (1, "a", True, []),
    Kind.TEXTS: ("sign", 1, {}, [1], [None], [["sign"]]),
    Kind.TEXTS_BY_NAME: ("a", 1, ["a"], {"a": 1}, {"a": None}, {"a": ["b"]}),
    Kind.ACTIONS: (
        *("a", 1, {}, [1], ["a"], [{"action": 1}], [{"action": {"type": 1}}], [{"trigger": []}]),
        *([{"trigger": {"timeAfterCreate": 1}}], [{"trigger": {"timeBeforeExpiry": True}}]),
    ),
}
"""What is not of a type."""


@dataclass(frozen=True, kw_only=True)
class Body:
    """good: accepted as far as its form goes. members: by their path, with a dot between a member and its own.

    required: those of the models that have a star. words: members of a closed set of words, which a refusal names.
    encoded: members in base64url, which a refusal names.
    """

    good: Mapping[str, object]
    members: Mapping[str, Kind]
    required: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    encoded: tuple[str, ...] = ()


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
