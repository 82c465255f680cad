"""The start-up self-test of one token: what the supervisor demands before it serves, and `hsmvault check` prints.

One attempt at the PIN, in all: the supervisor makes it before any worker starts. Everything made here is a session
object and gone afterwards. Blocks for about half a second, which is one RSA key.
"""

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import pkcs11
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass

from hsmvault.errors import HsmRefusal, HsmvaultError, Unavailable
from hsmvault.hsm import mechanisms, objects, secret_keys
from hsmvault.hsm.module import Module, PinRefused, TokenSelector, load_module
from hsmvault.hsm.pairwise import prove
from hsmvault.hsm.pin import Pin
from hsmvault.hsm.profile import Profile
from hsmvault.hsm.public import encrypt_oaep, verifies
from hsmvault.hsm.returncodes import ModuleError, describe
from hsmvault.hsm.work import KeyObject, WorkSession, WorldObjects
from hsmvault.hsm.world_keys import (
    ATTESTATION_KEY,
    EXPORT_KEY,
    WorldIds,
    WorldKey,
    WorldMissing,
    locate,
    read_world,
)
from hsmvault.model.algorithms import ENCRYPTION_ALGORITHMS, SIGNATURE_ALGORITHMS, Curve, KeySpec

_SMOKE_THREADS = 2
_SMOKE_ROUNDS = 25
_TEST_KEYS = (KeySpec.rsa(2048), *(KeySpec.ec(curve) for curve in Curve))

# RFC 3394, 4.6, and RFC 5649, 6 (the 20-octet key). The second is only *opened*: SoftHSM pads with zeros before it
# wraps, so what it makes of 20 bytes is another blob, but it opens true RFC 5649 correctly.
_RFC3394_KEK = bytes(range(32))
_RFC3394_KEY = bytes.fromhex("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F")
_RFC3394_BLOB = bytes.fromhex("28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21")
_RFC5649_KEK = bytes.fromhex("5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8")
_RFC5649_KEY = bytes.fromhex("c37b7e6492584340bed12207808941155068f738")
_RFC5649_BLOB = bytes.fromhex("138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a")


