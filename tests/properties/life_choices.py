"""What the steps of the life cycle choose from: names, times, settings, policies; and what a step leaves for later."""

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.caller import to_base64url
from tests.properties.life_model import Key
from tests.vectors import wycheproof
from tests.vectors.place import MEMBERS

SECRET = bytes(range(32))
EC_JWK, RSA_JWK = (
    {
        name: value
        for name, value in wycheproof.groups("jws.json")[number]["private"].items()
        if name in ("kty", *MEMBERS)
    }
    for number in (0, 1)
)
IMPORTS: dict[str, dict[str, str]] = {"EC": EC_JWK, "RSA": RSA_JWK, "oct": {"kty": "oct", "k": to_base64url(SECRET)}}
UNKNOWN = "0" * 32

NAMES = ("alpha", "Beta-2")
FREE = st.sampled_from([*NAMES, "ALPHA", "gamma"])
"""Names to make keys under: few, so that they are often in use."""
PICKS = st.integers(0, 15)
VERSIONS = st.sampled_from(["latest", "latest", "latest", "first", "unknown"])
KTYS = st.sampled_from(["EC", "EC-HSM", "EC-HSM", "oct-HSM", "oct-HSM"])
OFFSETS = st.sampled_from([-86_400, -1, 0, 1, 3_600, 86_400 * 40])
MOVES = st.sampled_from([0.5, 1, 59, 3_600, 86_400, 86_400 * 40])
JUMPS = st.sampled_from([-3_600, -1, 7_200])
STATES = st.sampled_from(
    [{"enabled": False}, {"nbf": 1}, {"nbf": 3_600}, {"nbf": 3_601}, {"exp": 0}, {"exp": 1}, {"exp": 3_601}]
)
OPERATION_SETS = st.sampled_from(
    [
        ["sign", "verify"],
        ["encrypt", "decrypt", "wrapKey", "unwrapKey"],
        ["verify", "sign", "encrypt", "decrypt", "wrapKey", "unwrapKey", "sign"],
        ["verify", "decrypt", "unwrapKey"],
        ["sign", "verify", "export"],
        [],
    ]
)
CHANGED_SETS = OPERATION_SETS | st.sampled_from([["import"], ["import", "sign"]])
TAGS = st.sampled_from([{}, {"a": "1"}, {"a": "2", "Ä": ""}])


def release_policy(value: str, *, immutable: bool) -> dict[str, Any]:
    authority = {"authority": "https://a/", "allOf": [{"claim": "a", "equals": value}]}
    return {
        "contentType": "application/json; charset=utf-8",
        "data": to_base64url(json.dumps({"version": "1.0.0", "anyOf": [authority]}).encode()),
        "immutable": immutable,
    }


HALVES = st.sampled_from([*["both"] * 6, "policy", "exportable"])
RELEASE_POLICIES = st.sampled_from(
    [release_policy(value, immutable=immutable) for value in ("1", "2") for immutable in (False, True)]
)


def rotates(**trigger: str) -> dict[str, Any]:
    return {"trigger": trigger, "action": {"type": "Rotate"}}


def notifies(before: str) -> dict[str, Any]:
    return {"trigger": {"timeBeforeExpiry": before}, "action": {"type": "Notify"}}


@dataclass(frozen=True)
class StatedPolicy:
    """A rotation policy, and whether vaults and pools take it, by the minimums of the reference."""

    actions: tuple[dict[str, Any], ...]
    expiry: str | None
    in_vaults: bool
    in_pools: bool

    def __repr__(self) -> str:
        return f"StatedPolicy({self.actions}, {self.expiry})"


ROTATION_POLICIES = st.sampled_from(
    [
        StatedPolicy((), None, True, True),  # takes away what is set
        StatedPolicy((), "P28D", True, True),
        StatedPolicy((), "P27D", False, False),
        StatedPolicy((rotates(timeAfterCreate="P7D"),), None, True, False),
        StatedPolicy((rotates(timeAfterCreate="P6D"),), None, False, False),
        StatedPolicy((rotates(timeAfterCreate="P28D"),), "P1Y", True, True),
        StatedPolicy((rotates(timeAfterCreate="P27D"),), "P1Y", True, False),
        StatedPolicy((rotates(timeBeforeExpiry="P10D"),), "P90D", True, True),
        StatedPolicy((rotates(timeBeforeExpiry="P10D"),), "P30D", True, False),
        StatedPolicy((rotates(timeBeforeExpiry="P10D"),), None, False, False),
        StatedPolicy((rotates(timeBeforeExpiry="P6D"),), "P90D", False, False),
        StatedPolicy((notifies("P40D"),), "P1Y", True, False),
        StatedPolicy((notifies("P40D"), rotates(timeAfterCreate="P28D")), "P90D", True, False),
        StatedPolicy((rotates(timeAfterCreate="P28D"), rotates(timeAfterCreate="P30D")), None, False, False),
    ]
)


@dataclass(frozen=True)
class Blob:
    """A backup, and what the key was then."""

    value: str
    key: Key


@dataclass(frozen=True)
class Made:
    """What a version has signed or encrypted. name: of its key. text: the digest or the plaintext."""

    name: str
    version: str
    operation: str
    body: dict[str, str]
    text: bytes


TEXTS = st.binary(min_size=32, max_size=32)
UNDOING = {"sign": "verify", "encrypt": "decrypt", "wrapKey": "unwrapKey"}
ALGORITHMS = {
    ("sign", "EC"): "ES256",
    ("sign", "RSA"): "PS256",
    ("sign", "oct"): "HS256",
    ("encrypt", "RSA"): "RSA-OAEP",
    ("encrypt", "oct"): "A256GCM",
    ("wrapKey", "RSA"): "RSA-OAEP-256",
    ("wrapKey", "oct"): "A256KW",
}


@st.composite
def attributes(draw: st.DrawFn) -> dict[str, Any]:
    """Times as offsets: they are added to the clock's."""
    return {
        **draw(st.fixed_dictionaries({}, optional={"enabled": st.booleans()})),
        **draw(st.fixed_dictionaries({}, optional={"nbf": OFFSETS}) | st.just({})),
        **draw(st.fixed_dictionaries({}, optional={"exp": OFFSETS}) | st.just({})),
    }


SAID = st.fixed_dictionaries({}, optional={"attributes": attributes(), "key_ops": OPERATION_SETS, "tags": TAGS})
CHANGED = st.fixed_dictionaries(
    {}, optional={"attributes": attributes(), "key_ops": CHANGED_SETS, "tags": TAGS, "release_policy": RELEASE_POLICIES}
)
