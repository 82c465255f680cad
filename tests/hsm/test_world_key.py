"""The attacks on a world key, tried for real with a logged-in session, and the ceremony that makes them fail.

Source of the attacks: Clulow 2003, Bortolozzo et al. 2010 (Tookan); each gave a private key away in the clear when
tried against a wrapping key that was merely SENSITIVE and not EXTRACTABLE.
"""

import pkcs11
import pytest
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11 import exceptions as p11

from hsmvault.clock import RandomIdentifiers
from hsmvault.errors import HsmRefusal
from hsmvault.hsm import objects, world_keys
from hsmvault.hsm.ceremony import create_world, initialise_token
from hsmvault.hsm.inspection import check_token, holds_world, inspect_token
from hsmvault.hsm.module import Module, PinRefused, TokenSelector
from hsmvault.hsm.pin import Pin
from hsmvault.hsm.returncodes import WrongAttributes
from hsmvault.hsm.work import KeyObject, WorkSession
from hsmvault.hsm.world_keys import WorldIds
from hsmvault.model.algorithms import Curve, KeySpec
from tests.softhsm import SoftToken

P256 = KeySpec.ec(Curve.P256)
RSA_2048 = KeySpec.rsa(2048)
NEW = TokenSelector(label="new")


def world_key(work: WorkSession) -> KeyObject:
    assert work.world is not None and work.world.world is not None
    return work.world.world


@pytest.mark.parametrize("spec", [P256, RSA_2048], ids=["EC", "RSA"])
@pytest.mark.parametrize(
    "flags",
    [
        {Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True},
        {Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: False},
        {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: True},
        {},
    ],
    ids=["in the clear", "readable", "extractable", "left out"],
)
def test_a_blob_does_not_open_as_a_secret_that_can_be_read(
    work: WorkSession, spec: KeySpec, flags: dict[Attribute, object]
) -> None:
    pair = objects.generate_pair(work, spec, objects.LEAVING)
    blob = objects.wrap(work, world_key(work), pair.private)
    with pytest.raises(p11.PKCS11Error):
        work.bind(world_key(work)).unwrap_key(
            ObjectClass.SECRET_KEY,
            KeyType.GENERIC_SECRET,
            blob,
            mechanism=objects.WRAPPING,
            capabilities=0,
            template={Attribute.TOKEN: False, **flags},
        )


@pytest.mark.parametrize(
    "attribute", [Attribute.DECRYPT, Attribute.ENCRYPT, Attribute.SIGN, Attribute.EXTRACTABLE, Attribute.MODIFIABLE]
)
def test_the_world_key_cannot_be_given_another_use(work: WorkSession, attribute: Attribute) -> None:
    found = world_key(work).origin
    with pytest.raises(p11.PKCS11Error):
        found[attribute] = True
    assert not found[attribute]


@pytest.mark.parametrize(
    "change",
    [
        {Attribute.DECRYPT: True},
        {Attribute.ALLOWED_MECHANISMS: frozenset({Mechanism.AES_ECB})},
        {Attribute.MODIFIABLE: True},
        {Attribute.EXTRACTABLE: True},
        {Attribute.SENSITIVE: False},
        {Attribute.TOKEN: False, Attribute.DECRYPT: True},
    ],
)
def test_no_copy_of_the_world_key_is_looser(work: WorkSession, change: dict[Attribute, object]) -> None:
    with pytest.raises(p11.PKCS11Error):
        world_key(work).origin.copy(change)


@pytest.mark.parametrize("mechanism", [Mechanism.AES_ECB, Mechanism.AES_CBC_PAD, Mechanism.AES_GCM])
def test_the_world_key_decrypts_nothing(work: WorkSession, mechanism: Mechanism) -> None:
    with pytest.raises(p11.PKCS11Error):
        work.bind(world_key(work)).decrypt(bytes(32), mechanism=mechanism, mechanism_param=bytes(16))


def test_the_world_key_cannot_be_destroyed_by_accident(work: WorkSession) -> None:
    with pytest.raises(p11.PKCS11Error):
        world_key(work).origin.destroy()