@dataclass(frozen=True, slots=True)
class Check:
    """One row. detail: why it failed, for people."""

    name: str
    passed: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a token is and how it did; iterates over its checks."""

    label: str
    serial: str
    manufacturer: str
    model: str
    checks: tuple[Check, ...]

    def __iter__(self) -> Iterator[Check]:
        return iter(self.checks)

    def require(self) -> None:
        """Raises HsmRefusal, naming what failed."""
        failed = [f"{check.name} ({check.detail})" for check in self.checks if not check.passed]
        if failed:
            raise HsmRefusal(
                f"The token '{self.label}' fails its self-test: {'; '.join(failed)}. 'hsmvault check' prints "
                "every test."
            )


def check_token(
    path: str,
    profile: Profile,
    selector: TokenSelector,
    pin: Pin,
    ids: WorldIds | None,
    *,
    certificate: bytes | None = None,
) -> Inspection:
    """Load the module, inspect the token, finalize the module. For the supervisor, before it spawns workers."""
    module = load_module(path, profile)
    try:
        return inspect_token(module, selector, pin, ids, certificate=certificate)
    finally:
        with suppress(*ModuleError):
            module.finalize()


def inspect_token(
    module: Module, selector: TokenSelector, pin: Pin, ids: WorldIds | None, *, certificate: bytes | None = None
) -> Inspection:
    """Log in, once, and run every check; closes its sessions. ids: None for a token without a world yet. certificate:
    of its attestation key, X.509 in DER, if it has one.

    Raises HsmRefusal when the token is not there, the PIN is refused, or a key of the world is not found or not
    locked; what else fails is a row.
    """
    try:
        token = module.find_token(selector)
        session = module.login(token, pin)
    except pkcs11.NoSuchToken as error:
        raise HsmRefusal(f"No token {selector} is there; check hsm.token and the module's configuration.") from error
    except PinRefused:
        raise
    except ModuleError as error:
        raise HsmRefusal(f"The token {selector} gives no session ({describe(error)}).") from error
    try:
        work = _session(module, token, session, None)
        if ids is not None:
            work.world = _world(work, module, ids, selector)
        checks = tuple(_run(module, token, work, ids, certificate))
    finally:
        with suppress(*ModuleError):
            session.close()
    return Inspection(token.label, token.serial.decode(errors="replace"), token.manufacturer_id, token.model, checks)


def holds_world(module: Module, selector: TokenSelector, pin: Pin, ids: WorldIds) -> bool:
    """Whether the token shows every key of `ids`, as it must be: a ceremony that a crash interrupted was finished.

    False also when there is no such token, or one whose user PIN was never set. Raises HsmRefusal when the PIN is
    refused (one attempt) or a key with one of these ids is not locked.
    """
    try:
        token = module.find_token(selector)
        if not token.flags & pkcs11.TokenFlag.USER_PIN_INITIALIZED:
            return False
        session = module.login(token, pin)
    except pkcs11.NoSuchToken:
        return False
    except ModuleError as error:
        raise HsmRefusal(f"The token {selector} gives no session ({describe(error)}).") from error
    try:
        read_world(_session(module, token, session, None), ids)
    except WorldMissing:
        return False
    except ModuleError as error:
        raise HsmRefusal(f"The token {selector} cannot be read ({describe(error)}).") from error
    finally:
        with suppress(*ModuleError):
            session.close()
    return True


def _world(work: WorkSession, module: Module, ids: WorldIds, selector: TokenSelector) -> WorldObjects:
    try:
        return read_world(work, ids)
    except WorldMissing as error:
        raise HsmRefusal(
            f"The token {selector} does not show the {error} of this installation. It may be another token, or out of "
            "reach; nothing was changed."
        ) from error
    except ModuleError as error:
        raise HsmRefusal(f"The token {selector} cannot be read ({describe(error)}).") from error


def _run(
    module: Module, token: pkcs11.Token, work: WorkSession, ids: WorldIds | None, certificate: bytes | None
) -> list[Check]:
    profile = module.profile
    rows = [_check("mechanisms of the profile", lambda: _mechanisms(token, profile))]
    served = [spec for spec in _TEST_KEYS if spec.curve is None or spec.curve.value in profile.curves]
    for spec in served:
        name = spec.curve.value if spec.curve is not None else f"RSA-{spec.size_bits}"
        rows.append(_check(f"{name}: generate, sign, verify", lambda spec=spec: _round(work, spec)))  # type: ignore[misc]  # default argument binds the loop's variable
    if profile.aes_gcm and profile.aes_modes and work.world is not None and work.world.world is not None:
        rows.append(_check("AES-256: generate, wrap, encrypt, key wrap, HMAC", lambda: _oct_round(work)))
    if "wrapped" in profile.custody:
        rows.append(_check("RFC 3394 vector", lambda: _rfc3394(work)))
        rows.append(_check("RFC 5649 vector", lambda: _rfc5649(work)))
    if work.world is not None:
        rows.append(Check("keys of the world: found, flags as they must be", True))
        rows += _later_keys(work, ids)
        if ids is not None and ids.attestation is not None and certificate is not None:
            attests = partial(_attests, work, ids.attestation, certificate)
            rows.append(_check("attestation key: signs what its certificate verifies", attests))
        if work.world.world is not None:
            rows.append(_check("world key refuses to open a blob in the clear", lambda: _locked(work)))
        if work.world.system is not None:
            rows.append(_check("system key: seal, open, refuse", lambda: _sealing(work)))
    rows.append(_check(f"{_SMOKE_THREADS} threads at once", lambda: _smoke(module, token, work)))
    return rows


def _later_keys(work: WorkSession, ids: WorldIds | None) -> list[Check]:
    """The keys that a world got after its ceremony, where it has them."""
    wanted = () if ids is None else ((EXPORT_KEY, ids.export), (ATTESTATION_KEY, ids.attestation))
    rows = []
    for key, token_id in wanted:
        if token_id is not None:
            rows.append(_check(f"{key.name}: found, flags as they must be", partial(_locate, work, key, token_id)))
    return rows


def _locate(work: WorkSession, key: WorldKey, token_id: bytes) -> KeyObject:
    try:
        return locate(work, key, token_id)
    except Unavailable as error:
        raise _Wrong(error.detail or "not found") from error


def _attests(work: WorkSession, token_id: bytes, certificate: bytes) -> None:
    """The key with this id can be another one than the row's certificate is of: made anew, or of an older copy."""
    digest, algorithm = hashlib.sha256(b"self-test").digest(), SIGNATURE_ALGORITHMS["ES256"]
    key = _locate(work, ATTESTATION_KEY, token_id)
    assert ATTESTATION_KEY.curve is not None
    signature = mechanisms.signing(KeySpec.ec(ATTESTATION_KEY.curve), algorithm, digest)(work.bind(key))
    try:
        public = x509.load_der_x509_certificate(certificate).public_key()
    except ValueError as error:
        raise _Wrong("the certificate in the database cannot be read") from error
    if not verifies(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), algorithm, digest, signature):
        raise _Wrong("the certificate in the database is of another key")


