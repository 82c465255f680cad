"""Using keys: sign, verify, encrypt, decrypt, wrap, unwrap.

The checks stand in one order for all of them: the key exists, its key_ops has the operation, it is enabled and within
its times, the algorithm fits the key, the lengths fit the algorithm. Only then does anything reach a custodian.
"""

import hmac
from dataclasses import dataclass

from hsmvault.clock import Clock, Identifiers
from hsmvault.errors import BadRequest
from hsmvault.lanes import Lane
from hsmvault.model.algorithms import (
    ENCRYPTION_ALGORITHMS,
    OCT_IMPORTED_SIZES_BITS,
    OCT_SIZES_BITS,
    SIGNATURE_ALGORITHMS,
    Curve,
    EncryptionAlgorithm,
    EncryptionMode,
    Family,
    SignatureAlgorithm,
)
from hsmvault.model.containers import Container
from hsmvault.model.keys import KeyVersion
from hsmvault.resources import refusals
from hsmvault.resources.aes_parameters import (
    GCM_TAG_BYTES,
    NONE,
    AesParameters,
    for_decryption,
    for_encryption,
    refuse_any,
)
from hsmvault.resources.key_cache import KeyCache, KeyInUse
from hsmvault.resources.key_state import check_usable

_QUICK_CURVES = frozenset({None, Curve.P256})
"""RSA (no curve) and P-256 verify in 15 to 80 µs, less than the way to another thread and back; the others take 230 to
340 µs, in which the event loop would serve nobody."""


@dataclass(frozen=True, slots=True)
class Used:
    """row: the version that was used. value: signature, ciphertext or plaintext. parameters: what the answer of an AES
    operation names beside it; empty where there is nothing to name."""

    row: KeyVersion
    value: bytes
    parameters: AesParameters = NONE

    def __repr__(self) -> str:
        return f"Used({self.row.name}/{self.row.version})"


class KeyOperations:
    """Refusals of the state carry the status 403 of the reference; times are checked for what makes new data only
    (sign, encrypt, wrap), so that old data can still be verified, decrypted and unwrapped.

    verification: the thread for verifications that are too slow for the event loop. identifiers: make the iv of GCM.
    """

    def __init__(self, keys: KeyCache, clock: Clock, verification: Lane[None], identifiers: Identifiers) -> None:
        self._keys = keys
        self._clock = clock
        self._verification = verification
        self._identifiers = identifiers

    async def sign(self, container: Container, name: str, version: str | None, alg: str, digest: bytes) -> Used:
        """digest: made by the caller, as long as the algorithm says. Returns the signature (see KeyHandle.sign)."""
        algorithm = _signature_algorithm(alg)
        key = await self._usable(container, name, version, "sign", timely=True)
        _fit_signature(key.row, algorithm, digest, "value")
        return Used(key.row, await key.handle.sign(algorithm, digest))

    async def verify(
        self, container: Container, name: str, version: str | None, alg: str, digest: bytes, signature: bytes
    ) -> bool:
        """False for anything that is not a signature of this digest by this key; never an error for it.

        Raises Throttled when too many wait for the slow ones.
        """
        algorithm = _signature_algorithm(alg)
        key = await self._usable(container, name, version, "verify", timely=False)
        _fit_signature(key.row, algorithm, digest, "digest")
        public = key.public
        if public is None:  # HMAC: whoever verifies can also sign, so it needs the key
            return hmac.compare_digest(await key.handle.sign(algorithm, digest), signature)
        if key.row.spec.curve in _QUICK_CURVES:
            return public.verify(algorithm, digest, signature)
        return await self._verification.submit(lambda _: public.verify(algorithm, digest, signature))

    async def encrypt(
        self,
        container: Container,
        name: str,
        version: str | None,
        operation: str,
        alg: str,
        plaintext: bytes,
        given: AesParameters = NONE,
    ) -> Used:
        """operation: 'encrypt' or 'wrapKey'; the same for RSA. given: for AES."""
        algorithm = _encryption_algorithm(alg)
        key = await self._usable(container, name, version, operation, timely=True)
        _fit_encryption(key.row, algorithm, operation)
        if key.public is not None:
            refuse_any(given)
            return Used(key.row, key.public.encrypt(algorithm, plaintext))
        ready = for_encryption(algorithm, plaintext, given, self._identifiers)
        ciphertext = await key.handle.encrypt(algorithm, ready.text, ready.iv, ready.aad)
        tag = b""
        if algorithm.mode is EncryptionMode.GCM:
            ciphertext, tag = ciphertext[:-GCM_TAG_BYTES], ciphertext[-GCM_TAG_BYTES:]
        return Used(key.row, ciphertext, AesParameters(ready.iv, ready.aad, tag))

    async def decrypt(
        self,
        container: Container,
        name: str,
        version: str | None,
        operation: str,
        alg: str,
        ciphertext: bytes,
        given: AesParameters = NONE,
    ) -> Used:
        """operation: 'decrypt' or 'unwrapKey'. Raises CiphertextRefused with one text for every cause."""
        algorithm = _encryption_algorithm(alg)
        key = await self._usable(container, name, version, operation, timely=False)
        _fit_encryption(key.row, algorithm, operation)
        if key.public is None:
            ready = for_decryption(algorithm, ciphertext, given)
            plaintext = await key.handle.decrypt(algorithm, ready.text, ready.iv, ready.aad)
            return Used(key.row, plaintext, given)
        refuse_any(given)
        if len(ciphertext) != key.row.spec.modulus_bytes:
            raise BadRequest(
                f"Invalid length of 'value': {len(ciphertext)} bytes. {algorithm.name} requires "
                f"{key.row.spec.modulus_bytes} bytes, encoded with base64url."
            )
        return Used(key.row, await key.handle.decrypt(algorithm, ciphertext))

    async def _usable(
        self, container: Container, name: str, version: str | None, operation: str, *, timely: bool
    ) -> KeyInUse:
        key = await self._keys.find(container, name, version)
        check_usable(key.row, operation, self._clock.now(), timely=timely)
        return key


