"""Attestation: what a real token says about keys, and what the verifier makes of it."""

import asyncio
import base64
import copy
import hashlib
import json
import os
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime

import jwt
import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from hsmvault.clock import MovedClock, RandomIdentifiers
from hsmvault.custody.attestation import Attestor
from hsmvault.custody.attestation_bundle import Unreadable
from hsmvault.custody.attestation_certificate import pem
from hsmvault.custody.attestation_findings import Findings, Outcome
from hsmvault.custody.attestation_verifier import verify
from hsmvault.custody.hard import WrappedCustodian
from hsmvault.custody.protocols import Terms
from hsmvault.custody.reference import Origin
from hsmvault.errors import BadRequest, Unavailable
from hsmvault.hsm import objects, world_keys
from hsmvault.model.algorithms import Curve, KeySpec
from tests.contract.custody_rig import callers_key
from tests.custody.attestations import (
    Attested,
    Attesting,
    attested,
    attesting,
    b64,
    claims,
    forger,
    raw,
    rest_of,
    unb64,
)
from tests.softhsm import SoftToken, softhsm_for_module, softhsm_template

__all__ = ["softhsm_for_module", "softhsm_template"]

RSA_2048, P256, P256K = KeySpec.rsa(2048), KeySpec.ec(Curve.P256), KeySpec.ec(Curve.P256K)
SPECS = [RSA_2048, *(KeySpec.ec(curve) for curve in Curve), KeySpec.oct(128), KeySpec.oct(256)]
pytestmark = pytest.mark.asyncio(loop_scope="module")


def named(spec: KeySpec) -> str:
    return spec.curve.value if spec.curve else f"{spec.family.value}-{spec.size_bits}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(softhsm_for_module: SoftToken) -> AsyncIterator[Attesting]:
    async with attesting(softhsm_for_module) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def key(rig: Attesting) -> Attested:
    return await attested(rig.wrapped, P256)


def sentences(findings: Findings, outcome: Outcome) -> str:
    return "\n".join(one.sentence for one in findings.all if one.outcome is outcome)


def holds(findings: Findings) -> None:
    assert findings.outcome is Outcome.HOLDS, sentences(findings, Outcome.FAILS) + sentences(findings, Outcome.OPEN)


def fails(findings: Findings, sentence: str) -> None:
    assert findings.outcome is Outcome.FAILS
    assert sentence in sentences(findings, Outcome.FAILS)


# -- what is said ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", SPECS, ids=named)
async def test_the_attestation_of_a_generated_key_holds(rig: Attesting, spec: KeySpec) -> None:
    made = await attested(rig.wrapped, spec)
    findings = verify(made.file(), rig.pinned)
    holds(findings)
    said = sentences(findings, Outcome.HOLDS)
    assert "generated inside the HSM" in said
    assert "trusted and locked" in said
    assert "not exportable: it cannot leave" in said
    assert bool(made.attestation.public_key) is bool(made.held.public)


@pytest.mark.parametrize("spec", [RSA_2048, P256], ids=named)
async def test_the_attestation_of_a_resident_key_holds_and_the_token_confirms_its_past(
    rig: Attesting, spec: KeySpec
) -> None:
    made = await attested(rig.resident, spec, name="resident")
    findings = verify(made.file(), rig.pinned)
    holds(findings)
    assert "lives in the token" in sentences(findings, Outcome.HOLDS)
    assert "never extractable" in sentences(findings, Outcome.HOLDS)
    token = claims(made.attestation.private_key)["token"]
    assert "world_key" not in token or token["world_key"] is None
    (said,) = token["objects"]
    assert said["attributes"]["CKA_LOCAL"] is True
    await rig.resident.destroy(made.held, made.binding)


