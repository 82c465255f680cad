"""Release policies are bound to their key version by a MAC made in the HSM: nobody who can write to the database can
weaken one, lift its `immutable`, put it into another row, or take it away to set another. (An older policy of the same
version, with its own MAC, does pass: a MAC cannot see that a row was turned back.)
"""

from dataclasses import replace

from hsmvault.custody.custodians import Custodians
from hsmvault.custody.world import same_mac
from hsmvault.errors import Damaged
from hsmvault.model.containers import Container
from hsmvault.model.keys import KeyVersion
from hsmvault.model.release_policies import ReleasePolicy
from hsmvault.resources.key_cache import binding_of
from hsmvault.resources.key_settings import is_secure

_PURPOSE = "release policy"
_FORMAT = b"\x01"


async def bound(
    custodians: Custodians, container: Container, name: str, version: str, policy: ReleasePolicy | None
) -> ReleasePolicy | None:
    """The policy with the MAC that it has in this row. Raises Unavailable, Throttled."""
    if policy is None:
        return None
    return replace(policy, mac=await _mac(custodians, container, name, version, policy))


async def check_bound(custodians: Custodians, container: Container, row: KeyVersion) -> None:
    """Raises Damaged when the row's policy is not the one that was set, or is gone; Unavailable, Throttled."""
    policy = row.release_policy
    if policy is None:
        if row.exportable or is_secure(row):
            raise _damaged(row, "removed")
        return
    if not same_mac(await _mac(custodians, container, row.name, row.version, policy), policy.mac):
        raise _damaged(row, "changed")


def is_same(one: ReleasePolicy | None, other: ReleasePolicy | None) -> bool:
    """To the byte of the MAC: what was checked of one holds for the other."""
    return one == other and (one is None or other is None or one.mac == other.mac)


def _damaged(row: KeyVersion, what: str) -> Damaged:
    return Damaged(
        "The object is not available.",
        detail=f"the release policy of {row.name}/{row.version} in container {row.container_id} was {what}",
    )


async def _mac(custodians: Custodians, container: Container, name: str, version: str, policy: ReleasePolicy) -> bytes:
    state = b"\x01" if policy.immutable else b"\x00"
    message = binding_of(container.id, name, version).encode(_FORMAT, policy.data, policy.content_type.encode(), state)
    return await custodians.mac(container, _PURPOSE, message)
