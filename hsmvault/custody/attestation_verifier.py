"""The verifier of attestations: what a key bundle with an attestation proves, in plain sentences.

Needs the file and a pinned certificate, no HSM and no connection. Everything in the file is hostile. What cannot be
read raises Unreadable; whatever can be read becomes findings, as many as there are, so that nobody has to mend one
fault to learn of the next.
"""

import re
from datetime import UTC, datetime
from typing import TypeVar

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from hsmvault.custody.attestation_bundle import Given, Key, Unreadable, number_of, read_bundle, spki_of
from hsmvault.custody.attestation_findings import Findings
from hsmvault.custody.attestation_flags import check_flags
from hsmvault.custody.attestation_statement import (
    ALGORITHM,
    FORMAT,
    PRIVATE,
    PUBLIC,
    TYPE,
    Header,
    PrivateStatement,
    PublicStatement,
    Value,
    sha256_base64url,
)
from hsmvault.model import base64url

_SIGNATURE_BYTES = 64
_CLOCKS_DIFFER_SECONDS = 300
_KID = re.compile(r"https?://([^/]+)/keys/([0-9A-Za-z-]{1,127})/([0-9a-f]{32})/?", re.ASCII)
_Statement = TypeVar("_Statement", PrivateStatement, PublicStatement)


def verify(
    text: bytes, pinned: bytes | None, *, now: float | None = None, max_age_seconds: int | None = None
) -> Findings:
    """text: JSON, a key bundle with attributes.attestation, or the attestation alone. pinned: certificates in PEM that
    are trusted; None to take the file's own, which then stays an open question. now: seconds since 1970 UTC; None to
    say the statement's time without its age. max_age_seconds: how old it may be, which needs now.

    Raises Unreadable.
    """
    given = read_bundle(text)
    findings = Findings()
    certificate = _certificate(given, pinned, findings)
    if certificate is None:
        return findings
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    thumbprint = sha256_base64url(certificate.public_bytes(Encoding.DER))
    private = _statement(given.private_key, PrivateStatement, key, thumbprint, findings, "the private key")
    if private is None:
        return findings
    if not findings.check(
        private.format == FORMAT and private.kind == PRIVATE,
        "The statement about the private key has the format that this version knows.",
        "The statement about the private key is of another kind or format.",
    ):
        return findings
    _about_time(private.time, now, max_age_seconds, findings)
    _about_key(given, private, findings)
    _about_public(given, private, key, thumbprint, findings)
    check_flags(private, findings)
    return findings


def _certificate(given: Given, pinned: bytes | None, findings: Findings) -> x509.Certificate | None:
    """The one whose key has to have signed."""
    try:
        trusted = [
            (one, one.public_key())
            for one in x509.load_pem_x509_certificates(given.certificate if pinned is None else pinned)
        ]
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Unreadable("the certificate cannot be read") from error
    named = _parts(given.private_key)[0].thumbprint
    for one, key in trusted:
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            continue
        if sha256_base64url(one.public_bytes(Encoding.DER)) != named:
            continue
        subject = one.subject.rfc4514_string()
        if pinned is None:
            findings.leave_open(
                f"The certificate ({subject}) is the one in the file: nobody vouches for it. Give the world's own with "
                "--certificate."
            )
        else:
            findings.say(f"The attestation names a certificate that you trust ({subject}).")
        return one
    findings.check(
        False,
        "",
        "The attestation names another certificate than "
        + ("the one in the file." if pinned is None else "those that you trust."),
    )
    return None


def _parts(jws: bytes) -> tuple[Header, bytes, bytes, bytes]:
    """Header, payload, what is signed, and the signature."""
    try:
        text = jws.decode("ascii")
        head, payload, signature = text.split(".")
        header = msgspec.json.decode(base64url.decode_exact(head), type=Header)
        signed = f"{head}.{payload}".encode()
        return header, base64url.decode_exact(payload), signed, base64url.decode_exact(signature)
    except (ValueError, msgspec.MsgspecError) as error:  # ValueError: not three parts, not ASCII, not base64url
        raise Unreadable("a statement is not a compact JWS") from error


def _statement(
    jws: bytes,
    kind: type[_Statement],
    key: ec.EllipticCurvePublicKey,
    thumbprint: str,
    findings: Findings,
    about: str,
) -> _Statement | None:
    """The payload of a statement that this key signed; None when it did not."""
    header, payload, signed, signature = _parts(jws)
    good = (
        header.alg == ALGORITHM
        and header.typ == TYPE
        and header.thumbprint == thumbprint
        and _is_signature(key, signed, signature)
    )
    if not findings.check(
        good,
        f"The statement about {about} is signed by the key of that certificate.",
        f"The signature of the statement about {about} is not by the key of that certificate.",
    ):
        return None
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        findings.check(False, "", f"The statement about {about} is another one, or of a newer version of hsmvault.")
        return None


