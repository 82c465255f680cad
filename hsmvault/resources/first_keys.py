"""Keys that are made only where there is none of their name, with the rotation policy that they begin with."""

from dataclasses import dataclass, replace

from hsmvault.model.keys import KeyVersion
from hsmvault.model.rotation import RotationPolicy
from hsmvault.store import keys as store
from hsmvault.store.database import Transaction


@dataclass(frozen=True, slots=True)
class First:
    """rotation_policy: checked (check_policy), without its times."""

    rotation_policy: RotationPolicy | None = None

    async def begin(self, tx: Transaction, row: KeyVersion, now: int) -> RotationPolicy | None:
        """For a key that was made in this transaction. Returns its policy as it is kept. now: seconds since 1970."""
        if self.rotation_policy is None:
            return None
        at_name = await store.name(tx, row.container_id, row.name.lower())
        assert at_name is not None
        kept = replace(self.rotation_policy, created=now, updated=now)
        await store.set_rotation_policy(tx, at_name, kept)
        return kept