async def test_an_imported_key_is_called_imported(rig: Attesting) -> None:
    _, material = callers_key(P256)
    made = await attested(rig.wrapped, P256)
    held = await rig.wrapped.admit(material, made.binding)
    imported = Attested(held, made.binding, await rig.wrapped.attest(held, made.binding))
    findings = verify(imported.file(), rig.pinned)
    holds(findings)
    assert "was imported: whoever had it" in sentences(findings, Outcome.HOLDS)
    assert claims(imported.attestation.private_key)["server"]["origin"] == Origin.IMPORTED.value


@pytest.mark.parametrize("spec", [RSA_2048, P256, KeySpec.oct(256)], ids=named)
async def test_an_exportable_key_says_so(rig: Attesting, spec: KeySpec) -> None:
    made = await attested(rig.wrapped, spec, Terms(exportable=True))
    findings = verify(made.file(), rig.pinned)
    holds(findings)
    assert "THE KEY IS EXPORTABLE" in sentences(findings, Outcome.HOLDS)
    assert "cannot leave" not in sentences(findings, Outcome.HOLDS)


async def test_an_exchange_key_says_so(rig: Attesting) -> None:
    made = await attested(rig.wrapped, RSA_2048, Terms(exchange=True))
    findings = verify(made.file(), rig.pinned)
    holds(findings)
    assert "key exchange key" in sentences(findings, Outcome.HOLDS)
    (said,) = claims(made.attestation.private_key)["token"]["objects"]
    assert (said["attributes"]["CKA_UNWRAP"], said["attributes"]["CKA_SIGN"]) == (True, False)


async def test_what_the_server_knows_and_what_the_token_says_stand_apart(rig: Attesting, key: Attested) -> None:
    said = claims(key.attestation.private_key)
    assert set(said) == {"format", "kind", "time", "server", "token"}
    assert said["time"] == 1_750_000_000
    assert said["server"] | {"spki_sha256": ""} == {
        "container": key.binding.container_id,
        "name": "signing",
        "version": key.binding.version,
        "custody": "wrapped",
        "origin": "generated",
        "exportable": False,
        "exchange": False,
        "family": "EC",
        "size_bits": 256,
        "curve": "P-256",
        "spki_sha256": "",
        "proved": True,
    }
    token = said["token"]
    assert (token["label"], token["manufacturer"]) == ("test", "SoftHSM project")
    assert token["serial"] and token["firmware_version"].count(".") == 1
    (one,) = token["objects"]
    assert one["use"] == "key"
    assert one["attributes"] == {
        "CKA_CLASS": "CKO_PRIVATE_KEY",
        "CKA_KEY_TYPE": "CKK_EC",
        "CKA_TOKEN": False,
        "CKA_PRIVATE": True,
        "CKA_SENSITIVE": True,
        "CKA_EXTRACTABLE": False,
        "CKA_ALWAYS_SENSITIVE": False,  # the token says so of everything that was unwrapped
        "CKA_NEVER_EXTRACTABLE": False,
        "CKA_LOCAL": False,
        "CKA_MODIFIABLE": False,
        "CKA_WRAP_WITH_TRUSTED": True,
        "CKA_ALLOWED_MECHANISMS": ["CKM_ECDSA"],
        "CKA_SIGN": True,
        "CKA_SIGN_RECOVER": False,
        "CKA_DECRYPT": False,
        "CKA_UNWRAP": False,
        "CKA_DERIVE": False,
        "CKA_EC_PARAMS": b64(bytes.fromhex("06082a8648ce3d030107")),
    }
    world = token["world_key"]
    assert world["id"] == rig.world.world_key_id.hex()
    assert world["unwrap_template"] == {"CKA_SENSITIVE": True, "CKA_EXTRACTABLE": False}
    assert (world["attributes"]["CKA_TRUSTED"], world["attributes"]["CKA_NEVER_EXTRACTABLE"]) == (True, True)


async def test_the_objects_of_an_oct_key_are_attested_one_by_one(rig: Attesting) -> None:
    made = await attested(rig.wrapped, KeySpec.oct(256))
    objects = claims(made.attestation.private_key)["token"]["objects"]
    assert [one["use"] for one in objects] == ["modes", "key wrap", "HMAC"]
    assert all(one["attributes"]["CKA_EXTRACTABLE"] is False for one in objects)
    assert all(one["attributes"]["CKA_WRAP"] is False for one in objects)


