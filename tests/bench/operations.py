"""The operations that are measured: their keys, their requests, and how a sample of their answers is checked."""

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

from tests.bench.generator import Work
from tests.bench.instance import Instance

DIGESTS = tuple(hashlib.sha256(b"benchmark %d" % number).digest() for number in range(16))
OAEP = padding.OAEP(padding.MGF1(SHA1()), SHA1(), None)  # noqa: S303  # what RSA-OAEP means; SoftHSM has no other
_MOST_CREATED = 2_000

NAMES = (
    "get-key",
    "sign-es256-hard",
    "sign-es256-soft",
    "sign-rs256-hard",
    "sign-rs256-soft",
    "verify-es256",
    "verify-rs256",
    "decrypt-oaep-hard",
    "decrypt-oaep-soft",
    "wrap-oaep",
    "unwrap-oaep-hard",
    "create-ec-hard",
)

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
Check = Callable[[int, bytes], bool]


class Operations:
    """Makes the keys in the vault, then the work of any name of NAMES."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._keys: dict[str, dict[str, Any]] = {}
        self._works: dict[str, Work] = {}
        self._creations = 0
        for kind, suffix in (("hard", "-HSM"), ("soft", "")):
            for name, body in (("es256", {"kty": f"EC{suffix}", "crv": "P-256"}), ("rsa", {"kty": f"RSA{suffix}"})):
                answer = instance.call("POST", f"bench-{name}-{kind}/create", json.dumps(body).encode())
                self._keys[f"{name}-{kind}"] = answer["key"]

    def work(self, name: str) -> Work:
        """Ask anew for each cell: what creates keys gives them other names each time."""
        if name == "create-ec-hard":
            return self._create(name)
        if name not in self._works:
            self._works[name] = self._made(name)
        return self._works[name]

    def bare(self) -> Work:
        """The bytes of a signature request, for a server that answers anything with the same."""
        return Work("constant", self.work("sign-es256-soft").requests, lambda _, body: len(body) > 0)

    def _made(self, name: str) -> Work:
        verb, _, rest = name.partition("-")
        if verb == "get":
            return self._get(name)
        if verb == "sign":
            algorithm, _, kind = rest.partition("-")
            return self._sign(name, f"{'rsa' if algorithm == 'rs256' else algorithm}-{kind}", algorithm.upper())
        if verb == "verify":
            return self._verify(name, "rsa-hard" if rest == "rs256" else "es256-hard", rest.upper())
        if verb == "wrap":
            return self._wrap(name)
        kind = name.rpartition("-")[2]
        return self._private(name, f"rsa-{kind}", "decrypt" if verb == "decrypt" else "unwrapkey")

    def _rest(self, key: str, verb: str) -> str:
        """The version is named, as the SDK's cryptography client does."""
        return f"bench-{key}/{self._keys[key]['kid'].rpartition('/')[2]}{verb and '/'}{verb}"

    def _post(self, key: str, verb: str, **members: str) -> bytes:
        return self._instance.request("POST", self._rest(key, verb), json.dumps(members).encode())

    def _get(self, name: str) -> Work:
        jwk = self._keys["es256-hard"]
        request = self._instance.request("GET", self._rest("es256-hard", ""))
        return Work(name, (request,), lambda _, body: bool(json.loads(body)["key"] == jwk))

    def _sign(self, name: str, key: str, algorithm: str) -> Work:
        requests = tuple(self._post(key, "sign", alg=algorithm, value=encode(digest)) for digest in DIGESTS)
        return Work(name, requests, signature_check(public_of(self._keys[key])))

    def _verify(self, name: str, key: str, algorithm: str) -> Work:
        requests = []
        for digest in DIGESTS:
            order = json.dumps({"alg": algorithm, "value": encode(digest)}).encode()
            signature = self._instance.call("POST", self._rest(key, "sign"), order)["value"]
            requests.append(self._post(key, "verify", alg=algorithm, digest=encode(digest), value=signature))
        return Work(name, tuple(requests), lambda _, body: json.loads(body)["value"] is True)

    def _wrap(self, name: str) -> Work:
        requests = tuple(self._post("rsa-hard", "wrapkey", alg="RSA-OAEP", value=encode(digest)) for digest in DIGESTS)

        def check(which: int, body: bytes) -> bool:
            order = json.dumps({"alg": "RSA-OAEP", "value": json.loads(body)["value"]}).encode()
            opened = self._instance.call("POST", self._rest("rsa-hard", "unwrapkey"), order)["value"]
            return decode(opened) == DIGESTS[which]

        return Work(name, requests, check)

    def _private(self, name: str, key: str, verb: str) -> Work:
        public = public_of(self._keys[key])
        assert isinstance(public, rsa.RSAPublicKey)
        requests = tuple(
            self._post(key, verb, alg="RSA-OAEP", value=encode(public.encrypt(digest, OAEP))) for digest in DIGESTS
        )
        return Work(name, requests, lambda which, body: decode(json.loads(body)["value"]) == DIGESTS[which])

    def _create(self, name: str) -> Work:
        self._creations += 1
        body = json.dumps({"kty": "EC-HSM", "crv": "P-256"}).encode()
        request = self._instance.request("POST", f"made-{self._creations}-@@@@@@@@@/create", body)

        def check(_: int, content: bytes) -> bool:
            jwk = json.loads(content)["key"]
            return jwk["kty"] == "EC-HSM" and isinstance(public_of(jwk), ec.EllipticCurvePublicKey)

        return Work(name, (request,), check, most=_MOST_CREATED)


def signature_check(public: PublicKey) -> Check:
    """For answers {"value": base64url of r || s, or of the RSA signature} over DIGESTS."""

    def check(which: int, body: bytes) -> bool:
        verify_signature(public, decode(json.loads(body)["value"]), DIGESTS[which])
        return True

    return check


def verify_signature(public: PublicKey, signature: bytes, digest: bytes) -> None:
    """Raises InvalidSignature."""
    if isinstance(public, rsa.RSAPublicKey):
        public.verify(signature, digest, padding.PKCS1v15(), utils.Prehashed(SHA256()))
        return
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    public.verify(utils.encode_dss_signature(r, s), digest, ec.ECDSA(utils.Prehashed(SHA256())))


def public_of(jwk: dict[str, Any]) -> PublicKey:
    if jwk["kty"].startswith("RSA"):
        return rsa.RSAPublicNumbers(_number(jwk["e"]), _number(jwk["n"])).public_key()
    return ec.EllipticCurvePublicNumbers(_number(jwk["x"]), _number(jwk["y"]), ec.SECP256R1()).public_key()


def encode(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _number(text: str) -> int:
    return int.from_bytes(decode(text), "big")
