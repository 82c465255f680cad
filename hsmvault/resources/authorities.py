"""The certificate authorities of this installation: what they sign, and what became of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography import x509

from hsmvault.clock import Clock, Identifiers
from hsmvault.custody import certificate_extensions
from hsmvault.custody.authority_certificates import BACKDATED_SECONDS, new_serial, places
from hsmvault.custody.authority_keys import Authority, AuthorityKeys
from hsmvault.custody.certificate_signing import CertificateTemplate, is_request_by, sign_certificate
from hsmvault.custody.custodians import WorldCustody
from hsmvault.custody.intents import Intents
from hsmvault.errors import BadRequest
from hsmvault.model.algorithms import KeySpec
from hsmvault.model.authorities import AuthorityRole, AuthorityRules, IssuedRow
from hsmvault.model.certificate_policies import CertificatePolicy
from hsmvault.model.containers import Container
from hsmvault.model.durations import Duration, after
from hsmvault.resources.authority_rules import refusal, subject_of
from hsmvault.resources.authority_status import AuthorityStatus
from hsmvault.store import authorities as store
from hsmvault.store.database import Database


@dataclass(frozen=True, slots=True)
class Order:
    """A certificate that is wanted. csr: PKCS#10 in DER. spec, public: of the key in custody; public is a
    SubjectPublicKeyInfo. name, version: of the vault's certificate.
    """

    container: Container
    policy: CertificatePolicy
    csr: bytes
    spec: KeySpec
    public: bytes
    name: str
    version: str


class LocalAuthority:
    """One of them, in one worker. status: what it tells relying parties."""

    def __init__(
        self, rules: AuthorityRules, keys: AuthorityKeys, database: Database, clock: Clock, identifiers: Identifiers
    ) -> None:
        self.rules = rules
        self.status = AuthorityStatus(rules, keys, database, clock)
        self._keys = keys
        self._database = database
        self._clock = clock
        self._identifiers = identifiers

    async def prepare(self) -> None:
        """Its keys are there. Raises Unavailable, Throttled."""
        await self._keys.current()

    async def certificate(self, role: AuthorityRole) -> bytes:
        """DER. Raises Unavailable, Throttled."""
        return (await self._keys.current()).key(role).certificate_der

    def check(self, container: Container, policy: CertificatePolicy, spec: KeySpec) -> None:
        """Raises BadRequest when it would not sign such a certificate."""
        if (reason := refusal(self.rules, container, policy, spec)) is not None:
            raise BadRequest(reason)

    async def issue(self, order: Order) -> tuple[bytes, ...]:
        """The certificate, the issuing one and the root, in DER. Only the public key is taken from the request; names
        and usages come from the policy. Its row is committed before it is given out. Raises BadRequest, Unavailable,
        Throttled.
        """
        self.check(order.container, order.policy, order.spec)
        _check_possession(order)
        authority = await self._keys.current()
        now = int(self._clock.now())
        wanted = order.policy.x509
        not_after = min(after(now, Duration(months=wanted.validity_months)), authority.not_after)
        if not_after <= now:
            raise BadRequest(f"The certificate authority '{self.rules.name}' has expired.")
        serial = new_serial(self._identifiers)
        certificate_der = await sign_certificate(
            authority.issuing.signer,
            CertificateTemplate(
                subject=subject_of(order.policy),
                issuer=authority.issuing.certificate.subject,
                public=order.public,
                serial=serial,
                not_before=now - BACKDATED_SECONDS,
                not_after=not_after,
                extensions=self._extensions(order, authority),
            ),
        )
        row = IssuedRow(
            authority=self.rules.name,
            serial=f"{serial:032x}",
            not_after=not_after,
            issued=now,
            container_id=order.container.id,
            name=order.name,
            version=order.version,
        )
        async with self._database.write() as tx:
            await store.record(tx, row)
        return certificate_der, authority.issuing.certificate_der, authority.root.certificate_der

    def _extensions(self, order: Order, authority: Authority) -> list["x509.Extension[x509.ExtensionType]"]:
        wanted = order.policy.x509
        certain = [
            certificate_extensions.end_entity(),
            certificate_extensions.subject_key_identifier(order.public),
            certificate_extensions.authority_key_identifier(authority.issuing.signer.public),
            *places(self.rules, AuthorityRole.ISSUING),
        ]
        possible = [
            certificate_extensions.key_usage(wanted.key_usage),
            certificate_extensions.extended_key_usage(wanted.ekus),
            certificate_extensions.alternative_names(wanted.alternative_names, critical=not wanted.subject),
        ]
        return [one for one in possible if one is not None] + certain


class Authorities:
    """All of them, by name."""

    def __init__(
        self,
        configured: Sequence[AuthorityRules],
        world: WorldCustody,
        *,
        database: Database,
        clock: Clock,
        identifiers: Identifiers,
        intents: Intents,
    ) -> None:
        def made(rules: AuthorityRules) -> LocalAuthority:
            keys = AuthorityKeys(rules, world, database=database, clock=clock, identifiers=identifiers, intents=intents)
            return LocalAuthority(rules, keys, database, clock, identifiers)

        self.by_name: Mapping[str, LocalAuthority] = {rules.name: made(rules) for rules in configured}

    def forget(self, name: str) -> None:
        """What is kept of an authority that has changed."""
        if (authority := self.by_name.get(name)) is not None:
            authority.status.forget()

    def forget_all(self) -> None:
        for name in self.by_name:
            self.forget(name)


async def revoke(database: Database, authority: str, serial: str, *, now: int, reason: int) -> bool:
    """Revoke a certificate for good; the next revocation list is due at once. serial: 32 lower-case hex digits. now:
    seconds since 1970 UTC. reason: one of REASONS. False when there is no such certificate, or it is revoked already.
    Raises Unavailable.
    """
    async with database.write() as tx:
        if not await store.revoke(tx, authority, serial, now=now, reason=reason):
            return False
        row = (await store.of_name(tx, authority))[AuthorityRole.ISSUING]
        await store.advance_crl(tx, row, max(row.crl_number + 1, now))
    return True


def _check_possession(order: Order) -> None:
    """The request is signed by the key that the certificate is for. Raises BadRequest."""
    if not is_request_by(order.csr, order.public):
        raise BadRequest("The certificate request is not signed by the key that the certificate is for.")
