"""What a caller says of a certificate policy: every member may be missing.

What is missing comes from elsewhere: of a new certificate from the defaults, of an import from the certificate that is
imported, and a change of a policy replaces whole parts.
"""

from dataclasses import dataclass, replace
from typing import Final

from hsmvault.errors import BadRequest
from hsmvault.model.algorithms import EC_SIZES_BITS, RSA_SIZES_BITS, Curve, Family
from hsmvault.model.certificate_policies import (
    Action,
    AlternativeNames,
    CertificatePolicy,
    IssuerParameters,
    KeyProperties,
    LifetimeAction,
    X509Properties,
)
from hsmvault.model.certificate_policy_rules import checked

_DEFAULT_PERCENTAGE: Final = 80
_CURVES: Final = {256: Curve.P256, 384: Curve.P384, 521: Curve.P521}
_SIZES: Final = {Curve.P256: 256, Curve.P256K: 256, Curve.P384: 384, Curve.P521: 521}


@dataclass(frozen=True, slots=True)
class KeyParts:
    family: Family | None = None
    hardware: bool | None = None
    size_bits: int | None = None
    curve: Curve | None = None
    exportable: bool | None = None
    reuse: bool | None = None

    def over(self, base: KeyProperties) -> KeyProperties:
        """Raises BadRequest: a size that no key has, a curve of an RSA key, a curve of another size."""
        family = self.family or base.family
        same = family is base.family
        hardware = base.hardware if self.hardware is None else self.hardware
        exportable = self.exportable
        if exportable is None:
            exportable = base.exportable and not hardware
        reuse = base.reuse if self.reuse is None else self.reuse
        if family is Family.RSA:
            if self.curve is not None:
                raise BadRequest("Property crv has invalid value\r\n")
            size = self.size_bits
            if size is None:
                size = base.size_bits if same else 2048
            _check_size(size, RSA_SIZES_BITS)
            return KeyProperties(family, hardware, size, None, exportable, reuse)
        curve = self._curve(base.curve if same else None)
        return KeyProperties(family, hardware, _SIZES[curve], curve, exportable, reuse)

    def _curve(self, usual: Curve | None) -> Curve:
        if self.size_bits is None:
            return self.curve or usual or Curve.P256
        _check_size(self.size_bits, EC_SIZES_BITS)
        curve = self.curve or _CURVES[self.size_bits]
        if _SIZES[curve] != self.size_bits:
            raise BadRequest("Property key_size has invalid value\r\n")
        return curve


@dataclass(frozen=True, slots=True)
class X509Parts:
    subject: str | None = None
    alternative_names: AlternativeNames | None = None
    ekus: tuple[str, ...] | None = None
    key_usage: tuple[str, ...] | None = None
    validity_months: int | None = None

    def over(self, base: X509Properties) -> X509Properties:
        return X509Properties(
            subject=base.subject if self.subject is None else self.subject,
            alternative_names=base.alternative_names if self.alternative_names is None else self.alternative_names,
            ekus=base.ekus if self.ekus is None else self.ekus,
            key_usage=base.key_usage if self.key_usage is None else self.key_usage,
            validity_months=base.validity_months if self.validity_months is None else self.validity_months,
        )


@dataclass(frozen=True, slots=True)
class PolicyParts:
    """A policy as a caller sends it."""

    key: KeyParts | None = None
    content_type: str | None = None
    x509: X509Parts | None = None
    actions: tuple[LifetimeAction, ...] | None = None
    issuer: IssuerParameters | None = None
    enabled: bool | None = None

    def new(self, now: int) -> CertificatePolicy:
        """The policy of a certificate that is to be made: what is missing has its default. now: seconds since 1970 UTC.
        Raises BadRequest for a policy that contradicts the rules (certificate_policy_rules.py)."""
        return checked(self._over(CertificatePolicy(created=now, updated=now)))

    def over(self, base: CertificatePolicy) -> CertificatePolicy:
        """The policy of an import: what is missing, of any part, is that of `base`, which was derived from what is
        imported. What callers say of the certificate itself must be possible and is then passed over, as the service
        does: it is as it is. Without actions it has those that are usual for its issuer. Raises as new()."""
        said = checked(self._over(base), may_be_nameless=self.x509 is None)
        return checked(replace(said, x509=base.x509), may_be_nameless=True)

    def replacing(self, policy: CertificatePolicy, now: int) -> CertificatePolicy:
        """A change of a policy: a part that is given replaces the whole part, what is missing inside it has its
        default. now: seconds since 1970 UTC. Raises as new()."""
        defaults = CertificatePolicy()
        return checked(
            replace(
                policy,
                key=policy.key if self.key is None else self.key.over(defaults.key),
                content_type=policy.content_type if self.content_type is None else self.content_type,
                x509=policy.x509 if self.x509 is None else self.x509.over(defaults.x509),
                actions=policy.actions if self.actions is None else self.actions,
                issuer=policy.issuer if self.issuer is None else self.issuer,
                enabled=policy.enabled if self.enabled is None else self.enabled,
                updated=now,
            )
        )

    def _over(self, base: CertificatePolicy) -> CertificatePolicy:
        issuer = self.issuer or base.issuer
        return replace(
            base,
            key=base.key if self.key is None else self.key.over(base.key),
            content_type=base.content_type if self.content_type is None else self.content_type,
            x509=base.x509 if self.x509 is None else self.x509.over(base.x509),
            actions=(base.actions or default_actions(issuer)) if self.actions is None else self.actions,
            issuer=issuer,
            enabled=base.enabled if self.enabled is None else self.enabled,
        )


def default_actions(issuer: IssuerParameters) -> tuple[LifetimeAction, ...]:
    """Renewal at 80 % of the lifetime, or mail where nobody but a caller can go on."""
    action = Action.EMAIL_CONTACTS if issuer.is_unknown else Action.AUTO_RENEW
    return (LifetimeAction(action, lifetime_percentage=_DEFAULT_PERCENTAGE),)


def _check_size(bits: int, served: tuple[int, ...]) -> None:
    if bits not in served:
        raise BadRequest(f"Unsupported key size ({bits}). Supported sizes are {list(served)}")
