"""Where the backup of an object may be restored, and what seals it: the same for keys, secrets and certificates."""

from collections.abc import Mapping

from hsmvault.custody.backup import BackupScope
from hsmvault.custody.sealing import Sealer
from hsmvault.errors import Unavailable
from hsmvault.model.containers import Container


def scope_of(kind: str, container: Container, geographies: Mapping[str, str]) -> BackupScope:
    """kind: 'key', 'secret' or 'certificate'. geographies: of each security world, by its id."""
    return BackupScope(
        kind=kind,
        subscription_id=container.subscription_id,
        geography=geographies.get(container.world_id, ""),
        tenant_id=container.tenant_id,
        holder=container.kind.value,
        world_id=container.world_id,
    )


def sealer_of(sealers: Mapping[str, Sealer], container: Container) -> Sealer:
    """sealers: of each security world, by its id. Raises Unavailable when the container's is not served here."""
    sealer = sealers.get(container.world_id)
    if sealer is None:
        raise Unavailable("The HSM is not available.", detail=f"world {container.world_id} is not served here")
    return sealer
