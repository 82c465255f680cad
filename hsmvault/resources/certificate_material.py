"""What a version of a certificate is made of, in custody: its key, its signing request, the value of its secret."""

import base64
import logging
from collections.abc import Mapping, Sequence

from cryptography import x509

from hsmvault.clock import Identifiers
from hsmvault.custody import certificate_chains as chains
from hsmvault.custody import certificate_extensions as extensions
from hsmvault.custody.certificate_signing import RequestTemplate, Signer, sign_request
from hsmvault.custody.custodians import Custodians
from hsmvault.custody.pem_bundles import write_pem
from hsmvault.custody.pkcs12 import write_pkcs12
from hsmvault.custody.protocols import HeldKey, PrivateKeyMaterial, Terms
from hsmvault.custody.sealing import Sealer
from hsmvault.errors import BadRequest
from hsmvault.lanes import Lane
from hsmvault.model.certificate_policies import PEM, CertificatePolicy
from hsmvault.model.containers import Container
from hsmvault.model.keys import KeyVersion
from hsmvault.model.secrets import LONGEST_VALUE_BYTES
from hsmvault.model.x500 import parse_name
from hsmvault.resources import refusals
from hsmvault.resources.backup_scope import sealer_of
from hsmvault.resources.certificate_rows import Issued
from hsmvault.resources.key_cache import binding_of as key_binding
from hsmvault.resources.key_cache import held_by
from hsmvault.resources.secret_cache import binding_of as secret_binding

LOG = logging.getLogger("hsmvault.certificates")
KEY_MISMATCH = (
    "The public key of the end-entity certificate in the specified X.509 certificate content does not match the public "
    "part of the specified private key. Please check if certificate is valid"
)
TOO_LONG = (
    f"The certificate with its chain and private key is too large: as a secret it would have more than "
    f"{LONGEST_VALUE_BYTES} bytes."
)
_REUSE = (
    "The key of the latest version cannot be used again. Please check that the policy has the same key type and size, "
    "that the key was exportable if it is to be, and that it can leave its token; or set reuse_key to false."
)


