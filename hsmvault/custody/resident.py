"""Hard keys, resident: token objects that never leave, for worlds that are configured so or cannot lock a world key.

No backup: pack is refused. An intent is committed before an object is made, and goes with the commit of its row
(intents.py): after a crash in between, the next start destroys exactly the objects that left-over intents name
(app/reconciliation.py). Objects that nobody planned are only reported, and nobody destroys them by guess.

Creating token objects and searching exclude each other in this process: SoftHSM 2.6.1 fails now and then when both
run at once, and leaves an orphan (softhsm/SoftHSMv2#573). Among processes one writes at a time, and looks first
(hsm/token_objects.py). So that no search, no first signature and no other process waits for an RSA key to be found, a
key is generated as a session object and then moved into the token, which takes as long as writing.
"""

import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import msgspec
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding

from hsmvault.clock import Identifiers
from hsmvault.custody import byok
from hsmvault.custody.attestation import NOBODY, Attestor, Opened, Subject
from hsmvault.custody.intents import Intents
from hsmvault.custody.loaded import LoadedKeys
from hsmvault.custody.protocols import (
    NOT_DISCLOSED,
    PLAIN,
    Attestation,
    Binding,
    CustodyClass,
    HeldKey,
    KeyHandle,
    PrivateKeyMaterial,
    Terms,
)
from hsmvault.custody.reference import FORMAT, Origin, ResidentReference, decode_resident
from hsmvault.custody.steps import Steps, cache_name, cache_names, destroy_quietly, translated, unusable
from hsmvault.custody.terms import check_terms, prove_use, require_use
from hsmvault.custody.token_key import TokenKey
from hsmvault.custody.world import World, same_mac, world_mac
from hsmvault.errors import BadRequest, CiphertextRefused, Unavailable
from hsmvault.hsm import objects, session_aes, token_objects
from hsmvault.hsm.objects import Stay
from hsmvault.hsm.pairwise import PairwiseFailed
from hsmvault.hsm.returncodes import ModuleError, WrongAttributes
from hsmvault.hsm.work import KeyObject, WorkSession
from hsmvault.hsm.world_keys import CANARY_MESSAGE
from hsmvault.model.algorithms import Curve, Family, Hash, KeySpec

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
        attestor: Attestor = NOBODY,
        fault: Callable[[str], None] | None = None,
    ) -> None:
        """attestor: of the same world. fault: see Steps."""
        self.world = world
        self._attestor = attestor
        self.token = world.tokens[0]
        self.loaded = (LoadedKeys(self.token, None),)
        self._identifiers = identifiers
        self._intents = intents
        self._creating = threading.Lock()
        self._step = Steps(fault)

    async def generate(self, spec: KeySpec, binding: Binding, terms: Terms = PLAIN) -> HeldKey:
        """See Custodian. Always in the generating thread: a token object takes 2 to 125 ms to write."""
        objects.require_served(self.token.profile, spec)
        _check_terms(spec.family, terms)
        stay = await self._plan(terms)
        draft = Stay(moves=True, exchange=terms.exchange)

        def job(work: WorkSession) -> HeldKey:
            pair = self._step("generate", lambda: objects.generate_pair(work, spec, draft))
            with self._writing(work):
                private = self._step("move", lambda: objects.move_to_token(work, pair.private, spec, stay))
            return self._keep(work, private, stay, spec, pair.public, binding, Origin.GENERATED, terms)

        return await self._made(translated(self.token.make, job), stay)

    async def admit(self, material: PrivateKeyMaterial, binding: Binding, terms: Terms = PLAIN) -> HeldKey:
        """See Custodian. The key is opened as a session object first: a refused C_UnwrapKey leaves an unlabelled
        object behind on SoftHSM 2.6.1, and that one dies with its session.
        """
        spec, public = material.spec, material.public
        objects.require_served(self.token.profile, spec)
        _check_terms(spec.family, terms)
        stay = await self._plan(terms)
        transport = self._identifiers.random(_TRANSPORT_KEY_BYTES)

        def job(work: WorkSession) -> HeldKey:
            wrapped = aes_key_wrap_with_padding(transport, material.encoded)
            key = self._step("transport", lambda: session_aes.create_transport_key(work, transport))
            try:
                trial = objects.unwrap_private(work, key, wrapped, spec, Stay(exchange=terms.exchange), public)
                try:
                    prove_use(work, trial, spec, public, terms)
                finally:
                    destroy_quietly(trial)
                with self._writing(work):
                    private = self._step(
                        "admit", lambda: objects.unwrap_private(work, key, wrapped, spec, stay, public)
                    )
            finally:
                self._step("destroy transport", lambda: destroy_quietly(key))
            return self._keep(work, private, stay, spec, public, binding, Origin.IMPORTED, terms)

        try:
            return await self._made(translated(self.token.make_of, job), stay)
        except CiphertextRefused as error:
            raise BadRequest("The key cannot be imported.", detail=error.detail) from error

    async def admit_wrapped(
        self,
        exchange: HeldKey,
        exchange_binding: Binding,
        family: Family,
        curve: Curve | None,
        wrapped: bytes,
        binding: Binding,
        terms: Terms = PLAIN,
    ) -> HeldKey:
        """See Custodian, and byok.py. The key is opened as a session object first, and proved."""
        if family is Family.OCT:
            raise BadRequest(objects.NO_RESIDENT_OCT)
        _check_terms(family, terms)
        parcel = byok.parcel(exchange, self.custody, family, curve, wrapped)
        stay = await self._plan(terms)

        def job(work: WorkSession) -> HeldKey:
            with work.aside() as side:
                kek = self._exchange_key(side, exchange, exchange_binding)
                ephemeral = byok.unwrap_ephemeral(side, self._step, kek, parcel)
                trial = byok.unwrap_target(side, self._step, ephemeral, parcel, Stay(exchange=terms.exchange))
                spec, public = trial.spec, trial.public
                prove_use(side, trial.private, spec, public, terms)
                with self._writing(side):
                    private = self._step(
                        "admit", lambda: objects.unwrap_private(side, ephemeral, parcel.target, spec, stay, public)
                    )
                return self._keep(side, private, stay, spec, public, binding, Origin.IMPORTED_WRAPPED, terms)

        return await self._made(byok.admitted(self.token.make_of, job), stay)

    async def export(self, held: HeldKey, binding: Binding, recipient: bytes, oaep: Hash) -> bytes:
        """Never: the key cannot leave."""
        raise BadRequest("A key that is resident in the HSM cannot be exported.")

    def open(self, held: HeldKey, binding: Binding, *, secure: bool = False) -> KeyHandle:
        """See Custodian."""
        assert held.custody is CustodyClass.RESIDENT
        return TokenKey(
            self.loaded,
            self.world.unpadders,
            held.spec,
            cache_name(held, binding, secure=secure),
            lambda work: self._load(work, held, binding, secure),
        )

    async def disclose(self, held: HeldKey, binding: Binding) -> PrivateKeyMaterial:
        """Never: the key cannot leave."""
        raise BadRequest(NOT_DISCLOSED)

    async def attest(self, held: HeldKey, binding: Binding) -> Attestation:
        """See Custodian, and attestation.py. Of the token object itself."""
        reference = decode_resident(held.reference)

        def opened(work: WorkSession) -> Opened:
            _check_mac(work, held, reference, binding)
            key = self._find(work, held, reference)  # which proves it
            return Opened([("key exchange" if reference.exchange else "key", key)], proved=True)

        subject = Subject(held, binding, reference.origin, reference.terms)
        return await self._attestor.attest(self.token, subject, opened)

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
            for name in cache_names(held, binding):
                loaded.forget(name)
        await self.remove(token_id)

    async def remove(self, token_id: bytes) -> bool:
        """Destroy the object with this CKA_ID, and settle its intent. Returns whether there was one; that none is found
        is believed only while the token proves that it is well. Raises Unavailable, Throttled.
        """

        def job(work: WorkSession) -> bool:
            with self._writing(work):
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

    async def _plan(self, terms: Terms) -> Stay:
        """A new CKA_ID, and a durable intent that names it."""
        await self.token.awake()  # refuses while the token is down: nothing is planned that cannot be done
        stay = Stay(token_id=self._identifiers.random(_ID_BYTES), label=LABEL, exchange=terms.exchange)
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

    @contextmanager
    def _writing(self, work: WorkSession) -> Iterator[None]:
        """Alone in this process, and among those that have the token."""
        with self._creating, token_objects.writing(self.token.module, work):
            yield

    def _keep(
        self,
        work: WorkSession,
        private: KeyObject,
        stay: Stay,
        spec: KeySpec,
        public: bytes,
        binding: Binding,
        origin: Origin,
        terms: Terms,
    ) -> HeldKey:
        """Prove the object, or destroy it."""
        assert stay.token_id is not None
        token_id = stay.token_id
        held = HeldKey(self.custody, spec, public, b"")
        reference = ResidentReference(FORMAT, token_id, b"", origin, terms.exchange, terms.secure)
        try:
            self._step("prove", lambda: prove_use(work, private, spec, public, reference.terms))
            mac = self._step("mac", lambda: world_mac(work, _PURPOSE, reference.message(held, binding)))
        except (*ModuleError, PairwiseFailed):
            with suppress(*ModuleError, Unavailable), self._writing(work):
                token_objects.destroy_private(work, token_id)
            raise
        return replace(held, reference=msgspec.msgpack.encode(msgspec.structs.replace(reference, mac=mac)))

    def _load(self, work: WorkSession, held: HeldKey, binding: Binding, secure: bool) -> KeyObject:
        """A key that signs and decrypts."""
        reference = decode_resident(held.reference)
        _check_mac(work, held, reference, binding)
        require_use(reference.terms, secure=secure)
        return self._find(work, held, reference)

    def _exchange_key(self, work: WorkSession, held: HeldKey, binding: Binding) -> KeyObject:
        """The token object that unwraps."""
        reference = decode_resident(held.reference)
        _check_mac(work, held, reference, binding)
        byok.require_exchange(reference.terms)
        return self._find(work, held, reference)

    def _find(self, work: WorkSession, held: HeldKey, reference: ResidentReference) -> KeyObject:
        try:
            with self._creating:
                stay = Stay(reference.token_id, LABEL, exchange=reference.exchange)
                key = token_objects.find_private(work, held.spec, stay)
            if key is None:
                raise unusable("the token does not show the key's object")
            prove_use(work, key, held.spec, held.public, reference.terms)
        except (WrongAttributes, PairwiseFailed) as error:
            raise unusable(f"{type(error).__name__}: {error}") from error
        return key


def _require_token(work: WorkSession) -> None:
    """Nothing was found: let the module's own error speak when it is the token that is gone."""
    assert work.world is not None
    world_mac(work, _PURPOSE, CANARY_MESSAGE)


def _check_mac(work: WorkSession, held: HeldKey, reference: ResidentReference, binding: Binding) -> None:
    if not same_mac(world_mac(work, _PURPOSE, reference.message(held, binding)), reference.mac):
        raise unusable("the reference does not belong to its row, or was changed")


def _check_terms(family: Family, terms: Terms) -> None:
    check_terms(family, terms)
    if terms.exportable:
        raise BadRequest("A key that is resident in the HSM cannot be exportable.")
