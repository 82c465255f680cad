"""Creation of certificates: the key and the signing request are made, and an operation is written down that an issuer,
or a caller with a merge, completes.

All that there is of the version until then is pending (certificate_rows.py). Material is made before the transaction
and undone when the rows do not come to be.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

from hsmvault.clock import Clock, Identifiers
from hsmvault.custody.intents import Intents
from hsmvault.errors import RequestError
from hsmvault.model.certificate_policies import CertificatePolicy
from hsmvault.model.certificates import CertificateOperation, Status
from hsmvault.model.containers import Container
from hsmvault.model.keys import NO_TAGS, KeyVersion
from hsmvault.model.operations import Kind
from hsmvault.resources import certificate_rows, certificate_schedule, refusals
from hsmvault.resources.certificate_issuers.protocol import Account, Issuer
from hsmvault.resources.certificate_material import CertificateMaterial
from hsmvault.resources.certificate_rows import Names, NewRows
from hsmvault.resources.key_cache import held_by
from hsmvault.store import certificate_operations as operations
from hsmvault.store.certificates import CERTIFICATES
from hsmvault.store.database import Conflicted, Database, Transaction
from hsmvault.store.keys import KEYS

CLAIM_SECONDS: Final = 60
"""An operation that has just begun is left to the worker that began it for so long; then any goes on with it."""
IN_PROGRESS: Final = (
    "Pending certificate created. Certificate request is in progress. This may take some time based on the issuer "
    "provider. Please check again later."
)
AWAITS_MERGE: Final = "Pending certificate created. Please Perform Merge to complete the request."


class Issuers(Protocol):
    """Who issues for a policy (certificate_issuers/registry.py)."""

    async def resolve(self, container: Container, policy: CertificatePolicy) -> tuple[Issuer, Account | None]:
        """Raises BadRequest for an issuer that the vault does not know, or that is disabled."""
        ...


@dataclass(frozen=True, slots=True)
class NewCertificate:
    """What a caller says about a new version. None: not said.

    policy: complete and checked; its times are not looked at. None: that of the name. preserve_order: the chain stays
    as the issuer gives it.
    """

    policy: CertificatePolicy | None = None
    enabled: bool | None = None
    tags: Mapping[str, str] | None = None
    preserve_order: bool = False


class Creation:
    def __init__(
        self,
        database: Database,
        material: CertificateMaterial,
        issuers: Issuers,
        clock: Clock,
        identifiers: Identifiers,
        intents: Intents,
    ) -> None:
        self._database = database
        self._material = material
        self._issuers = issuers
        self._clock = clock
        self._identifiers = identifiers
        self._intents = intents

    async def create(
        self,
        container: Container,
        name: str,
        new: NewCertificate,
        *,
        is_renewal: bool = False,
        latest: str | None = None,
    ) -> CertificateOperation:
        """Make the key and the signing request, and begin the operation. The caller then has the engine go on with it
        (certificate_issuance.py); if it does not, another worker takes the operation over.

        latest: the version that the new one is to succeed; None for whichever is the latest.
        Raises BadRequest, Conflict (the name is that of a key or secret, is deleted, an operation is in progress, or
        another request was first), Unavailable, Throttled.
        """
        plan = await self._plan(container, name, new, latest)
        policy, like = plan.policy, plan.like
        issuer, account = await self._issuers.resolve(container, policy)
        await issuer.check(container, policy, account)
        version = self._identifiers.version()
        if like is None:
            held = await self._material.new_key(container, name, version, policy)
        else:
            held = await self._material.reused_key(container, like, version, policy)
        try:
            request = await self._material.request(self._material.signer(container, name, version, held), policy)
            now = int(self._clock.now())
            rows = NewRows(
                version,
                held,
                await self._material.placeholder(container, name, version),
                policy,
                now,
                new.tags,
                new.preserve_order,
            )
            operation = CertificateOperation(
                container_id=container.id,
                name=name,
                version=version,
                request_id=self._identifiers.version(),
                status=Status.IN_PROGRESS,
                policy=policy,
                csr=request,
                created=now,
                updated=now,
                enabled=new.enabled is not False,
                tags=new.tags or NO_TAGS,
                preserve_order=new.preserve_order,
                is_renewal=is_renewal,
                details=AWAITS_MERGE if policy.issuer.is_unknown else IN_PROGRESS,
                retry_at=None if policy.issuer.is_unknown else now + CLAIM_SECONDS,
            )
            operation, gone = await self._commit(container, name, rows, operation, plan)
        except (RequestError, Conflicted) as error:
            # Nothing was committed. Of any other way out (the caller was cancelled, a fault) that is not certain: what
            # is in the token then stays there, and its intent with it if there is no row.
            await self._material.destroy(container, name, version, held)
            if isinstance(error, Conflicted):
                raise refusals.changed_meanwhile(Kind.CERTIFICATES, name) from error
            raise
        for row in gone:
            await self._material.destroy(container, row.name, row.version, held_by(row))
        return operation

    async def _plan(self, container: Container, name: str, new: NewCertificate, version: str | None) -> "_Plan":
        """Before the expensive part; the transaction looks again."""
        async with self._database.read() as tx:
            names = await certificate_rows.names_for_new(tx, container, name)
            policy = new.policy
            if policy is None:
                if names is None:
                    raise refusals.invalid_property("policy")
                policy = names.certificate.policy
            like = await _reused(tx, container, names) if policy.key.reuse else None
        plan = _Plan(policy, new.policy is None, like, version)
        plan.check(name, names, like)
        return plan

    async def _commit(
        self,
        container: Container,
        name: str,
        rows: NewRows,
        operation: CertificateOperation,
        plan: "_Plan",
    ) -> tuple[CertificateOperation, list[KeyVersion]]:
        """Returns the operation under the name's own spelling, and the keys of what was pending before and has gone
        with this."""
        gone: list[KeyVersion] = []
        async with self._database.write() as tx:
            names = await certificate_rows.names_for_new(tx, container, name)
            like = await _reused(tx, container, names) if rows.policy.key.reuse else None
            plan.check(name, names, like)
            before = None if names is None else names.certificate.policy
            if names is not None:
                names, gone = await certificate_rows.remove_pending(tx, names)
                for row in gone:
                    await self._intents.give_up(tx, held_by(row))
            names, _ = await certificate_rows.add(tx, container, name, names, rows)
            operation = replace(operation, name=names.certificate.name)
            await operations.begin(tx, operation)
            await self._intents.keep(tx, rows.held)
            latest = await CERTIFICATES.version(tx, container.id, name, None)
            if before is not None and latest is not None and latest.version != rows.version:
                after = names.certificate.policy
                await certificate_schedule.follow(tx, container, (before, latest), (after, latest))
        return operation, gone


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a creation rests on. is_taken_over: the policy is that of the name. like: the key that is to be used again.
    latest: the version that is to be succeeded, if it matters."""

    policy: CertificatePolicy
    is_taken_over: bool
    like: KeyVersion | None
    latest: str | None

    def check(self, name: str, names: Names | None, like: KeyVersion | None) -> None:
        """names, like: as they are now. Raises Conflict when it is not so any more."""
        at_name = None if names is None else names.certificate
        is_so = (like and like.version) == (self.like and self.like.version)
        if self.is_taken_over:
            is_so = is_so and at_name is not None and at_name.policy == self.policy
        if self.latest is not None:
            is_so = is_so and at_name is not None and at_name.latest_version == self.latest
        if not is_so:
            raise refusals.changed_meanwhile(Kind.CERTIFICATES, name)


async def _reused(tx: Transaction, container: Container, names: Names | None) -> KeyVersion | None:
    """The key of the latest version, unless there is none but a pending one."""
    if names is None or await certificate_rows.is_pending(tx, names):
        return None
    return await KEYS.version(tx, container.id, names.key.folded, None)
