"""Drops what the issuer has handed out and what has expired: codes, device codes, refresh tokens, sessions."""

from hsmvault.jobs.runner import Turn
from hsmvault.store import login_grants
from hsmvault.store.database import Database


class DropLoginGrants:
    name = "login-grants"
    interval_seconds = 3600.0

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self, turn: Turn) -> None:
        while await turn.goes_on():
            async with self._database.write() as tx:
                if await login_grants.delete_expired(tx, turn.now()) == 0:
                    return
