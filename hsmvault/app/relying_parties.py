"""Authorities of our own, and what relying parties fetch, put together."""

from hsmvault.app.authorities import rules_of
from hsmvault.app.base import Base
from hsmvault.custody.custodians import WorldCustody
from hsmvault.resources.authorities import Authorities
from hsmvault.store import acme_challenges
from hsmvault.wire.pki import PkiEndpoints


def make_authorities(base: Base, world: WorldCustody) -> Authorities:
    """Certificate authorities whose keys live in this world."""
    authorities = Authorities(
        rules_of(base.settings),
        world,
        database=base.database,
        clock=base.clock,
        identifiers=base.identifiers,
        intents=base.intents,
    )
    base.feed.subscribe("authority", lambda _, name: authorities.forget(name))
    base.feed.subscribe_all(authorities.forget_all)
    return authorities


def make_pki(base: Base, authorities: Authorities) -> PkiEndpoints:
    async def find_challenge(token: str) -> str | None:
        async with base.database.read() as tx:
            return await acme_challenges.find(tx, token)

    return PkiEndpoints(authorities, find_challenge)