@pytest.mark.parametrize("spec", [P256, RSA_2048], ids=["EC", "RSA"])
def test_a_home_made_key_wraps_no_users_key(work: WorkSession, spec: KeySpec) -> None:
    pair = objects.generate_pair(work, spec, objects.LEAVING)
    known = work.session.create_object(
        {
            Attribute.CLASS: ObjectClass.SECRET_KEY,
            Attribute.KEY_TYPE: KeyType.AES,
            Attribute.TOKEN: False,
            Attribute.WRAP: True,
            Attribute.VALUE: bytes(32),
        }
    )
    with pytest.raises(p11.KeyNotWrappable):
        objects.wrap(work, work.hold(known, KeyType.AES), pair.private)
    with pytest.raises(p11.PKCS11Error):
        pair.private.origin[Attribute.WRAP_WITH_TRUSTED] = False
    with pytest.raises(p11.PKCS11Error):
        pair.private.origin.copy({Attribute.WRAP_WITH_TRUSTED: False})


def test_nobody_but_the_security_officer_makes_a_trusted_key(work: WorkSession) -> None:
    with pytest.raises(p11.PKCS11Error):
        work.session.generate_key(
            KeyType.AES, 256, capabilities=0, template={Attribute.TRUSTED: True, Attribute.WRAP: True}
        )


@pytest.mark.parametrize("spec", [P256, RSA_2048], ids=["EC", "RSA"])
def test_a_working_copy_never_leaves(work: WorkSession, spec: KeySpec) -> None:
    pair = objects.generate_pair(work, spec, objects.LEAVING)
    blob = objects.wrap(work, world_key(work), pair.private)
    copy = objects.unwrap_private(work, world_key(work), blob, spec, objects.WORKING_COPY, pair.public)
    with pytest.raises(p11.PKCS11Error):
        objects.wrap(work, world_key(work), copy)
    secret = Attribute.PRIVATE_EXPONENT if spec is RSA_2048 else Attribute.VALUE
    for key in (copy, pair.private):
        with pytest.raises(p11.AttributeSensitive):
            key.origin[secret]


def test_a_users_key_has_no_use_besides_its_own(work: WorkSession) -> None:
    rsa = objects.generate_pair(work, RSA_2048, objects.WORKING_COPY).private.origin
    ec = objects.generate_pair(work, P256, objects.WORKING_COPY).private.origin
    for key in (rsa, ec):
        assert not any(key[flag] for flag in (Attribute.UNWRAP, Attribute.DERIVE, Attribute.SIGN_RECOVER))
        assert not key[Attribute.MODIFIABLE]
    assert not ec[Attribute.DECRYPT]
    with pytest.raises(p11.PKCS11Error):
        work.bind(work.hold(ec, KeyType.EC)).sign(b"x" * 32, mechanism=Mechanism.ECDSA_SHA256)


def test_an_object_that_is_not_as_asked_is_destroyed(work: WorkSession) -> None:
    pair = objects.generate_pair(work, P256, objects.WORKING_COPY)
    with pytest.raises(WrongAttributes, match="EXTRACTABLE"):
        objects.require_attributes(pair.private.origin, {Attribute.EXTRACTABLE: True})
    with pytest.raises(p11.ObjectHandleInvalid):
        pair.private.origin[Attribute.LABEL]


def test_the_keys_of_a_world_are_as_they_must_be_after_a_restart(softhsm: SoftToken, module: Module) -> None:
    module.reinitialize()
    session = module.login(module.find_token(softhsm.selector), softhsm.user_pin)
    labels = (world_keys.WORLD_KEY, world_keys.MAC_KEY, world_keys.SYSTEM_KEY)
    keys = [next(iter(session.get_objects({Attribute.LABEL: key.label}))) for key in labels]
    for key in keys:
        assert key[Attribute.NEVER_EXTRACTABLE] and key[Attribute.ALWAYS_SENSITIVE] and key[Attribute.LOCAL]
        assert key[Attribute.PRIVATE] and not key[Attribute.MODIFIABLE]
    assert [key[Attribute.DESTROYABLE] for key in keys] == [False, False, True]
    assert keys[0][Attribute.TRUSTED]
    assert len({key[Attribute.ID] for key in keys}) == 3
    session.close()


