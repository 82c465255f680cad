"""A key in a token, in use: the KeyHandle of both hard classes. Only how a key is loaded differs."""

from collections.abc import Callable, Sequence

from hsmvault.custody.loaded import LoadedKeys
from hsmvault.custody.steps import unusable
from hsmvault.custody.unpadders import Unpadders
from hsmvault.errors import BadRequest
from hsmvault.hsm import mechanisms
from hsmvault.hsm.mechanisms import Operation
from hsmvault.hsm.returncodes import StaleHandle
from hsmvault.hsm.work import KeyObject, WorkSession
from hsmvault.model.algorithms import EncryptionAlgorithm, KeySpec, SignatureAlgorithm


class TokenKey:
    """Implements KeyHandle. name: names key, row and reference in the caches. load: for the loader's thread."""

    __slots__ = ("_caches", "_load", "_name", "_spec", "_unpadders")

    def __init__(
        self,
        caches: Sequence[LoadedKeys],
        unpadders: Unpadders,
        spec: KeySpec,
        name: bytes,
        load: Callable[[WorkSession], KeyObject],
    ) -> None:
        self._caches = caches
        self._unpadders = unpadders
        self._spec = spec
        self._name = name
        self._load = load

    async def sign(self, algorithm: SignatureAlgorithm, digest: bytes) -> bytes:
        """See KeyHandle."""
        return await self._use(mechanisms.signing(self._spec, algorithm, digest), refusable=False)

    async def decrypt(self, algorithm: EncryptionAlgorithm, ciphertext: bytes) -> bytes:
        """See KeyHandle."""
        profile = self._cache().token.profile
        unpadder = None
        if algorithm.fits(self._spec) and mechanisms.needs_unpadder(algorithm, profile.oaep_hashes):
            if profile.oaep256_fallback == "refused":
                raise BadRequest(f"The algorithm {algorithm.name} is not supported by the HSM.")
            unpadder = await self._unpadders.get(self._spec.size_bits)
        operation = mechanisms.decrypting(self._spec, algorithm, ciphertext, unpadder)
        return await self._use(operation, refusable=True)

    def release(self) -> None:
        """See KeyHandle. The copy is destroyed behind the work that is queued."""
        for cache in self._caches:
            cache.forget(self._name)

    def _cache(self) -> LoadedKeys:
        for cache in self._caches:
            if cache.token.is_up:
                return cache
        return self._caches[0]

    async def _use(self, operation: Operation, *, refusable: bool) -> bytes:
        cache = self._cache()
        try:
            key = cache.get(self._name)
            if key is None:
                key = await cache.load(self._name, self._load)
            try:
                return await cache.token.run(_bound(operation, key), refusable=refusable)
            except StaleHandle:
                cache.forget(self._name)
                key = await cache.load(self._name, self._load)
                return await cache.token.run(_bound(operation, key), refusable=refusable)
        except StaleHandle as error:
            raise unusable("the token does not know a handle that it gave") from error


def _bound(operation: Operation, key: KeyObject) -> Callable[[WorkSession], bytes]:
    return lambda work: operation(work.bind(key))