def _check(name: str, action: Callable[[], object]) -> Check:
    try:
        action()
    except _Wrong as error:
        return Check(name, False, str(error))
    except ModuleError as error:
        return Check(name, False, describe(error))
    except HsmvaultError as error:
        return Check(name, False, f"{type(error).__name__} {error}".strip())
    return Check(name, True)


class _Wrong(Exception):
    """A check found something else than it wanted."""


def _mechanisms(token: pkcs11.Token, profile: Profile) -> None:
    wanted = {Mechanism.RSA_PKCS_KEY_PAIR_GEN, Mechanism.SHA256_HMAC, Mechanism.RSA_PKCS, Mechanism.RSA_PKCS_PSS}
    wanted |= {Mechanism.RSA_PKCS_OAEP}
    if profile.curves:
        wanted |= {Mechanism.EC_KEY_PAIR_GEN, Mechanism.ECDSA}
    if profile.key_wrap_pad != "none":
        wanted |= {Mechanism.AES_KEY_WRAP_PAD}
    if profile.aes_gcm:
        wanted |= {Mechanism.AES_GCM}
    if profile.aes_gcm and profile.aes_modes:
        wanted |= {Mechanism.AES_KEY_GEN, *secret_keys.MODES_MECHANISMS, Mechanism.AES_ECB, *mechanisms.HMAC.values()}
    if profile.oaep256_fallback == "raw":
        wanted |= {Mechanism.RSA_X_509}
    if missing := wanted - token.slot.get_mechanisms():
        raise _Wrong("missing: " + ", ".join(sorted(mechanism.name for mechanism in missing)))


def _round(work: WorkSession, spec: KeySpec) -> None:
    """Generate; where there is a world key wrap, destroy and unwrap; sign and verify; RSA also decrypts."""
    world = work.world.world if work.world is not None else None
    pair = objects.generate_pair(work, spec, objects.LEAVING if world is not None else objects.WORKING_COPY)
    key = pair.private
    if world is not None:
        blob = objects.wrap(work, world, key)
        objects.destroy(key)
        key = objects.unwrap_private(work, world, blob, spec, objects.WORKING_COPY, pair.public)
    try:
        prove(work, key, spec, pair.public)
        if spec.curve is None:
            for name in ("RSA-OAEP", "RSA-OAEP-256"):
                algorithm = ENCRYPTION_ALGORITHMS[name]
                if not mechanisms.needs_unpadder(algorithm, work.profile.oaep_hashes):
                    ciphertext = encrypt_oaep(pair.public, algorithm, b"self-test")
                    if mechanisms.decrypting(spec, algorithm, ciphertext)(work.bind(key)) != b"self-test":
                        raise _Wrong(f"{name} decrypts to something else")
    finally:
        objects.destroy(key)


def _oct_round(work: WorkSession) -> None:
    """Generate, wrap, destroy; open for every use, and compare what the copies do."""
    assert work.world is not None and work.world.world is not None
    spec = KeySpec.oct(256)
    made = secret_keys.generate(work, spec, objects.LEAVING)
    try:
        blob = objects.wrap(work, work.world.world, made)
    finally:
        objects.destroy(made)
    probes = {}
    for use in secret_keys.uses(spec):
        copy = secret_keys.unwrap_working(work, work.world.world, blob, spec, use)
        try:
            probes[use] = secret_keys.probe(work, copy, spec, use)
        finally:
            objects.destroy(copy)
    secret_keys.require_agreement(probes, spec)


def _aes(work: WorkSession, value: bytes, usage: Attribute) -> KeyObject:
    return _secret(work, KeyType.AES, value, {usage: True})


def _secret(work: WorkSession, kind: KeyType, value: bytes, more: dict[Attribute, object]) -> KeyObject:
    """A published test value as a session object; never a key of ours."""
    template = {
        Attribute.CLASS: ObjectClass.SECRET_KEY,
        Attribute.KEY_TYPE: kind,
        Attribute.TOKEN: False,
        Attribute.PRIVATE: True,
        Attribute.SENSITIVE: False,
        Attribute.EXTRACTABLE: True,
        **dict.fromkeys(objects.SECRET_USAGE, False),
        **more,
        Attribute.VALUE: value,
    }
    return work.hold(work.session.create_object(template), kind)


