"""Acts of preparation, never of a running server: initialise a token, make the keys of a world.

A locked, trusted world key. CKA_TRUSTED can be set by the security officer alone, whose session sees and makes only
public objects, and a public token object would lie on SoftHSM's disk in the clear. So the key is made as a public
*session* object under the officer's login, survives the change of login on the same session, and is copied by the
user into a private token object with MODIFIABLE=0 as the last attribute. The key is never on disk in the clear and
never outside the token. All steps block; PINs come as Pin, never on a command line.

Source: PKCS#11 2.40, 5.4 (C_InitToken), 5.6 (C_Login), 10.1.2 (CKA_TRUSTED), 10.4 (CKA_UNWRAP_TEMPLATE).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import cast

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass

from hsmvault.errors import HsmRefusal
from hsmvault.hsm.module import Module, PinRefused, TokenSelector
from hsmvault.hsm.objects import Pair, Template, find
from hsmvault.hsm.pin import Pin
from hsmvault.hsm.public import CURVE_OID, ec_spki
from hsmvault.hsm.raw import CKU_SO, CKU_USER
from hsmvault.hsm.returncodes import ModuleError, Verdict, describe, judge
from hsmvault.hsm.work import WorkSession
from hsmvault.hsm.world_keys import (
    ATTESTATION_KEY,
    EXPORT_KEY,
    MAC_KEY,
    SYSTEM_KEY,
    UNWRAP_TEMPLATE,
    WORLD_KEY,
    WorldIds,
    WorldKey,
    nested_template,
    problems,
)


def initialise_token(module: Module, label: str, *, so_pin: Pin, user_pin: Pin) -> str:
    """C_InitToken and C_InitPIN on a free slot. Returns the serial number of the new token.

    label: at most 32 bytes. Refuses a label that a token has already. Not for real HSMs with a procedure of their
    own. The module is initialised anew on the way: SoftHSM gives the token another slot then.
    """
    if len(label.encode()) > 32:
        raise HsmRefusal("The token's label must be at most 32 bytes long.")
    if any(token.label == label for token in module.tokens()):
        raise HsmRefusal(f"A token '{label}' is there already; it is not initialised again.")
    known = {token.serial for token in module.tokens()}
    try:
        module.raw.init_token(module.free_slot(), bytes(so_pin), label)
        module.reinitialize()
        token = next(t for t in module.tokens() if t.label == label and t.serial not in known)
        session = module.raw.open_session(token.slot.slot_id)
        try:
            module.raw.login(session, CKU_SO, bytes(so_pin))
            module.raw.init_pin(session, bytes(user_pin))
            module.raw.logout(session)
        finally:
            module.raw.close_session(session)
    except ModuleError as error:
        raise HsmRefusal(f"The token cannot be initialised ({describe(error)}).") from error
    return token.serial.decode(errors="replace")


def wipe_token(module: Module, selector: TokenSelector, *, so_pin: Pin, user_pin: Pin) -> None:
    """C_InitToken on a token that is there, and C_InitPIN: everything on it is destroyed, what may not be destroyed
    one by one too. The label stays. Blocks.

    Only where the officer's PIN is the installation's own, and the token too: real HSMs have a procedure of their own.
    No session may be open on it in this process; another process that has it sees no object any more, and takes the
    user's PIN for a wrong one until it initialises the module anew (SoftHSM 2.6.1).
    Raises HsmRefusal; nothing is wiped then, or all of it.
    """
    try:
        token = module.find_token(selector)
        slot = token.slot.slot_id
        module.raw.init_token(slot, bytes(so_pin), token.label)
        session = module.raw.open_session(slot)
        try:
            module.raw.login(session, CKU_SO, bytes(so_pin))
            module.raw.init_pin(session, bytes(user_pin))
            module.raw.logout(session)
        finally:
            module.raw.close_session(session)
    except pkcs11.NoSuchToken as error:
        raise HsmRefusal(f"No token {selector} is there, so that nothing on it could be destroyed.") from error
    except ModuleError as error:
        raise HsmRefusal(f"The token {selector} cannot be wiped ({describe(error)}).") from error


def destroy_world_keys(work: WorkSession) -> list[str]:
    """Every key of a world on a token that is the world's own, as far as the token allows it. Blocks.

    Returns the names of those that are still there.
    """
    left: list[str] = []
    for key in (SYSTEM_KEY, ATTESTATION_KEY, EXPORT_KEY, WORLD_KEY, MAC_KEY):
        search = {Attribute.CLASS: key.object_class, Attribute.LABEL: key.label}
        _undo(list(work.session.get_objects(search)))
        if list(work.session.get_objects(search)):
            left.append(key.name)
    return left


def create_world(
    module: Module,
    selector: TokenSelector,
    *,
    so_pin: Pin | None,
    user_pin: Pin,
    random: Callable[[int], bytes],
    with_system_key: bool = True,
) -> WorldIds:
    """Make the keys of a world on a token and return their ids for the database.

    so_pin: needed where the profile can lock a world key; without such a profile only resident custody is offered
    and no world key is made. random: for the CKA_IDs, asked for the MAC key's, the world key's and the system key's in
    this order; with the same answers as an attempt that was interrupted, what that one made is checked and kept, and
    what is missing is made.
    Raises HsmRefusal when a PIN is refused (tried once), when the token holds a key of a world with another id, or
    when a key is not as it must be; nothing of a failed attempt that can be destroyed is left.
    """
    profile = module.profile
    locked = profile.can_lock_world_key
    if locked and so_pin is None:
        raise HsmRefusal("The ceremony needs the security officer's PIN, because only the officer can trust a key.")
    made: list[pkcs11.Object] = []
    with ceremony_session(module, selector) as work:
        try:
            login(module, work, CKU_USER, user_pin, "user")  # first: a wrong PIN or an old world ends it here
            ids = WorldIds(
                mac=random(16),
                world=random(16) if locked else None,
                system=random(16) if with_system_key and profile.aes_gcm else None,
            )
            planned = [
                (key, token_id)
                for key, token_id in ((WORLD_KEY, ids.world), (MAC_KEY, ids.mac), (SYSTEM_KEY, ids.system))
                if token_id is not None
            ]
            there = _found(work, dict(planned))
            for key, token_id in planned:
                if key in there:
                    continue
                if key is WORLD_KEY:
                    assert so_pin is not None
                    module.raw.logout(work.session_handle)
                    made.append(make_world_key(module, work, so_pin, user_pin, token_id))
                else:
                    made.append(generate(work, key, token_id))
            for key, found in _found(work, dict(planned)).items():
                if wrong := problems(work, key, found):
                    raise HsmRefusal(f"The {key.name} on the token is otherwise than asked ({', '.join(wrong)}).")
        except ModuleError as error:
            _undo(made)
            raise HsmRefusal(f"The token refuses a step of the ceremony ({describe(error)}).") from error
        except HsmRefusal:
            _undo(made)
            raise
    return ids


@contextmanager
def ceremony_session(module: Module, selector: TokenSelector) -> Iterator[WorkSession]:
    """A session without a login, for acts that log in as officer and as user in turn. Blocks. Raises HsmRefusal."""
    try:
        token = module.find_token(selector)
        session = module.open_session(token)
    except pkcs11.NoSuchToken as error:
        raise HsmRefusal(f"No token {selector} is there; initialise it first.") from error
    except ModuleError as error:
        raise HsmRefusal(f"The token {selector} gives no session ({describe(error)}).") from error
    work = WorkSession(
        lambda: module.open_session(token),
        session,
        generation=0,
        profile=module.profile,
        raw=module.raw,
        world=None,
        keeps_objects=True,
    )
    try:
        yield work
    finally:
        with suppress(*ModuleError):
            module.raw.logout(work.session_handle)
        with suppress(*ModuleError):
            work.session.close()


@contextmanager
def user_session(module: Module, selector: TokenSelector, user_pin: Pin) -> Iterator[WorkSession]:
    """A session under the user's login, for acts that need no security officer. Blocks.

    Raises HsmRefusal when the PIN is refused (tried once) or there is no such token; what the token refuses in between,
    too.
    """
    try:
        token = module.find_token(selector)
        session = module.login(token, user_pin)
    except pkcs11.NoSuchToken as error:
        raise HsmRefusal(f"No token {selector} is there; check hsm.token and the module's configuration.") from error
    except ModuleError as error:
        raise HsmRefusal(f"The token {selector} gives no session ({describe(error)}).") from error
    try:
        yield WorkSession(
            lambda: module.open_session(token),
            session,
            generation=0,
            profile=module.profile,
            raw=module.raw,
            world=None,
            keeps_objects=True,
        )
    except ModuleError as error:
        raise HsmRefusal(f"The token {selector} refuses to make a key ({describe(error)}).") from error
    finally:
        with suppress(*ModuleError):
            session.close()


def make_export_key(work: WorkSession, token_id: bytes) -> None:
    """The export key of a world, with exactly this CKA_ID; one that is there already is checked and kept. Blocks.

    Raises HsmRefusal when the key is not as it must be, or the module's error.
    """
    found = find(work, ObjectClass.SECRET_KEY, token_id)
    if not found:
        found = [generate(work, EXPORT_KEY, token_id)]
    require(work, EXPORT_KEY, found)


def make_attestation_key(work: WorkSession, token_id: bytes) -> Pair:
    """The attestation key of a world, with exactly this CKA_ID. Blocks.

    Only for a world that has no certificate for it yet. Tokens do not tell the public part of a private key later, so
    what an interrupted attempt left there, which has signed nothing that anybody saw, is destroyed and made anew.
    Raises HsmRefusal when the key is not as it must be, or the module's error.
    """
    assert ATTESTATION_KEY.curve is not None
    for left in find(work, ATTESTATION_KEY.object_class, token_id):
        left.destroy()
    template = {Attribute.ID: token_id, **ATTESTATION_KEY.template(work.profile)}
    for given in (Attribute.CLASS, Attribute.KEY_TYPE):
        template.pop(given)
    curve = work.session.create_domain_parameters(
        KeyType.EC, {Attribute.EC_PARAMS: CURVE_OID[ATTESTATION_KEY.curve]}, local=True
    )
    public, _ = curve.generate_keypair(
        capabilities=0,  # type: ignore[arg-type]  # the stub wants MechanismFlag, which has no name for none
        mechanism=Mechanism.EC_KEY_PAIR_GEN,
        public_template={
            Attribute.TOKEN: False,
            Attribute.PRIVATE: False,
            Attribute.VERIFY: True,
            Attribute.ENCRYPT: False,
            Attribute.WRAP: False,
        },
        private_template=template,
    )
    spki = ec_spki(ATTESTATION_KEY.curve, cast(bytes, public[Attribute.EC_POINT]))
    public.destroy()
    found = find(work, ATTESTATION_KEY.object_class, token_id)
    require(work, ATTESTATION_KEY, found)
    return Pair(work.hold(found[0], ATTESTATION_KEY.key_type, is_stored=True), spki)


def require(work: WorkSession, key: WorldKey, found: list[pkcs11.Object]) -> None:
    """There is one, and it is as it must be. Raises HsmRefusal."""
    if len(found) != 1:
        raise HsmRefusal(f"The token shows {len(found)} keys with the id of the {key.name}, where one was made.")
    if wrong := problems(work, key, found[0]):
        raise HsmRefusal(f"The {key.name} on the token is otherwise than asked ({', '.join(wrong)}).")


def make_world_key(module: Module, work: WorkSession, so_pin: Pin, user_pin: Pin, token_id: bytes) -> pkcs11.Object:
    """Officer makes a trusted public session object; user copies it into a private, unmodifiable token object."""
    login(module, work, CKU_SO, so_pin, "security officer")
    nested = nested_template(UNWRAP_TEMPLATE)  # alive until the call has returned
    final = WORLD_KEY.template(module.profile)
    first = {
        **final,
        Attribute.TOKEN: False,
        Attribute.PRIVATE: False,
        Attribute.UNWRAP_TEMPLATE: nested,
    }
    for late in (Attribute.MODIFIABLE, Attribute.DESTROYABLE, Attribute.CLASS, Attribute.KEY_TYPE):
        first.pop(late, None)
    original = work.session.generate_key(
        KeyType.AES,
        256,
        capabilities=0,  # type: ignore[arg-type]  # the stub wants MechanismFlag, which has no name for none
        mechanism=Mechanism.AES_KEY_GEN,
        template=first,
    )
    try:
        module.raw.logout(work.session_handle)
        login(module, work, CKU_USER, user_pin, "user")
        late_attributes: Template = {
            Attribute.TOKEN: True,
            Attribute.PRIVATE: True,
            Attribute.ID: token_id,
            Attribute.LABEL: WORLD_KEY.label,
        }
        if module.profile.destroyable:
            late_attributes[Attribute.DESTROYABLE] = False
        late_attributes[Attribute.MODIFIABLE] = False
        return original.copy(late_attributes)
    finally:
        original.destroy()


def generate(work: WorkSession, key: WorldKey, token_id: bytes) -> pkcs11.Object:
    nested = None if key.unwrap_template is None else nested_template(key.unwrap_template)  # alive until it is made
    template = {Attribute.ID: token_id, **key.template(work.profile)}
    for given in (Attribute.CLASS, Attribute.KEY_TYPE):
        template.pop(given)
    if nested is not None:
        template[Attribute.UNWRAP_TEMPLATE] = nested
        template[Attribute.MODIFIABLE] = template.pop(Attribute.MODIFIABLE)  # stays the last
    is_aes = key.key_type is KeyType.AES
    made: pkcs11.Object = work.session.generate_key(
        key.key_type,
        256,
        capabilities=0,  # type: ignore[arg-type]  # as above
        mechanism=Mechanism.AES_KEY_GEN if is_aes else Mechanism.GENERIC_SECRET_KEY_GEN,
        template=template,
    )
    return made


def _found(work: WorkSession, planned: dict[WorldKey, bytes]) -> dict[WorldKey, pkcs11.Object]:
    """The keys of a world on the token, which must all be planned ones. Raises HsmRefusal."""
    there: dict[WorldKey, pkcs11.Object] = {}
    for key in (WORLD_KEY, MAC_KEY, SYSTEM_KEY):
        search = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: key.label}
        for found in list(work.session.get_objects(search)):
            if key in planned and key not in there and found[Attribute.ID] == planned[key]:
                there[key] = found
                continue
            raise HsmRefusal(
                f"The token holds a {key.name} already; it is not overwritten, because everything that depends on it "
                "would be lost. Use another token."
            )
    return there


def login(module: Module, work: WorkSession, user: int, pin: Pin, who: str) -> None:
    try:
        module.raw.login(work.session_handle, user, bytes(pin))
    except ModuleError as error:
        if judge(error) is Verdict.PIN:
            raise PinRefused(
                f"The token refuses the PIN of the {who} ({describe(error)}). It was tried once; correct it before you "
                "start again, because a token locks itself after a few wrong ones."
            ) from error
        raise


def _undo(made: list[pkcs11.Object]) -> None:
    """What DESTROYABLE=0 protects stays; only a ceremony with the same ids can go on with it."""
    for found in made:
        with suppress(*ModuleError):
            found.destroy()
