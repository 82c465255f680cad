"""The account at one ACME server: made at the first enrolment, its URL kept, its key a key of the service's own.

The key lives in custody and signs nothing else (custody/statement_keys.py). When it is replaced, which happens every
ten years and when its world key is rotated, it gets an account of its own; what was ordered under the old one begins
anew.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from hsmvault.custody.self_signed import RS256
from hsmvault.custody.statement_keys import StatementKeys
from hsmvault.outbound.acme import AcmeSession
from hsmvault.outbound.acme_jws import AccountKey, ExternalBinding
from hsmvault.outbound.acme_problems import ACCOUNT_DOES_NOT_EXIST, AcmeRefused
from hsmvault.store import meta
from hsmvault.store.database import Conflicted, Database

LOG = logging.getLogger("hsmvault.issuers")
PURPOSE = "acme:"  # of the statement key, with the server's name behind it
_PREFIX = "acme-account:"
_FORMAT = 1


class _Row(msgspec.Struct, frozen=True):
    """As JSON in `meta`: which account is meant, and what the server knows of it."""

    format: int
    directory: str
    thumbprint: str
    contacts: tuple[str, ...]
    url: str


class AcmeAccount:
    """name: of the server in the configuration. directory: its URL. keys: of the purpose PURPOSE + name."""

    def __init__(
        self,
        name: str,
        directory: str,
        keys: StatementKeys,
        database: Database,
        *,
        contacts: Sequence[str] = (),
        binding: ExternalBinding | None = None,
    ) -> None:
        self._name = name
        self._directory = directory
        self._keys = keys
        self._database = database
        self._contacts = tuple(contacts)
        self._binding = binding

    async def key(self) -> AccountKey:
        """Made at its first use. Raises Unavailable, Throttled."""
        key = await self._keys.current()
        return AccountKey(key.public, lambda digest: key.handle.sign(RS256, digest))

    async def open(self, session: AcmeSession, *, anew: bool = False) -> str:
        """Have the session speak for the account. Returns its URL. anew: the server does not know the account that we
        remember. Two workers that make it at once make one: the server knows it by its key. Raises AcmeError,
        Unavailable, Throttled.
        """
        known = None if anew else await self._read()
        if known is not None and (known.directory, known.thumbprint) == (self._directory, session.key.thumbprint):
            session.account = known.url
            if known.contacts == self._contacts or await self._has_changed_contacts(session):
                return known.url
        url = await session.register(self._contacts, self._binding)
        terms = session.terms_of_service or "no terms"
        LOG.info("acme: %s has the account %s; its terms: %s", self._name, url, terms)
        await self._write(url, session.key.thumbprint)
        return url

    async def _has_changed_contacts(self, session: AcmeSession) -> bool:
        """False: the server does not know the account."""
        try:
            await session.change_contacts(self._contacts)
        except AcmeRefused as error:
            if error.kind != ACCOUNT_DOES_NOT_EXIST:
                raise
            return False
        assert session.account is not None
        await self._write(session.account, session.key.thumbprint)
        return True

    async def _read(self) -> _Row | None:
        async with self._database.read() as tx:
            text = await meta.get(tx, _PREFIX + self._name)
        try:
            row = None if text is None else msgspec.json.decode(text, type=_Row)
        except msgspec.MsgspecError:
            return None  # nothing is lost: the server finds the account by its key
        return row if row is not None and row.format == _FORMAT else None

    async def _write(self, url: str, thumbprint: str) -> None:
        row = _Row(_FORMAT, self._directory, thumbprint, self._contacts, url)
        with suppress(Conflicted):  # another worker writes its first row at this moment
            async with self._database.write() as tx:
                await meta.put(tx, _PREFIX + self._name, msgspec.json.encode(row).decode())
