"""What `hsmvault ca` does, beside a running instance or without one: nothing here needs the HSM."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from hsmvault.app.command_records import AUTHORITY_WRITER, recorded
from hsmvault.app.command_turns import alone, opened_database
from hsmvault.clock import Clock, Identifiers, RandomIdentifiers, SystemClock
from hsmvault.config import Settings
from hsmvault.errors import ConfigurationError
from hsmvault.model.authorities import REASONS, AuthorityRole, AuthorityRow, IssuedRow
from hsmvault.resources.authorities import revoke
from hsmvault.store import authorities as store
from hsmvault.store.database import Database

_REVOKE = "AuthorityCertificateRevoke"
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Described:
    """An authority as it stands in the database, which may have more than are configured. Empty rows: not made yet."""

    name: str
    rows: dict[AuthorityRole, AuthorityRow] = field(repr=False)
    issued: tuple[IssuedRow, ...] = ()
    is_configured: bool = True


async def described(settings: Settings) -> list[Described]:
    """All, without what they have issued. Changes nothing, and an instance may run meanwhile. Raises OperatorError."""
    async with _opened(settings) as (database, _, _), database.read() as tx:
        rows = await store.list_all(tx)
    configured = [one.name for one in settings.authorities]
    names = dict.fromkeys([*configured, *(row.name for row in rows)])
    return [
        Described(name, {row.role: row for row in rows if row.name == name}, (), name in configured) for name in names
    ]


async def described_with_issued(settings: Settings, name: str) -> Described:
    """One, with what it has issued, by serial numbers. Raises OperatorError when there is no such authority."""
    found = next((one for one in await described(settings) if one.name == name), None)
    if found is None:
        raise ConfigurationError(f"There is no certificate authority '{name}' in this installation.")
    issued: list[IssuedRow] = []
    async with _opened(settings) as (database, _, _):
        while True:
            async with database.read() as tx:
                page = await store.issued(tx, name, after=issued[-1].serial if issued else "", limit=_PAGE)
            issued += page
            if len(page) < _PAGE:
                break
    return Described(found.name, found.rows, tuple(issued), found.is_configured)


async def revoke_certificate(settings: Settings, name: str, serial: str, reason: str) -> None:
    """Revoke for good; workers hear of it within a second. serial: hex, in any writing. reason: a word of REASONS.

    There is a record in the audit log before anything is done, and one behind it. Raises OperatorError.
    """
    wanted = _serial(serial)
    async with _opened(settings) as (database, clock, identifiers):
        async with database.read() as tx:
            found = await store.find(tx, name, wanted)
        if found is None:
            raise ConfigurationError(
                f"The authority '{name}' has issued no certificate with the serial number {serial}."
            )
        if found.revoked_at is not None:
            raise ConfigurationError(f"The certificate with the serial number {serial} is revoked already.")
        id = f"/authorities/{name}/certificates/{wanted}"
        with alone(settings, AUTHORITY_WRITER):
            async with recorded(settings, AUTHORITY_WRITER, clock, identifiers, _REVOKE, id, reason):
                if not await revoke(database, name, wanted, now=int(clock.now()), reason=REASONS[reason]):
                    raise ConfigurationError(f"The certificate with the serial number {serial} is revoked already.")


def _serial(text: str) -> str:
    digits = text.replace(":", "").strip().lower().removeprefix("0x")
    if not digits or len(digits) > 40 or any(digit not in "0123456789abcdef" for digit in digits):
        raise ConfigurationError(f"'{text}' is not a serial number in hexadecimal digits.")
    return f"{int(digits, 16):032x}"


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[Database, Clock, Identifiers]]:
    clock = SystemClock()
    async with opened_database(settings, clock) as database:
        yield database, clock, RandomIdentifiers()
