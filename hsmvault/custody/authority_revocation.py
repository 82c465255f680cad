"""What an authority says about certificates that it has issued: revocation lists (RFC 5280, 5) and answers to OCSP
(RFC 6960), signed by its key in custody.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Final

from cryptography import x509
from cryptography.x509 import ocsp

from hsmvault.custody import der
from hsmvault.custody.authority_keys import AuthorityKey
from hsmvault.custody.certificate_signing import algorithm_identifier, encoded_time, enveloped, sign_tbs

LONGEST_NONCE_BYTES: Final = 32  # RFC 8954, 2.1
_AUTHORITY_KEY_IDENTIFIER = "2.5.29.35"
_CRL_NUMBER = "2.5.29.20"
_REASON_CODE = "2.5.29.21"
_BASIC_RESPONSE = "1.3.6.1.5.5.7.48.1.1"
_NONCE = "1.3.6.1.5.5.7.48.1.2"
_ENUMERATED = 0x0A
_VERSION_2 = der.integer(1)
_CONSTRUCTED_1 = der.CONTEXT | der.CONSTRUCTED | 1
_MANY = 500  # entries, some 10 µs each: more are written in a thread
_SERIAL_END = 1 << 160  # RFC 5280, 4.1.2.2: at most 20 bytes
_HASHES: Final = {  # of CertID: those that clients use
    "sha1": "1.3.14.3.2.26",
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha384": "2.16.840.1.101.3.4.2.2",
    "sha512": "2.16.840.1.101.3.4.2.3",
}


@dataclass(frozen=True, slots=True)
class Revoked:
    """moment: seconds since 1970 UTC. reason: CRLReason; 0, unspecified, is left out (RFC 5280, 5.3.1)."""

    serial: int
    moment: int
    reason: int


class Failure(Enum):
    """An answer to OCSP that says nothing about a certificate, and needs no signature (RFC 6960, 4.2.1)."""

    MALFORMED_REQUEST = 1
    INTERNAL_ERROR = 2
    TRY_LATER = 3
    UNAUTHORIZED = 6

    def encode(self) -> bytes:
        return der.sequence(_enumerated(self.value))


@dataclass(frozen=True, slots=True)
class Question:
    """One certificate that is asked about. hash_name: of CertID, in hashlib. nonce: 1 to 32 bytes, or empty."""

    hash_name: str
    issuer_name_hash: bytes
    issuer_key_hash: bytes
    serial: int
    nonce: bytes = b""

    def is_about(self, key: AuthorityKey) -> bool:
        """Whether this key is the issuer that is meant."""
        name, bits = key.certificate.subject.public_bytes(), key.public_bits
        return (self.issuer_name_hash, self.issuer_key_hash) == (
            _hash(self.hash_name, name),
            _hash(self.hash_name, bits),
        )

    def encode_id(self) -> bytes:
        """CertID."""
        algorithm = der.sequence(der.oid(_HASHES[self.hash_name]), der.NULL)
        hashed = der.octet_string(self.issuer_name_hash), der.octet_string(self.issuer_key_hash)
        return der.sequence(algorithm, *hashed, der.integer(self.serial))


def read_question(request_der: bytes) -> Question | None:
    """None when it is no request for exactly one certificate (RFC 5019, 2.1.1), or its nonce is longer than 32 bytes. A
    signature of the client is not looked at: the answer is for everybody.
    """
    try:
        request = ocsp.load_der_ocsp_request(request_der)
        name = request.hash_algorithm.name
        nonce = next((one.value.nonce for one in request.extensions if isinstance(one.value, x509.OCSPNonce)), b"")
        question = Question(name, request.issuer_name_hash, request.issuer_key_hash, request.serial_number, nonce)
    except Exception:  # whatever the parser makes of a stranger's bytes: they are not answered
        return None
    if name not in _HASHES or len(nonce) > LONGEST_NONCE_BYTES or not 0 <= question.serial < _SERIAL_END:
        return None
    return question


async def sign_crl(
    key: AuthorityKey, revoked: Sequence[Revoked], *, number: int, this_update: int, next_update: int
) -> bytes:
    """CertificateList in DER. The times: seconds since 1970 UTC. Raises what KeyHandle.sign raises."""
    entries = _entries(revoked) if len(revoked) <= _MANY else await asyncio.to_thread(_entries, revoked)
    extensions = (
        _extension(_AUTHORITY_KEY_IDENTIFIER, der.sequence(der.tagged(der.CONTEXT, key.key_identifier))),
        _extension(_CRL_NUMBER, der.integer(number)),
    )
    return await _signed(
        key,
        der.sequence(
            _VERSION_2,
            algorithm_identifier(key.signer.spec),
            key.certificate.subject.public_bytes(),
            encoded_time(this_update),
            encoded_time(next_update),
            entries,
            der.explicit(0, der.sequence(*extensions)),
        ),
    )


async def sign_answer(
    key: AuthorityKey, question: Question, status: Revoked | bool, *, this_update: int, next_update: int, now: int
) -> bytes:
    """OCSPResponse in DER about one certificate, by the key that issued it.

    status: how it was revoked, or whether it is known at all and good. The times: seconds since 1970 UTC. The nonce of
    the question is in the answer. Raises what KeyHandle.sign raises.
    """
    single = der.sequence(
        question.encode_id(),
        _status(status),
        _generalized_time(this_update),
        der.explicit(0, _generalized_time(next_update)),
    )
    extensions = b""
    if question.nonce:
        extensions = der.explicit(1, der.sequence(_extension(_NONCE, der.octet_string(question.nonce))))
    responder = der.explicit(2, der.octet_string(_hash("sha1", key.public_bits)))
    body = der.sequence(responder, _generalized_time(now), der.sequence(single), extensions)
    response = der.sequence(der.oid(_BASIC_RESPONSE), der.octet_string(await _signed(key, body)))
    return der.sequence(_enumerated(0), der.explicit(0, response))


async def _signed(key: AuthorityKey, tbs: bytes) -> bytes:
    return enveloped(tbs, *await sign_tbs(key.signer, tbs))


def _entries(revoked: Sequence[Revoked]) -> bytes:
    """Nothing when there are none (RFC 5280, 5.1.2.6)."""
    return der.sequence(*(_entry(one) for one in revoked)) if revoked else b""


def _entry(one: Revoked) -> bytes:
    extensions = der.sequence(_extension(_REASON_CODE, _enumerated(one.reason))) if one.reason else b""
    return der.sequence(der.integer(one.serial), encoded_time(one.moment), extensions)


def _status(status: Revoked | bool) -> bytes:
    """CertStatus: good [0], revoked [1], unknown [2]."""
    if isinstance(status, Revoked):
        reason = der.explicit(0, _enumerated(status.reason)) if status.reason else b""
        return der.tagged(_CONSTRUCTED_1, _generalized_time(status.moment) + reason)
    return b"\x80\x00" if status else b"\x82\x00"


def _enumerated(number: int) -> bytes:
    """0 to 127."""
    return der.tagged(_ENUMERATED, bytes([number]))


def _generalized_time(moment: int) -> bytes:
    return der.tagged(der.GENERALIZED_TIME, f"{datetime.fromtimestamp(moment, UTC):%Y%m%d%H%M%SZ}".encode())


def _extension(dotted: str, value: bytes) -> bytes:
    """Not critical. value: the DER of what it says."""
    return der.sequence(der.oid(dotted), der.octet_string(value))


def _hash(name: str, content: bytes) -> bytes:
    return hashlib.new(name, content, usedforsecurity=False).digest()  # RFC 6960 names issuers by SHA-1
