"""Secure key release in a real token, its answer read as verifiers of the service's own read it."""

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key

from hsmvault.errors import BadRequest, Forbidden, NotFound, RequestError, Unavailable
from hsmvault.model.algorithms import Curve, KeySpec
from hsmvault.model.containers import Container
from hsmvault.model.keys import KeyVersion
from hsmvault.model.release_policies import ReleasePolicy
from hsmvault.resources.key_release import KeyRelease, Released, ReleaseRequest
from hsmvault.resources.key_settings import KeySettings
from hsmvault.resources.policy_binding import bound
from tests.resources.attesting import POLICY, Attesting, environment
from tests.resources.stage import POOL, VAULT, WORLD_ID, Stage, stage
from tests.softhsm import SoftToken, softhsm_for_module, softhsm_template

__all__ = ["softhsm_for_module", "softhsm_template"]

EXPORTABLE = KeySettings(exportable=True, release_policy=ReleasePolicy(POLICY))
HASHES = {
    None: hashes.SHA1(),  # noqa: S303 - RSA-OAEP
    "CKM_RSA_AES_KEY_WRAP": hashes.SHA1(),  # noqa: S303
    "RSA_AES_KEY_WRAP_256": hashes.SHA256(),
    "RSA_AES_KEY_WRAP_384": hashes.SHA384(),
}


class Play:
    """A stage, an authority, and release in front of them."""

    def __init__(self, on: Stage) -> None:
        self.stage = on
        self.attesting = Attesting(clock=on.clock)
        self.signer = on.statement_keys()
        self.release = KeyRelease(on.cache, on.custodians, self.attesting.assertions, {WORLD_ID: self.signer})

    async def make(
        self,
        spec: KeySpec,
        settings: KeySettings = EXPORTABLE,
        name: str = "k",
        container: Container = VAULT,
        *,
        hardware: bool = True,
    ) -> KeyVersion:
        return await self.stage.keys.create(container, name, spec, settings, hardware=hardware)

    async def ask(
        self, name: str = "k", version: str | None = None, container: Container = VAULT, **more: Any
    ) -> Released:
        token = more.pop("target") if "target" in more else self.attesting.token()
        request = ReleaseRequest(target=token, kid="https://north/keys/k", api_version="7.4", **more)
        return await self.release.release(container, name, version, request, described)


def described(row: KeyVersion) -> dict[str, object]:
    return {
        "key": {"kid": f"https://north/keys/{row.name}/{row.version}", "kty": row.wire_type},
        "attributes": {"enabled": True},
    }


@pytest_asyncio.fixture
async def play(softhsm_for_module: SoftToken, tmp_path: Path) -> AsyncIterator[Play]:
    async with stage(softhsm_for_module, tmp_path / "hsmvault.db") as on:
        yield Play(on)


def unbase64(text: str) -> bytes:
    assert "=" not in text
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def opened(statement: str) -> dict[str, Any]:
    """The payload, once the header's certificate has been seen to have signed it."""
    head, payload, signature = statement.split(".")
    header = json.loads(unbase64(head))
    der = base64.b64decode(header["x5c"][0])
    certificate = x509.load_der_x509_certificate(der)
    public = certificate.public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    public.verify(unbase64(signature), f"{head}.{payload}".encode(), padding.PKCS1v15(), hashes.SHA256())
    assert header["alg"] == "RS256"
    assert unbase64(header["x5t"]) == hashlib.sha1(der).digest()  # noqa: S324 - RFC 7515, 4.1.7
    assert unbase64(header["x5t#S256"]) == hashlib.sha256(der).digest()
    assert header["kid"] == hashlib.sha1(der).hexdigest().upper()  # noqa: S324
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["*.vault.localhost"]
    return json.loads(unbase64(payload))


def unwrapped(payload: dict[str, Any], enc: str | None, key: rsa.RSAPrivateKey) -> bytes:
    """PKCS#8 in DER, or the bytes of an oct key; PKCS#11 CKM_RSA_AES_KEY_WRAP, and its kin."""
    blob = json.loads(unbase64(payload["response"]["key"]["key"]["key_hsm"]))
    assert blob["schema_version"] == "1.0"
    assert blob["header"] == {"kid": "enclave", "alg": "dir", "enc": payload["request"]["enc"]}
    ciphertext, function = unbase64(blob["ciphertext"]), HASHES[enc]
    size = key.key_size // 8
    transport = key.decrypt(ciphertext[:size], padding.OAEP(padding.MGF1(function), function, None))
    assert len(transport) == 32
    return keywrap.aes_key_unwrap_with_padding(transport, ciphertext[size:])


