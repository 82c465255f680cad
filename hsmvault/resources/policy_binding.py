"""Release policies are bound to their key version by a MAC made in the HSM: nobody who can write to the database can
weaken one, lift its `immutable`, or put it into another row. (An older policy of the same version, with its own MAC,
does pass: a MAC cannot see that a row was turned back.)
"""

from dataclasses import replace

from hsmvault.custody.custodians import Custodians
from hsmvault.custody.world import same_mac
from hsmvault.errors import Damaged
from hsmvault.model.containers import Container
from hsmvault.model.keys import KeyVersion
from hsmvault.model.release_policies import ReleasePolicy
from hsmvault.resources.key_cache import binding_of

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
    """Raises Damaged when the row's policy is not the one that was set; Unavailable, Throttled."""
    policy = row.release_policy
    if policy is None:
        return
    if not same_mac(await _mac(custodians, container, row.name, row.version, policy), policy.mac):
        raise Damaged(
            "The object is not available.",
            detail=f"the release policy of {row.name}/{row.version} in container {row.container_id} was changed",
        )


async def _mac(custodians: Custodians, container: Container, name: str, version: str, policy: ReleasePolicy) -> bytes:
    state = b"\x01" if policy.immutable else b"\x00"
    message = binding_of(container.id, name, version).encode(_FORMAT, policy.data, policy.content_type.encode(), state)
    return await custodians.mac(container, _PURPOSE, message)
