"""The life of keys: create, import, read, list, update, delete, recover, purge.

Every change is one database transaction; the row is the key. Material is made before the transaction and, for the
classes of custody that keep something elsewhere, undone when the row does not come to be.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from hsmvault.clock import Clock, Identifiers
from hsmvault.custody.custodians import Custodians
from hsmvault.custody.intents import Intents
from hsmvault.custody.protocols import Custodian, HeldKey, PrivateKeyMaterial
from hsmvault.custody.public import jwk_members
from hsmvault.errors import RequestError
from hsmvault.lanes import Lane
from hsmvault.model.algorithms import Family, KeySpec, default_key_operations
from hsmvault.model.containers import Container
from hsmvault.model.keys import NO_TAGS, KeyName, KeyVersion
from hsmvault.model.operations import Kind
from hsmvault.model.release_policies import ReleasePolicy
from hsmvault.resources import key_schedule, refusals, retention
from hsmvault.resources.first_keys import First
from hsmvault.resources.imported_keys import ImportedKey, WrappedKey, admitted_exponents
from hsmvault.resources.key_cache import KeyCache, binding_of, held_by
from hsmvault.resources.key_settings import EXCHANGE, KeySettings, changed_by, check_fits, terms_of, terms_of_new
from hsmvault.resources.key_state import check_usable
from hsmvault.resources.policy_binding import bound, check_bound, is_same
from hsmvault.store import keys as store
from hsmvault.store.database import Conflicted, Database, Transaction

LOG = logging.getLogger("hsmvault.keys")

Decide = Callable[[Transaction, KeyName | None, int], Awaitable[KeySettings]]
"""In the transaction of a new version: what its settings are, from the name as it is there and the time. What it raises
undoes everything."""
Record = Callable[[KeyVersion], Awaitable[None]]
"""The last thing before the commit of what nobody called for: accept a record of it. What it raises undoes everything.
"""


@dataclass(frozen=True, slots=True)
class DeletedKey:
    """row: the latest version. deleted_at, purge_at: seconds since 1970 UTC."""

    row: KeyVersion
    deleted_at: int
    purge_at: int


class Keys:
    def __init__(
        self,
        database: Database,
        custodians: Custodians,
        cache: KeyCache,
        checks: Lane[None],
        clock: Clock,
        identifiers: Identifiers,
        intents: Intents,
    ) -> None:
        self._database = database
        self._custodians = custodians
        self._cache = cache
        self._checks = checks
        self._clock = clock
        self._identifiers = identifiers
        self._intents = intents

    async def create(
        self,
        container: Container,
        name: str,
        spec: KeySpec,
        settings: KeySettings,
        *,
        hardware: bool,
        first: First | None = None,
    ) -> KeyVersion:
        """A new key, or a new version of an existing one; nothing is inherited from the version before.

        first: makes a new key or nothing. Raises BadRequest, Conflict (the name is deleted but recoverable, or is there
        and ought not to be), Unavailable, Throttled.
        """
        terms = terms_of_new(container, spec.family, settings, hardware=hardware)
        if spec.family is Family.RSA and spec.public_exponent not in container.rsa_exponents:
            raise refusals.invalid_property("public_exponent")
        custodian = self._custodians.for_new(container, hardware=hardware)
        await self._check_name(container, name)
        version = self._identifiers.version()
        held = await custodian.generate(spec, binding_of(container.id, name, version), terms)
        return await self._commit_new(container, name, version, held, settings, custodian, modulus=b"", first=first)

    async def admit(
        self, container: Container, name: str, key: ImportedKey, settings: KeySettings, *, hardware: bool
    ) -> KeyVersion:
        """Take in a caller's key. It is checked for consistency before it reaches any token, and has signed and
        verified once before its row is committed. Raises as create."""
        terms = terms_of_new(container, key.family, settings, hardware=hardware)
        _refuse_exchange(settings)
        custodian = self._custodians.for_new(container, hardware=hardware)
        exponents = admitted_exponents(container)
        material: PrivateKeyMaterial = await self._checks.submit(lambda _: key.material(exponents))
        await self._check_name(container, name, "import")
        version = self._identifiers.version()
        held = await custodian.admit(material, binding_of(container.id, name, version), terms)
        return await self._commit_new(container, name, version, held, settings, custodian, modulus=key.modulus)

    async def admit_wrapped(
        self, container: Container, name: str, key: WrappedKey, settings: KeySettings
    ) -> KeyVersion:
        """Take in a key that was wrapped for the HSM. It is unwrapped inside the token. Raises as create; NotFound and
        Forbidden for the key-exchange key, CiphertextRefused for what does not unwrap."""
        terms = terms_of_new(container, key.family, settings, hardware=True)
        _refuse_exchange(settings)
        exchange = (await self._cache.find(container, key.exchange_name, key.exchange_version)).row
        check_usable(exchange, "import", self._clock.now(), timely=True)
        custodian = self._custodians.holding(container, exchange.custody)
        await self._check_name(container, name, "import")
        version = self._identifiers.version()
        held = await custodian.admit_wrapped(
            held_by(exchange),
            binding_of(container.id, exchange.name, exchange.version),
            key.family,
            key.curve,
            key.wrapped,
            binding_of(container.id, name, version),
            terms,
        )
        return await self._commit_new(container, name, version, held, settings, custodian, modulus=b"")

    async def succeed(
        self, container: Container, like: KeyVersion, decide: Decide, record: Record | None = None
    ) -> KeyVersion:
        """A new version with fresh material of the same type and on the same terms; the exponent of an RSA key, which
        may have been imported, stays. Raises as create.
        """
        refusals.check_key_class(container, hardware=like.hardware)
        custodian = self._custodians.for_new(container, hardware=like.hardware)
        await self._check_name(container, like.name)
        await check_bound(self._custodians, container, like)
        version = self._identifiers.version()
        policy = await bound(self._custodians, container, like.name, version, like.release_policy)

        async def decided(tx: Transaction, at_name: KeyName | None, now: int) -> KeySettings:
            settings = await decide(tx, at_name, now)
            if settings.release_policy != policy:
                raise refusals.changed_meanwhile(Kind.KEYS, like.name)
            return replace(settings, release_policy=policy)

        binding = binding_of(container.id, like.name, version)
        held = await custodian.generate(like.spec, binding, terms_of(like))
        return await self._commit_new(
            container, like.name, version, held, decided, custodian, modulus=b"", record=record
        )

    async def get(self, container: Container, name: str, version: str | None) -> KeyVersion:
        return (await self._cache.find(container, name, version)).row

    async def page(self, container: Container, after: str | None, limit: int) -> tuple[KeyVersion, ...]:
        """Latest versions by name, those behind `after`; also disabled ones."""
        return await self._cache.page(container, after, limit)

    async def version_page(self, container: Container, name: str, after: int | None, limit: int) -> list[KeyVersion]:
        """Versions by their sequence. An unknown name has none."""
        async with self._database.read() as tx:
            return await store.version_page(tx, container.id, name.lower(), after, limit)

    async def update(self, container: Container, name: str, version: str | None, settings: KeySettings) -> KeyVersion:
        """Change what settings say, leave the rest. Raises NotFound, BadRequest, Conflict."""
        checked: ReleasePolicy | None = None
        if settings.release_policy is not None:
            async with self._database.read() as tx:
                row = await store.version(tx, container.id, name.lower(), version)
            if row is None:
                raise refusals.not_found(Kind.KEYS, name, version)
            _check_own_life(row, "update")
            await check_bound(self._custodians, container, row)  # one that was changed has lost its say on changes
            changed_by(row, settings, int(self._clock.now()))
            version, checked = row.version, row.release_policy
            settings = await self._with_bound_policy(container, name, version, settings)
        async with self._database.write() as tx:
            at_name = await store.name(tx, container.id, name.lower())
            row = await store.version(tx, container.id, name.lower(), version)
            if at_name is None or row is None:
                raise refusals.not_found(Kind.KEYS, name, version)
            _check_own_life(row, "update")
            if settings.release_policy is not None and not is_same(row.release_policy, checked):
                raise refusals.changed_meanwhile(Kind.KEYS, name)
            changed = changed_by(row, settings, int(self._clock.now()))
            await store.update_version(tx, changed, at_name=at_name)
            if row.version == at_name.latest_version:
                policy = at_name.rotation_policy
                await key_schedule.follow(tx, container, (policy, row), (policy, changed))
        return changed

    async def delete(self, container: Container, name: str) -> DeletedKey:
        """All versions leave the normal routes at once. Raises NotFound."""
        now = int(self._clock.now())
        async with self._database.write() as tx:
            at_name = await store.name(tx, container.id, name.lower())
            row = await store.version(tx, container.id, name.lower(), None)
            if at_name is None or row is None:
                raise refusals.not_found(Kind.KEYS, name)
            _check_own_life(row, "delete")
            purge_at = await retention.purge_at(tx, container.retention, now)
            await store.mark_deleted(tx, at_name, now, purge_at)
            await key_schedule.cancel(tx, container, name)
        return DeletedKey(row, now, purge_at)

    async def get_deleted(self, container: Container, name: str) -> DeletedKey:
        async with self._database.read() as tx:
            _, deleted = await self._deleted(tx, container, name)
        return deleted

    async def deleted_page(self, container: Container, after: str | None, limit: int) -> list[DeletedKey]:
        async with self._database.read() as tx:
            rows = await store.deleted_page(tx, container.id, after, limit)
        return [_deleted(at_name, row) for at_name, row in rows]

    async def recover(self, container: Container, name: str) -> KeyVersion:
        """All versions come back as they were, ids unchanged. Returns the latest. Raises NotFound."""
        async with self._database.write() as tx:
            at_name, deleted = await self._deleted(tx, container, name)
            _check_own_life(deleted.row, "recover")
            await store.mark_recovered(tx, at_name)
            await key_schedule.begin(tx, container, at_name.rotation_policy, deleted.row, told_until=deleted.deleted_at)
        return deleted.row

    async def purge(self, container: Container, name: str) -> None:
        """Gone for good; the name is free. Raises NotFound, Forbidden under purge protection.

        Resident keys leave the token after the commit, which also holds the intent to destroy them: a crash in between
        is made good by the next start.
        """
        async with self._database.write() as tx:
            at_name, deleted = await self._deleted(tx, container, name)
            _check_own_life(deleted.row, "purge")
            if container.retention.purge_protection:
                raise refusals.purge_protected(container)
            versions = await self._purge(tx, at_name)
        await self._destroy_all(container, versions)

    async def purge_when_due(self, container: Container, name: str, now: int, record: Record) -> bool:
        """Purge a key whose retention has ended by `now`, whatever protects it until then. False when it is gone or
        was recovered meanwhile, and for that of a certificate."""
        async with self._database.write() as tx:
            found = await store.deleted_version(tx, container.id, name.lower())
            if found is None or found[0].purge_at is None or found[0].purge_at > now or found[1].managed:
                return False
            versions = await self._purge(tx, found[0])
            await record(found[1])
        await self._destroy_all(container, versions)
        return True

    async def _purge(self, tx: Transaction, at_name: KeyName) -> list[KeyVersion]:
        versions = await store.versions(tx, at_name.container_id, at_name.folded)
        for row in versions:
            await self._intents.give_up(tx, held_by(row))
        await store.purge(tx, at_name)
        return versions

    async def _destroy_all(self, container: Container, versions: list[KeyVersion]) -> None:
        for row in versions:
            custodian = self._custodians.holding(container, row.custody)
            await self._destroy(custodian, held_by(row), container, row.name, row.version)

    async def _deleted(self, tx: Transaction, container: Container, name: str) -> tuple[KeyName, DeletedKey]:
        found = await store.deleted_version(tx, container.id, name.lower())
        if found is None:
            raise refusals.deleted_not_found(Kind.KEYS, name)
        return found[0], _deleted(*found)

    async def _check_name(self, container: Container, name: str, operation: str = "create") -> None:
        """Before the expensive part; the transaction looks again. operation: the word of the refusal."""
        async with self._database.read() as tx:
            at_name = await store.name(tx, container.id, name.lower())
            _check_takes_version(container, at_name)
            await self._check_latest(tx, at_name, operation)

    async def _check_latest(self, tx: Transaction, at_name: KeyName | None, operation: str = "create") -> None:
        """Raises Forbidden for the name of a certificate's key."""
        latest = None if at_name is None else await store.version(tx, at_name.container_id, at_name.folded, None)
        if latest is not None:
            _check_own_life(latest, operation)

    async def _commit_new(
        self,
        container: Container,
        name: str,
        version: str,
        held: HeldKey,
        settings: KeySettings | Decide,
        custodian: Custodian,
        *,
        modulus: bytes,
        record: Record | None = None,
        first: First | None = None,
    ) -> KeyVersion:
        now = int(self._clock.now())
        try:
            if isinstance(settings, KeySettings):
                check_fits(settings.operations or (), held.spec)
                settings = await self._with_bound_policy(container, name, version, settings)
            async with self._database.write() as tx:
                at_name = await store.name(tx, container.id, name.lower())
                _check_takes_version(container, at_name)
                await self._check_latest(tx, at_name)
                if first is not None and at_name is not None:
                    raise refusals.changed_meanwhile(Kind.KEYS, name)
                if not isinstance(settings, KeySettings):
                    settings = await settings(tx, at_name, now)
                row = KeyVersion(
                    container_id=container.id,
                    name=name if at_name is None else at_name.name,
                    version=version,
                    sequence=1 if at_name is None else at_name.next_sequence,
                    spec=held.spec,
                    custody=held.custody.value,
                    public=held.public,
                    reference=held.reference,
                    public_members=jwk_members(held.public, modulus),
                    operations=settings.operations or default_key_operations(held.spec),
                    created=now,
                    updated=now,
                    enabled=settings.enabled is not False,
                    not_before=settings.not_before,
                    expires=settings.expires,
                    tags=settings.tags or NO_TAGS,
                    exportable=bool(settings.exportable),
                    release_policy=settings.release_policy,
                )
                await store.insert_version(tx, row, at_name=at_name)
                await self._intents.keep(tx, held)
                policy = None if at_name is None else at_name.rotation_policy
                if first is not None:
                    policy = await first.begin(tx, row, now)
                await key_schedule.begin(tx, container, policy, row, is_new=at_name is None)
                await key_schedule.announce(tx, container, key_schedule.NEW_VERSION, row, self._identifiers, now)
                if record is not None:
                    await record(row)
        except (RequestError, Conflicted) as error:
            # Nothing was committed. Of any other way out (the caller was cancelled, a fault) that is not certain: what
            # is in the token then stays there, and its intent with it if there is no row.
            await self._destroy(custodian, held, container, name, version)
            if isinstance(error, Conflicted):
                raise refusals.changed_meanwhile(Kind.KEYS, name) from error
            raise
        return row

    async def _with_bound_policy(
        self, container: Container, name: str, version: str, settings: KeySettings
    ) -> KeySettings:
        policy = await bound(self._custodians, container, name, version, settings.release_policy)
        return replace(settings, release_policy=policy)

    async def _destroy(
        self, custodian: Custodian, held: HeldKey, container: Container, name: str, version: str
    ) -> None:
        """What fails here is left to the next start: no row has it, and an intent names it."""
        try:
            await custodian.destroy(held, binding_of(container.id, name, version))
        except Exception:
            LOG.warning("material of %s/%s could not be destroyed", name, version, exc_info=True)


def _deleted(at_name: KeyName, row: KeyVersion) -> DeletedKey:
    assert at_name.deleted_at is not None
    assert at_name.purge_at is not None
    return DeletedKey(row, at_name.deleted_at, at_name.purge_at)


def _check_takes_version(container: Container, at_name: KeyName | None) -> None:
    """at_name: None for a name that is free. Its versions have the sequences from 1 on, without gaps."""
    if at_name is None:
        return
    if at_name.is_deleted:
        raise refusals.name_is_deleted(Kind.KEYS, at_name.name)
    refusals.check_version_count(container, at_name.next_sequence)


def _check_own_life(row: KeyVersion, operation: str) -> None:
    """Raises Forbidden for the key of a certificate, which lives as that does. operation: the word of the refusal."""
    if row.managed:
        raise refusals.managed(Kind.KEYS, operation)


def _refuse_exchange(settings: KeySettings) -> None:
    """A key-exchange key is made in the HSM: whoever has seen it elsewhere could read what is wrapped to it."""
    if settings.operations == EXCHANGE:
        raise refusals.invalid_property("key_ops")
