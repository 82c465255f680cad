"""The certificate of a world's attestation key, for whoever wants to pin it (`hsmvault attest certificate`)."""

from hsmvault.app.worlds import known_worlds
from hsmvault.clock import SystemClock
from hsmvault.config import Settings
from hsmvault.custody.attestation_certificate import pem
from hsmvault.errors import HsmRefusal
from hsmvault.store.database import Database


async def world_certificate(settings: Settings, name: str) -> bytes:
    """PEM. Changes nothing, and an instance may run meanwhile. Raises OperatorError when there is no such world, or it
    has no attestation key.
    """
    database = await Database.open(settings.store_url, clock=SystemClock())
    try:
        known = {world.name: world for world in await known_worlds(database)}
    finally:
        await database.close()
    if name not in known:
        there = ", ".join(known) or "none"
        raise HsmRefusal(f"There is no security world '{name}' here; there is {there}.")
    certificate = known[name].row.attestation_certificate
    if certificate is None:
        raise HsmRefusal(
            f"The security world '{name}' has no attestation key: the next start makes one, if its token has P-256."
        )
    return pem(certificate)
