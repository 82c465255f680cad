"""The event that tells of changed access policies (Microsoft.KeyVault.VaultAccessPolicyChanged)."""

from typing import Final

from hsmvault.clock import Identifiers
from hsmvault.model.containers import Container
from hsmvault.store import outbox
from hsmvault.store.database import Transaction
from hsmvault.store.outbox import Event

TYPE: Final = "VaultAccessPolicyChanged"
OBJECT_TYPE: Final = "Vault"


async def announce(tx: Transaction, before: Container, after: Container, identifiers: Identifiers, now: int) -> None:
    """In the transaction of the change: when who may do what on the data plane by the vault itself is not as it was."""
    if before.access_policies == after.access_policies and before.authorization is after.authorization:
        return
    await outbox.insert(
        tx,
        Event(
            event_id=identifiers.guid(),
            type=TYPE,
            time=now,
            container_id=after.id,
            object_type=OBJECT_TYPE,
            name=after.properties.shown_name or after.name,
            version="",
            not_before=None,
            expires=None,
        ),
    )
