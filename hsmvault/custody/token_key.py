"""A key pair in a token, in use: the KeyHandle of both hard classes. Only how a key is loaded differs. For oct keys:
token_secret.py.
"""

from collections.abc import Callable, Sequence

from hsmvault.custody.loaded import LoadedKeys
from hsmvault.custody.steps import unusable
from hsmvault.custody.unpadders import Unpadders
from hsmvault.errors import BadRequest
from hsmvault.hsm import mechanisms
from hsmvault.hsm.mechanisms import KeyJob, bound
from hsmvault.hsm.returncodes import StaleHandle
from hsmvault.hsm.work import KeyObject, WorkSession
from hsmvault.model.algorithms import EncryptionAlgorithm, KeySpec, SignatureAlgorithm


class LoadedHandle:
    """What every handle of a hard key does: it finds the copy that is loaded, or loads it, and uses it in a token that
    is up.
    """

    __slots__ = ("_caches",)

    def __init__(self, caches: Sequence[LoadedKeys]) -> None:
        self._caches = caches

    def _cache(self) -> LoadedKeys:
        for cache in self._caches:
            if cache.token.is_up:
                return cache
        return self._caches[0]

    def _forget(self, name: bytes) -> None:
        for cache in self._caches:
            cache.forget(name)

    async def _use(
        self, name: bytes, load: Callable[[WorkSession], KeyObject], job: KeyJob, *, refusable: bool
    ) -> bytes:
        cache = self._cache()
        try:
            key = cache.get(name)
            if key is None:
                key = await cache.load(name, load)
            try:
                return await cache.token.run(_with(job, key), refusable=refusable)
            except StaleHandle:
                cache.forget(name)
                key = await cache.load(name, load)
                return await cache.token.run(_with(job, key), refusable=refusable)
        except StaleHandle as error:
            raise unusable("the token does not know a handle that it gave") from error


class TokenKey(LoadedHandle):
    """Implements KeyHandle. name: names key, row and reference in the caches. load: for the loader's thread."""

    __slots__ = ("_load", "_name", "_spec", "_unpadders")

    def __init__(
        self,
        caches: Sequence[LoadedKeys],
        unpadders: Unpadders,
        spec: KeySpec,
        name: bytes,
        load: Callable[[WorkSession], KeyObject],
    ) -> None:
        super().__init__(caches)
        self._unpadders = unpadders
        self._spec = spec
        self._name = name
        self._load = load

    async def sign(self, algorithm: SignatureAlgorithm, digest: bytes) -> bytes:
        """See KeyHandle."""
        job = bound(mechanisms.signing(self._spec, algorithm, digest))
        return await self._use(self._name, self._load, job, refusable=False)

    async def encrypt(self, algorithm: EncryptionAlgorithm, plaintext: bytes, iv: bytes, aad: bytes) -> bytes:
        """See KeyHandle: with a key pair, encryption needs the public key alone."""
        raise BadRequest(f"The algorithm {algorithm.name} does not fit the key.")

    async def decrypt(
        self, algorithm: EncryptionAlgorithm, ciphertext: bytes, iv: bytes = b"", aad: bytes = b""
    ) -> bytes:
        """See KeyHandle."""
        profile = self._cache().token.profile
        unpadder = None
        if algorithm.fits(self._spec) and mechanisms.needs_unpadder(algorithm, profile.oaep_hashes):
            if profile.oaep256_fallback == "refused":
                raise BadRequest(f"The algorithm {algorithm.name} is not supported by the HSM.")
            unpadder = await self._unpadders.get(self._spec.size_bits)
        job = bound(mechanisms.decrypting(self._spec, algorithm, ciphertext, unpadder))
        return await self._use(self._name, self._load, job, refusable=True)

    def release(self) -> None:
        """See KeyHandle. The copy is destroyed behind the work that is queued."""
        self._forget(self._name)


def _with(job: KeyJob, key: KeyObject) -> Callable[[WorkSession], bytes]:
    return lambda work: job(work, key)
