"""People, proven by their passwords, and whether what they were given is still good.

A password can be found by trying, so an attempt is counted before it is compared: for its user name from its address,
and for the address alone, so that one password tried on many names is slowed down too. The owner still gets in from an
address of his own. An unknown name takes as long as a known one and gets the same answer.
"""

import asyncio
import hashlib
from dataclasses import dataclass
from typing import Final

from hsmvault.clock import Clock
from hsmvault.login.passwords import UNMATCHED, password_matches
from hsmvault.login.realms import Realm
from hsmvault.login.refusals import (
    PERSON_DISABLED,
    PERSON_LOCKED,
    SESSION_REVOKED,
    THROTTLED,
    WRONG_PASSWORD,
    LoginRefused,
)
from hsmvault.login.throttle import Throttle, ThrottleKey, network_of
from hsmvault.model.login_grants import Grant
from hsmvault.model.principals import Principal, PrincipalKind
from hsmvault.store import directory
from hsmvault.store.database import Database, Transaction

_FREE_FAILURES_OF_AN_ADDRESS: Final = 50  # guessed: an office behind one address on a Monday
_COMPARISONS_AT_ONCE: Final = 2  # 32 MiB and a tenth of a second of a core each
_MOST_WAITING: Final = 32
_LONGEST_NAME_CHARACTERS: Final = 256


@dataclass(frozen=True, slots=True)
class Person:
    """groups: object ids, through nested groups too."""

    principal: Principal
    groups: frozenset[str]


class People:
    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._by_name = Throttle(clock)
        self._by_address = Throttle(clock, free_failures=_FREE_FAILURES_OF_AN_ADDRESS)
        self._comparisons = asyncio.Semaphore(_COMPARISONS_AT_ONCE)
        self._waiting = 0

    async def prove(self, realm: Realm, user_name: str, password: str, *, address: str) -> Person:
        """realm: where it names no tenant, the domain of the user name does. Raises LoginRefused; that an account is
        disabled is told only to who has its password.
        """
        if self._waiting >= _MOST_WAITING:
            raise LoginRefused(THROTTLED, retry_after_seconds=2)
        folded = user_name.strip().lower()
        network = network_of(address)
        by_name = ThrottleKey(hashlib.sha256(folded.encode("utf-8", "replace")).hexdigest(), network)
        by_address = ThrottleKey("any user name", network)
        if wait := max(self._by_name.failed(by_name), self._by_address.failed(by_address)):
            raise LoginRefused(PERSON_LOCKED, retry_after_seconds=wait)
        async with self._database.read() as tx:
            principal = await self._find(tx, realm, folded)
        is_right = await self._compare(password, principal.password_hash if principal else UNMATCHED)
        if principal is None or not is_right:
            raise LoginRefused(WRONG_PASSWORD)
        self._by_name.succeeded(by_name)
        self._by_address.forgive(by_address)
        if not principal.enabled:
            raise LoginRefused(PERSON_DISABLED)
        async with self._database.read() as tx:
            return Person(principal, await directory.groups_of(tx, principal.object_id))

    async def of_grant(self, grant: Grant) -> Person:
        """Whose grant it is. Raises LoginRefused when the person is gone, disabled or signed out everywhere since."""
        found = await self.find(grant.tenant_id, grant.object_id, since=grant.created)
        if found is None:
            raise LoginRefused(SESSION_REVOKED)
        if not found.principal.enabled:
            raise LoginRefused(PERSON_DISABLED)
        return found

    async def find(self, tenant_id: str, object_id: str, *, since: int) -> Person | None:
        """Disabled ones too. since: when what names the person was made; None when it is not good any more."""
        async with self._database.read() as tx:
            principal = await directory.principal(tx, tenant_id, object_id)
            if principal is None or principal.kind is not PrincipalKind.USER or since < principal.sessions_valid_from:
                return None
            return Person(principal, await directory.groups_of(tx, object_id))

    async def _find(self, tx: Transaction, realm: Realm, folded_name: str) -> Principal | None:
        if not 0 < len(folded_name) <= _LONGEST_NAME_CHARACTERS or "\0" in folded_name:
            return None
        tenant = realm.tenant
        if tenant is None:
            domain = folded_name.rpartition("@")[2]
            tenant = await directory.tenant(tx, domain) if domain else None
        if tenant is None:
            return None
        found = await directory.user_by_name(tx, tenant.id, folded_name)
        return found if found is not None and found.kind is PrincipalKind.USER else None

    async def _compare(self, password: str, stored: str) -> bool:
        self._waiting += 1
        try:
            async with self._comparisons:
                return await password_matches(password, stored or UNMATCHED)
        finally:
            self._waiting -= 1
