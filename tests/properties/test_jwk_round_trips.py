"""Any JSON Web Key that comes in goes out with the same public part, attributes and tags, and signs what it should."""

import itertools
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tests.caller import from_base64url, to_base64url
from tests.properties.worker import BEGINNING, Place, Worker
from tests.vectors import wycheproof
from tests.vectors.place import CURVES, Jwk, jwk_of_pkcs8

COMMON = {"derandomize": True, "deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}
AS_FOUND = {"phases": [Phase.explicit, Phase.generate]}
"""The quick ones show the first way that fails as it is: to shorten it takes minutes, which the long ones have."""
QUICK, QUICK_RSA = settings(max_examples=15, **COMMON, **AS_FOUND), settings(max_examples=4, **COMMON, **AS_FOUND)
LONG, LONG_RSA = settings(max_examples=300, **COMMON), settings(max_examples=25, **COMMON)
ORDERS = {
    "P-256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "P-384": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    "P-521": (1 << 521) - 0x5AE79787C40D069948033FEB708F65A2FC44A36477663B851449048E16EC79BF7,
    "P-256K": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141,
}
"""FIPS 186-4, D.1.2; SEC 2, 2.4.1."""
SIGNED_AS = {
    "P-256": ("ES256", SHA256),
    "P-384": ("ES384", SHA384),
    "P-521": ("ES512", SHA512),
    "P-256K": ("ES256K", SHA256),
}
OPERATIONS = ("encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey")
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=256)
TIMES = st.integers(0, 253_402_300_799)
NUMBERS = itertools.count()


@dataclass(frozen=True)
class Settings:
    """What a caller says beside the key. None: not said."""

    key_ops: list[str] | None
    tags: dict[str, str] | None
    enabled: bool | None
    not_before: int | None
    expires: int | None

    @property
    def body(self) -> dict[str, Any]:
        attributes = {"enabled": self.enabled, "nbf": self.not_before, "exp": self.expires}
        given = {"attributes": {name: value for name, value in attributes.items() if value is not None}}
        return given if self.tags is None else {**given, "tags": self.tags}

    def attributes(self, *, hardware: bool) -> dict[str, Any]:
        """As every answer shall have them."""
        times = {"nbf": self.not_before, "exp": self.expires}
        return {
            "enabled": self.enabled is not False,
            **{name: value for name, value in times.items() if value is not None},
            "created": int(BEGINNING),
            "updated": int(BEGINNING),
            "recoveryLevel": "Recoverable+Purgeable",
            "recoverableDays": 90,
            "exportable": False,
            **({} if hardware else {"hsmPlatform": "0"}),
        }


@st.composite
def stated(draw: st.DrawFn) -> Settings:
    times = draw(st.tuples(st.none() | TIMES, st.none() | TIMES))
    if None not in times:
        times = (min(times), max(times))
    return Settings(
        draw(st.none() | st.lists(st.sampled_from(OPERATIONS), max_size=6)),
        draw(st.none() | st.dictionaries(TEXT, TEXT, max_size=15)),
        draw(st.none() | st.booleans()),
        *times,
    )


@dataclass(frozen=True)
class Spelling:
    """How integers are written: without leading zeros at all, or with so many more than the field's width."""

    minimal: bool
    zeros: int
    padded: bool

    def write(self, number: int, width: int) -> str:
        content = number.to_bytes(width, "big")
        text = to_base64url(bytes(self.zeros) + (content.lstrip(b"\0") if self.minimal else content))
        return text + "=" * (-len(text) % 4) if self.padded else text


SPELLINGS = st.builds(Spelling, st.booleans(), st.integers(0, 7), st.booleans())


@st.composite
def curves_and_keys(draw: st.DrawFn) -> tuple[str, int]:
    """Private keys with hardly a bit set too: those have coordinates that everybody knows, and leading zeros in d."""
    curve = draw(st.sampled_from(sorted(ORDERS)))
    order = ORDERS[curve]
    small, any_size = st.integers(1, 2**16), st.integers(1, order - 1)
    return curve, draw(small | small.map(lambda number: order - number) | any_size)


@cache
def with_leading_zeros(curve: str) -> int:
    """The smallest private key whose x has a leading zero byte."""
    size = ORDERS[curve].bit_length() // 8 * 8  # of P-521 the top byte has one bit: it is zero every other time
    for number in itertools.count(1):
        if ec.derive_private_key(number, CURVES[curve]).public_key().public_numbers().x >> (size - 8) == 0:
            return number
    raise AssertionError