def test_no_second_world_is_made_on_a_token(softhsm: SoftToken, module: Module) -> None:
    with pytest.raises(HsmRefusal, match="already"):
        ceremony(softhsm, module, softhsm.selector)


def test_an_unlocked_world_key_is_refused(softhsm: SoftToken, module: Module) -> None:
    """As somebody makes it who follows the first example of a manual."""
    initialise_token(module, "new", so_pin=softhsm.so_pin, user_pin=softhsm.user_pin)
    session = module.login(module.find_token(NEW), softhsm.user_pin)
    session.generate_key(
        KeyType.AES,
        256,
        id=b"unlocked world 1",
        label=world_keys.WORLD_KEY.label,
        store=True,
        capabilities=pkcs11.MechanismFlag.WRAP | pkcs11.MechanismFlag.UNWRAP,
        template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
    )
    session.close()
    with pytest.raises(HsmRefusal, match=r"not locked.*TRUSTED.*UNWRAP_TEMPLATE"):
        inspect_token(module, NEW, softhsm.user_pin, WorldIds(mac=b"", world=b"unlocked world 1"))


def test_a_wrong_pin_ends_the_ceremony_before_anything_is_made(softhsm: SoftToken, module: Module) -> None:
    initialise_token(module, "new", so_pin=softhsm.so_pin, user_pin=softhsm.user_pin)
    for so_pin, user_pin in ((softhsm.so_pin, Pin("wrong")), (Pin("wrong"), softhsm.user_pin)):
        with pytest.raises(PinRefused, match="tried once"):
            create_world(module, NEW, so_pin=so_pin, user_pin=user_pin, random=RandomIdentifiers().random)
    ids = ceremony(softhsm, module, NEW)
    assert holds_world(module, NEW, softhsm.user_pin, ids)


def test_a_label_that_is_taken_is_not_initialised_again(softhsm: SoftToken, module: Module) -> None:
    with pytest.raises(HsmRefusal, match="there already"):
        initialise_token(module, "test", so_pin=softhsm.so_pin, user_pin=softhsm.user_pin)


def test_an_interrupted_ceremony_is_recognised(softhsm: SoftToken, module: Module) -> None:
    ids = WorldIds(mac=b"m" * 16, world=b"w" * 16, system=b"s" * 16)
    assert not holds_world(module, NEW, softhsm.user_pin, ids), "no such token"
    module.raw.init_token(module.free_slot(), bytes(softhsm.so_pin), "new")
    module.reinitialize()
    assert not holds_world(module, NEW, softhsm.user_pin, ids), "the user PIN was never set"
    assert not holds_world(module, softhsm.selector, softhsm.user_pin, ids), "another world"
    assert holds_world(module, softhsm.selector, softhsm.user_pin, softhsm.ids)


def test_the_self_test_of_a_good_token_passes(softhsm: SoftToken) -> None:
    inspection = check_token(softhsm.module_path, softhsm.profile, softhsm.selector, softhsm.user_pin, softhsm.ids)
    assert [check for check in inspection if not check.passed] == []
    assert len(inspection.checks) >= 12
    inspection.require()


def test_a_refused_pin_is_tried_once_by_the_inspection(softhsm: SoftToken, module: Module) -> None:
    attempts = []
    login = module.login

    def counted(token: pkcs11.Token, pin: Pin) -> pkcs11.Session:
        attempts.append(1)
        return login(token, pin)

    module.login = counted  # type: ignore[method-assign]  # counts real attempts
    with pytest.raises(PinRefused):
        inspect_token(module, softhsm.selector, Pin("wrong"), softhsm.ids)
    assert len(attempts) == 1


def ceremony(softhsm: SoftToken, module: Module, selector: TokenSelector) -> WorldIds:
    return create_world(
        module,
        selector,
        so_pin=softhsm.so_pin,
        user_pin=softhsm.user_pin,
        random=RandomIdentifiers().random,
    )