def without_filling(der: bytes) -> bytes:
    """SoftHSM fills a key up to eight bytes with zeros before it wraps it: DER says where it ends."""
    assert der[:2] == b"\x30\x82" or der[0] == 0x30
    if der[1] < 0x80:
        return der[: der[1] + 2]
    octets = der[1] & 0x7F
    return der[: int.from_bytes(der[2 : 2 + octets], "big") + 2 + octets]


def public_of(private: Any) -> bytes:
    return private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("enc", HASHES, ids=str)
async def test_a_released_rsa_key_is_the_key(play: Play, enc: str | None) -> None:
    row = await play.make(KeySpec.rsa(2048))
    released = await play.ask(enc=enc)
    assert released.row == row
    payload = opened(released.value)
    key = load_der_private_key(without_filling(unwrapped(payload, enc, environment())), None)
    assert public_of(key) == row.public


@pytest.mark.parametrize("curve", list(Curve))
async def test_a_released_ec_key_is_the_key(play: Play, curve: Curve) -> None:
    row = await play.make(KeySpec.ec(curve))
    payload = opened((await play.ask()).value)
    key = load_der_private_key(without_filling(unwrapped(payload, None, environment())), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert public_of(key) == row.public


async def test_a_released_symmetric_key_has_its_length(play: Play) -> None:
    await play.make(KeySpec.oct(256), container=POOL)
    payload = opened((await play.ask(container=POOL)).value)
    assert len(unwrapped(payload, None, environment())) == 32


async def test_the_statement_repeats_the_request_and_answers_the_key(play: Play) -> None:
    row = await play.make(KeySpec.ec(Curve.P256))
    payload = opened((await play.ask(nonce="n-1", enc="RSA_AES_KEY_WRAP_256")).value)
    assert payload["request"] == {
        "api-version": "7.4",
        "enc": "RSA_AES_KEY_WRAP_256",
        "kid": "https://north/keys/k",
        "nonce": "n-1",
    }
    answer = payload["response"]["key"]
    assert answer["attributes"] == {"enabled": True}
    assert answer["key"].keys() == {"kid", "kty", "key_hsm"}
    assert answer["key"]["kid"].endswith(row.version)
    assert "nonce" not in opened((await play.ask()).value)["request"]


async def test_the_version_that_is_asked_for_is_released(play: Play) -> None:
    first, second = await play.make(KeySpec.ec(Curve.P256)), await play.make(KeySpec.ec(Curve.P256))
    assert (await play.ask(version=first.version)).row.version == first.version
    assert (await play.ask()).row.version == second.version


async def test_a_release_is_allowed_outside_the_keys_times(play: Play) -> None:
    now = int(play.stage.clock.now())
    for name, settings in (
        ("past", replace(EXPORTABLE, expires=now - 10)),
        ("future", replace(EXPORTABLE, not_before=now + 86_400)),
    ):
        await play.make(KeySpec.ec(Curve.P256), settings, name)
        await play.ask(name)


async def refused(play: Play, kind: type[RequestError], **request: Any) -> RequestError:
    with pytest.raises(kind) as caught:
        await play.ask(**request)
    return caught.value


async def test_a_key_that_is_not_there_is_not_found(play: Play) -> None:
    assert (await refused(play, NotFound, name="nothing")).code == "KeyNotFound"


async def test_a_disabled_key_is_not_released(play: Play) -> None:
    await play.make(KeySpec.ec(Curve.P256), replace(EXPORTABLE, enabled=False))
    error = await refused(play, Forbidden)
    assert (error.inner, error.message) == ("KeyDisabled", "Operation release is not allowed on a disabled key.")


async def test_a_key_that_is_not_exportable_is_not_released(play: Play) -> None:
    await play.make(KeySpec.ec(Curve.P256), KeySettings())
    await play.make(KeySpec.ec(Curve.P256), KeySettings(), "soft", hardware=False)
    for name in ("k", "soft"):
        error = await refused(play, Forbidden, name=name)
        assert (error.inner, error.message) == (
            "KeyOperationForbidden",
            "Operation release is not permitted on this key.",
        )


async def test_a_row_cannot_make_a_key_exportable(play: Play) -> None:
    """Whoever can write to the database can set the flag; the material was not made so."""
    row = await play.make(KeySpec.ec(Curve.P256), KeySettings())
    policy = await bound(play.stage.custodians, VAULT, row.name, row.version, ReleasePolicy(POLICY))
    forged = replace(row, exportable=True, release_policy=policy)

    class Forging:
        async def find(self, *_: object) -> Any:
            return type("KeyInUse", (), {"row": forged})

    release = KeyRelease(Forging(), play.stage.custodians, play.attesting.assertions, {WORLD_ID: play.signer})  # type: ignore[arg-type]  # a cache that lies
    request = ReleaseRequest(target=play.attesting.token(), kid="", api_version="7.4")
    with pytest.raises(BadRequest):
        await release.release(VAULT, "k", None, request, described)


@pytest.mark.parametrize("request_", [{"enc": "RSA-OAEP"}, {"enc": ""}, {"nonce": "n" * 1025}, {"target": ""}])
async def test_a_request_that_cannot_be_served_names_the_member(play: Play, request_: dict[str, Any]) -> None:
    await play.make(KeySpec.ec(Curve.P256))
    (member,) = request_
    assert (await refused(play, BadRequest, **request_)).message == f"Property {member} has invalid value\r\n"


async def test_the_policy_decides_over_what_the_authority_says(play: Play) -> None:
    await play.make(KeySpec.ec(Curve.P256))
    for claims in ({"sdk-test": False}, {"sdk-test": None}, {"sdk-test": 1}, {"sdk-test": "true"}):
        error = await refused(play, Forbidden, target=play.attesting.token(**claims))
        assert error.inner == "AccessDenied"
        assert error.message == "Target environment attestation does not meet key release policy requirements."


async def test_an_authority_that_the_policy_does_not_name_releases_nothing(play: Play) -> None:
    other = ReleasePolicy(POLICY.replace(b"attest.example", b"other.example"))
    await play.make(KeySpec.ec(Curve.P256), replace(EXPORTABLE, release_policy=other))
    assert "policy requirements" in (await refused(play, Forbidden)).message


async def test_a_policy_that_changes_is_obeyed_by_the_next_release(play: Play) -> None:
    row = await play.make(KeySpec.ec(Curve.P256))
    await play.ask()
    other = ReleasePolicy(POLICY.replace(b"true", b"false"))
    await play.stage.keys.update(VAULT, "k", row.version, KeySettings(release_policy=other))
    assert "policy requirements" in (await refused(play, Forbidden)).message
    await play.ask(target=play.attesting.token(**{"sdk-test": False}))


async def test_what_changes_while_the_authority_is_asked_is_obeyed(play: Play) -> None:
    row = await play.make(KeySpec.ec(Curve.P256))
    keys = play.attesting.keys
    find = keys.find

    async def slowly(kid: str) -> Any:
        await play.stage.keys.update(VAULT, "k", row.version, KeySettings(enabled=False))
        return await find(kid)

    keys.find = slowly  # type: ignore[method-assign]  # an authority whose keys take their time
    assert (await refused(play, Forbidden)).inner == "KeyDisabled"


async def test_an_assertion_that_is_not_genuine_releases_nothing(play: Play) -> None:
    await play.make(KeySpec.ec(Curve.P256))
    for token in ("a.b.c", play.attesting.token(iss="https://other.example"), play.attesting.token()[:-4] + "AAAA"):
        error = await refused(play, Forbidden, target=token)
        assert error.message == "Target environment attestation statement cannot be verified."


async def test_a_world_that_is_not_served_here_signs_nothing(play: Play) -> None:
    await play.make(KeySpec.ec(Curve.P256))
    play.release = KeyRelease(play.stage.cache, play.stage.custodians, play.attesting.assertions, {})
    await refused(play, Unavailable)


async def test_nothing_is_left_in_the_token(play: Play) -> None:
    await play.make(KeySpec.ec(Curve.P256))
    await play.ask()
    token = play.stage.world.token()
    before = await token.run(lambda work: len(list(work.session.get_objects({}))))
    for _ in range(5):
        await play.ask()
    assert await token.run(lambda work: len(list(work.session.get_objects({})))) == before
