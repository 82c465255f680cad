"""The life of keys: create, import, read, list, update, delete, recover, purge.

Every change is one database transaction; the row is the key. Material is made before the transaction and, for the
classes of custody that keep something elsewhere, undone when the row does not come to be.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from hsmvault.clock import Clock, Identifiers
from hsmvault.custody.admission import PrivateJwk, material_from_jwk
from hsmvault.custody.custodians import Custodians
from hsmvault.custody.intents import Intents
from hsmvault.custody.protocols import Custodian, HeldKey, PrivateKeyMaterial
from hsmvault.custody.public import PublicKey, RsaMembers
from hsmvault.errors import RequestError
from hsmvault.lanes import Lane
from hsmvault.model.algorithms import DEFAULT_KEY_OPERATIONS, KeySpec
from hsmvault.model.containers import Container
from hsmvault.model.keys import NO_TAGS, KeyName, KeyVersion
from hsmvault.model.operations import Kind
from hsmvault.resources import refusals
from hsmvault.resources.key_cache import KeyCache, binding_of, held_by
from hsmvault.store import keys as store
from hsmvault.store.database import Conflicted, Database, Transaction

LOG = logging.getLogger("hsmvault.keys")


@dataclass(frozen=True, slots=True)
class KeySettings:
    """What a caller may say about a key, besides its material. None: not said.

    operations: key_ops; none or an empty list mean the defaults of the key type. Times: seconds since 1970 UTC.
    """

    operations: tuple[str, ...] | None = None
    enabled: bool | None = None
    not_before: int | None = None
    expires: int | None = None
    tags: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class DeletedKey:
    """row: the latest version. deleted_at, purge_at: seconds since 1970 UTC."""

    row: KeyVersion
    deleted_at: int
    purge_at: int


@dataclass(frozen=True, slots=True)
class ImportedKey:
    """jwk: as it came. modulus: as the answer repeats it (an imported n may carry a leading zero byte), or b""."""

    jwk: PrivateJwk = field(repr=False)
    modulus: bytes = b""


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
        self, container: Container, name: str, spec: KeySpec, settings: KeySettings, *, hardware: bool
    ) -> KeyVersion:
        """A new key, or a new version of an existing one; nothing is inherited from the version before.

        Raises BadRequest, Conflict (the name is deleted but recoverable), Unavailable, Throttled.
        """
        custodian = self._custodian_for_new(container, hardware)
        _check_order(settings.not_before, settings.expires)
        await self._refuse_deleted_name(container, name)
        version = self._identifiers.version()
        held = await custodian.generate(spec, binding_of(container.id, name, version))
        return await self._commit_new(container, name, version, held, settings, custodian, modulus=b"")

    async def admit(
        self, container: Container, name: str, key: ImportedKey, settings: KeySettings, *, hardware: bool
    ) -> KeyVersion:
        """Take in a caller's key. It is checked for consistency before it reaches any token, and has signed and
        verified once before its row is committed. Raises as create."""
        custodian = self._custodian_for_new(container, hardware)
        _check_order(settings.not_before, settings.expires)
        material: PrivateKeyMaterial = await self._checks.submit(lambda _: material_from_jwk(key.jwk))
        await self._refuse_deleted_name(container, name)
        version = self._identifiers.version()
        held = await custodian.admit(material, binding_of(container.id, name, version))
        return await self._commit_new(container, name, version, held, settings, custodian, modulus=key.modulus)

    async def get(self, container: Container, name: str, version: str | None) -> KeyVersion:
        return (await self._cache.find(container, name, version)).row

    async def page(self, container: Container, after: str | None, limit: int) -> list[KeyVersion]:
        """Latest versions by name, those behind `after`; also disabled ones."""
        async with self._database.read() as tx:
            return await store.page(tx, container.id, after, limit)

    async def version_page(self, container: Container, name: str, after: int | None, limit: int) -> list[KeyVersion]:
        """Versions by their sequence. An unknown name has none."""
        async with self._database.read() as tx:
            return await store.version_page(tx, container.id, name.lower(), after, limit)

    async def update(self, container: Container, name: str, version: str | None, settings: KeySettings) -> KeyVersion:
        """Change what settings say, leave the rest. Raises NotFound, BadRequest, Conflict."""
        async with self._database.write() as tx:
            at_name = await store.name(tx, container.id, name.lower())
            row = await store.version(tx, container.id, name.lower(), version)
            if at_name is None or row is None:
                raise refusals.not_found(Kind.KEYS, name, version)
            changed = replace(
                row,
                operations=settings.operations or row.operations,
                enabled=row.enabled if settings.enabled is None else settings.enabled,
                not_before=row.not_before if settings.not_before is None else settings.not_before,
                expires=row.expires if settings.expires is None else settings.expires,
                tags=row.tags if settings.tags is None else settings.tags,
                updated=int(self._clock.now()),
            )
            _check_order(changed.not_before, changed.expires)
            await store.update_version(tx, changed, at_name=at_name)
        return changed

    async def delete(self, container: Container, name: str) -> DeletedKey:
        """All versions leave the normal routes at once. Raises NotFound."""
        now = int(self._clock.now())
        purge_at = container.retention.purge_date(now)
        async with self._database.write() as tx:
            at_name = await store.name(tx, container.id, name.lower())
            row = await store.version(tx, container.id, name.lower(), None)
            if at_name is None or row is None:
                raise refusals.not_found(Kind.KEYS, name)
            await store.mark_deleted(tx, at_name, now, purge_at)
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
            await store.mark_recovered(tx, at_name)
        return deleted.row

    async def purge(self, container: Container, name: str) -> None:
        """Gone for good; the name is free. Raises NotFound, Forbidden under purge protection.

        Resident keys leave the token after the commit, which also holds the intent to destroy them: a crash in between
        is made good by the next start.
        """
        async with self._database.write() as tx:
            at_name, _ = await self._deleted(tx, container, name)
            if container.retention.purge_protection:
                raise refusals.purge_protected(container)
            versions = await store.versions(tx, container.id, name.lower())
            for row in versions:
                await self._intents.give_up(tx, held_by(row))
            await store.purge(tx, at_name)
        for row in versions:
            custodian = self._custodians.holding(container, row.custody)
            await self._destroy(custodian, held_by(row), container, row.name, row.version)

    async def _deleted(self, tx: Transaction, container: Container, name: str) -> tuple[KeyName, DeletedKey]:
        found = await store.deleted_version(tx, container.id, name.lower())
        if found is None:
            raise refusals.deleted_not_found(Kind.KEYS, name)
        return found[0], _deleted(*found)

    async def _refuse_deleted_name(self, container: Container, name: str) -> None:
        """Before the expensive part; the transaction looks again."""
        async with self._database.read() as tx:
            at_name = await store.name(tx, container.id, name.lower())
        if at_name is not None and at_name.is_deleted:
            raise refusals.name_is_deleted(Kind.KEYS, name)

    async def _commit_new(
        self,
        container: Container,
        name: str,
        version: str,
        held: HeldKey,
        settings: KeySettings,
        custodian: Custodian,
        *,
        modulus: bytes,
    ) -> KeyVersion:
        now = int(self._clock.now())
        try:
            async with self._database.write() as tx:
                at_name = await store.name(tx, container.id, name.lower())
                if at_name is not None and at_name.is_deleted:
                    raise refusals.name_is_deleted(Kind.KEYS, name)
                row = KeyVersion(
                    container_id=container.id,
                    name=name if at_name is None else at_name.name,
                    version=version,
                    sequence=1 if at_name is None else at_name.next_sequence,
                    spec=held.spec,
                    custody=held.custody.value,
                    public=held.public,
                    reference=held.reference,
                    public_members=_public_members(held.public, modulus),
                    operations=settings.operations or DEFAULT_KEY_OPERATIONS[held.spec.family],
                    created=now,
                    updated=now,
                    enabled=settings.enabled is not False,
                    not_before=settings.not_before,
                    expires=settings.expires,
                    tags=settings.tags or NO_TAGS,
                )
                await store.insert_version(tx, row, at_name=at_name)
                await self._intents.keep(tx, held)
        except (RequestError, Conflicted) as error:
            # Nothing was committed. Of any other way out (the caller was cancelled, a fault) that is not certain: what
            # is in the token then stays there, and its intent with it if there is no row.
            await self._destroy(custodian, held, container, name, version)
            if isinstance(error, Conflicted):
                raise refusals.changed_meanwhile(Kind.KEYS, name) from error
            raise
        return row

    async def _destroy(
        self, custodian: Custodian, held: HeldKey, container: Container, name: str, version: str
    ) -> None:
        """What fails here is left to the next start: no row has it, and an intent names it."""
        try:
            await custodian.destroy(held, binding_of(container.id, name, version))
        except Exception:
            LOG.warning("material of %s/%s could not be destroyed", name, version, exc_info=True)

    def _custodian_for_new(self, container: Container, hardware: bool) -> Custodian:
        refusals.check_key_class(container, hardware=hardware)
        return self._custodians.for_new(container, hardware=hardware)


def _deleted(at_name: KeyName, row: KeyVersion) -> DeletedKey:
    assert at_name.deleted_at is not None
    assert at_name.purge_at is not None
    return DeletedKey(row, at_name.deleted_at, at_name.purge_at)


def _public_members(spki: bytes, modulus: bytes) -> Mapping[str, bytes]:
    members = PublicKey.load(spki).members()
    if isinstance(members, RsaMembers):
        return {"n": modulus or members.n, "e": members.e}
    return {"x": members.x, "y": members.y}


def _check_order(not_before: int | None, expires: int | None) -> None:
    if not_before is not None and expires is not None and expires < not_before:
        raise refusals.invalid_property("exp")
