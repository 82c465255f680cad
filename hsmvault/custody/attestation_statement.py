"""What an attestation says, as types: written by attestation.py, read by attestation_verifier.py.

Two statements about one version of a key, each a compact JWS (RFC 7515) with ES256 by the attestation key of the key's
world: one about the private key, one about the public key, which names the first by its hash. What hsmvault knows and
what the token says are separate members. The payloads are JSON with sorted members and no blanks; docs/attestation.md
explains every member to whoever writes a verifier.
"""

import hashlib

import msgspec

from hsmvault.model import base64url

FORMAT = 1
PRIVATE = "private-key"
PUBLIC = "public-key"
TYPE = "hsmvault-key-attestation"
ALGORITHM = "ES256"

Value = bool | str | list[str]
"""Of an attribute: names of PKCS#11 for classes, key types and mechanisms, base64url for numbers and bytes."""


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """thumbprint: base64url of the SHA-256 of the certificate in DER (RFC 7515, 4.1.8)."""

    alg: str
    typ: str
    thumbprint: str = msgspec.field(name="x5t#S256")


class ServerSays(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What hsmvault knows of the key; bound to its material by a MAC that the token made and checked.

    container: id, a GUID. name: in lower case. version: 32 hex digits. custody: CustodyClass. origin: reference.Origin.
    proved: the private key was used just now, and its answer fits the public key (or, of oct keys, never).
    spki_sha256: base64url of the SHA-256 of the SubjectPublicKeyInfo, empty for oct keys.
    """

    container: str
    name: str
    version: str
    custody: str
    origin: str
    exportable: bool
    exchange: bool
    family: str
    size_bits: int
    curve: str
    spki_sha256: str
    proved: bool


class ObjectSays(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One object of the key in the token. use: what it is for; keys of type oct have one object for each use."""

    use: str
    attributes: dict[str, Value]


class WorldKeySays(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The key that wraps this one between uses. id: CKA_ID in hexadecimal. unwrap_template: what the token forces on
    everything that this key unwraps.
    """

    id: str
    attributes: dict[str, Value]
    unwrap_template: dict[str, bool]


class TokenSays(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """C_GetTokenInfo, and attributes as they were read for this statement. world_key: of wrapped keys alone."""

    label: str
    manufacturer: str
    model: str
    serial: str
    hardware_version: str
    firmware_version: str
    objects: list[ObjectSays]
    world_key: WorldKeySays | None = None


class PrivateStatement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """time: seconds since 1970 UTC, by the server's clock."""

    format: int
    kind: str
    time: int
    server: ServerSays
    token: TokenSays


class PublicStatement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """jwk: kty with n and e, or with crv, x and y (RFC 7518, 6). private_key_sha256: base64url of the SHA-256 of the
    compact JWS of the private statement.
    """

    format: int
    kind: str
    time: int
    container: str
    name: str
    version: str
    jwk: dict[str, str]
    private_key_sha256: str


def sha256_base64url(octets: bytes) -> str:
    return base64url.encode(hashlib.sha256(octets).digest())


def encode(statement: PrivateStatement | PublicStatement | Header) -> bytes:
    return msgspec.json.encode(statement, order="sorted")


def signing_input(certificate_der: bytes, statement: PrivateStatement | PublicStatement) -> bytes:
    """Header and payload as they are signed (RFC 7515, 5.1)."""
    header = Header(ALGORITHM, TYPE, sha256_base64url(certificate_der))
    return f"{base64url.encode(encode(header))}.{base64url.encode(encode(statement))}".encode()
