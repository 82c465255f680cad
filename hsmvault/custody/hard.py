"""Hard keys, wrapped: made inside the token, kept in the database as a blob under the world key.

The token holds nothing between uses, so the row *is* the key: a crash leaves neither an orphan nor a dangling row,
and the number of keys is the database's business. A blob is bound to its row, public key and spec by a MAC made in
the token; it is checked before anything is unwrapped. On use the blob is unwrapped into a session object that can
sign and decrypt and never leaves (UNWRAP_TEMPLATE of the world key), and its handle is kept (loaded.py).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import msgspec
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding

from hsmvault.clock import Identifiers
from hsmvault.custody import byok
from hsmvault.custody.attestation import NOBODY, Attestor, Opened, Subject
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
from hsmvault.custody.reference import FORMAT, Origin, WrappedReference, decode_wrapped
from hsmvault.custody.steps import Steps, cache_name, cache_names, destroy_quietly, translated, unusable
from hsmvault.custody.terms import check_terms, prove_use, require_use
from hsmvault.custody.token_key import TokenKey
from hsmvault.custody.token_secret import TokenSecretKey, copies, prove_copies
from hsmvault.custody.world import World, same_mac, world_mac
from hsmvault.errors import BadRequest, CiphertextRefused
from hsmvault.hsm import export, objects, secret_keys, session_aes
from hsmvault.hsm.objects import Stay
from hsmvault.hsm.profile import Profile
from hsmvault.hsm.returncodes import WrongAttributes
from hsmvault.hsm.secret_keys import Use
from hsmvault.hsm.work import KeyObject, WorkSession
from hsmvault.hsm.world_keys import EXPORT_KEY, WORLD_KEY, locate
from hsmvault.model.algorithms import Curve, Family, Hash, KeySpec

_PURPOSE = "wrapped key"
_TRANSPORT_KEY_BYTES = 32


class WrappedCustodian:
    """Implements Custodian for CustodyClass.WRAPPED."""

    custody = CustodyClass.WRAPPED

    def __init__(
        self,
        world: World,
        identifiers: Identifiers,
        *,
        loaded_keys: int | None = None,
        attestor: Attestor = NOBODY,
        fault: Callable[[str], None] | None = None,
    ) -> None:
        """loaded_keys: handles kept for each token; None for the profile's number. attestor: of the same world.
        fault: see Steps.
        """
        self.world = world
        self._attestor = attestor
        self.loaded = tuple(
            LoadedKeys(token, token.profile.loaded_keys if loaded_keys is None else loaded_keys)
            for token in world.tokens
        )
        self._identifiers = identifiers
        self._step = Steps(fault)

    async def generate(self, spec: KeySpec, binding: Binding, terms: Terms = PLAIN) -> HeldKey:
        """See Custodian. RSA keys are made in a thread of their own; others take no longer than a signature."""
        token = self.world.token()
        _require_served(token.profile, spec)
        made = self._made(spec.family, terms, Origin.GENERATED)

        def job(work: WorkSession) -> HeldKey:
            if spec.family is Family.OCT:
                secret = self._step("generate", lambda: secret_keys.generate(work, spec, made.stay))
                return self._keep(work, secret, spec, b"", binding, made)
            pair = self._step("generate", lambda: objects.generate_pair(work, spec, made.stay))
            return self._keep(work, pair.private, spec, pair.public, binding, made)

        return await translated(token.make if spec.family is Family.RSA else token.run_once, job)

    async def admit(self, material: PrivateKeyMaterial, binding: Binding, terms: Terms = PLAIN) -> HeldKey:
        """See Custodian. The key enters the token wrapped under a fresh random key that lives for this one call."""
        token = self.world.token()
        spec = material.spec
        _require_served(token.profile, spec)
        if spec.family is Family.OCT and 8 * len(material.encoded) != spec.size_bits:
            raise BadRequest("The key cannot be imported.", detail="length of an oct key")
        made = self._made(spec.family, terms, Origin.IMPORTED)
        transport = self._identifiers.random(_TRANSPORT_KEY_BYTES)

        def job(work: WorkSession) -> HeldKey:
            wrapped = aes_key_wrap_with_padding(transport, material.encoded)
            key = self._step("transport", lambda: session_aes.create_transport_key(work, transport))
            try:
                private = self._step("admit", lambda: _unwrap_leaving(work, key, wrapped, material, made.stay))
            finally:
                self._step("destroy transport", lambda: objects.destroy(key))
            value = material.encoded if spec.family is Family.OCT else b""
            return self._keep(work, private, spec, material.public, binding, made, value)

        try:
            return await translated(token.admit, job)
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
        """See Custodian, and byok.py."""
        made = self._made(family, terms, Origin.IMPORTED_WRAPPED)
        parcel = byok.parcel(exchange, self.custody, family, curve, wrapped)

        def job(work: WorkSession) -> HeldKey:
            with work.aside() as side:
                kek = self._step("unwrap exchange", lambda: self._exchange_key(side, exchange, exchange_binding))
                ephemeral = byok.unwrap_ephemeral(side, self._step, kek, parcel)
                arrived = byok.unwrap_target(side, self._step, ephemeral, parcel, made.stay)
                return self._keep(side, arrived.private, arrived.spec, arrived.public, binding, made)

        return await byok.admitted(self.world.token().make_of, job)

    async def export(self, held: HeldKey, binding: Binding, recipient: bytes, oaep: Hash) -> bytes:
        """See Custodian, and hsm/export.py: where the token lacks this OAEP, the AES key passes through memory."""
        to = export.recipient(recipient, oaep)
        transport = self._identifiers.random(_TRANSPORT_KEY_BYTES)
        reference = decode_wrapped(held.reference)

        def job(work: WorkSession) -> bytes:
            _check_mac(work, held, reference, binding)
            if not reference.exportable:
                raise BadRequest("The key is not exportable.")
            export_key = locate(work, EXPORT_KEY, reference.export_key_id)
            with work.aside() as side:
                target = self._step(
                    "unwrap for export",
                    lambda: export.unwrap(side, export_key, reference.export_blob, held.spec, held.public),
                )
                return self._step("export", lambda: export.wrap_for(side, target, to, transport))

        return await translated(self.world.token().run_once, job)

    def open(self, held: HeldKey, binding: Binding, *, secure: bool = False) -> KeyHandle:
        """See Custodian."""
        assert held.custody is CustodyClass.WRAPPED
        name = cache_name(held, binding, secure=secure)
        if held.spec.family is Family.OCT:
            return TokenSecretKey(
                self.loaded, held.spec, name, lambda use, work: self._load_secret(work, held, binding, use, secure)
            )
        return TokenKey(
            self.loaded,
            self.world.unpadders,
            held.spec,
            name,
            lambda work: self._load(work, held, binding, secure),
        )

    async def disclose(self, held: HeldKey, binding: Binding) -> PrivateKeyMaterial:
        """Never: the key is not in the clear outside the token."""
        raise BadRequest(NOT_DISCLOSED)

    async def attest(self, held: HeldKey, binding: Binding) -> Attestation:
        """See Custodian, and attestation.py. Of working copies that are made and gone with this act."""
        reference = decode_wrapped(held.reference)

        def opened(work: WorkSession) -> Opened:
            _check_mac(work, held, reference, binding)
            world_key = locate(work, WORLD_KEY, reference.world_key_id)
            if held.spec.family is Family.OCT:
                uses = secret_keys.uses(held.spec)
                return Opened(
                    [
                        (use.value, secret_keys.unwrap_working(work, world_key, reference.blob, held.spec, use))
                        for use in uses
                    ],
                    proved=False,
                )
            stay = _working_copy(reference.terms)
            copy = objects.unwrap_private(work, world_key, reference.blob, held.spec, stay, held.public)
            prove_use(work, copy, held.spec, held.public, reference.terms)
            return Opened([("key exchange" if reference.exchange else "key", copy)], proved=True)

        subject = Subject(held, binding, reference.origin, reference.terms, reference.world_key_id)
        return await self._attestor.attest(self.world.token(), subject, opened)

    async def pack(self, held: HeldKey, binding: Binding) -> bytes:
        """See Custodian. The reference itself: it opens wherever its world does."""
        reference = decode_wrapped(held.reference)
        await translated(self.world.token().run, lambda work: _check_mac(work, held, reference, binding))
        return held.reference

    async def unpack(self, spec: KeySpec, public: bytes, packed: bytes, source: Binding, target: Binding) -> HeldKey:
        """See Custodian. The blobs stay, under the keys that they are under; the MAC for the new row is made after the
        old one was checked.
        """
        held = HeldKey(self.custody, spec, public, packed)
        reference = decode_wrapped(held.reference)

        def job(work: WorkSession) -> HeldKey:
            _check_mac(work, held, reference, source)
            return _bound(work, held, msgspec.structs.replace(reference, format=FORMAT), target)

        return await translated(self.world.token().run, job)

    async def destroy(self, held: HeldKey, binding: Binding) -> None:
        """See Custodian. Destroys working copies; the blob is the row's, and a backup of the database may have it."""
        for loaded in self.loaded:
            for name in cache_names(held, binding):
                for copy in copies(name, held.spec):
                    self._step("forget", partial(loaded.forget, copy))

    # -- in the threads ---------------------------------------------------------------------------------------------

    def _keep(
        self,
        work: WorkSession,
        private: KeyObject,
        spec: KeySpec,
        public: bytes,
        binding: Binding,
        made: "_Made",
        value: bytes = b"",
    ) -> HeldKey:
        """Wrap a fresh session object, destroy it, and prove that the blob alone brings the key back. value: the bytes
        of an oct key that came in the clear.
        """
        world_key_id = self.world.world_key_id
        world_key = locate(work, WORLD_KEY, world_key_id)
        export_blob = b""
        try:
            blob = self._step("wrap", lambda: objects.wrap(work, world_key, private))
            if made.export_key_id:
                export_key = locate(work, EXPORT_KEY, made.export_key_id)
                export_blob = self._step("wrap for export", lambda: objects.wrap(work, export_key, private))
        finally:
            self._step("destroy", lambda: destroy_quietly(private))
        if spec.family is Family.OCT:
            prove_copies(self._step, work, world_key, blob, spec, value)
        else:
            self._prove_pair(work, world_key, blob, spec, public, made.terms)
        if export_blob:
            leaving = self._step(
                "unwrap for export", lambda: export.unwrap(work, export_key, export_blob, spec, public)
            )
            self._step("destroy for export", lambda: destroy_quietly(leaving))
        held = HeldKey(self.custody, spec, public, b"")
        reference = WrappedReference(
            FORMAT,
            world_key_id,
            blob,
            b"",
            made.origin,
            made.terms.exchange,
            made.terms.exportable,
            made.export_key_id,
            export_blob,
            made.terms.secure,
        )
        return self._step("mac", lambda: _bound(work, held, reference, binding))

    def _prove_pair(
        self, work: WorkSession, world_key: KeyObject, blob: bytes, spec: KeySpec, public: bytes, terms: Terms
    ) -> None:
        copy = self._step(
            "unwrap",
            lambda: objects.unwrap_private(work, world_key, blob, spec, _working_copy(terms), public),
        )
        try:
            self._step("prove", lambda: prove_use(work, copy, spec, public, terms))
        finally:
            self._step("destroy copy", lambda: destroy_quietly(copy))

    def _load(self, work: WorkSession, held: HeldKey, binding: Binding, secure: bool) -> KeyObject:
        """A working copy that signs and decrypts."""
        reference = decode_wrapped(held.reference)
        _check_mac(work, held, reference, binding)
        require_use(reference.terms, secure=secure)
        try:
            return objects.unwrap_private(
                work,
                locate(work, WORLD_KEY, reference.world_key_id),
                reference.blob,
                held.spec,
                objects.WORKING_COPY,
                held.public,
            )
        except WrongAttributes as error:
            raise unusable(str(error)) from error

    def _load_secret(self, work: WorkSession, held: HeldKey, binding: Binding, use: Use, secure: bool) -> KeyObject:
        """A working copy of an oct key for one use."""
        reference = decode_wrapped(held.reference)
        _check_mac(work, held, reference, binding)
        require_use(reference.terms, secure=secure)
        world_key = locate(work, WORLD_KEY, reference.world_key_id)
        try:
            return secret_keys.unwrap_working(work, world_key, reference.blob, held.spec, use)
        except WrongAttributes as error:
            raise unusable(str(error)) from error

    def _exchange_key(self, work: WorkSession, held: HeldKey, binding: Binding) -> KeyObject:
        """A working copy that unwraps."""
        reference = decode_wrapped(held.reference)
        _check_mac(work, held, reference, binding)
        byok.require_exchange(reference.terms)
        world_key = locate(work, WORLD_KEY, reference.world_key_id)
        stay = _working_copy(reference.terms)
        return objects.unwrap_private(work, world_key, reference.blob, held.spec, stay, held.public)

    def _made(self, family: Family, terms: Terms, origin: Origin) -> "_Made":
        """Raises BadRequest when the terms are not served."""
        check_terms(family, terms)
        export_key_id = b""
        if terms.exportable:
            export_key_id = self.world.tokens[0].ids.export or b""
            if not export_key_id:
                raise BadRequest("Exportable keys are not offered here.")
        return _Made(terms, origin, export_key_id)


