"""A certificate around a key that lives in custody and only signs digests: the envelope in which its public part is
published, and the source of its names (x5t, kid). It carries no trust by itself.
"""

from collections.abc import Sequence

from cryptography import x509
from cryptography.x509.oid import NameOID

from hsmvault.custody.certificate_extensions import alternative_names, subject_key_identifier
from hsmvault.custody.certificate_signing import CertificateTemplate, Signer, sign_certificate
from hsmvault.custody.protocols import KeyHandle
from hsmvault.custody.public import PublicKey
from hsmvault.model.algorithms import SIGNATURE_ALGORITHMS
from hsmvault.model.certificate_policies import AlternativeNames

RS256 = SIGNATURE_ALGORITHMS["RS256"]
_LONGEST_COMMON_NAME = 64  # RFC 5280, appendix A.1


async def self_signed(
    handle: KeyHandle,
    public: bytes,
    *,
    host: str,
    serial: int,
    not_before: int,
    not_after: int,
    dns_names: Sequence[str] = (),
) -> bytes:
    """A certificate in DER.

    public: SubjectPublicKeyInfo of the handle's key. host: its common name. serial: positive, at most 20 bytes (RFC
    5280, 4.1.2.2). not_before, not_after: seconds since 1970 UTC. dns_names: subject alternative names. Raises what
    certificate_signing.sign_tbs raises.
    """
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:_LONGEST_COMMON_NAME])])
    possible = (subject_key_identifier(public), alternative_names(AlternativeNames(dns_names=tuple(dns_names))))
    template = CertificateTemplate(
        subject=name,
        issuer=name,
        public=public,
        serial=serial,
        not_before=not_before,
        not_after=not_after,
        extensions=[each for each in possible if each is not None],
    )
    return await sign_certificate(Signer(handle, PublicKey.load(public).spec, public), template)