@dataclass(frozen=True)
class Home:
    place: Place
    suffix: str

    @property
    def is_hardware(self) -> bool:
        return self.place.is_pool or bool(self.suffix)


@pytest.fixture(scope="module", params=["soft", "hard", "pool"])
def home(request: pytest.FixtureRequest, the_worker: Worker) -> Home:
    return Home(the_worker.place(is_pool=request.param == "pool"), "-HSM" if request.param == "hard" else "")


def bring(home: Home, jwk: Jwk, said: Settings) -> tuple[str, dict[str, Any]]:
    """Import it, and read it in every way. Returns its name, and the key as it is answered."""
    name = f"k{next(NUMBERS)}"
    key = {**jwk, "kty": jwk["kty"] + home.suffix}
    if said.key_ops is not None:
        key["key_ops"] = said.key_ops
    answer = home.place.ask("PUT", f"/keys/{name}", {"key": key, **said.body})
    assert answer.status == 200, answer.body
    bundle = answer.json
    kid = bundle["key"]["kid"]
    version = kid.rpartition("/")[2]
    assert kid == f"{home.place.origin}/keys/{name}/{version}"
    defaults = ("sign", "verify") if jwk["kty"] == "EC" else OPERATIONS
    assert bundle["key"]["kty"] == jwk["kty"] + ("-HSM" if home.is_hardware else "")
    assert sorted(bundle["key"]["key_ops"]) == sorted(set(said.key_ops or defaults))
    assert bundle["attributes"] == said.attributes(hardware=home.is_hardware)
    assert bundle.get("tags", {}) == (said.tags or {})
    assert bundle.keys() <= {"key", "attributes", "tags"}
    for target in (
        f"/keys/{name}",
        f"/keys/{name.upper()}/",
        f"/keys/{name}/{version}",
        f"/keys/{name}/{version.upper()}",
    ):
        assert home.place.ask("GET", target).json == bundle, target
    (item,) = home.place.ask("GET", f"/keys/{name}/versions").json["value"]
    assert item == {"kid": kid} | {member: bundle[member] for member in ("attributes", "tags") if member in bundle}
    return name, bundle["key"]


def signature(home: Home, name: str, said: Settings, alg: str, digest: bytes) -> bytes | None:
    """None: not permitted, which is for another test to judge."""
    if said.enabled is False or (said.key_ops and "sign" not in said.key_ops):
        return None
    if (said.not_before or 0) > BEGINNING or (said.expires is not None and said.expires <= BEGINNING):
        return None
    answer = home.place.ask("POST", f"/keys/{name}//sign", {"alg": alg, "value": to_base64url(digest)})
    assert answer.status == 200, answer.body
    return from_base64url(answer.json["value"])


def check_ec(home: Home, key: tuple[str, int], spelling: Spelling, said: Settings) -> None:
    curve, number = key
    private = ec.derive_private_key(number, CURVES[curve])
    public = private.public_key().public_numbers()
    width = (private.curve.key_size + 7) // 8
    members = {"x": public.x, "y": public.y, "d": number}
    written = {member: spelling.write(value, width) for member, value in members.items()}
    name, answered = bring(home, {"kty": "EC", "crv": curve, **written}, said)
    fixed = {member: to_base64url(members[member].to_bytes(width, "big")) for member in ("x", "y")}
    assert {member: answered[member] for member in answered.keys() - {"kid", "kty", "key_ops"}} == {
        "crv": curve,
        **fixed,
    }
    alg, function = SIGNED_AS[curve]
    digest = bytes(range(function.digest_size))
    signed = signature(home, name, said, alg, digest)
    if signed is not None:
        assert len(signed) == 2 * width
        r, s = (int.from_bytes(half, "big") for half in (signed[:width], signed[width:]))
        private.public_key().verify(encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(function())))


PLAIN_SETTINGS = Settings(None, None, None, None, None)


@example(key=("P-521", with_leading_zeros("P-521")), spelling=Spelling(True, 0, False), said=PLAIN_SETTINGS)
@example(key=("P-384", with_leading_zeros("P-384")), spelling=Spelling(True, 0, False), said=PLAIN_SETTINGS)
@example(key=("P-256", with_leading_zeros("P-256")), spelling=Spelling(False, 1, True), said=PLAIN_SETTINGS)
@example(key=("P-256K", with_leading_zeros("P-256K")), spelling=Spelling(True, 0, False), said=PLAIN_SETTINGS)
@given(key=curves_and_keys(), spelling=SPELLINGS, said=stated())
@QUICK
def test_an_ec_key_comes_out_as_it_went_in(
    home: Home, key: tuple[str, int], spelling: Spelling, said: Settings
) -> None:
    check_ec(home, key, spelling, said)


