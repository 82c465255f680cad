"""Secure wrap and unwrap (2026-04-01): a data key that is in the clear nowhere but in attested environments.

Wrap makes a fresh AES-256 key in the HSM and answers nothing but its wrapped form. Unwrap opens that form and answers
the key wrapped anew, to the key of the environment whose assertion the release policy of the wrapping key accepts. The
service holds the data key in the clear for the moment in between.

What is published about these operations are their models and the clients' examples: the wrapping key has key_ops made
for them, a release policy, and is not exportable. That a key is for secure wrapping is bound to its material
(Terms.secure): it does nothing else, and no other key does this, whatever a row says. That the data key leaves wrapped
to the environment's key with RSA-OAEP-256 is our reading of "released into the target environment"; docs/divergences.md
has it.
"""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from hsmvault.clock import Clock
from hsmvault.custody.custodians import Custodians
from hsmvault.errors import CiphertextRefused, Unavailable
from hsmvault.model.algorithms import (
    ENCRYPTION_ALGORITHMS,
    OCT_SIZES_BITS,
    EncryptionAlgorithm,
    EncryptionMode,
    Family,
)
from hsmvault.model.containers import Container
from hsmvault.model.keys import KeyVersion
from hsmvault.resources import refusals
from hsmvault.resources.environment_assertions import EnvironmentAssertions
from hsmvault.resources.key_cache import KeyCache
from hsmvault.resources.key_release import check_accepted, verified
from hsmvault.resources.key_state import check_usable
from hsmvault.resources.policy_binding import check_bound

Random = Callable[[Container, int], Awaitable[bytes]]
"""So many bytes from the HSM of a container's security world."""

WRAP = "secureWrapKey"
UNWRAP = "secureUnwrapKey"
_DATA_KEY_BYTES = 32
_TO_ENVIRONMENT = ENCRYPTION_ALGORITHMS["RSA-OAEP-256"]

ALGORITHMS: Mapping[str, EncryptionAlgorithm] = {
    row.name: row
    for row in (
        _TO_ENVIRONMENT,
        *(ENCRYPTION_ALGORITHMS[f"A{bits}KW"] for bits in OCT_SIZES_BITS),
        *(
            EncryptionAlgorithm(f"A{bits}KWPAD", Family.OCT, EncryptionMode.KWP, size_bits=bits, since="2026-04-01")
            for bits in OCT_SIZES_BITS
        ),
        ENCRYPTION_ALGORITHMS["CKM_AES_KEY_WRAP"],
        ENCRYPTION_ALGORITHMS["CKM_AES_KEY_WRAP_PAD"],
    )
}
"""JsonWebKeyWrapAlgorithm of the reference."""


@dataclass(frozen=True, slots=True)
class SecurelyWrapped:
    """row: the version that was used. algorithm: under which value is wrapped."""

    row: KeyVersion
    algorithm: str
    value: bytes = field(repr=False)


class KeySecureWrap:
    def __init__(
        self,
        keys: KeyCache,
        custodians: Custodians,
        assertions: EnvironmentAssertions,
        clock: Clock,
        random: Random,
    ) -> None:
        self._keys = keys
        self._custodians = custodians
        self._assertions = assertions
        self._clock = clock
        self._random = random

    async def wrap(self, container: Container, name: str, version: str | None, alg: str) -> SecurelyWrapped:
        """Raises NotFound, Forbidden, BadRequest, Unavailable, Throttled."""
        algorithm = _algorithm(alg)
        key = await self._keys.find(container, name, version)
        check_usable(key.row, WRAP, self._clock.now(), timely=True)
        _fit(algorithm, key.row)
        await check_bound(self._custodians, container, key.row)
        data_key = await self._random(container, _DATA_KEY_BYTES)
        assert key.secure is not None
        if algorithm.family is Family.OCT:
            wrapped = await key.secure.encrypt(algorithm, data_key, b"", b"")
        else:
            assert key.public is not None
            wrapped = key.public.encrypt(algorithm, data_key)
            # The row alone says whose public key it is and what for; that the private one opens it again proves both.
            if not hmac.compare_digest(await key.secure.decrypt(algorithm, wrapped), data_key):
                raise Unavailable("The key could not be used.", detail="a securely wrapped key opened to another one")
        return SecurelyWrapped(key.row, algorithm.name, wrapped)

    async def unwrap(
        self, container: Container, name: str, version: str | None, alg: str, wrapped: bytes, target: str
    ) -> SecurelyWrapped:
        """target: the environment assertion. The environment is checked before anything is opened.

        Raises as wrap; CiphertextRefused with one text for every cause.
        """
        algorithm = _algorithm(alg)
        self._check_unwraps(algorithm, (await self._keys.find(container, name, version)).row)
        assertion = await verified(self._assertions, target)
        key = await self._keys.find(container, name, version)  # the authority's keys may have taken seconds
        self._check_unwraps(algorithm, key.row)
        await check_bound(self._custodians, container, key.row)
        check_accepted(key.row, assertion)
        if len(wrapped) != _wrapped_bytes(algorithm, key.row):
            raise CiphertextRefused(detail="the length is not that of a wrapped AES-256 key")
        assert key.secure is not None
        data_key = await key.secure.decrypt(algorithm, wrapped)
        if len(data_key) != _DATA_KEY_BYTES:
            raise CiphertextRefused(detail="what was wrapped is not an AES-256 key")
        again = assertion.key.public.encrypt(_TO_ENVIRONMENT, data_key)
        return SecurelyWrapped(key.row, _TO_ENVIRONMENT.name, again)

    def _check_unwraps(self, algorithm: EncryptionAlgorithm, row: KeyVersion) -> None:
        check_usable(row, UNWRAP, self._clock.now(), timely=False)
        _fit(algorithm, row)


def _algorithm(name: str) -> EncryptionAlgorithm:
    algorithm = ALGORITHMS.get(name)
    if algorithm is None:
        raise refusals.invalid_property("alg")
    return algorithm


def _fit(algorithm: EncryptionAlgorithm, row: KeyVersion) -> None:
    if not algorithm.fits(row.spec):
        raise refusals.invalid_property("alg")


def _wrapped_bytes(algorithm: EncryptionAlgorithm, row: KeyVersion) -> int:
    """RFC 3394 and RFC 5649 both add eight bytes."""
    return row.spec.modulus_bytes if algorithm.family is Family.RSA else _DATA_KEY_BYTES + 8
