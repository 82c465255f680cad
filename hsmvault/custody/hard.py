"""Hard keys, wrapped: made inside the token, kept in the database as a blob under the world key.

The token holds nothing between uses, so the row *is* the key: a crash leaves neither an orphan nor a dangling row,
and the number of keys is the database's business. A blob is bound to its row, public key and spec by a MAC made in
the token; it is checked before anything is unwrapped. On use the blob is unwrapped into a session object that can
sign and decrypt and never leaves (UNWRAP_TEMPLATE of the world key), and its handle is kept (loaded.py).
"""

from collections.abc import Callable
from functools import partial

import msgspec
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding

from hsmvault.clock import Identifiers
from hsmvault.custody.loaded import LoadedKeys
from hsmvault.custody.protocols import Binding, CustodyClass, HeldKey, KeyHandle, PrivateKeyMaterial
from hsmvault.custody.steps import Steps, cache_name, destroy_quietly, spec_bytes, translated, unusable
from hsmvault.custody.token_key import TokenKey
from hsmvault.custody.world import World, same_mac, world_mac
from hsmvault.errors import BadRequest, CiphertextRefused
from hsmvault.hsm import objects
from hsmvault.hsm.pairwise import prove
from hsmvault.hsm.returncodes import WrongAttributes
from hsmvault.hsm.work import KeyObject, WorkSession
from hsmvault.model.algorithms import Family, KeySpec

FORMAT = 1
_PURPOSE = "wrapped key"
_TRANSPORT_KEY_BYTES = 32


class WrappedReference(msgspec.Struct, frozen=True, array_like=True):
    """HeldKey.reference as MessagePack. mac: 32 bytes over the binding, spec, public key, world key id and blob."""

    format: int
    world_key_id: bytes
    blob: bytes
    mac: bytes


