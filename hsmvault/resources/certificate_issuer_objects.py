"""What a vault knows about issuers of certificates: issuer objects with their credentials. And the contacts who are
told about its certificates (one list for each vault).

The password of an issuer object is sealed for its row and never answered.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from hsmvault.clock import Clock
from hsmvault.custody.sealing import Sealer
from hsmvault.errors import BadRequest, Conflict, NotFound
from hsmvault.model.certificate_policies import SELF, UNKNOWN
from hsmvault.model.certificates import CertificateIssuer, Contact, Organization
from hsmvault.model.containers import Container
from hsmvault.resources import refusals
from hsmvault.resources.backup_scope import sealer_of
from hsmvault.resources.certificate_issuers.registry import Issuers, password_binding
from hsmvault.store import certificate_issuers as store
from hsmvault.store.database import Conflicted, Database

_RESERVED = frozenset({SELF.lower(), UNKNOWN.lower()})


@dataclass(frozen=True, slots=True)
class IssuerSettings:
    """What a caller says about an issuer object. None: not said. password: for the provider."""

    provider: str | None = None
    account_id: str | None = None
    password: str | None = field(default=None, repr=False)
    organization: Organization | None = None
    enabled: bool | None = None


class IssuerObjects:
    """sealers: by the id of the security world."""

    def __init__(self, database: Database, sealers: Mapping[str, Sealer], issuers: Issuers, clock: Clock) -> None:
        self._database = database
        self._sealers = sealers
        self._issuers = issuers
        self._clock = clock

    async def set(self, container: Container, name: str, settings: IssuerSettings) -> CertificateIssuer:
        """In place of the one before, of which nothing stays but when it was created. Raises BadRequest, Conflict,
        Unavailable."""
        if name.lower() in _RESERVED:
            raise refusals.invalid_name(name)
        now = int(self._clock.now())
        issuer = CertificateIssuer(
            container_id=container.id,
            name=name,
            provider=self._provider(settings.provider or ""),
            created=now,
            updated=now,
            account_id=settings.account_id,
            password=await self._sealed(container, name, settings.password),
            organization=settings.organization,
            enabled=settings.enabled is not False,
        )
        try:
            async with self._database.write() as tx:
                before = await store.find(tx, container.id, name)
                if before is None:
                    await store.insert(tx, issuer)
                    return issuer
                issuer = replace(issuer, name=before.name, created=before.created, revision=before.revision)
                await store.update(tx, issuer)
        except Conflicted as error:
            raise _changed_meanwhile(name) from error
        return issuer

    async def update(self, container: Container, name: str, settings: IssuerSettings) -> CertificateIssuer:
        """Change what is said, leave the rest. Raises NotFound, BadRequest, Conflict, Unavailable."""
        password = await self._sealed(container, name, settings.password)
        try:
            async with self._database.write() as tx:
                before = _found(await store.find(tx, container.id, name))
                issuer = replace(
                    before,
                    provider=before.provider if settings.provider is None else self._provider(settings.provider),
                    account_id=before.account_id if settings.account_id is None else settings.account_id,
                    password=before.password if password is None else password,
                    organization=before.organization if settings.organization is None else settings.organization,
                    enabled=before.enabled if settings.enabled is None else settings.enabled,
                    updated=int(self._clock.now()),
                )
                await store.update(tx, issuer)
        except Conflicted as error:
            raise _changed_meanwhile(name) from error
        return issuer

    async def get(self, container: Container, name: str) -> CertificateIssuer:
        """Raises NotFound."""
        async with self._database.read() as tx:
            return _found(await store.find(tx, container.id, name))

    async def page(self, container: Container, after: str | None, limit: int) -> list[CertificateIssuer]:
        """By name, those behind `after`."""
        async with self._database.read() as tx:
            return await store.page(tx, container.id, after, limit)

    async def delete(self, container: Container, name: str) -> CertificateIssuer:
        """As it was. Certificates stay; those whose policy names it get no new version. Raises NotFound, Conflict."""
        try:
            async with self._database.write() as tx:
                before = _found(await store.find(tx, container.id, name))
                await store.delete(tx, before)
        except Conflicted as error:
            raise _changed_meanwhile(name) from error
        return before

    def _provider(self, name: str) -> str:
        """As it is spelled here. Raises BadRequest."""
        provider = self._issuers.provider(name)
        if provider is None:
            raise BadRequest(f"'{name[:64]}' is not a valid argument for 'provider'.", code="BadArgument")
        return provider.provider

    async def _sealed(self, container: Container, name: str, password: str | None) -> bytes | None:
        if password is None:
            return None
        sealer = sealer_of(self._sealers, container)
        return await sealer.seal(password.encode(), password_binding(container.id, name))


class Contacts:
    """Who is told about the certificates of a vault."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def set(self, container: Container, contacts: tuple[Contact, ...]) -> tuple[Contact, ...]:
        """In place of those before. Raises Conflict."""
        try:
            async with self._database.write() as tx:
                await store.set_contacts(tx, container.id, contacts)
        except Conflicted as error:
            raise Conflict("The contacts were changed at the same time. Please try again.") from error
        return contacts

    async def get(self, container: Container) -> tuple[Contact, ...]:
        """Raises NotFound when there are none."""
        async with self._database.read() as tx:
            return _some(await store.contacts(tx, container.id))

    async def delete(self, container: Container) -> tuple[Contact, ...]:
        """As they were. Raises NotFound."""
        async with self._database.write() as tx:
            before = _some(await store.contacts(tx, container.id))
            await store.delete_contacts(tx, container.id)
        return before


def _found(issuer: CertificateIssuer | None) -> CertificateIssuer:
    if issuer is None:
        raise NotFound("Issuer not found", code="CertificateIssuerNotFound")
    return issuer


def _some(contacts: tuple[Contact, ...]) -> tuple[Contact, ...]:
    if not contacts:
        raise NotFound("Contacts not found", code="ContactsNotFound")
    return contacts


def _changed_meanwhile(name: str) -> Conflict:
    return Conflict(f"Issuer {name} was changed by another request at the same time. Please try again.")
