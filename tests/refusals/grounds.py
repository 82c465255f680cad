"""The objects that the rig begins with: in every place the same names, and what each kind of objects needs beside."""

import base64
from collections.abc import Mapping
from dataclasses import replace

from cryptography.hazmat.primitives.serialization import NoEncryption
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates

from tests.custody.certificates import issued
from tests.pipeline.world import b64
from tests.refusals.certificate_bodies import SELF_SIGNED
from tests.refusals.places import CERTIFIED, GROUNDS, KEY_GROUNDS, SECRETS, Place
from tests.refusals.rig import Rig
from tests.refusals.words import Objects

RELEASE_POLICY = {
    "data": b64(b'{"version":"1.0.0","anyOf":[{"authority":"https://a/","allOf":[{"claim":"a","equals":1}]}]}')
}
SIX = ["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"]
DISABLED = {"attributes": {"enabled": False}}
MANUAL = SELF_SIGNED | {"issuer": {"name": "Unknown"}}
SLOW = SELF_SIGNED | {"issuer": {"name": "slow"}}
IN_HARDWARE = SELF_SIGNED | {"key_props": {"kty": "EC-HSM", "crv": "P-256", "exportable": False}}
KEYS_OF_CERTIFIED = replace(CERTIFIED, kind=Objects.KEYS)
SECRETS_OF_CERTIFIED = replace(CERTIFIED, kind=Objects.SECRETS)


async def prepare(rig: Rig) -> None:
    """good: usable for all; turning: its state is set by the tests; gone: deleted. Of good and gone there are backups.

    Beside them stand further keys, secrets and certificates.
    """
    for place in GROUNDS:
        for name in ("good", "turning"):
            await rig.make(place, name, _general(place))
        await rig.make(place, "gone")
        assert place.kind is not None
        for name in ("good", "gone"):
            backup = await rig.done(place, "POST", f"/{place.kind}/{name}/backup")
            rig.bodies[place.name, f"restore {name}"] = backup
        await rig.done(place, "DELETE", f"/{place.kind}/gone")
    for place in KEY_GROUNDS:
        await _prepare_keys(rig, place)
    await _prepare_secrets(rig)
    await _prepare_certificates(rig)


def _general(place: Place) -> Mapping[str, object] | None:
    """Of keys, one that does each of the six."""
    if place.kind is not Objects.KEYS:
        return None
    if place.is_pool:
        return {"kty": "oct-HSM", "key_size": 256, "key_ops": SIX}
    return {"kty": "RSA-HSM" if place.hardware else "RSA", "key_ops": SIX}


async def _prepare_keys(rig: Rig, place: Place) -> None:
    """signs, wraps: with some key_ops. exchange, exportable, secure: in hardware, for what only such keys do."""
    usual = _general(place) or {}
    await rig.make(place, "signs", {**usual, "key_ops": ["sign", "verify"]})
    await rig.make(place, "wraps", {**usual, "key_ops": ["encrypt", "decrypt", "wrapKey", "unwrapKey"]})
    await _prepare_bodies(rig, place)
    if place.hardware:
        policy = {"release_policy": RELEASE_POLICY}
        await rig.make(place, "exchange", {"kty": "RSA-HSM", "key_size": 2048, "key_ops": ["import"]})
        await rig.make(place, "exportable", {"kty": "EC-HSM", "attributes": {"exportable": True}, **policy})
        await rig.make(place, "secure", {**usual, "key_ops": ["secureWrapKey", "secureUnwrapKey"], **policy})


async def _prepare_bodies(rig: Rig, place: Place) -> None:
    """Bodies with which `turning` does each of the six."""
    digest = b64(bytes(32))
    seal, wrap = ("A256GCM", "A256KW") if place.is_pool else ("RSA-OAEP", "RSA-OAEP")
    signing = "HS256" if place.is_pool else "RS256"
    sealed = await rig.done(place, "POST", "/keys/turning//encrypt", {"alg": seal, "value": digest})
    wrapped = await rig.done(place, "POST", "/keys/turning//wrapkey", {"alg": wrap, "value": digest})
    opening = {name: sealed[name] for name in ("value", "iv", "tag") if name in sealed}
    rig.bodies |= {
        (place.name, "encrypt"): {"alg": seal, "value": digest},
        (place.name, "decrypt"): {"alg": seal, **opening},
        (place.name, "sign"): {"alg": signing, "value": digest},
        (place.name, "verify"): {"alg": signing, "digest": digest, "value": b64(bytes(32 if place.is_pool else 256))},
        (place.name, "wrap_key"): {"alg": wrap, "value": digest},
        (place.name, "unwrap_key"): {"alg": wrap, "value": wrapped["value"]},
    }


async def _prepare_secrets(rig: Rig) -> None:
    """shut: disabled. gone-shut: disabled and deleted."""
    for name in ("shut", "gone-shut"):
        await rig.make(SECRETS, name, {"value": name, **DISABLED})
    await rig.done(SECRETS, "DELETE", "/secrets/gone-shut")


async def _prepare_certificates(rig: Rig) -> None:
    """pending: a first version that waits for a merge. busy: one that an issuer works on. hard: its key is in hardware.
    key, secret: there are a key and a secret of these names; gone-key, gone-secret: they are deleted. Issuers: good,
    off (disabled), slow."""
    issuers = (("good", "Test", True), ("off", "Test", False), ("slow", "StandIn", True))
    for name, provider, enabled in issuers:
        body = {"provider": provider, "attributes": {"enabled": enabled}}
        await rig.done(CERTIFIED, "PUT", f"/certificates/issuers/{name}", body)
    await rig.make(CERTIFIED, "pending", {"policy": MANUAL})
    await rig.make(CERTIFIED, "busy", {"policy": SLOW})
    await rig.make(CERTIFIED, "hard", {"policy": IN_HARDWARE})
    for place, word in ((KEYS_OF_CERTIFIED, "key"), (SECRETS_OF_CERTIFIED, "secret")):
        for name in (word, f"gone-{word}"):
            await rig.make(place, name)
        await rig.done(place, "DELETE", f"/{place.kind}/gone-{word}")
    rig.bodies[CERTIFIED.name, "import_certificate"] = {"value": pfx()}


def pfx() -> str:
    """Without a password, in base64."""
    made = issued("www.contoso.com")
    content = serialize_key_and_certificates(None, made.key, made.certificate, None, NoEncryption())
    return base64.b64encode(content).decode()