def _signature_algorithm(name: str) -> SignatureAlgorithm:
    algorithm = SIGNATURE_ALGORITHMS.get(name)
    if algorithm is None:
        raise refusals.invalid_property("alg")
    return algorithm


def _encryption_algorithm(name: str) -> EncryptionAlgorithm:
    algorithm = ENCRYPTION_ALGORITHMS.get(name)
    if algorithm is None:
        raise refusals.invalid_property("alg")
    return algorithm


def _fit_signature(row: KeyVersion, algorithm: SignatureAlgorithm, digest: bytes, member: str) -> None:
    if algorithm.family is not row.spec.family:
        raise _incompatible(row, algorithm.name, algorithm.family, "signing")
    if algorithm.curve is not None and algorithm.curve is not row.spec.curve:
        assert row.spec.curve is not None
        raise BadRequest(
            f"Key and signing algorithm are incompatible. Key has curve '{row.spec.curve.value}', and algorithm "
            f"'{algorithm.name}' can only be used with curve '{algorithm.curve.value}'."
        )
    if not algorithm.fits(row.spec):
        raise _wrong_size(row, [bits for bits in OCT_IMPORTED_SIZES_BITS if bits >= 8 * algorithm.digest_bytes])
    if len(digest) != algorithm.digest_bytes:
        raise BadRequest(
            f"Invalid length of '{member}': {len(digest)} bytes. {algorithm.name} requires "
            f"{algorithm.digest_bytes} bytes, encoded with base64url."
        )


def _fit_encryption(row: KeyVersion, algorithm: EncryptionAlgorithm, operation: str) -> None:
    if algorithm.family is not row.spec.family:
        raise _incompatible(row, algorithm.name, algorithm.family, "encryption")
    if not algorithm.serves(operation):
        raise BadRequest(f"Algorithm '{algorithm.name}' cannot be used with operation {operation}.")
    if not algorithm.fits(row.spec):
        raise _wrong_size(row, list(OCT_SIZES_BITS) if algorithm.size_bits is None else [algorithm.size_bits])


def _wrong_size(row: KeyVersion, supported: list[int]) -> BadRequest:
    return BadRequest(f"Unsupported key size ({row.spec.size_bits}). Supported sizes are {supported}")


def _incompatible(row: KeyVersion, algorithm: str, family: Family, use: str) -> BadRequest:
    return BadRequest(
        f"Key and {use} algorithm are incompatible. Key is of type '{row.wire_type}', and algorithm '{algorithm}' can "
        f"only be used with a key of type '{family.value}' or '{family.value}-HSM'."
    )
