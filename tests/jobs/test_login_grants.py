"""What the issuer has handed out goes when it has expired, however much there is of it."""

from pathlib import Path

from hsmvault.clock import MovedClock
from hsmvault.jobs.login_grants import DropLoginGrants
from hsmvault.model.login_grants import Grant, GrantKind, GrantStatus
from hsmvault.store import login_grants
from hsmvault.store.database import Database
from hsmvault.store.migrations import migrate


class _Turn:
    def now(self) -> int:
        return 1_000

    async def goes_on(self) -> bool:
        return True


async def test_everything_that_has_expired_goes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/grants.db"
    migrate(url)
    database = await Database.open(url, clock=MovedClock())
    try:
        async with database.write() as tx:
            for number in range(1_050):
                expires = 1_001 if number % 500 == 0 else 1_000
                grant = Grant(
                    f"{number:064x}", GrantKind.CODE, f"{number:032x}", "t", "o", "a", GrantStatus.OPEN, 1, expires
                )
                await login_grants.insert(tx, grant)
        await DropLoginGrants(database).run(_Turn())
        async with database.read() as tx:
            left = [n for n in (0, 1, 500, 999, 1_000, 1_049) if await login_grants.has_family(tx, f"{n:032x}")]
        assert left == [0, 500, 1_000]
    finally:
        await database.close()