def _rfc3394(work: WorkSession) -> None:
    kek = _aes(work, _RFC3394_KEK, Attribute.WRAP)
    key = _secret(work, KeyType.GENERIC_SECRET, _RFC3394_KEY, {})
    try:
        blob = work.bind(kek).wrap_key(work.bind(key), mechanism=Mechanism.AES_KEY_WRAP)
    finally:
        objects.destroy(kek)
        objects.destroy(key)
    if blob != _RFC3394_BLOB:
        raise _Wrong("the blob is another one")


def _rfc5649(work: WorkSession) -> None:
    kek = _aes(work, _RFC5649_KEK, Attribute.UNWRAP)
    template = {
        Attribute.TOKEN: False,
        Attribute.PRIVATE: True,
        Attribute.SENSITIVE: False,
        Attribute.EXTRACTABLE: True,
        **dict.fromkeys(objects.SECRET_USAGE, False),
    }
    try:
        opened = work.bind(kek).unwrap_key(
            ObjectClass.SECRET_KEY,
            KeyType.GENERIC_SECRET,
            _RFC5649_BLOB,
            mechanism=objects.WRAPPING,
            capabilities=0,
            template=template,
        )
    finally:
        objects.destroy(kek)
    value = opened[Attribute.VALUE]
    opened.destroy()
    if value != _RFC5649_KEY:
        raise _Wrong("the value is another one")


def _locked(work: WorkSession) -> None:
    """The first attack on a world key (a wrapped key has no type): it must fail on this token, not only on paper."""
    assert work.world is not None and work.world.world is not None
    spec = KeySpec.ec(Curve.P256)
    pair = objects.generate_pair(work, spec, objects.LEAVING)
    blob = objects.wrap(work, work.world.world, pair.private)
    objects.destroy(pair.private)
    template = {Attribute.TOKEN: False, Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True}
    try:
        opened = work.bind(work.world.world).unwrap_key(
            ObjectClass.SECRET_KEY,
            KeyType.GENERIC_SECRET,
            blob,
            mechanism=objects.WRAPPING,
            capabilities=0,
            template=template,
        )
    except ModuleError:
        return
    try:
        if objects.differing_attributes(opened, {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}):
            raise _Wrong("a private key came out in the clear")
    finally:
        opened.destroy()


def _sealing(work: WorkSession) -> None:
    assert work.world is not None and work.world.system is not None
    key, iv = work.world.system, work.session.generate_random(8 * mechanisms.GCM_IV_BYTES)
    sealed = mechanisms.gcm_seal(work, key, iv, b"self-test", b"bound")
    if mechanisms.gcm_open(work, key, iv, sealed, b"bound") != b"self-test":
        raise _Wrong("it opens to something else")
    try:
        mechanisms.gcm_open(work, key, iv, sealed, b"other")
    except ModuleError:
        return
    raise _Wrong("a wrong tag was accepted")


def _smoke(module: Module, token: pkcs11.Token, work: WorkSession) -> None:
    if module.profile.single_thread:
        return
    spec, algorithm = KeySpec.ec(Curve.P256), SIGNATURE_ALGORITHMS["ES256"]
    if spec.curve is not None and spec.curve.value not in module.profile.curves:
        spec, algorithm = KeySpec.rsa(2048), SIGNATURE_ALGORITHMS["RS256"]
    pair = objects.generate_pair(work, spec, objects.WORKING_COPY)
    digest = hashlib.sha256(b"self-test").digest()
    operation = mechanisms.signing(spec, algorithm, digest)
    failures: list[str] = []

    def sign() -> None:
        session = module.open_session(token)
        try:
            own = _session(module, token, session, None)
            for _ in range(_SMOKE_ROUNDS):
                if not verifies(pair.public, algorithm, digest, operation(own.bind(pair.private))):
                    failures.append("a wrong signature")
        except ModuleError as error:
            failures.append(describe(error))
        finally:
            session.close()

    threads = [threading.Thread(target=sign, name=f"hsm-smoke-{n}") for n in range(_SMOKE_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    objects.destroy(pair.private)
    if failures:
        raise _Wrong(failures[0])


def _session(module: Module, token: pkcs11.Token, session: pkcs11.Session, world: WorldObjects | None) -> WorkSession:
    return WorkSession(
        lambda: module.open_session(token),
        session,
        generation=0,
        profile=module.profile,
        raw=module.raw,
        world=world,
        keeps_objects=True,
    )
