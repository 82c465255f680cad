"""Where vectors are tried: in software, in the HSM and in the pool of a real instance, through its HTTP API."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key

from tests.caller import Answer, Caller, from_base64url, to_base64url

Jwk = Mapping[str, str]
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1(), "P-256K": ec.SECP256K1()}
MEMBERS = ("crv", "x", "y", "n", "e", "d", "p", "q", "dp", "dq", "qi", "k")
_ACTIVITY = re.compile(r" \(Activity ID: [0-9a-f-]{36}\)$")


@dataclass
class Place:
    """name: soft, hard or pool. suffix: behind the type of what is imported."""

    name: str
    caller: Caller
    suffix: str = ""
    imported: dict[str, str] = field(default_factory=dict)

    def key(self, jwk: Jwk) -> str:
        """The name of this key here; it is imported when it is needed first."""
        members = {name: jwk[name] for name in MEMBERS if name in jwk}
        print_of_key = hashlib.sha256(repr(sorted(members.items())).encode()).hexdigest()[:16]
        name = f"vector-{self.name}-{print_of_key}"
        if name not in self.imported:
            answer = self.bring(name, {"kty": jwk["kty"] + self.suffix, **members})
            assert answer.status == 200, answer
            key = answer.body["key"]
            assert key["kty"] == jwk["kty"] + ("" if self.name == "soft" else "-HSM")
            shown = set(key) - {"kid", "kty", "key_ops"}
            assert shown == {"RSA": {"n", "e"}, "EC": {"crv", "x", "y"}, "oct": set()}[jwk["kty"]]
            assert {member: key[member] for member in shown} == {member: jwk[member] for member in shown}
            self.imported[name] = key["kid"]
        return name

    def bring(self, name: str, jwk: Mapping[str, object]) -> Answer:
        return self.caller.call("PUT", f"/keys/{name}", {"key": jwk})

    def use(self, operation: str, jwk: Jwk, alg: str, value: bytes, **more: bytes) -> Answer:
        """more: iv, aad, tag or digest."""
        members = {name: to_base64url(content) for name, content in more.items()}
        body = {"alg": alg, "value": to_base64url(value), **members}
        return self.caller.call("POST", f"/keys/{self.key(jwk)}//{operation}", body)

    def result(self, operation: str, jwk: Jwk, alg: str, value: bytes, case: str, **more: bytes) -> bytes:
        """Of an operation that must succeed."""
        answer = self.use(operation, jwk, alg, value, **more)
        assert answer.status == 200, f"{case} in {self.name}: {answer}"
        return from_base64url(answer.body["value"])

    def accepts(self, jwk: Jwk, alg: str, signature: bytes, digest: bytes, case: str) -> bool:
        answer = self.use("verify", jwk, alg, signature, digest=digest)
        assert answer.status == 200, f"{case} in {self.name}: {answer}"
        accepted = answer.body["value"]
        assert isinstance(accepted, bool)
        return accepted


def is_the_one_refusal(answer: Answer) -> bool:
    """Padding, tag, range or anything else that only the key can tell: one body for all of them."""
    if set(answer.body) != {"error"} or set(answer.body["error"]) != {"code", "message"}:
        return False
    message = _ACTIVITY.sub("", answer.body["error"]["message"]).rstrip()
    return (answer.status, answer.body["error"]["code"], message) == (
        400,
        "BadParameter",
        "The parameter is incorrect.",
    )


def is_refused_for_length(answer: Answer, member: str, length: int) -> bool:
    """Everybody can see it without the key."""
    if answer.status != 400 or answer.body["error"]["code"] != "BadParameter":
        return False
    said = answer.body["error"]["message"]
    return said.startswith((f"Invalid length of '{member}': {length} bytes.", f"Property {member} has invalid value"))


def private_key(jwk: Jwk) -> PrivateKey:
    """For `cryptography`, as the judge."""
    numbers = {
        name: int.from_bytes(from_base64url(jwk[name]), "big") for name in MEMBERS if name in jwk and name != "crv"
    }
    if jwk["kty"] == "EC":
        return ec.derive_private_key(numbers["d"], CURVES[jwk["crv"]])
    public = rsa.RSAPublicNumbers(numbers["e"], numbers["n"])
    p, q, d = numbers["p"], numbers["q"], numbers["d"]
    return rsa.RSAPrivateNumbers(p, q, d, numbers["dp"], numbers["dq"], numbers["qi"], public).private_key(
        unsafe_skip_rsa_key_validation=True  # it takes half a second, and is none of the judge's business
    )


def jwk_of_pkcs8(der: bytes) -> Jwk:
    """Of an RSA key."""
    key = load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(key, rsa.RSAPrivateKey)
    return jwk_of(key)


def jwk_of(key: rsa.RSAPrivateKey) -> Jwk:
    own = key.private_numbers()
    public = own.public_numbers
    numbers = {"n": public.n, "e": public.e, "d": own.d, "p": own.p, "q": own.q}
    numbers |= {"dp": own.dmp1, "dq": own.dmq1, "qi": own.iqmp}
    return {"kty": "RSA"} | {
        name: to_base64url(number.to_bytes((number.bit_length() + 7) // 8, "big")) for name, number in numbers.items()
    }
