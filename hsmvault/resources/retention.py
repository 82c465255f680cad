"""When what is deleted now may go for good. For keys, secrets and certificates alike."""

from hsmvault.model.lifecycle import Retention
from hsmvault.store import trusted_time
from hsmvault.store.database import Transaction


async def purge_at(tx: Transaction, retention: Retention, now: int) -> int:
    """now, and the answer: seconds since 1970 UTC. now: of the wall clock.

    When the wall clock is behind the latest time that was ever trusted, retention counts from that one: else it would
    be over too early as soon as somebody has put the clock right.
    """
    return retention.purge_date(max(now, await trusted_time.high_water(tx)))
