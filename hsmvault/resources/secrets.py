"""The life of secrets: set, read, list, update, delete, recover, purge.

A value is sealed before the transaction and never changes; every change of the rest is one transaction. The secret of a
certificate is read here and lives as its certificate does: every change of it is refused.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from hsmvault.clock import Clock, Identifiers
from hsmvault.custody.sealing import Sealer
from hsmvault.errors import BadRequest, Forbidden
from hsmvault.model.containers import Container
from hsmvault.model.keys import NO_TAGS
from hsmvault.model.operations import Kind
from hsmvault.model.secrets import LONGEST_VALUE_BYTES, SecretName, SecretVersion
from hsmvault.resources import refusals, retention, secret_schedule
from hsmvault.resources.backup_scope import sealer_of
from hsmvault.resources.key_settings import check_order
from hsmvault.resources.secret_cache import SecretCache, binding_of
from hsmvault.store.database import Conflicted, Database, Transaction
from hsmvault.store.objects import first_name
from hsmvault.store.secrets import SECRETS

Record = Callable[[SecretVersion], Awaitable[None]]
"""The last thing before the commit of what nobody called for: accept a record of it. What it raises undoes everything.
"""


@dataclass(frozen=True, slots=True)
class SecretSettings:
    """What a caller may say about a secret, besides its value. None: not said. Times: seconds since 1970 UTC."""

    enabled: bool | None = None
    not_before: int | None = None
    expires: int | None = None
    content_type: str | None = None
    tags: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class OpenSecret:
    """A version with its value in the clear. content_type: of the value, which may have been converted."""

    row: SecretVersion
    value: str = field(repr=False)
    content_type: str | None


@dataclass(frozen=True, slots=True)
class DeletedSecret:
    """row: the latest version. deleted_at, purge_at: seconds since 1970 UTC."""

    row: SecretVersion
    deleted_at: int
    purge_at: int


class Secrets:
    """sealers: of each security world, by its id."""

    def __init__(
        self,
        database: Database,
        cache: SecretCache,
        sealers: Mapping[str, Sealer],
        clock: Clock,
        identifiers: Identifiers,
    ) -> None:
        self._database = database
        self._cache = cache
        self._sealers = sealers
        self._clock = clock
        self._identifiers = identifiers

    async def set(self, container: Container, name: str, value: str, settings: SecretSettings) -> OpenSecret:
        """A new secret, or a new version of an existing one; nothing is inherited from the version before.

        value: any text, also an empty one, of at most LONGEST_VALUE_BYTES in UTF-8. Raises BadRequest, Conflict (the
        name is deleted but recoverable), Forbidden (it is a certificate's), Unavailable, Throttled.
        """
        check_order(settings.not_before, settings.expires)
        content = _encoded(value)
        version = self._identifiers.version()
        sealed = await self._sealer(container).seal(content, binding_of(container.id, name, version))

        async def write(tx: Transaction) -> SecretVersion:
            now = int(self._clock.now())
            at_name, before = await _predecessor(tx, container, name)
            row = SecretVersion(
                container_id=container.id,
                name=name if at_name is None else at_name.name,
                version=version,
                sequence=1 if at_name is None else at_name.next_sequence,
                sealed=sealed,
                created=now,
                updated=now,
                enabled=settings.enabled is not False,
                not_before=settings.not_before,
                expires=settings.expires,
                content_type=settings.content_type,
                tags=settings.tags or NO_TAGS,
            )
            if at_name is None:
                await SECRETS.insert_name(tx, SecretName(**first_name(row)), row)
            else:
                await SECRETS.add_version(tx, row, at_name)
            await secret_schedule.begin(tx, container, row, before=before, is_new=before is None)
            await secret_schedule.announce(tx, container, row, self._identifiers, now)
            return row

        try:
            row = await self._database.write_at_once(write)
        except Conflicted as error:
            raise refusals.changed_meanwhile(Kind.SECRETS, name) from error
        return OpenSecret(row, value, row.content_type)

    async def get(self, container: Container, name: str, version: str | None) -> OpenSecret:
        """Times do not matter, but to the secret of a certificate, which is of no use when that has expired.

        Raises NotFound; Forbidden when it is disabled; Damaged when what is stored is not what was sealed for this row;
        Unavailable, Throttled.
        """
        found = await self._cache.find(container, name, version)
        row = found.row
        if not row.enabled:
            raise Forbidden("Operation get is not allowed on a disabled secret.", inner="SecretDisabled")
        if row.managed and row.expires is not None and self._clock.now() >= row.expires:
            raise Forbidden("Operation get is not allowed on an expired secret.", inner="SecretExpired")
        sealer = self._sealer(container)
        value = sealer.open_warm(row.sealed, found.binding)
        if value is None:
            value = await sealer.open(row.sealed, found.binding)
        return OpenSecret(row, value.decode(), row.content_type)

    async def latest(self, container: Container, name: str) -> SecretVersion:
        """What is known of a secret besides its value, disabled or not. Raises NotFound."""
        return (await self._cache.find(container, name, None)).row

    async def page(self, container: Container, after: str | None, limit: int) -> tuple[SecretVersion, ...]:
        """Latest versions by name, those behind `after`; also disabled ones. Without their values."""
        return await self._cache.page(container, after, limit)

    async def version_page(self, container: Container, name: str, after: int | None, limit: int) -> list[SecretVersion]:
        """Versions by their sequence, without their values. An unknown name has none."""
        async with self._database.read() as tx:
            return await SECRETS.version_page(tx, container.id, name, after, limit)

    async def update(
        self, container: Container, name: str, version: str | None, settings: SecretSettings
    ) -> SecretVersion:
        """Change what settings say, leave the rest. Raises NotFound, Forbidden, BadRequest, Conflict."""
        async with self._writing(name) as tx:
            at_name = await SECRETS.name(tx, container.id, name)
            row = await SECRETS.version(tx, container.id, name, version)
            if at_name is None or row is None:
                raise refusals.not_found(Kind.SECRETS, name, version)
            if row.managed:
                raise refusals.managed(Kind.SECRETS, "update")
            changed = _changed(row, settings, int(self._clock.now()))
            await SECRETS.update_version(tx, changed, at_name=at_name)
            if row.version == at_name.latest_version:
                await secret_schedule.follow(tx, container, row, changed)
        return changed

    async def delete(self, container: Container, name: str) -> DeletedSecret:
        """All versions leave the normal routes at once. Raises NotFound, Forbidden."""
        now = int(self._clock.now())
        async with self._writing(name) as tx:
            found = await SECRETS.name_and_latest(tx, container.id, name)
            if found is None or found[0].is_deleted:
                raise refusals.not_found(Kind.SECRETS, name)
            at_name, row = found
            if row.managed:
                raise refusals.managed(Kind.SECRETS, "delete")
            purge_at = await retention.purge_at(tx, container.retention, now)
            await SECRETS.mark_deleted(tx, at_name, now, purge_at)
            await secret_schedule.cancel(tx, container, name)
        return DeletedSecret(row, now, purge_at)

    async def get_deleted(self, container: Container, name: str) -> DeletedSecret:
        """Raises NotFound; Forbidden when it was disabled, as the service does."""
        async with self._database.read() as tx:
            _, deleted = await self._deleted(tx, container, name)
        if not deleted.row.enabled:
            raise Forbidden("Operation get is not permitted on this object.", inner="AccessDenied")
        return deleted

    async def deleted_page(self, container: Container, after: str | None, limit: int) -> list[DeletedSecret]:
        async with self._database.read() as tx:
            rows = await SECRETS.deleted_page(tx, container.id, after, limit)
        return [_deleted(at_name, row) for at_name, row in rows]

    async def recover(self, container: Container, name: str) -> SecretVersion:
        """All versions come back as they were, ids unchanged. Returns the latest. Raises NotFound, Forbidden."""
        async with self._writing(name) as tx:
            at_name, deleted = await self._deleted(tx, container, name)
            if deleted.row.managed:
                raise refusals.managed(Kind.SECRETS, "recover")
            await SECRETS.mark_recovered(tx, at_name)
            await secret_schedule.begin(tx, container, deleted.row, told_until=deleted.deleted_at)
        return deleted.row

    async def purge(self, container: Container, name: str) -> None:
        """Gone for good; the name is free. Raises NotFound, Forbidden (also under purge protection)."""
        async with self._writing(name) as tx:
            at_name, deleted = await self._deleted(tx, container, name)
            if deleted.row.managed:
                raise refusals.managed(Kind.SECRETS, "purge")
            if container.retention.purge_protection:
                raise refusals.purge_protected(container)
            await SECRETS.purge(tx, at_name)

    async def purge_when_due(self, container: Container, name: str, now: int, record: Record) -> bool:
        """Purge a secret whose retention has ended by `now`, whatever protects it until then. False when it is gone or
        was recovered meanwhile, and for that of a certificate."""
        async with self._writing(name) as tx:
            found = await SECRETS.deleted_version(tx, container.id, name)
            if found is None or found[0].purge_at is None or found[0].purge_at > now or found[1].managed:
                return False
            await SECRETS.purge(tx, found[0])
            await record(found[1])
        return True

    @asynccontextmanager
    async def _writing(self, name: str) -> AsyncIterator[Transaction]:
        """Raises Conflict when another node has changed the same name at the same moment."""
        try:
            async with self._database.write() as tx:
                yield tx
        except Conflicted as error:
            raise refusals.changed_meanwhile(Kind.SECRETS, name) from error

    async def _deleted(self, tx: Transaction, container: Container, name: str) -> tuple[SecretName, DeletedSecret]:
        found = await SECRETS.deleted_version(tx, container.id, name)
        if found is None:
            raise refusals.deleted_not_found(Kind.SECRETS, name)
        return found[0], _deleted(*found)

    def _sealer(self, container: Container) -> Sealer:
        return sealer_of(self._sealers, container)


def _encoded(value: str) -> bytes:
    """Raises BadRequest; the refusal says nothing of the value but its length."""
    try:
        content = value.encode()
    except UnicodeEncodeError:  # a lone surrogate
        raise refusals.invalid_property("value") from None
    if len(content) > LONGEST_VALUE_BYTES:
        raise BadRequest(
            f"The value of a secret can have at most {LONGEST_VALUE_BYTES} bytes in UTF-8, and this one has "
            f"{len(content)}."
        )
    return content


async def _predecessor(
    tx: Transaction, container: Container, name: str
) -> tuple[SecretName, SecretVersion] | tuple[None, None]:
    """The name that is to get a version, and its latest one; None for a free name. Raises Conflict, Forbidden."""
    found = await SECRETS.name_and_latest(tx, container.id, name)
    if found is None:
        return None, None
    at_name, latest = found
    if at_name.is_deleted:
        raise refusals.name_is_deleted(Kind.SECRETS, at_name.name)
    if latest.managed:
        raise refusals.managed(Kind.SECRETS, "set")
    return at_name, latest


def _changed(row: SecretVersion, settings: SecretSettings, now: int) -> SecretVersion:
    """The row with what settings say; what they do not say stays. Raises BadRequest."""
    changed = replace(
        row,
        enabled=row.enabled if settings.enabled is None else settings.enabled,
        not_before=row.not_before if settings.not_before is None else settings.not_before,
        expires=row.expires if settings.expires is None else settings.expires,
        content_type=row.content_type if settings.content_type is None else settings.content_type,
        tags=row.tags if settings.tags is None else settings.tags,
        updated=now,
    )
    check_order(changed.not_before, changed.expires)
    return changed


def _deleted(at_name: SecretName, row: SecretVersion) -> DeletedSecret:
    assert at_name.deleted_at is not None
    assert at_name.purge_at is not None
    return DeletedSecret(row, at_name.deleted_at, at_name.purge_at)
