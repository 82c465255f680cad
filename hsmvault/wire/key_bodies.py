"""Bodies of the calls that make and change keys: what clients send, checked member by member."""

import msgspec

from hsmvault.custody.admission import PrivateJwk
from hsmvault.errors import BadRequest
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
from hsmvault.model.release_policies import CONTENT_TYPE, ReleasePolicy
from hsmvault.resources.imported_keys import ImportedKey
from hsmvault.resources.key_settings import EXCHANGE, KeySettings, check_export
from hsmvault.resources.refusals import check_key_type, invalid_property
from hsmvault.wire.codec import checked_tags, checked_time, from_base64url

_FAMILIES = {"RSA": Family.RSA, "EC": Family.EC, "oct": Family.OCT}
_CURVES = {curve.value: curve for curve in Curve} | {"SECP256K1": Curve.P256K}
_LONGEST_CONTENT_TYPE = 128
_ASYMMETRIC_MEMBERS = ("n", "e", "d", "p", "q", "dp", "dq", "qi", "x", "y")
_EXCHANGE_SIZE_BITS = 4096  # of a key-exchange key, when the caller does not say


class Attributes(msgspec.Struct, frozen=True):
    """created, updated and the recovery members are the server's: ignored when a client sends them."""

    enabled: bool | None = None
    nbf: int | None = None
    exp: int | None = None
    exportable: bool | None = None


class Policy(msgspec.Struct, frozen=True):
    """A release policy. data: JSON in base64url."""

    data: str | None = None
    contentType: str | None = None
    immutable: bool | None = None


class CreateKey(msgspec.Struct, frozen=True):
    kty: str
    key_size: int | None = None
    public_exponent: int | None = None
    key_ops: list[str] | None = None
    attributes: Attributes | None = None
    tags: dict[str, str] | None = None
    crv: str | None = None
    release_policy: Policy | None = None


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
    release_policy: Policy | None = None


class UpdateKey(msgspec.Struct, frozen=True):
    key_ops: list[str] | None = None
    attributes: Attributes | None = None
    tags: dict[str, str] | None = None
    release_policy: Policy | None = None


AnyOf = CreateKey | ImportKey | UpdateKey


def spec_of(body: CreateKey, container: Container) -> tuple[KeySpec, bool]:
    """What to generate, and whether in hardware. Raises BadRequest."""
    family, hardware = family_of(body.kty, container)
    check_key_type(container, family, hardware=hardware)
    if family is not Family.RSA and body.public_exponent is not None:
        raise invalid_property("public_exponent")
    if family is Family.EC:
        return _ec_spec(body.crv, body.key_size), hardware
    if body.crv is not None:
        raise invalid_property("crv")
    if family is Family.OCT:
        return KeySpec.oct(_size(256 if body.key_size is None else body.key_size, OCT_SIZES_BITS)), hardware
    exponent = 65537 if body.public_exponent is None else body.public_exponent
    if exponent not in container.rsa_exponents:
        raise invalid_property("public_exponent")
    usual_bits = _EXCHANGE_SIZE_BITS if tuple(body.key_ops or ()) == EXCHANGE else 2048
    return KeySpec.rsa(
        _size(usual_bits if body.key_size is None else body.key_size, RSA_SIZES_BITS), exponent
    ), hardware


def family_of(kty: str, container: Container) -> tuple[Family, bool]:
    """RSA-HSM is RSA in hardware, and so is RSA where there is nothing else. Raises BadRequest."""
    name, dash, hsm = kty.partition("-")
    family = _FAMILIES.get(name)
    if family is None or (dash and hsm != "HSM"):
        raise invalid_property("kty")
    return family, bool(dash) or container.hardware_only


def settings_of(body: CreateKey | ImportKey) -> KeySettings:
    """Of a new version. Raises BadRequest; that a release policy is missing or too much comes before what is in it."""
    key_ops = body.key.key_ops if isinstance(body, ImportKey) else body.key_ops
    exportable = bool(body.attributes and body.attributes.exportable)
    check_export(_operations(key_ops), exportable=exportable, has_policy=body.release_policy is not None)
    return _settings(body, key_ops)


