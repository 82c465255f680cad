"""Hard keys, resident: token objects that never leave, for worlds that are configured so or cannot lock a world key.

No backup: pack is refused. An intent is committed before an object is made, and goes with the commit of its row
(intents.py): after a crash in between, the next start destroys exactly the objects that left-over intents name
(app/reconciliation.py). Objects that nobody planned are only reported, and nobody destroys them by guess.

Creating token objects and searching exclude each other in this process: SoftHSM 2.6.1 fails now and then when both
run at once, and leaves an orphan (softhsm/SoftHSMv2#573). So that no search, and no first signature, waits for an RSA
key to be found, a key is generated as a session object and then moved into the token, which takes as long as writing.
"""

import logging
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding

from hsmvault.clock import Identifiers
from hsmvault.custody.intents import Intents
from hsmvault.custody.loaded import LoadedKeys
from hsmvault.custody.protocols import Binding, CustodyClass, HeldKey, KeyHandle, PrivateKeyMaterial
from hsmvault.custody.reference import FORMAT, ResidentReference, decode_resident
from hsmvault.custody.steps import Steps, cache_name, destroy_quietly, spec_bytes, translated, unusable
from hsmvault.custody.token_key import TokenKey
from hsmvault.custody.world import World, same_mac, world_mac
from hsmvault.errors import BadRequest, CiphertextRefused
from hsmvault.hsm import objects, token_objects
from hsmvault.hsm.objects import Stay
from hsmvault.hsm.pairwise import PairwiseFailed, prove
from hsmvault.hsm.returncodes import ModuleError, WrongAttributes
from hsmvault.hsm.work import KeyObject, WorkSession
from hsmvault.hsm.world_keys import CANARY_MESSAGE
from hsmvault.model.algorithms import KeySpec

LOG = logging.getLogger("hsmvault.custody")
LABEL = "hsmvault key"
_PURPOSE = "resident key"
_TRANSPORT_KEY_BYTES = 32
_ID_BYTES = 16