def _is_signature(key: ec.EllipticCurvePublicKey, signed: bytes, signature: bytes) -> bool:
    if len(signature) != _SIGNATURE_BYTES:
        return False
    half = _SIGNATURE_BYTES // 2
    r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    try:
        key.verify(utils.encode_dss_signature(r, s), signed, ec.ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


def _about_time(time: int, now: float | None, max_age_seconds: int | None, findings: Findings) -> None:
    """An attestation says how a key was at one moment. A time ahead of the verifier's clock is no age at all."""
    try:
        said = datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):  # hostile only if its signer is
        findings.check(False, "", "The time of the statement is not a time.")
        return
    if now is None:
        findings.say(f"It was made at {said}, by the server's clock.")
        return
    age = int(now) - time
    words = f"It was made at {said}, by the server's clock, {age} seconds ago"
    if age < -_CLOCKS_DIFFER_SECONDS:
        findings.check(False, "", f"It was made at {said}, by the server's clock, which is in the future.")
    elif max_age_seconds is None:
        findings.say(f"{words}.")
    else:
        findings.check(
            age <= max_age_seconds,
            f"{words}: not more than {max_age_seconds}.",
            f"{words}: more than {max_age_seconds}.",
        )


def _about_key(given: Given, private: PrivateStatement, findings: Findings) -> None:
    """Name, version and public key of the bundle are those that are attested."""
    server = private.server
    if given.key is None:
        findings.leave_open(
            f"The file has no key to compare: what is attested is key '{server.name}', version {server.version}, with "
            f"the SHA-256 {server.spki_sha256 or '(no public key)'} of its public key."
        )
        return
    named = _KID.fullmatch(given.key.kid)
    findings.check(
        named is not None and (named[2].lower(), named[3]) == (server.name, server.version),
        f"It is about this key and version: {server.name}/{server.version}, in the container {server.container}.",
        f"It is about another key or version: {server.name}/{server.version}.",
    )
    kind = given.key.kty.removesuffix("-HSM")
    findings.check(
        given.key.kty == f"{server.family}-HSM",
        f"The key is of type {given.key.kty}, in HSM custody ({server.custody}).",
        f"The key says that it is of type {kind or 'none'}, the attestation that it is {server.family}-HSM.",
    )
    if server.family != "oct":
        spki = spki_of(given.key)
        findings.check(
            spki is not None and sha256_base64url(spki) == server.spki_sha256,
            "The attested public key is the one in the file.",
            "The public key in the file is not the attested one.",
        )
    if given.exportable is not None:
        findings.check(
            given.exportable is server.exportable,
            "The file says the same of exportable as the attestation.",
            "The file says something else of exportable than the attestation.",
        )


def _about_public(
    given: Given, private: PrivateStatement, key: ec.EllipticCurvePublicKey, thumbprint: str, findings: Findings
) -> None:
    server = private.server
    if server.family == "oct":
        findings.check(
            not given.public_key,
            "A symmetric key has no public key.",
            "There is a statement about a public key, and a symmetric key has none.",
        )
        return
    if not findings.check(
        bool(given.public_key),
        "There is a statement about the public key, too.",
        "The statement about the public key is missing.",
    ):
        return
    public = _statement(given.public_key, PublicStatement, key, thumbprint, findings, "the public key")
    if public is None:
        return
    spki = spki_of(msgspec.convert(public.jwk, Key))
    findings.check(
        public.format == FORMAT
        and public.kind == PUBLIC
        and (public.container, public.name, public.version) == (server.container, server.name, server.version)
        and public.private_key_sha256 == sha256_base64url(given.private_key)
        and spki is not None
        and sha256_base64url(spki) == server.spki_sha256,
        "Both statements belong together.",
        "The statement about the public key belongs to another private key or version.",
    )
    for one in private.token.objects:
        if "CKA_MODULUS" in one.attributes:
            findings.check(
                _same_number(one.attributes["CKA_MODULUS"], public.jwk.get("n", "")),
                "The token's object has the modulus of the public key.",
                "The token's object has another modulus than the public key.",
            )


def _same_number(first: Value, second: str) -> bool:
    try:
        return number_of(first) == number_of(second)
    except ValueError:
        return False