async def test_the_statements_are_canonical_and_any_jose_library_verifies_them(rig: Attesting, key: Attested) -> None:
    public = x509.load_der_x509_certificate(rig.certificate).public_key()
    for jws in (key.attestation.private_key, key.attestation.public_key):
        payload = unb64(jws.split(b".")[1])
        assert payload == json.dumps(json.loads(payload), separators=(",", ":"), sort_keys=True).encode()
        read = jwt.api_jws.PyJWS().decode_complete(jws, public, algorithms=["ES256"])  # type: ignore[arg-type]  # a key
        assert read["header"]["typ"] == "hsmvault-key-attestation"


async def test_the_certificate_verifies_itself_and_is_the_one_that_is_handed_out(rig: Attesting, key: Attested) -> None:
    certificate = x509.load_pem_x509_certificate(key.attestation.certificates)
    certificate.verify_directly_issued_by(certificate)
    assert key.attestation.certificates == rig.pinned
    assert "CERTIFICATE" in key.attestation.certificates.decode()


async def test_attesting_leaves_nothing_in_the_token(rig: Attesting, key: Attested) -> None:
    def count(work: object) -> int:
        return len(list(work.session.get_objects()))  # type: ignore[attr-defined]  # a WorkSession

    before = await rig.world.token().run(count)
    for _ in range(3):
        await rig.wrapped.attest(key.held, key.binding)
    assert await rig.world.token().run(count) == before


async def test_who_asks_for_attestations_holds_up_no_creation_and_waits_for_none(rig: Attesting, key: Attested) -> None:
    """There is one thread that makes RSA keys."""
    begun, made = threading.Event(), threading.Event()
    making = asyncio.create_task(rig.world.token().make(lambda _: (begun.set(), made.wait())))
    try:
        assert await asyncio.to_thread(begun.wait, 10)
        async with asyncio.timeout(10):
            await rig.wrapped.attest(key.held, key.binding)
    finally:
        made.set()
        await making