class ResidentCustodian:
    """Implements Custodian for CustodyClass.RESIDENT. The world's first token holds the keys."""

    custody = CustodyClass.RESIDENT

    def __init__(
        self,
        world: World,
        identifiers: Identifiers,
        intents: Intents,
        *,
        fault: Callable[[str], None] | None = None,
    ) -> None:
        """fault: see Steps."""
        self.world = world
        self.token = world.tokens[0]
        self.loaded = (LoadedKeys(self.token, None),)
        self._identifiers = identifiers
        self._intents = intents
        self._creating = threading.Lock()
        self._step = Steps(fault)

    async def generate(self, spec: KeySpec, binding: Binding) -> HeldKey:
        """See Custodian. Always in the generating thread: a token object takes 2 to 125 ms to write."""
        objects.require_served(self.token.profile, spec)
        stay = await self._plan()

        def job(work: WorkSession) -> HeldKey:
            pair = self._step("generate", lambda: objects.generate_pair(work, spec, objects.MOVING))
            with self._creating:
                private = self._step("move", lambda: objects.move_to_token(work, pair.private, spec, stay))
            return self._keep(work, private, stay, spec, pair.public, binding)

        return await self._made(translated(self.token.make, job), stay)

    async def admit(self, material: PrivateKeyMaterial, binding: Binding) -> HeldKey:
        """See Custodian. The key is opened as a session object first: a refused C_UnwrapKey leaves an unlabelled
        object behind on SoftHSM 2.6.1, and that one dies with its session.
        """
        spec, public = material.spec, material.public
        objects.require_served(self.token.profile, spec)
        stay = await self._plan()
        transport = self._identifiers.random(_TRANSPORT_KEY_BYTES)

        def job(work: WorkSession) -> HeldKey:
            wrapped = aes_key_wrap_with_padding(transport, material.encoded)
            key = self._step("transport", lambda: objects.create_transport_key(work, transport))
            try:
                trial = objects.unwrap_private(work, key, wrapped, spec, objects.WORKING_COPY, public)
                try:
                    prove(work, trial, spec, public)
                finally:
                    destroy_quietly(trial)
                with self._creating:
                    private = self._step(
                        "admit", lambda: objects.unwrap_private(work, key, wrapped, spec, stay, public)
                    )
            finally:
                self._step("destroy transport", lambda: destroy_quietly(key))
            return self._keep(work, private, stay, spec, public, binding)

        try:
            return await self._made(translated(self.token.make_of, job), stay)
        except CiphertextRefused as error:
            raise BadRequest("The key cannot be imported.", detail=error.detail) from error

    def open(self, held: HeldKey, binding: Binding) -> KeyHandle:
        """See Custodian."""
        assert held.custody is CustodyClass.RESIDENT
        return TokenKey(
            self.loaded,
            self.world.unpadders,
            held.spec,
            cache_name(held, binding),
            lambda work: self._load(work, held, binding),
        )

    async def pack(self, held: HeldKey, binding: Binding) -> bytes:
        """Never: the key cannot leave, so no backup of it exists."""
        raise BadRequest("The key is resident in the HSM and cannot be backed up or restored.")

    async def unpack(self, spec: KeySpec, public: bytes, packed: bytes, source: Binding, target: Binding) -> HeldKey:
        """Never; see pack."""
        raise BadRequest("The key is resident in the HSM and cannot be backed up or restored.")

    async def destroy(self, held: HeldKey, binding: Binding) -> None:
        """See Custodian. The intent of the destruction (Intents.give_up) goes when the object is gone."""
        token_id = decode_resident(held.reference).token_id
        for loaded in self.loaded:
            loaded.forget(cache_name(held, binding))
        await self.remove(token_id)

    async def remove(self, token_id: bytes) -> bool:
        """Destroy the object with this CKA_ID, and settle its intent. Returns whether there was one; that none is found
        is believed only while the token proves that it is well. Raises Unavailable, Throttled.
        """

        def job(work: WorkSession) -> bool:
            with self._creating:
                found = self._step("destroy", lambda: token_objects.destroy_private(work, token_id))
                if not found:
                    _require_token(work)
                return found > 0

        found = await translated(self.token.load, job)
        await self._intents.settle(token_id)
        return found

    async def objects(self) -> list[bytes]:
        """CKA_IDs of all private keys in the token, whoever made them. Raises Unavailable."""

        def job(work: WorkSession) -> list[bytes]:
            with self._creating:
                found = token_objects.private_ids(work)
                if not found:
                    _require_token(work)
                return found

        return await translated(self.token.load, job)

    async def _plan(self) -> Stay:
        """A new CKA_ID, and a durable intent that names it."""
        _ = self.token.world  # refuses while the token is down: nothing is planned that cannot be done
        stay = Stay(token_id=self._identifiers.random(_ID_BYTES), label=LABEL)
        assert stay.token_id is not None
        await self._intents.plan(stay.token_id)
        return stay

    async def _made(self, making: Awaitable[HeldKey], stay: Stay) -> HeldKey:
        """When it was not made, take back the intent; what cannot be taken back now is the next start's."""
        try:
            return await making
        except Exception:
            assert stay.token_id is not None
            try:
                await self.remove(stay.token_id)
            except Exception as error:
                LOG.warning("a key that was not made is left to the next start: %s", type(error).__name__)
            raise

    # -- in the threads ---------------------------------------------------------------------------------------------

    def _keep(
        self, work: WorkSession, private: KeyObject, stay: Stay, spec: KeySpec, public: bytes, binding: Binding
    ) -> HeldKey:
        """Prove the object, or destroy it."""
        assert stay.token_id is not None
        token_id = stay.token_id
        try:
            self._step("prove", lambda: prove(work, private, spec, public))
            mac = self._step("mac", lambda: world_mac(work, _PURPOSE, _message(binding, spec, public, token_id)))
        except (*ModuleError, PairwiseFailed):
            with suppress(*ModuleError), self._creating:
                token_objects.destroy_private(work, token_id)
            raise
        return HeldKey(self.custody, spec, public, msgspec.msgpack.encode(ResidentReference(FORMAT, token_id, mac)))

    def _load(self, work: WorkSession, held: HeldKey, binding: Binding) -> KeyObject:
        reference = decode_resident(held.reference)
        message = _message(binding, held.spec, held.public, reference.token_id)
        if not same_mac(world_mac(work, _PURPOSE, message), reference.mac):
            raise unusable("the reference does not belong to its row, or was changed")
        try:
            with self._creating:
                key = token_objects.find_private(work, held.spec, Stay(reference.token_id, LABEL))
            if key is None:
                raise unusable("the token does not show the key's object")
            prove(work, key, held.spec, held.public)
        except (WrongAttributes, PairwiseFailed) as error:
            raise unusable(f"{type(error).__name__}: {error}") from error
        return key


def _require_token(work: WorkSession) -> None:
    """Nothing was found: let the module's own error speak when it is the token that is gone."""
    assert work.world is not None
    world_mac(work, _PURPOSE, CANARY_MESSAGE)


def _message(binding: Binding, spec: KeySpec, public: bytes, token_id: bytes) -> bytes:
    return binding.encode(bytes([FORMAT]), spec_bytes(spec), public, token_id)
