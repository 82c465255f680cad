"""Bodies of the key operations: what clients send, checked member by member, and what they get."""

from typing import Any

import msgspec

from hsmvault.custody.admission import PrivateJwk
from hsmvault.errors import BadRequest, NotBuilt
from hsmvault.model.algorithms import (
    EC_SIZES_BITS,
    KEY_OPERATIONS,
    OCT_SIZES_BITS,
    RSA_SIZES_BITS,
    Curve,
    Family,
    KeySpec,
)
from hsmvault.model.containers import Container
from hsmvault.model.keys import KeyVersion
from hsmvault.resources.keys import DeletedKey, ImportedKey, KeySettings
from hsmvault.resources.refusals import invalid_property
from hsmvault.wire.codec import checked_tags, from_base64url, to_base64url

_FAMILIES = {"RSA": Family.RSA, "EC": Family.EC, "oct": Family.OCT}
_CURVES = {curve.value: curve for curve in Curve} | {"SECP256K1": Curve.P256K}
_LATEST_TIME = 253_402_300_799  # 9999-12-31T23:59:59Z: what every client's date type can hold


class Attributes(msgspec.Struct, frozen=True):
    """created, updated and the recovery members are the server's: ignored when a client sends them."""

    enabled: bool | None = None
    nbf: int | None = None
    exp: int | None = None
    exportable: bool | None = None


class CreateKey(msgspec.Struct, frozen=True):
    kty: str
    key_size: int | None = None
    public_exponent: int | None = None
    key_ops: list[str] | None = None
    attributes: Attributes | None = None
    tags: dict[str, str] | None = None
    crv: str | None = None
    release_policy: Any = None


class Jwk(msgspec.Struct, frozen=True):
    """Public and private members as they arrive; the repr shows none of them."""

    kty: str
    key_ops: list[str] | None = None
    crv: str | None = None
    n: str | None = None
    e: str | None = None
    d: str | None = None
    p: str | None = None
    q: str | None = None
    dp: str | None = None
    dq: str | None = None
    qi: str | None = None
    x: str | None = None
    y: str | None = None
    k: str | None = None
    key_hsm: str | None = None

    def __repr__(self) -> str:
        return f"Jwk({self.kty!r})"


class ImportKey(msgspec.Struct, frozen=True):
    key: Jwk
    Hsm: bool | None = None
    attributes: Attributes | None = None
    tags: dict[str, str] | None = None
    release_policy: Any = None


class UpdateKey(msgspec.Struct, frozen=True):
    key_ops: list[str] | None = None
    attributes: Attributes | None = None
    tags: dict[str, str] | None = None
    release_policy: Any = None


class UseKey(msgspec.Struct, frozen=True):
    """sign, encrypt, decrypt, wrapkey, unwrapkey. value may be a plaintext: the repr shows nothing."""

    alg: str
    value: str
    iv: str | None = None
    aad: str | None = None
    tag: str | None = None

    def __repr__(self) -> str:
        return f"UseKey({self.alg!r})"


class VerifyWithKey(msgspec.Struct, frozen=True):
    alg: str
    digest: str
    value: str


class RestoreKey(msgspec.Struct, frozen=True):
    value: str


def spec_of(body: CreateKey) -> tuple[KeySpec, bool]:
    """What to generate, and whether in hardware. Raises BadRequest."""
    family, hardware = family_of(body.kty)
    if family is Family.EC:
        if body.public_exponent is not None:
            raise invalid_property("public_exponent")
        return _ec_spec(body.crv, body.key_size), hardware
    if body.crv is not None:
        raise invalid_property("crv")
    if family is Family.OCT:
        return KeySpec.oct(_size(256 if body.key_size is None else body.key_size, OCT_SIZES_BITS)), hardware
    if body.public_exponent not in (None, 65537):
        raise invalid_property("public_exponent")
    return KeySpec.rsa(_size(2048 if body.key_size is None else body.key_size, RSA_SIZES_BITS)), hardware


def family_of(kty: str) -> tuple[Family, bool]:
    """RSA-HSM is RSA in hardware. Raises BadRequest."""
    name, dash, hsm = kty.partition("-")
    family = _FAMILIES.get(name)
    if family is None or (dash and hsm != "HSM"):
        raise invalid_property("kty")
    return family, bool(dash)