class CertificateMaterial:
    """sealers: of each security world, by its id. work: a lane, for some milliseconds at a time. legacy: secrets are
    PKCS#12 files that old programs read (custody/pkcs12.py)."""

    def __init__(
        self,
        custodians: Custodians,
        sealers: Mapping[str, Sealer],
        work: Lane[None],
        identifiers: Identifiers,
        *,
        legacy: bool = False,
    ) -> None:
        self._custodians = custodians
        self._sealers = sealers
        self._work = work
        self._identifiers = identifiers
        self._legacy = legacy

    async def new_key(self, container: Container, name: str, version: str, policy: CertificatePolicy) -> HeldKey:
        """destroy() it when its row does not come to be. Raises BadRequest, Unavailable, Throttled."""
        _check_type(container, policy)
        custodian = self._custodians.for_new(container, hardware=policy.key.hardware)
        return await custodian.generate(policy.key.spec, key_binding(container.id, name, version), _terms(policy))

    async def admitted_key(
        self, container: Container, name: str, version: str, policy: CertificatePolicy, material: PrivateKeyMaterial
    ) -> HeldKey:
        """A key that came with its certificate; otherwise as new_key."""
        _check_type(container, policy)
        custodian = self._custodians.for_new(container, hardware=policy.key.hardware)
        return await custodian.admit(material, key_binding(container.id, name, version), _terms(policy))

    async def reused_key(
        self, container: Container, like: KeyVersion, version: str, policy: CertificatePolicy
    ) -> HeldKey:
        """The key of another version of the same name, bound to its new row. Raises BadRequest when it is of another
        type than the policy's, may not be given out as the policy says, or cannot leave its row; otherwise as new_key.
        """
        _check_type(container, policy)
        if (like.spec, like.hardware) != (policy.key.spec, policy.key.hardware):
            raise BadRequest(_REUSE)
        custodian = self._custodians.holding(container, like.custody)
        source = key_binding(container.id, like.name, like.version)
        target = key_binding(container.id, like.name, version)
        try:
            packed = await custodian.pack(held_by(like), source)
            held = await custodian.unpack(like.spec, like.public, packed, source, target)
            if policy.key.exportable:
                await custodian.disclose(held, target)
        except BadRequest as error:
            raise BadRequest(_REUSE, detail=error.message) from error
        return held

    def signer(self, container: Container, name: str, version: str, held: HeldKey) -> Signer:
        """What uses the key, pending or not."""
        custodian = self._custodians.holding(container, held.custody.value)
        return Signer(custodian.open(held, key_binding(container.id, name, version)), held.spec, held.public)

    async def request(self, signer: Signer, policy: CertificatePolicy) -> bytes:
        """The signing request, PKCS#10 in DER. Raises BadRequest, Unavailable, Throttled."""
        return await sign_request(signer, _template(policy))

    async def placeholder(self, container: Container, name: str, version: str) -> bytes:
        """An empty value, sealed for the secret's row: what a pending version has."""
        return await sealer_of(self._sealers, container).seal(b"", secret_binding(container.id, name, version))

    async def issued(
        self,
        container: Container,
        name: str,
        version: str,
        held: HeldKey,
        policy: CertificatePolicy,
        certificates: Sequence[bytes],
        *,
        preserve_order: bool,
    ) -> Issued:
        """What a version is published with. certificates: in DER, the key's own among them.

        Raises BadRequest when none is the key's, when one cannot be read, and when the secret would be too long;
        Unavailable, Throttled.
        """
        private: bytes | None = None
        if policy.key.exportable:
            custodian = self._custodians.holding(container, held.custody.value)
            private = (await custodian.disclose(held, key_binding(container.id, name, version))).encoded
        pem, legacy = policy.content_type == PEM, self._legacy

        def job(_: None) -> tuple[bytes, str]:
            if sum(len(each) for each in set(certificates)) > LONGEST_VALUE_BYTES:  # before they are put into order
                raise BadRequest(TOO_LONG)
            leaf = chains.leaf_of(held.public, certificates)
            if leaf is None:
                raise BadRequest(KEY_MISMATCH)
            others = [each for each in dict.fromkeys(certificates) if each != leaf]
            chain = (leaf, *others) if preserve_order else chains.ordered_chain(leaf, others)
            if pem:
                return leaf, write_pem(private, chain)
            pfx = write_pkcs12(private, chain, legacy=legacy, identifiers=self._identifiers)
            return leaf, base64.b64encode(pfx).decode()

        leaf, value = await self._work.submit(job)
        if len(value) > LONGEST_VALUE_BYTES:
            raise BadRequest(TOO_LONG)
        not_before, expires = chains.validity(leaf)
        return Issued(
            certificate=leaf,
            thumbprint=chains.thumbprint(leaf),
            subject=chains.subject_of(leaf),
            not_before=not_before,
            expires=expires,
            sealed=await sealer_of(self._sealers, container).seal(
                value.encode(), secret_binding(container.id, name, version)
            ),
        )

    async def destroy(self, container: Container, name: str, version: str, held: HeldKey) -> None:
        """Of a version that did not come to be, or is gone. What fails here is left to the next start: no row has it,
        and an intent names it."""
        custodian = self._custodians.holding(container, held.custody.value)
        try:
            await custodian.destroy(held, key_binding(container.id, name, version))
        except Exception:
            LOG.warning("material of %s/%s could not be destroyed", name, version, exc_info=True)


def _check_type(container: Container, policy: CertificatePolicy) -> None:
    refusals.check_key_type(container, policy.key.family, hardware=policy.key.hardware)


def _terms(policy: CertificatePolicy) -> Terms:
    return Terms(disclosable=policy.key.exportable)


def _template(policy: CertificatePolicy) -> RequestTemplate:
    wanted = policy.x509
    asked = (
        extensions.key_usage(wanted.key_usage),
        extensions.extended_key_usage(wanted.ekus),
        extensions.alternative_names(wanted.alternative_names, critical=not wanted.subject),
        extensions.end_entity(),
    )
    subject = parse_name(wanted.subject) if wanted.subject else x509.Name([])
    return RequestTemplate(subject, [each for each in asked if each is not None])