def changes_of(body: UpdateKey) -> KeySettings:
    """Raises BadRequest."""
    return _settings(body, body.key_ops)


def imported_of(body: ImportKey, container: Container) -> tuple[ImportedKey, bool]:
    """The caller's key, and whether it goes into hardware. Raises BadRequest."""
    jwk = body.key
    family, hardware = imported_family(body, container)
    members = {
        name: from_base64url(text, name) for name in _ASYMMETRIC_MEMBERS if (text := getattr(jwk, name)) is not None
    }
    if family is Family.OCT:
        if jwk.k is None or members:
            raise invalid_property("k")
        return ImportedKey(PrivateJwk(family), secret=from_base64url(jwk.k, "k")), hardware
    if jwk.k is not None:
        raise invalid_property("k")
    curve = curve_of(jwk.crv) if family is Family.EC else None
    return ImportedKey(PrivateJwk(family=family, curve=curve, **members), members.get("n", b"")), hardware


def imported_family(body: ImportKey, container: Container) -> tuple[Family, bool]:
    """Type of a key that comes in, and whether it goes into hardware. Raises BadRequest."""
    family, hardware = family_of(body.key.kty, container)
    hardware = hardware or bool(body.Hsm)
    check_key_type(container, family, hardware=hardware)
    return family, hardware


def wrapped_form_of(body: ImportKey, container: Container) -> tuple[str, Family, Curve | None]:
    """`key_hsm`, the type and the curve of a key that was wrapped for the HSM. Raises BadRequest: a member of a key in
    the clear beside it, or a key that would not go into hardware."""
    jwk = body.key
    family, hardware = imported_family(body, container)
    assert jwk.key_hsm is not None
    if not hardware:
        raise invalid_property("kty")
    if any(getattr(jwk, name) is not None for name in (*_ASYMMETRIC_MEMBERS, "k")):
        raise invalid_property("key_hsm")
    return jwk.key_hsm, family, curve_of(jwk.crv) if family is Family.EC else None


def curve_of(name: str | None) -> Curve:
    """P-256 when it is not said. Raises BadRequest."""
    curve = _CURVES.get("P-256" if name is None else name)
    if curve is None:
        raise invalid_property("crv")
    return curve


def _settings(body: AnyOf, key_ops: list[str] | None) -> KeySettings:
    given = body.attributes or Attributes()
    return KeySettings(
        operations=_operations(key_ops) or None,
        enabled=given.enabled,
        not_before=checked_time(given.nbf, "nbf"),
        expires=checked_time(given.exp, "exp"),
        tags=None if body.tags is None else checked_tags(body.tags),
        exportable=given.exportable,
        release_policy=_policy(body.release_policy),
    )


def _operations(key_ops: list[str] | None) -> tuple[str, ...]:
    operations = tuple(dict.fromkeys(key_ops or ()))  # each once, in the order given
    if any(operation not in KEY_OPERATIONS for operation in operations):
        raise invalid_property("key_ops")
    if "import" in operations and len(operations) > 1:
        raise invalid_property("key_ops")
    return operations


def _policy(stated: Policy | None) -> ReleasePolicy | None:
    if stated is None:
        return None
    if stated.data is None:
        raise invalid_property("data")
    content_type = CONTENT_TYPE if stated.contentType is None else stated.contentType
    if (
        content_type.partition(";")[0].strip().lower() != "application/json"
        or len(content_type) > _LONGEST_CONTENT_TYPE
    ):
        raise invalid_property("contentType")
    return ReleasePolicy(from_base64url(stated.data, "data"), content_type, bool(stated.immutable))


def _ec_spec(curve: str | None, size_bits: int | None) -> KeySpec:
    """A size that is given too has to be the curve's."""
    spec = KeySpec.ec(curve_of(curve))
    if size_bits is not None and _size(size_bits, EC_SIZES_BITS) != spec.size_bits:
        raise invalid_property("key_size")
    return spec


def _size(bits: int, served: tuple[int, ...]) -> int:
    if bits not in served:
        raise BadRequest(f"Unsupported key size ({bits}). Supported sizes are {list(served)}")
    return bits
