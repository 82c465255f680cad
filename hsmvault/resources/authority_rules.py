"""What an authority of our own signs and what not: containers, profiles, names. A decision without side effects."""

from cryptography.x509 import Name

from hsmvault.errors import BadRequest
from hsmvault.model.algorithms import KeySpec
from hsmvault.model.authorities import DEFAULT_PROFILE, AuthorityRules, Profile, key_type
from hsmvault.model.certificate_policies import CertificatePolicy
from hsmvault.model.containers import Container
from hsmvault.model.x500 import parse_name
from hsmvault.resources.authority_names import refused_name


def refusal(rules: AuthorityRules, container: Container, policy: CertificatePolicy, spec: KeySpec) -> str | None:
    """Why the authority does not sign such a certificate, a sentence for the caller; None when it does. spec: of the
    certificate's key.
    """
    if rules.containers and container.name not in rules.containers:
        return f"The certificate authority '{rules.name}' does not serve this vault."
    wanted = policy.issuer.certificate_type or DEFAULT_PROFILE
    profile = rules.profiles.get(wanted)
    if profile is None:
        return f"The certificate authority '{rules.name}' has no certificate type '{wanted}'."
    return _refused_by_profile(rules, profile, policy, spec) or _refused_names(rules, policy)


def subject_of(policy: CertificatePolicy) -> Name:
    """Without attributes when the policy has alternative names alone. Raises BadRequest."""
    return parse_name(policy.x509.subject) if policy.x509.subject else Name([])


def _refused_by_profile(
    rules: AuthorityRules, profile: Profile, policy: CertificatePolicy, spec: KeySpec
) -> str | None:
    wanted = policy.x509
    longest = min(rules.longest_months, profile.longest_months)
    kind = f"of the type '{profile.name}'"
    if wanted.validity_months > longest:
        return f"Certificates {kind} are valid for at most {longest} months."
    if key_type(spec) not in profile.key_types:
        return f"Certificates {kind} are not issued for keys of the type {key_type(spec)}."
    if not wanted.ekus:
        return f"Certificates {kind} need an extended key usage."  # without one it would be good for everything
    if refused := sorted(set(wanted.ekus) - profile.ekus):
        return f"The extended key usage {refused[0]} is not allowed for certificates {kind}."
    if not wanted.key_usage:
        return f"Certificates {kind} need a key usage."
    if refused := sorted(set(wanted.key_usage) - profile.key_usages):
        return f"The key usage {refused[0]} is not allowed for certificates {kind}."
    names = wanted.alternative_names
    present = {
        "dns": names.dns_names,
        "ip": names.ip_addresses,
        "email": names.emails,
        "upn": names.upns,
        "uri": names.uris,
    }
    for word, values in present.items():
        if values and word not in profile.names:
            return f"Alternative names of the kind '{word}' are not allowed for certificates {kind}."
    return None


def _refused_names(rules: AuthorityRules, policy: CertificatePolicy) -> str | None:
    wanted = policy.x509
    try:
        subject = subject_of(policy)
    except BadRequest as error:
        return error.message
    if not wanted.subject and not wanted.alternative_names:
        return "A certificate needs a subject or a subject alternative name."
    refused = refused_name(subject, wanted.alternative_names, rules.constraints)
    if refused is None:
        return None
    return f"The certificate authority '{rules.name}' does not issue for the name {refused!a}."