def settings_of(
    key_ops: list[str] | None, attributes: Attributes | None, tags: dict[str, str] | None, release_policy: object
) -> KeySettings:
    """Raises BadRequest, and NotBuilt for exportable keys with a release policy."""
    given = attributes or Attributes()
    operations = tuple(dict.fromkeys(key_ops or ()))  # each once, in the order given
    if any(operation not in KEY_OPERATIONS for operation in operations):
        raise invalid_property("key_ops")
    if "import" in operations and len(operations) > 1:
        raise invalid_property("key_ops")
    if given.exportable or release_policy is not None or "export" in operations:
        if given.exportable and release_policy is None:
            raise BadRequest("Exportable keys must have release policy")
        if not given.exportable:
            raise BadRequest("Non-exportable keys must not have release policy")
        raise NotBuilt("Exportable keys and release policies are not served yet.")
    return KeySettings(
        operations=operations or None,
        enabled=given.enabled,
        not_before=_time(given.nbf, "nbf"),
        expires=_time(given.exp, "exp"),
        tags=None if tags is None else checked_tags(tags),
    )


def imported_of(body: ImportKey) -> tuple[ImportedKey, bool]:
    """The caller's key, and whether it goes into hardware. Raises BadRequest."""
    jwk = body.key
    family, hardware = family_of(jwk.kty)
    if jwk.key_hsm is not None:
        raise NotBuilt("Import of a key that is wrapped for the HSM (BYOK) is not served yet.")
    members = {
        name: from_base64url(text, name)
        for name in ("n", "e", "d", "p", "q", "dp", "dq", "qi", "x", "y")
        if (text := getattr(jwk, name)) is not None
    }
    if family is Family.OCT:
        raise BadRequest("The key type 'oct' is not supported by this container.")
    curve = _curve(jwk.crv) if family is Family.EC else None
    return (
        ImportedKey(PrivateJwk(family=family, curve=curve, **members), members.get("n", b"")),
        hardware or bool(body.Hsm),
    )


def bundle(origin: str, container: Container, row: KeyVersion) -> dict[str, object]:
    """KeyBundle of the reference."""
    answer: dict[str, object] = {"key": _jwk(origin, row), "attributes": _attributes(container, row)}
    _add_common(answer, row)
    return answer


def item(origin: str, container: Container, row: KeyVersion, *, with_version: bool) -> dict[str, object]:
    """KeyItem of the reference. Lists of keys name no version, lists of versions do."""
    kid = f"{origin}/keys/{row.name}/{row.version}" if with_version else f"{origin}/keys/{row.name}"
    answer: dict[str, object] = {"kid": kid, "attributes": _attributes(container, row)}
    _add_common(answer, row)
    return answer


def deletion(origin: str, deleted: DeletedKey) -> dict[str, object]:
    """The members that a deleted key has beside those of a bundle or an item."""
    return {
        "recoveryId": f"{origin}/deletedkeys/{deleted.row.name}",
        "deletedDate": deleted.deleted_at,
        "scheduledPurgeDate": deleted.purge_at,
    }


def kid_of(origin: str, row: KeyVersion) -> str:
    return f"{origin}/keys/{row.name}/{row.version}"


def _jwk(origin: str, row: KeyVersion) -> dict[str, object]:
    jwk: dict[str, object] = {"kid": kid_of(origin, row), "kty": row.wire_type, "key_ops": row.operations}
    if row.spec.curve is not None:
        jwk["crv"] = row.spec.curve.value
    for name, value in row.public_members.items():
        jwk[name] = to_base64url(value)
    return jwk


def _attributes(container: Container, row: KeyVersion) -> dict[str, object]:
    attributes: dict[str, object] = {"enabled": row.enabled}
    if row.not_before is not None:
        attributes["nbf"] = row.not_before
    if row.expires is not None:
        attributes["exp"] = row.expires
    attributes |= {
        "created": row.created,
        "updated": row.updated,
        "recoveryLevel": container.retention.recovery_level,
        "recoverableDays": container.retention.days,
        "exportable": row.exportable,
    }
    if not row.hardware:
        attributes["hsmPlatform"] = "0"  # for hardware it would name a validation that only the operator can vouch for
    return attributes


def _add_common(answer: dict[str, object], row: KeyVersion) -> None:
    if row.tags:
        answer["tags"] = dict(row.tags)
    if row.managed:
        answer["managed"] = True


def _ec_spec(curve: str | None, size_bits: int | None) -> KeySpec:
    """A size that is given too has to be the curve's."""
    spec = KeySpec.ec(_curve(curve))
    if size_bits is not None and _size(size_bits, EC_SIZES_BITS) != spec.size_bits:
        raise invalid_property("key_size")
    return spec


def _curve(name: str | None) -> Curve:
    curve = _CURVES.get("P-256" if name is None else name)
    if curve is None:
        raise invalid_property("crv")
    return curve


def _size(bits: int, served: tuple[int, ...]) -> int:
    if bits not in served:
        raise BadRequest(f"Unsupported key size ({bits}). Supported sizes are {list(served)}")
    return bits


def _time(seconds: int | None, member: str) -> int | None:
    if seconds is not None and not 0 <= seconds <= _LATEST_TIME:
        raise invalid_property(member)
    return seconds
