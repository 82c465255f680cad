"""Bodies of the calls that make and change certificates: what clients send, checked member by member.

A missing member and null are the same: clients send null for what their user did not set.
"""

from collections.abc import Mapping, Sequence

import msgspec

from hsmvault.model.algorithms import Curve, Family
from hsmvault.model.certificate_policies import UNKNOWN, Action, AlternativeNames, IssuerParameters, LifetimeAction
from hsmvault.model.certificate_policy_parts import KeyParts, PolicyParts, X509Parts
from hsmvault.resources.refusals import invalid_property
from hsmvault.wire.codec import checked_tags, from_any_base64

_FAMILIES = {"RSA": Family.RSA, "EC": Family.EC}
_CURVES = {curve.value: curve for curve in Curve} | {"SECP256K1": Curve.P256K}
_ACTIONS = {action.value.lower(): action for action in Action}
_MOST_CERTIFICATES = 32  # of one merge


class Attributes(msgspec.Struct, frozen=True):
    """The times are the certificate's own: ignored when a client sends them, as what only answers have."""

    enabled: bool | None = None


class KeyProps(msgspec.Struct, frozen=True):
    exportable: bool | None = None
    kty: str | None = None
    key_size: int | None = None
    reuse_key: bool | None = None
    crv: str | None = None


class SecretProps(msgspec.Struct, frozen=True):
    contentType: str | None = None


class Sans(msgspec.Struct, frozen=True):
    emails: list[str] | None = None
    dns_names: list[str] | None = None
    upns: list[str] | None = None
    uris: list[str] | None = None
    ipAddresses: list[str] | None = None


class X509Props(msgspec.Struct, frozen=True):
    subject: str | None = None
    ekus: list[str] | None = None
    sans: Sans | None = None
    key_usage: list[str] | None = None
    validity_months: int | None = None


class Trigger(msgspec.Struct, frozen=True):
    lifetime_percentage: int | None = None
    days_before_expiry: int | None = None


class ActionOf(msgspec.Struct, frozen=True):
    action_type: str | None = None


class Lifetime(msgspec.Struct, frozen=True):
    trigger: Trigger | None = None
    action: ActionOf | None = None


class Issuer(msgspec.Struct, frozen=True):
    name: str | None = None
    cty: str | None = None
    cert_transparency: bool | None = None


class Policy(msgspec.Struct, frozen=True):
    key_props: KeyProps | None = None
    secret_props: SecretProps | None = None
    x509_props: X509Props | None = None
    lifetime_actions: list[Lifetime] | None = None
    issuer: Issuer | None = None
    attributes: Attributes | None = None
    platformManaged: dict[str, object] | None = None


class CreateCertificate(msgspec.Struct, frozen=True):
    policy: Policy | None = None
    attributes: Attributes | None = None
    tags: dict[str, str] | None = None
    preserveCertOrder: bool | None = None


class ImportCertificate(msgspec.Struct, frozen=True):
    """With a private key, and its password; the repr shows nothing."""

    value: str
    pwd: str | None = None
    policy: Policy | None = None
    attributes: Attributes | None = None
    tags: dict[str, str] | None = None
    preserveCertOrder: bool | None = None

    def __repr__(self) -> str:
        return "ImportCertificate()"


class UpdateCertificate(msgspec.Struct, frozen=True):
    policy: Policy | None = None
    attributes: Attributes | None = None
    tags: dict[str, str] | None = None


class MergeCertificate(msgspec.Struct, frozen=True):
    x5c: list[str]
    attributes: Attributes | None = None
    tags: dict[str, str] | None = None


class UpdateOperation(msgspec.Struct, frozen=True):
    cancellation_requested: bool


def enabled_of(body: CreateCertificate | ImportCertificate | UpdateCertificate | MergeCertificate) -> bool | None:
    return None if body.attributes is None else body.attributes.enabled


def tags_of(
    body: CreateCertificate | ImportCertificate | UpdateCertificate | MergeCertificate,
) -> Mapping[str, str] | None:
    """Raises BadRequest."""
    return None if body.tags is None else checked_tags(body.tags)


def certificates_of(body: MergeCertificate) -> tuple[bytes, ...]:
    """What stands in x5c, out of one layer of base64. Raises BadRequest."""
    if not 1 <= len(body.x5c) <= _MOST_CERTIFICATES:
        raise invalid_property("x5c")
    return tuple(from_any_base64("".join(text.split()), "x5c") for text in body.x5c)


def policy_of(body: Policy) -> PolicyParts:
    """Raises BadRequest for words that are unknown. Whether the parts fit each other is not asked here."""
    if body.platformManaged is not None:
        raise invalid_property("platformManaged")
    return PolicyParts(
        key=None if body.key_props is None else _key(body.key_props),
        content_type=None if body.secret_props is None else body.secret_props.contentType,
        x509=None if body.x509_props is None else _x509(body.x509_props),
        actions=None if body.lifetime_actions is None else tuple(_action(one) for one in body.lifetime_actions),
        issuer=None if body.issuer is None or body.issuer == Issuer() else _issuer(body.issuer),
        enabled=None if body.attributes is None else body.attributes.enabled,
    )


def _key(props: KeyProps) -> KeyParts:
    family = hardware = None
    if props.kty is not None:
        name, dash, hsm = props.kty.partition("-")
        family, hardware = _FAMILIES.get(name), bool(dash)
        if family is None or (dash and hsm != "HSM"):
            raise invalid_property("kty")
    curve = None
    if props.crv is not None:
        curve = _CURVES.get(props.crv)
        if curve is None:
            raise invalid_property("crv")
    return KeyParts(family, hardware, props.key_size, curve, props.exportable, props.reuse_key)


def _x509(props: X509Props) -> X509Parts:
    names = props.sans
    return X509Parts(
        subject=props.subject,
        alternative_names=None
        if names is None
        else AlternativeNames(
            dns_names=tuple(names.dns_names or ()),
            emails=tuple(names.emails or ()),
            upns=tuple(names.upns or ()),
            uris=tuple(names.uris or ()),
            ip_addresses=tuple(names.ipAddresses or ()),
        ),
        ekus=_texts(props.ekus),
        key_usage=_texts(props.key_usage),
        validity_months=props.validity_months,
    )


def _texts(texts: Sequence[str] | None) -> tuple[str, ...] | None:
    """Each once, in the order given."""
    return None if texts is None else tuple(dict.fromkeys(texts))


def _action(one: Lifetime) -> LifetimeAction:
    action = None
    if one.action is not None and one.action.action_type is not None:
        action = _ACTIONS.get(one.action.action_type.lower())
    if action is None:
        raise invalid_property("action_type")
    trigger = one.trigger or Trigger()
    return LifetimeAction(action, trigger.lifetime_percentage, trigger.days_before_expiry)


def _issuer(issuer: Issuer) -> IssuerParameters:
    """The issuer Unknown when only the rest is said, as the service documents."""
    return IssuerParameters(UNKNOWN if issuer.name is None else issuer.name, issuer.cty, issuer.cert_transparency)