@pytest.mark.slow
@pytest.mark.timeout(600)
@given(key=curves_and_keys(), spelling=SPELLINGS, said=stated())
@LONG
def test_hundreds_of_ec_keys_come_out_as_they_went_in(
    home: Home, key: tuple[str, int], spelling: Spelling, said: Settings
) -> None:
    check_ec(home, key, spelling, said)


@cache
def published(bits: int) -> list[Jwk]:
    """RSA keys of the vectors: nobody has to make any."""
    found = [jwk_of_pkcs8(bytes.fromhex(group["pkcs8"])) for group in wycheproof.groups("rsa_pkcs1_sign.json")]
    found += [group["private"] for group in wycheproof.groups("jws.json") if group["private"]["kty"] == "RSA"]
    distinct = {jwk["n"]: jwk for jwk in found if 8 * len(from_base64url(jwk["n"])) == bits}
    return list(distinct.values())


MEMBER_SETS = st.sampled_from([("d",), ("d", "p", "q"), ("d", "p", "q", "dp", "dq", "qi"), ("d", "p", "q", "qi")])


def check_rsa(home: Home, jwk: Jwk, spelling: Spelling, members: tuple[str, ...], said: Settings) -> None:
    numbers = {name: int.from_bytes(from_base64url(jwk[name]), "big") for name in ("n", "e", *members)}
    written = {name: spelling.write(number, (number.bit_length() + 7) // 8) for name, number in numbers.items()}
    name, answered = bring(home, {"kty": "RSA", **written}, said)
    assert answered.keys() == {"kid", "kty", "key_ops", "n", "e"}
    assert answered["n"] == written["n"].rstrip("="), "n is repeated as it was given"
    assert int.from_bytes(from_base64url(answered["e"]), "big") == numbers["e"]
    digest = bytes(range(32))
    signed = signature(home, name, said, "PS256", digest)
    if signed is not None:
        public = rsa.RSAPublicNumbers(numbers["e"], numbers["n"]).public_key()
        public.verify(signed, digest, padding.PSS(padding.MGF1(SHA256()), 32), Prehashed(SHA256()))


@given(which=st.integers(0, 99), spelling=SPELLINGS, members=MEMBER_SETS, said=stated())
@QUICK_RSA
def test_an_rsa_key_comes_out_as_it_went_in(
    home: Home, which: int, spelling: Spelling, members: tuple[str, ...], said: Settings
) -> None:
    check_rsa(home, published(2048)[which % len(published(2048))], spelling, members, said)


@pytest.mark.slow
@pytest.mark.timeout(600)
@given(
    bits=st.sampled_from([2048, 2048, 3072, 4096]),
    which=st.integers(0, 99),
    spelling=SPELLINGS,
    members=MEMBER_SETS,
    said=stated(),
)
@LONG_RSA
def test_rsa_keys_of_every_size_come_out_as_they_went_in(
    home: Home, bits: int, which: int, spelling: Spelling, members: tuple[str, ...], said: Settings
) -> None:
    check_rsa(home, published(bits)[which % len(published(bits))], spelling, members, said)


@given(
    curve=st.sampled_from(sorted(ORDERS)),
    other=st.sampled_from(sorted(ORDERS)),
    number=st.integers(2, 2**64),
    change=st.sampled_from(["d", "x", "y", "crv", "zero", "order"]),
)
@QUICK
def test_an_ec_key_whose_parts_do_not_belong_together_does_not_come_in(
    home: Home, curve: str, other: str, number: int, change: str
) -> None:
    public = ec.derive_private_key(number, CURVES[curve]).public_key().public_numbers()
    members = {"x": public.x, "y": public.y, "d": number}
    if change == "crv" and other == curve:
        return
    if change in members:
        members[change] += 1
    members["d"] = {"zero": 0, "order": ORDERS[curve] + number}.get(change, members["d"])
    written = {name: to_base64url(value.to_bytes(67, "big")) for name, value in members.items()}
    crv = other if change == "crv" else curve
    body = {"key": {"kty": "EC" + home.suffix, "crv": crv, **written}}
    answer = home.place.ask("PUT", "/keys/never", body)
    assert (answer.status, answer.code) == (400, "BadParameter"), answer.body
    assert home.place.ask("GET", "/keys/never").status == 404
