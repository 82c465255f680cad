"""The certificates of an authority of our own: what stands in the root, in the issuing one, and in those that it issues
about where to ask (RFC 5280, 4.2).

The root is signed by itself, the issuing certificate by the root; name constraints stand in the issuing one.
"""

from ipaddress import IPv4Network, IPv6Network

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from hsmvault.clock import Identifiers
from hsmvault.custody import certificate_extensions
from hsmvault.custody.certificate_extensions import AnyExtension
from hsmvault.custody.certificate_signing import CertificateTemplate
from hsmvault.model.authorities import AuthorityRole, AuthorityRow, AuthorityRules, NameConstraints
from hsmvault.model.durations import Duration, after

BACKDATED_SECONDS = 600  # of notBefore and thisUpdate, for verifiers whose clock is behind
_SERIAL_BYTES = 16
_CA_USAGES = ("keyCertSign", "cRLSign")
_OCSP_USAGES = ("digitalSignature",)


def root_template(rules: AuthorityRules, public: bytes, serial: int, now: int) -> CertificateTemplate:
    """public: SubjectPublicKeyInfo in DER. now: seconds since 1970 UTC."""
    subject = x509.Name.from_rfc4514_string(rules.root_subject)
    return CertificateTemplate(
        subject=subject,
        issuer=subject,
        public=public,
        serial=serial,
        not_before=now - BACKDATED_SECONDS,
        not_after=after(now, Duration(years=rules.root_years)),
        extensions=[
            _authority(path_length=1),
            *_present(certificate_extensions.key_usage(_CA_USAGES)),
            certificate_extensions.subject_key_identifier(public),
        ],
    )


def issuing_template(
    rules: AuthorityRules, public: bytes, root_der: bytes, serial: int, now: int
) -> CertificateTemplate:
    """As root_template. root_der: the root's certificate, which this one does not outlive."""
    root = x509.load_der_x509_certificate(root_der)
    constraints = name_constraints(rules.constraints)
    identifier = root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return CertificateTemplate(
        subject=x509.Name.from_rfc4514_string(rules.subject),
        issuer=root.subject,
        public=public,
        serial=serial,
        not_before=now - BACKDATED_SECONDS,
        not_after=min(after(now, Duration(years=rules.years)), int(root.not_valid_after_utc.timestamp())),
        extensions=[
            _authority(path_length=0),
            *_present(certificate_extensions.key_usage((*_CA_USAGES, *_OCSP_USAGES))),
            certificate_extensions.subject_key_identifier(public),
            _extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)),
            *([] if constraints is None else [_extension(constraints, critical=True)]),
            *places(rules, AuthorityRole.ROOT),
        ],
    )


def mismatch(rules: AuthorityRules, rows: dict[AuthorityRole, AuthorityRow]) -> str | None:
    """Why an authority that was made is not the one that is configured, as a sentence; None when it is, or when there
    is none. What its certificates say stays as it was made.
    """
    subjects = {AuthorityRole.ROOT: rules.root_subject, AuthorityRole.ISSUING: rules.subject}
    for role, row in rows.items():
        certificate = x509.load_der_x509_certificate(row.certificate_der)
        if certificate.subject != x509.Name.from_rfc4514_string(subjects[role]):
            return (
                f"The authority '{rules.name}' was made with the {role.value} subject "
                f"'{certificate.subject.rfc4514_string()}', which never changes: restore it, or name another authority."
            )
        if row.spec != rules.spec:
            return f"The keys of the authority '{rules.name}' were made with another key_type, which never changes."
        if role is AuthorityRole.ISSUING and _constraints_of(certificate) != name_constraints(rules.constraints):
            return (
                f"The issuing certificate of the authority '{rules.name}' was made with other name constraints, which "
                "never change: restore them, or name another authority."
            )
    return None


def places(rules: AuthorityRules, issuer: AuthorityRole) -> list[AnyExtension]:
    """Where relying parties of a certificate find its revocation list, its issuer, and, of the issuing key, answers to
    OCSP (RFC 5280, 4.2.1.13 and 4.2.2.1).
    """
    list_url = x509.UniformResourceIdentifier(rules.crl_url(issuer))
    point = x509.DistributionPoint(full_name=[list_url], relative_name=None, reasons=None, crl_issuer=None)
    access = [(AuthorityInformationAccessOID.CA_ISSUERS, rules.certificate_url(issuer))]
    if issuer is AuthorityRole.ISSUING:
        access.insert(0, (AuthorityInformationAccessOID.OCSP, rules.ocsp_url))
    descriptions = [x509.AccessDescription(method, x509.UniformResourceIdentifier(url)) for method, url in access]
    return [
        _extension(x509.CRLDistributionPoints([point])),
        _extension(x509.AuthorityInformationAccess(descriptions)),
    ]


def name_constraints(constraints: NameConstraints) -> x509.NameConstraints | None:
    """None when there are none."""
    permitted = _subtrees(constraints.permitted_dns, constraints.permitted_emails, constraints.permitted_addresses)
    excluded = _subtrees(constraints.excluded_dns, constraints.excluded_emails, constraints.excluded_addresses)
    if not permitted and not excluded:
        return None
    return x509.NameConstraints(permitted or None, excluded or None)


def new_serial(identifiers: Identifiers) -> int:
    """16 random bytes, the first of them 0x40 to 0x7f: positive, and of one length (RFC 5280, 4.1.2.2)."""
    number = int.from_bytes(identifiers.random(_SERIAL_BYTES), "big")
    return number & ~(3 << 126) | 1 << 126


def _subtrees(
    dns: tuple[str, ...], emails: tuple[str, ...], addresses: tuple[IPv4Network | IPv6Network, ...]
) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in dns]
    names += [x509.RFC822Name(name) for name in emails]
    names += [x509.IPAddress(network) for network in addresses]
    return names


def _constraints_of(certificate: x509.Certificate) -> x509.NameConstraints | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return None


def _authority(*, path_length: int) -> AnyExtension:
    return _extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)


def _extension(value: x509.ExtensionType, *, critical: bool = False) -> AnyExtension:
    return x509.Extension(value.oid, critical, value)


def _present(
    extension: AnyExtension | None,
) -> list[AnyExtension]:
    return [] if extension is None else [extension]
