"""What a locked world key allows and what not when its generation is over: the ground of the decision note
"world keys have generations". Tried for real on the token.
"""

import pytest
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap_with_padding
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11 import exceptions as p11

from hsmvault.errors import Unavailable
from hsmvault.hsm import ceremony, objects, world_keys
from hsmvault.hsm.generations import Ending, destroy_system_key, make_system_key, make_world_key
from hsmvault.hsm.module import Module
from hsmvault.hsm.raw import CKU_SO, CKU_USER
from hsmvault.hsm.work import KeyObject, WorkSession
from hsmvault.hsm.world_keys import SYSTEM_KEY, WORLD_KEY, WorldIds, locate, nested_template
from hsmvault.model.algorithms import Curve, KeySpec
from tests.softhsm import SO_PIN, USER_PIN, SoftToken

P256 = KeySpec.ec(Curve.P256)
SECOND = bytes(range(16))


@pytest.fixture(autouse=True)
def two_generations(softhsm: SoftToken, module: Module) -> None:
    """Before anybody logs in: the token has two generations of the world key."""
    assert make_world_key(module, softhsm.selector, SECOND, so_pin=SO_PIN, user_pin=USER_PIN)


def first(work: WorkSession) -> KeyObject:
    assert work.world is not None and work.world.world is not None
    return work.world.world


def second(work: WorkSession) -> KeyObject:
    return locate(work, WORLD_KEY, SECOND)


def test_a_key_that_was_located_is_no_key_of_another_kind(work: WorkSession, softhsm: SoftToken) -> None:
    """The id comes out of a row, and says nothing of what the key is for."""
    assert softhsm.ids.world is not None
    assert locate(work, WORLD_KEY, softhsm.ids.world) == first(work)
    for key in (SYSTEM_KEY, world_keys.EXPORT_KEY):
        with pytest.raises(Unavailable):
            locate(work, key, softhsm.ids.world)


def test_each_generation_opens_its_own_blobs_and_no_others(work: WorkSession) -> None:
    pair = objects.generate_pair(work, P256, objects.LEAVING)
    blob = objects.wrap(work, second(work), pair.private)
    objects.unwrap_private(work, second(work), blob, P256, objects.WORKING_COPY, pair.public)
    with pytest.raises(p11.PKCS11Error):
        objects.unwrap_private(work, first(work), blob, P256, objects.WORKING_COPY, pair.public)


def test_what_an_older_generation_opens_cannot_be_wrapped_by_the_new_one(work: WorkSession) -> None:
    pair = objects.generate_pair(work, P256, objects.LEAVING)
    blob = objects.wrap(work, first(work), pair.private)
    copy = objects.unwrap_private(work, first(work), blob, P256, objects.WORKING_COPY, pair.public)
    with pytest.raises(p11.KeyUnextractable):
        objects.wrap(work, second(work), copy)
    with pytest.raises(p11.PKCS11Error):
        copy.origin.copy({Attribute.EXTRACTABLE: True})
    with pytest.raises(p11.PKCS11Error):
        objects.unwrap_private(work, first(work), blob, P256, objects.LEAVING, pair.public)


def test_no_generation_leaves_under_another(work: WorkSession) -> None:
    for one, other in ((first(work), second(work)), (second(work), first(work))):
        with pytest.raises(p11.KeyUnextractable):
            objects.wrap(work, one, other)


def test_no_copy_of_a_generation_has_a_looser_template_or_may_be_destroyed(work: WorkSession) -> None:
    loose = nested_template({Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: True})
    for change in (
        {Attribute.TOKEN: False, Attribute.UNWRAP_TEMPLATE: loose},
        {Attribute.TOKEN: False, Attribute.DESTROYABLE: True},
        {Attribute.TOKEN: False, Attribute.MODIFIABLE: True},
    ):
        with pytest.raises(p11.PKCS11Error):
            first(work).origin.copy(change)


def test_an_older_generation_cannot_be_destroyed_by_anybody_who_is_logged_in(work: WorkSession) -> None:
    with pytest.raises(p11.PKCS11Error):
        first(work).origin.destroy()
    with pytest.raises(p11.PKCS11Error):
        first(work).origin[Attribute.DESTROYABLE] = True


REWRAPPING = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: True, Attribute.WRAP_WITH_TRUSTED: True}


def _rewrapping_key(work: WorkSession) -> KeyObject:
    """As a world key would be whose keys may leave again, under trusted keys alone."""
    nested = nested_template(REWRAPPING)
    found = work.session.generate_key(
        KeyType.AES,
        256,
        capabilities=0,  # type: ignore[arg-type]  # the stub wants MechanismFlag, which has no name for none
        mechanism=Mechanism.AES_KEY_GEN,
        template={
            Attribute.TOKEN: False,
            Attribute.PRIVATE: True,
            Attribute.SENSITIVE: True,
            Attribute.EXTRACTABLE: False,
            Attribute.WRAP: True,
            Attribute.UNWRAP: True,
            Attribute.UNWRAP_TEMPLATE: nested,
        },
    )
    return work.hold(found, KeyType.AES)