@dataclass(frozen=True, slots=True)
class _Made:
    """How a key is made. export_key_id: empty unless it is exportable."""

    terms: Terms
    origin: Origin
    export_key_id: bytes

    @property
    def stay(self) -> Stay:
        """Of the session object that is to be wrapped."""
        return Stay(leaves=True, exchange=self.terms.exchange, exportable=self.terms.exportable)


def _require_served(profile: Profile, spec: KeySpec) -> None:
    if spec.family is Family.OCT:
        secret_keys.require_served(profile, spec)
    else:
        objects.require_served(profile, spec)


def _unwrap_leaving(
    work: WorkSession, transport: KeyObject, wrapped: bytes, material: PrivateKeyMaterial, stay: Stay
) -> KeyObject:
    """The key that came in, as a session object that is to be wrapped."""
    if material.spec.family is Family.OCT:
        return secret_keys.unwrap_leaving(work, transport, wrapped, secret_keys.key_type(material.spec), stay)
    return objects.unwrap_private(work, transport, wrapped, material.spec, stay, material.public)


def _working_copy(terms: Terms) -> Stay:
    return Stay(exchange=terms.exchange)


def _bound(work: WorkSession, held: HeldKey, reference: WrappedReference, binding: Binding) -> HeldKey:
    """The key with this reference, whose MAC is made here."""
    mac = world_mac(work, _PURPOSE, reference.message(held, binding))
    encoded = msgspec.msgpack.encode(msgspec.structs.replace(reference, mac=mac))
    return replace(held, reference=encoded)


def _check_mac(work: WorkSession, held: HeldKey, reference: WrappedReference, binding: Binding) -> None:
    if not same_mac(world_mac(work, _PURPOSE, reference.message(held, binding)), reference.mac):
        raise unusable("the blob does not belong to its row, or was changed")
