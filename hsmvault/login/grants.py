"""Codes, device codes, refresh tokens and sessions: given, looked for, redeemed once, taken back.

What a client holds is 64 characters of base64url: 16 bytes that name its family and 32 that nobody can guess. The
database has their SHA-256 alone. The family inside the text lets a second use be recognised long after the row of the
first has gone: only who held something of the family can name it, so naming it with anything but a good text ends it.

A refresh token gives a new one at each use. The old one works for a minute more, because an answer may be lost and
because several programs share one cache of tokens; after that its use means that two hold it, and ends the family.
"""

import hashlib
import re
from dataclasses import dataclass, field
from typing import Final

from hsmvault.clock import Clock, Identifiers
from hsmvault.login.refusals import (
    CODE_EXPIRED,
    CODE_REDEEMED,
    DEVICE_CODE_EXPIRED,
    INVALID_GRANT,
    REFRESH_TOKEN_EXPIRED,
    LoginRefused,
    Refusal,
)
from hsmvault.model import base64url
from hsmvault.model.login_grants import Grant, GrantDetails, GrantKind, GrantStatus
from hsmvault.store import login_grants
from hsmvault.store.database import Database, Transaction

CODE_SECONDS: Final = 300
GRACE_SECONDS: Final = 60
_KEPT_SECONDS: Final = 3600  # beyond the grace; a later use is recognised by its family
_MOST_OF_A_PERSON: Final = 1000  # guessed: people have some dozens of devices and programs
_FAMILY_BYTES: Final = 16
_SECRET_BYTES: Final = 32
_TEXT: Final = re.compile(r"[A-Za-z0-9_-]{64}", re.ASCII)

_PARAMETER: Final = {
    GrantKind.CODE: "code",
    GrantKind.DEVICE_CODE: "device_code",
    GrantKind.REFRESH_TOKEN: "refresh_token",
}
_EXPIRED: Final = {
    GrantKind.CODE: CODE_EXPIRED,
    GrantKind.DEVICE_CODE: DEVICE_CODE_EXPIRED,
    GrantKind.REFRESH_TOKEN: REFRESH_TOKEN_EXPIRED,
}


@dataclass(frozen=True, slots=True)
class Held:
    """What a client holds: 64 characters that are safe in a URL. Its repr shows nothing."""

    _text: str = field(repr=False)

    def reveal(self) -> str:
        return self._text

    @property
    def id(self) -> str:
        return hashlib.sha256(self._text.encode("ascii")).hexdigest()

    @property
    def family(self) -> str:
        return base64url.decode(self._text)[:_FAMILY_BYTES].hex()


def held(text: str) -> Held | None:
    """None for what nobody was ever given."""
    return Held(text) if _TEXT.fullmatch(text) else None


class Grants:
    def __init__(self, *, database: Database, clock: Clock, identifiers: Identifiers) -> None:
        self._database = database
        self._clock = clock
        self._identifiers = identifiers

    async def give(
        self,
        tx: Transaction,
        kind: GrantKind,
        *,
        life_seconds: int,
        tenant_id: str,
        object_id: str,
        application_id: str = "",
        details: GrantDetails,
        family: str = "",
        status: GrantStatus = GrantStatus.OPEN,
        user_code: str = "",
    ) -> Held:
        """family: empty for the first of a new one. Raises Conflicted when the user code is taken."""
        members = bytes.fromhex(family) if family else self._identifiers.random(_FAMILY_BYTES)
        given = Held(base64url.encode(members + self._identifiers.random(_SECRET_BYTES)))
        now = int(self._clock.now())
        grant = Grant(
            id=given.id,
            kind=kind,
            family=members.hex(),
            tenant_id=tenant_id,
            object_id=object_id,
            application_id=application_id,
            status=status,
            created=now,
            expires=now + life_seconds,
            user_code=user_code,
            details=details,
        )
        await login_grants.insert(tx, grant)
        if object_id:
            await login_grants.delete_oldest(tx, object_id, kept=_MOST_OF_A_PERSON)
        return given

    async def look(self, kind: GrantKind, text: str) -> Grant | None:
        """The row behind what a client sent, whatever its state."""
        found = held(text)
        if found is None:
            return None
        async with self._database.read() as tx:
            return await login_grants.find(tx, kind, found.id)

    async def accept(self, kind: GrantKind, text: str, grant: Grant | None, application_id: str) -> Grant:
        """The grant, when this client may redeem it now. grant: what look() found.

        Raises LoginRefused; a second use ends the family first.
        """
        parameter = _PARAMETER[kind]
        if grant is None:
            presented = held(text)
            if presented is not None:
                await self._end(presented.family)
            raise LoginRefused(INVALID_GRANT, parameter=parameter)
        if grant.application_id != application_id:
            raise LoginRefused(INVALID_GRANT, parameter=parameter)
        if grant.status is GrantStatus.REDEEMED:
            if not self._is_in_grace(grant):
                await self._end(grant.family)
                raise LoginRefused(_refusal_of_second_use(kind), parameter=parameter)
        elif grant.expires <= self._clock.now():
            raise LoginRefused(_EXPIRED[kind])
        return grant

    async def redeem(self, grant: Grant, *, refresh: GrantDetails | None, refresh_seconds: int) -> Held | None:
        """Redeem what accept() has accepted, and give a refresh token in the same family when refresh says so.

        Raises LoginRefused when somebody else was quicker; the family has then ended.
        """
        given: Held | None = None
        async with self._database.write() as tx:
            is_ours = await self._redeemed(tx, grant)
            if is_ours and refresh is not None:
                given = await self.give(
                    tx,
                    GrantKind.REFRESH_TOKEN,
                    life_seconds=refresh_seconds,
                    tenant_id=grant.tenant_id,
                    object_id=grant.object_id,
                    application_id=grant.application_id,
                    details=refresh,
                    family=grant.family,
                )
            elif not is_ours:
                await login_grants.revoke_family(tx, grant.family)
        if not is_ours:
            raise LoginRefused(_refusal_of_second_use(grant.kind), parameter=_PARAMETER[grant.kind])
        return given

    async def _redeemed(self, tx: Transaction, grant: Grant) -> bool:
        """By us, or, for a refresh token, a moment ago by another use of the same one."""
        now = int(self._clock.now())
        kept_until = grant.expires if grant.kind is not GrantKind.REFRESH_TOKEN else now + GRACE_SECONDS + _KEPT_SECONDS
        if grant.status is not GrantStatus.REDEEMED and await login_grants.redeem(
            tx, grant, now=now, kept_until=kept_until
        ):
            return True
        current = await login_grants.find(tx, grant.kind, grant.id)
        return current is not None and self._is_in_grace(current)

    def _is_in_grace(self, grant: Grant) -> bool:
        is_refresh_token = grant.kind is GrantKind.REFRESH_TOKEN and grant.status is GrantStatus.REDEEMED
        return is_refresh_token and self._clock.now() - grant.redeemed_at <= GRACE_SECONDS

    async def _end(self, family: str) -> None:
        async with self._database.read() as tx:
            if not await login_grants.has_family(tx, family):
                return  # so that guessing writes nothing
        async with self._database.write() as tx:
            await login_grants.revoke_family(tx, family)


def _refusal_of_second_use(kind: GrantKind) -> Refusal:
    return INVALID_GRANT if kind is GrantKind.REFRESH_TOKEN else CODE_REDEEMED