def _extractable_secret(work: WorkSession) -> KeyObject:
    found = work.session.generate_key(
        KeyType.AES,
        256,
        capabilities=0,  # type: ignore[arg-type]  # as above
        mechanism=Mechanism.AES_KEY_GEN,
        template={Attribute.TOKEN: False, Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: True},
    )
    return work.hold(found, KeyType.AES)


def _unwrapped(work: WorkSession, flags: dict[Attribute, bool]) -> KeyObject:
    key = _rewrapping_key(work)
    blob = work.bind(key).wrap_key(work.bind(_extractable_secret(work)), mechanism=objects.WRAPPING)
    found = work.bind(key).unwrap_key(
        ObjectClass.SECRET_KEY,
        KeyType.AES,
        blob,
        mechanism=objects.WRAPPING,
        capabilities=0,
        template={Attribute.TOKEN: False, **flags},
    )
    return work.hold(found, KeyType.AES)


def _home_made(work: WorkSession, **more: bool) -> KeyObject:
    template: dict[Attribute, object] = {
        Attribute.CLASS: ObjectClass.SECRET_KEY,
        Attribute.KEY_TYPE: KeyType.AES,
        Attribute.TOKEN: False,
        Attribute.PRIVATE: False,
        Attribute.WRAP: True,
        Attribute.VALUE: bytes(32),
        **{Attribute[name]: value for name, value in more.items()},
    }
    return work.hold(work.session.create_object(template), KeyType.AES)


def test_the_other_design_would_be_enforced_too(work: WorkSession) -> None:
    """Keys that may be wrapped again, by trusted keys alone: the token forces all three flags."""
    for flags in ({}, {**REWRAPPING, Attribute.WRAP_WITH_TRUSTED: False}, {**REWRAPPING, Attribute.SENSITIVE: False}):
        with pytest.raises(p11.TemplateInconsistent):
            _unwrapped(work, flags)
    opened = _unwrapped(work, REWRAPPING)
    with pytest.raises(p11.PKCS11Error):
        opened.origin[Attribute.WRAP_WITH_TRUSTED] = False
    with pytest.raises(p11.KeyNotWrappable):
        objects.wrap(work, _home_made(work), opened)
    assert objects.wrap(work, second(work), opened)


def test_with_the_officers_pin_the_other_design_gives_keys_away_and_ours_does_not(
    work: WorkSession, module: Module
) -> None:
    """The officer trusts a key that he knows. So an EXTRACTABLE=0 that the token forces is worth more than a flag that
    asks who is trusted.
    """
    module.raw.logout(work.session_handle)
    ceremony.login(module, work, CKU_SO, SO_PIN, "security officer")
    known = _home_made(work, TRUSTED=True)
    module.raw.logout(work.session_handle)
    ceremony.login(module, work, CKU_USER, USER_PIN, "user")
    assert aes_key_unwrap_with_padding(bytes(32), objects.wrap(work, known, _unwrapped(work, REWRAPPING)))
    assert work.world is not None
    world = world_keys.read_world(work, softhsm_ids(work))
    pair = objects.generate_pair(work, P256, objects.LEAVING)
    assert world.world is not None
    blob = objects.wrap(work, world.world, pair.private)
    ours = objects.unwrap_private(work, world.world, blob, P256, objects.WORKING_COPY, pair.public)
    with pytest.raises(p11.KeyUnextractable):
        objects.wrap(work, known, ours)


def softhsm_ids(work: WorkSession) -> WorldIds:
    """Of the world on the token: a change of login may have given its objects other handles."""
    (mac,) = work.session.get_objects({Attribute.LABEL: world_keys.MAC_KEY.label})
    return WorldIds(mac=mac[Attribute.ID], world=SECOND)


def test_a_system_key_is_destroyed_and_is_then_absent(work: WorkSession) -> None:
    make_system_key(work, b"s" * 16)
    make_system_key(work, b"s" * 16)
    locate(work, SYSTEM_KEY, b"s" * 16)
    assert destroy_system_key(work, b"s" * 16) is Ending.DESTROYED
    assert destroy_system_key(work, b"s" * 16) is Ending.ABSENT
    ceremony.generate(work, world_keys.MAC_KEY, b"m" * 16)
    assert destroy_system_key(work, b"m" * 16) is Ending.KEPT
    assert objects.find(work, ObjectClass.SECRET_KEY, b"m" * 16)