class WrappedCustodian:
    """Implements Custodian for CustodyClass.WRAPPED."""

    custody = CustodyClass.WRAPPED

    def __init__(
        self,
        world: World,
        identifiers: Identifiers,
        *,
        loaded_keys: int | None = None,
        fault: Callable[[str], None] | None = None,
    ) -> None:
        """loaded_keys: handles kept for each token; None for the profile's number. fault: see Steps."""
        self.world = world
        self.loaded = tuple(
            LoadedKeys(token, token.profile.loaded_keys if loaded_keys is None else loaded_keys)
            for token in world.tokens
        )
        self._identifiers = identifiers
        self._step = Steps(fault)

    async def generate(self, spec: KeySpec, binding: Binding) -> HeldKey:
        """See Custodian. RSA keys are made in a thread of their own; EC keys take no longer than a signature."""
        token = self.world.token()
        objects.require_served(token.profile, spec)

        def job(work: WorkSession) -> HeldKey:
            pair = self._step("generate", lambda: objects.generate_pair(work, spec, objects.LEAVING))
            return self._keep(work, pair.private, spec, pair.public, binding)

        return await translated(token.make if spec.family is Family.RSA else token.run_once, job)

    async def admit(self, material: PrivateKeyMaterial, binding: Binding) -> HeldKey:
        """See Custodian. The key enters the token wrapped under a fresh random key that lives for this one call."""
        token = self.world.token()
        spec = material.spec
        objects.require_served(token.profile, spec)
        transport = self._identifiers.random(_TRANSPORT_KEY_BYTES)

        def job(work: WorkSession) -> HeldKey:
            wrapped = aes_key_wrap_with_padding(transport, material.encoded)
            key = self._step("transport", lambda: objects.create_transport_key(work, transport))
            try:
                private = self._step(
                    "admit",
                    lambda: objects.unwrap_private(work, key, wrapped, spec, objects.LEAVING, material.public),
                )
            finally:
                self._step("destroy transport", lambda: objects.destroy(key))
            return self._keep(work, private, spec, material.public, binding)

        try:
            return await translated(token.admit, job)
        except CiphertextRefused as error:
            raise BadRequest("The key cannot be imported.", detail=error.detail) from error

    def open(self, held: HeldKey, binding: Binding) -> KeyHandle:
        """See Custodian."""
        assert held.custody is CustodyClass.WRAPPED
        return TokenKey(
            self.loaded,
            self.world.unpadders,
            held.spec,
            cache_name(held, binding),
            lambda work: self._load(work, held, binding),
        )

    async def pack(self, held: HeldKey, binding: Binding) -> bytes:
        """See Custodian. The reference itself: it opens wherever its world does."""
        reference = self._decode(held)
        await translated(self.world.token().run, lambda work: self._check_mac(work, held, reference, binding))
        return held.reference

    async def unpack(self, spec: KeySpec, public: bytes, packed: bytes, source: Binding, target: Binding) -> HeldKey:
        """See Custodian. The blob stays; the MAC for the new row is made after the old one was checked."""
        held = HeldKey(self.custody, spec, public, packed)
        reference = self._decode(held)

        def job(work: WorkSession) -> HeldKey:
            self._check_mac(work, held, reference, source)
            return self._held(work, spec, public, reference.blob, target)

        return await translated(self.world.token().run, job)

    async def destroy(self, held: HeldKey, binding: Binding) -> None:
        """See Custodian. Destroys working copies; the blob is the row's, and a backup of the database may have it."""
        for loaded in self.loaded:
            self._step("forget", partial(loaded.forget, cache_name(held, binding)))

    # -- in the threads ---------------------------------------------------------------------------------------------

    def _keep(self, work: WorkSession, private: KeyObject, spec: KeySpec, public: bytes, binding: Binding) -> HeldKey:
        """Wrap a fresh session object, destroy it, and prove that the blob alone brings the key back."""
        assert work.world is not None and work.world.world is not None
        world_key = work.world.world
        try:
            blob = self._step("wrap", lambda: objects.wrap(work, world_key, private))
        finally:
            self._step("destroy", lambda: destroy_quietly(private))
        copy = self._step(
            "unwrap",
            lambda: objects.unwrap_private(work, world_key, blob, spec, objects.WORKING_COPY, public),
        )
        try:
            self._step("prove", lambda: prove(work, copy, spec, public))
        finally:
            self._step("destroy copy", lambda: destroy_quietly(copy))
        return self._step("mac", lambda: self._held(work, spec, public, blob, binding))

    def _load(self, work: WorkSession, held: HeldKey, binding: Binding) -> KeyObject:
        reference = self._decode(held)
        self._check_mac(work, held, reference, binding)
        assert work.world is not None and work.world.world is not None
        try:
            return objects.unwrap_private(
                work, work.world.world, reference.blob, held.spec, objects.WORKING_COPY, held.public
            )
        except WrongAttributes as error:
            raise unusable(str(error)) from error

    def _held(self, work: WorkSession, spec: KeySpec, public: bytes, blob: bytes, binding: Binding) -> HeldKey:
        world_key_id = self.world.world_key_id
        mac = world_mac(work, _PURPOSE, _message(binding, spec, public, world_key_id, blob))
        reference = WrappedReference(FORMAT, world_key_id, blob, mac)
        return HeldKey(self.custody, spec, public, msgspec.msgpack.encode(reference))

    def _check_mac(self, work: WorkSession, held: HeldKey, reference: WrappedReference, binding: Binding) -> None:
        message = _message(binding, held.spec, held.public, reference.world_key_id, reference.blob)
        if not same_mac(world_mac(work, _PURPOSE, message), reference.mac):
            raise unusable("the blob does not belong to its row, or was changed")

    def _decode(self, held: HeldKey) -> WrappedReference:
        try:
            reference = msgspec.msgpack.decode(held.reference, type=WrappedReference)
        except msgspec.MsgspecError as error:
            raise unusable("the reference cannot be read") from error
        if reference.format != FORMAT:
            raise unusable(f"format {reference.format} of the reference is not known")
        if reference.world_key_id != self.world.world_key_id:
            raise unusable("the key is wrapped under another world key")
        return reference


def _message(binding: Binding, spec: KeySpec, public: bytes, world_key_id: bytes, blob: bytes) -> bytes:
    return binding.encode(bytes([FORMAT]), spec_bytes(spec), public, world_key_id, blob)