async def test_the_world_key_is_searched_for_once(
    rig: Attesting, key: Attested, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search walks through every object of the token."""
    await rig.wrapped.attest(key.held, key.binding)

    def find(*_: object) -> list[object]:
        raise AssertionError("searched again")

    for module in (world_keys, objects):
        monkeypatch.setattr(module, "find", find)
    again = replace(key, attestation=await rig.wrapped.attest(key.held, key.binding))
    holds(verify(again.file(), rig.pinned))


async def test_a_key_that_is_not_of_its_row_is_not_attested(rig: Attesting, key: Attested) -> None:
    other = await attested(rig.wrapped, P256)
    for held, binding in (
        (key.held, replace(key.binding, version=os.urandom(16).hex())),
        (key.held, replace(key.binding, container_id="another")),
        (replace(key.held, public=other.held.public), key.binding),
    ):
        with pytest.raises(Unavailable):
            await rig.wrapped.attest(held, binding)


async def test_a_world_without_an_attestation_key_refuses(rig: Attesting, key: Attested) -> None:
    custodian = WrappedCustodian(rig.world, RandomIdentifiers())
    with pytest.raises(BadRequest, match="cannot be attested"):
        await custodian.attest(key.held, key.binding)


# -- what does not hold ---------------------------------------------------------------------------------------------


def changed(key: Attested, change: Callable[[dict], None]) -> bytes:
    bundle = copy.deepcopy(key.bundle())
    change(bundle)
    return json.dumps(bundle).encode()


async def test_without_a_pinned_certificate_nothing_is_decided(key: Attested) -> None:
    findings = verify(key.file(), None)
    assert findings.outcome is Outcome.OPEN
    assert "nobody vouches" in sentences(findings, Outcome.OPEN)
    assert not sentences(findings, Outcome.FAILS)


async def test_another_worlds_certificate_is_not_enough(rig: Attesting, key: Attested) -> None:
    other = forger()
    fails(verify(key.file(), pem(other[1])), "another certificate than those that you trust")
    both = pem(other[1]) + rig.pinned
    holds(verify(key.file(), both))


@pytest.mark.parametrize("member", ["privateKeyAttestation", "publicKeyAttestation"])
async def test_every_changed_byte_of_a_statement_is_found(rig: Attesting, key: Attested, member: str) -> None:
    jws = unb64(key.bundle()["attributes"]["attestation"][member])
    for at in range(0, len(jws), 7):
        other = jws[:at] + bytes([jws[at] ^ 1]) + jws[at + 1 :]

        def put(bundle: dict, other: bytes = other) -> None:
            bundle["attributes"]["attestation"][member] = b64(other)

        try:
            findings = verify(changed(key, put), rig.pinned)
        except Unreadable:
            continue
        assert findings.outcome is Outcome.FAILS, at


async def test_statements_that_were_swapped_are_found(rig: Attesting, key: Attested) -> None:
    other = await attested(rig.wrapped, P256)
    mine, his = rest_of(key.attestation), rest_of(other.attestation)

    def take(*members: str) -> bytes:
        return changed(key, lambda bundle: bundle["attributes"]["attestation"].update({m: his[m] for m in members}))

    fails(verify(take("publicKeyAttestation"), rig.pinned), "belongs to another private key")
    fails(verify(take("privateKeyAttestation"), rig.pinned), "not the attested one")
    fails(verify(take("privateKeyAttestation", "publicKeyAttestation"), rig.pinned), "not the attested one")
    crossed = {"privateKeyAttestation": mine["publicKeyAttestation"]}
    fails(verify(changed(key, lambda b: b["attributes"]["attestation"].update(crossed)), rig.pinned), "another one")


async def test_another_public_key_name_version_or_type_is_found(rig: Attesting, key: Attested) -> None:
    other = (await attested(rig.wrapped, P256)).bundle()["key"]
    fails(verify(changed(key, lambda b: b["key"].update(x=other["x"], y=other["y"])), rig.pinned), "public key in the")
    fails(verify(changed(key, lambda b: b["key"].update(x=other["x"])), rig.pinned), "public key in the file")
    fails(verify(changed(key, lambda b: b["key"].pop("x")), rig.pinned), "public key in the file")
    for kid in (
        key.bundle()["key"]["kid"].replace("Signing", "other"),
        key.bundle()["key"]["kid"][:-1] + "0",
        "urn:else",
    ):
        fails(verify(changed(key, lambda b, kid=kid: b["key"].update(kid=kid)), rig.pinned), "another key or version")
    fails(verify(changed(key, lambda b: b["key"].update(kty="EC")), rig.pinned), "says that it is of type")
    fails(verify(changed(key, lambda b: b["attributes"].update(exportable=True)), rig.pinned), "exportable")


async def test_a_missing_statement_about_the_public_key_is_found(rig: Attesting, key: Attested) -> None:
    text = changed(key, lambda bundle: bundle["attributes"]["attestation"].pop("publicKeyAttestation"))
    fails(verify(text, rig.pinned), "is missing")


def resigned(key: Attested, change: Callable[[dict], None]) -> tuple[bytes, bytes]:
    """The bundle with another private statement, signed by a forger, and the forger's certificate in PEM: what the
    flags say is judged, not only who signed.
    """
    private, certificate = forger()
    statement = claims(key.attestation.private_key)
    change(statement)
    private_jws = signed(private, certificate, statement)
    public = claims(key.attestation.public_key)
    public["private_key_sha256"] = b64(digest_of(private_jws))
    public_jws = signed(private, certificate, public)

    def put(bundle: dict) -> None:
        bundle["attributes"]["exportable"] = statement["server"]["exportable"]
        bundle["attributes"]["attestation"] = {
            "certificatePemFile": b64(pem(certificate)),
            "privateKeyAttestation": b64(private_jws),
            "publicKeyAttestation": b64(public_jws),
            "version": "1",
        }

    return changed(key, put), pem(certificate)


def digest_of(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()


def signed(private: ec.EllipticCurvePrivateKey, certificate: bytes, statement: dict) -> bytes:
    header = {"alg": "ES256", "typ": "hsmvault-key-attestation", "x5t#S256": b64(digest_of(certificate))}
    text = ".".join(b64(json.dumps(part).encode()) for part in (header, statement)).encode()
    return text + b"." + b64(raw(private, text)).encode()


def attributes(statement: dict) -> dict:
    return statement["token"]["objects"][0]["attributes"]


def world(statement: dict) -> dict:
    return statement["token"]["world_key"]


async def test_the_forgers_own_statement_holds_under_the_forgers_certificate(key: Attested) -> None:
    """So that the cases below fail for what they change alone."""
    text, certificate = resigned(key, lambda _: None)
    holds(verify(text, certificate))


LOOSE: dict[str, tuple[Callable[[dict], object], str]] = {
    "extractable": (lambda s: attributes(s).update(CKA_EXTRACTABLE=True), "could leave the token"),
    "not sensitive": (lambda s: attributes(s).update(CKA_SENSITIVE=False), "could leave the token"),
    "sensitive unknown": (lambda s: attributes(s).pop("CKA_SENSITIVE"), "could leave the token"),
    "a public object": (lambda s: attributes(s).update(CKA_PRIVATE=False), "could leave the token"),
    "another class": (lambda s: attributes(s).update(CKA_CLASS="CKO_DATA"), "could leave the token"),
    "derives": (lambda s: attributes(s).update(CKA_DERIVE=True), "may wrap or derive"),
    "not used": (lambda s: s["server"].update(proved=False), "does not say that the private key was used"),
    "no time": (lambda s: s.update(time=10**18), "not a time"),
    "no object": (lambda s: s["token"]["objects"].clear(), "showed no object"),
    "no world key": (lambda s: s["token"].update(world_key=None), "world key that wraps the key is missing"),
    "world key decrypts": (lambda s: world(s)["attributes"].update(CKA_DECRYPT=True), "is not locked (CKA_DECRYPT)"),
    "world key modifiable": (lambda s: world(s)["attributes"].update(CKA_MODIFIABLE=True), "not locked"),
    "world key not trusted": (lambda s: world(s)["attributes"].pop("CKA_TRUSTED"), "not locked (CKA_TRUSTED)"),
    "world key extractable": (lambda s: world(s)["attributes"].update(CKA_EXTRACTABLE=True), "not locked"),
    "world key does more": (
        lambda s: world(s)["attributes"].update(CKA_ALLOWED_MECHANISMS=["CKM_AES_ECB", "CKM_AES_KEY_WRAP_PAD"]),
        "not locked (CKA_ALLOWED_MECHANISMS)",
    ),
    "no unwrap template": (lambda s: world(s).update(unwrap_template={}), "not locked (CKA_UNWRAP_TEMPLATE)"),
    "loose unwrap template": (lambda s: world(s)["unwrap_template"].update(CKA_EXTRACTABLE=True), "not locked"),
    "resident, but no token object": (lambda s: s["server"].update(custody="resident"), "not an object that lives"),
    "soft": (lambda s: s["server"].update(custody="soft"), "not an object that lives in the token"),
    "another format": (lambda s: s.update(format=2), "another kind or format"),
    "another kind": (lambda s: s.update(kind="public-key"), "another kind or format"),
    "a member more": (lambda s: s.update(more=1), "of a newer version"),
    "another container": (lambda s: s["server"].update(container="else"), "belongs to another private key"),
}


@pytest.mark.parametrize(("change", "sentence"), LOOSE.values(), ids=LOOSE.keys())
async def test_flags_of_a_key_that_could_leave_are_found(
    key: Attested, change: Callable[[dict], object], sentence: str
) -> None:
    text, certificate = resigned(key, lambda statement: (change(statement), None)[1])
    findings = verify(text, certificate)
    fails(findings, sentence)
    assert "cannot leave" not in sentences(findings, Outcome.HOLDS)


async def test_the_time_of_a_statement_is_said_with_its_age(rig: Attesting, key: Attested) -> None:
    made = claims(key.attestation.private_key)["time"]
    said = datetime.fromtimestamp(made, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    assert f"It was made at {said}, by the server's clock." in sentences(verify(key.file(), rig.pinned), Outcome.HOLDS)
    for now, max_age, good in (
        (made + 60, None, True),
        (made + 10**9, None, True),
        (made + 60, 60, True),
        (made + 61, 60, False),
        (made - 300, 60, True),
        (made - 301, 60, False),
        (made - 301, None, False),
    ):
        findings = verify(key.file(), rig.pinned, now=now, max_age_seconds=max_age)
        assert (findings.outcome is Outcome.HOLDS) is good
        assert any(said in one.sentence for one in findings.all)
    assert "60 seconds ago" in sentences(verify(key.file(), rig.pinned, now=made + 60), Outcome.HOLDS)


async def test_another_modulus_in_the_token_is_found(rig: Attesting) -> None:
    made = await attested(rig.wrapped, RSA_2048)
    text, certificate = resigned(made, lambda s: attributes(s).update(CKA_MODULUS=b64(os.urandom(256))))
    fails(verify(text, certificate), "another modulus")


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "HS256"},
        {"typ": "JWT"},
        {"jwk": {}},
        {"crit": ["b64"], "b64": False},
    ],
    ids=str,
)
async def test_a_header_that_is_not_ours_is_refused(rig: Attesting, key: Attested, header: dict) -> None:
    head, payload, signature = key.attestation.private_key.split(b".")
    other = b".".join((b64(json.dumps(json.loads(unb64(head)) | header).encode()).encode(), payload, signature))
    text = changed(key, lambda b: b["attributes"]["attestation"].update(privateKeyAttestation=b64(other)))
    try:
        assert verify(text, rig.pinned).outcome is Outcome.FAILS
    except Unreadable:
        return


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b"nothing",
        b"\xff\xfe",
        b'{"attributes": {"attestation": {}}}',
        b'{"privateKeyAttestation": "!"}',
        b'{"privateKeyAttestation": "AAAA"}',
        b'{"attributes": ' + b"[" * 100_000,
        b'{"key": "' + b"A" * 2_000_000 + b'"}',
    ],
    ids=range(10),
)
async def test_what_is_no_attestation_is_unreadable(text: bytes) -> None:
    for pinned in (None, pem(forger()[1]), b"", b"nothing"):
        with pytest.raises(Unreadable):
            verify(text, pinned)


async def test_the_attestation_alone_leaves_open_which_key_it_is_about(rig: Attesting, key: Attested) -> None:
    for text in (rest_of(key.attestation), sdk_of(key)):
        findings = verify(json.dumps(text).encode(), rig.pinned)
        assert findings.outcome is Outcome.OPEN
        assert "no key to compare" in sentences(findings, Outcome.OPEN)
        assert not sentences(findings, Outcome.FAILS)


def sdk_of(key: Attested) -> dict[str, str]:
    """As a script writes the SDK's KeyAttestation, whose members are bytes, into a file."""
    return {
        "certificate_pem_file": base64.urlsafe_b64encode(key.attestation.certificates).decode(),
        "private_key_attestation": base64.urlsafe_b64encode(key.attestation.private_key).decode(),
        "public_key_attestation": base64.urlsafe_b64encode(key.attestation.public_key).decode(),
    }


async def test_an_attestor_without_a_certificate_signs_nothing(rig: Attesting, key: Attested) -> None:
    custodian = WrappedCustodian(rig.world, RandomIdentifiers(), attestor=Attestor(b"", MovedClock()))
    with pytest.raises(BadRequest):
        await custodian.attest(key.held, key.binding)
