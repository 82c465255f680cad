"""The transfer blob of BYOK (`key_hsm`): JSON that names the key-exchange key and carries the wrapped key.

Source: "Import HSM-protected keys to Key Vault (BYOK)", key transfer blob.
"""

import msgspec

from hsmvault.errors import BadRequest
from hsmvault.model.algorithms import Curve, Family
from hsmvault.model.keys import NAME, VERSION
from hsmvault.model.strict_json import NotStrictJson, parse_object
from hsmvault.resources.imported_keys import WrappedKey
from hsmvault.resources.refusals import invalid_property
from hsmvault.wire.codec import from_any_base64, from_base64url

_SCHEMA = "1.0.0"
_ALGORITHM = "dir"
_ENCRYPTION = "CKM_RSA_AES_KEY_WRAP"
_LONGEST_BYTES = 32 * 1024


class _Header(msgspec.Struct, frozen=True):
    kid: str
    alg: str
    enc: str


class _Blob(msgspec.Struct, frozen=True):
    """generator: which tool made it; may be absent."""

    schema_version: str
    header: _Header
    ciphertext: str
    generator: str = ""


def wrapped_key_of(text: str, family: Family, curve: Curve | None, origin: str) -> WrappedKey:
    """text: `key_hsm`, base64url as the clients send it or plain base64 as it is documented. origin: of the request;
    the key-exchange key is one of the same container, with its version. Raises BadRequest."""
    content = from_any_base64(text, "key_hsm")
    if len(content) > _LONGEST_BYTES:
        raise invalid_property("key_hsm")
    try:
        blob = msgspec.convert(parse_object(content), _Blob)
    except (NotStrictJson, msgspec.ValidationError):
        raise invalid_property("key_hsm") from None
    if (blob.schema_version, blob.header.alg, blob.header.enc) != (_SCHEMA, _ALGORITHM, _ENCRYPTION):
        raise invalid_property("key_hsm")
    name, version = _exchange_key(blob.header.kid, origin)
    return WrappedKey(name, version, family, curve, from_base64url(blob.ciphertext, "ciphertext"))


def _exchange_key(kid: str, origin: str) -> tuple[str, str]:
    """Name and version. Hosts compare without regard to case, as in every URL."""
    prefix = f"{origin}/keys/".lower()
    name, slash, version = kid[len(prefix) :].partition("/")
    if kid[: len(prefix)].lower() != prefix:
        raise BadRequest("The key exchange key is not a key of this container.")
    if not (slash and NAME.fullmatch(name) and VERSION.fullmatch(version.lower())):
        raise invalid_property("kid")
    return name, version.lower()
