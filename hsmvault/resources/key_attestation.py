"""What the HSM says about a key, signed by the attestation key of its security world."""

from hsmvault.custody.custodians import Custodians
from hsmvault.custody.protocols import Attestation
from hsmvault.model.containers import Container
from hsmvault.model.keys import KeyVersion
from hsmvault.resources.key_cache import KeyCache, binding_of, held_by


class KeyAttestations:
    def __init__(self, keys: KeyCache, custodians: Custodians) -> None:
        self._keys = keys
        self._custodians = custodians

    async def attest(self, container: Container, name: str, version: str | None) -> tuple[KeyVersion, Attestation]:
        """Also of disabled keys and outside their times: it uses the key for nothing. Raises NotFound, BadRequest for a
        key in software, Unavailable, Throttled."""
        row = (await self._keys.find(container, name, version)).row
        custodian = self._custodians.holding(container, row.custody)
        return row, await custodian.attest(held_by(row), binding_of(container.id, row.name, row.version))
