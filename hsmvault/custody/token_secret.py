"""An oct key in a token, in use: one handle, and a loaded copy of its own for every use (hsm/secret_keys.py).

Each copy is loaded when its use is first asked for, and lives in the caches under the key's name with the use behind.
"""

from collections.abc import Callable, Sequence
from functools import partial

from hsmvault.custody.loaded import LoadedKeys
from hsmvault.custody.steps import Steps, destroy_quietly
from hsmvault.custody.token_key import LoadedHandle
from hsmvault.hsm import aes, mechanisms, secret_keys
from hsmvault.hsm.mechanisms import KeyJob, bound
from hsmvault.hsm.secret_keys import Use
from hsmvault.hsm.work import KeyObject, WorkSession
from hsmvault.model.algorithms import EncryptionAlgorithm, Family, KeySpec, SignatureAlgorithm


class TokenSecretKey(LoadedHandle):
    """Implements KeyHandle for oct keys. name: names key, row and reference. load: for the loader's thread."""

    __slots__ = ("_copies", "_spec")

    def __init__(
        self,
        caches: Sequence[LoadedKeys],
        spec: KeySpec,
        name: bytes,
        load: Callable[[Use, WorkSession], KeyObject],
    ) -> None:
        super().__init__(caches)
        self._spec = spec
        self._copies = {use: (_name(name, use), partial(load, use)) for use in secret_keys.uses(spec)}

    async def sign(self, algorithm: SignatureAlgorithm, digest: bytes) -> bytes:
        """See KeyHandle."""
        job = bound(mechanisms.signing(self._spec, algorithm, digest))
        return await self._use_copy(Use.MAC, job, refusable=False)

    async def encrypt(self, algorithm: EncryptionAlgorithm, plaintext: bytes, iv: bytes, aad: bytes) -> bytes:
        """See KeyHandle."""
        job = aes.encrypting(self._spec, algorithm, plaintext, iv, aad)
        return await self._use_copy(aes.use_of(algorithm), job, refusable=False)

    async def decrypt(
        self, algorithm: EncryptionAlgorithm, ciphertext: bytes, iv: bytes = b"", aad: bytes = b""
    ) -> bytes:
        """See KeyHandle."""
        job = aes.decrypting(self._spec, algorithm, ciphertext, iv, aad)
        use = aes.use_of(algorithm)
        return await self._use_copy(use, job, refusable=use is Use.MODES)  # key wrap is checked here, not there

    def release(self) -> None:
        """See KeyHandle. The copies are destroyed behind the work that is queued."""
        for name, _ in self._copies.values():
            self._forget(name)

    async def _use_copy(self, use: Use, job: KeyJob, *, refusable: bool) -> bytes:
        name, load = self._copies[use]
        return await self._use(name, load, job, refusable=refusable)


def copies(name: bytes, spec: KeySpec) -> list[bytes]:
    """The names under which the loaded copies of a key are kept; name: of the key. For key pairs it is the one."""
    return [_name(name, use) for use in secret_keys.uses(spec)] if spec.family is Family.OCT else [name]


def prove_copies(
    step: Steps, work: WorkSession, unwrapping: KeyObject, blob: bytes, spec: KeySpec, value: bytes
) -> None:
    """Open a fresh blob for every use that the key has, and prove that the copies are one key. value: the key's bytes,
    or b"" when only the token knows them. Nothing stays. Raises PairwiseFailed, WrongAttributes, or the module's error.
    """
    probes = {}
    for use in secret_keys.uses(spec):
        copy = step("unwrap", partial(secret_keys.unwrap_working, work, unwrapping, blob, spec, use))
        try:
            probes[use] = step("prove", partial(secret_keys.probe, work, copy, spec, use))
        finally:
            step("destroy copy", partial(destroy_quietly, copy))
    secret_keys.require_agreement(probes, spec, value)


def _name(name: bytes, use: Use) -> bytes:
    return name + use.value.encode()
