"""oct keys in the token: what every object of theirs may do, and the attacks on their values, tried for real."""

import os

import msgspec
import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11 import exceptions as p11
from pkcs11.mechanisms import GCMParams

from hsmvault.errors import BadRequest
from hsmvault.hsm import blocks, objects, secret_keys, session_aes
from hsmvault.hsm.mechanisms import HMAC
from hsmvault.hsm.pairwise import PairwiseFailed
from hsmvault.hsm.raw import ReturnCode
from hsmvault.hsm.returncodes import StaleHandle, WrongAttributes
from hsmvault.hsm.secret_keys import Use
from hsmvault.hsm.work import KeyObject, WorkSession
from hsmvault.model.algorithms import OCT_IMPORTED_SIZES_BITS, OCT_SIZES_BITS, KeySpec

SPECS = [KeySpec.oct(bits) for bits in OCT_SIZES_BITS]
A256 = KeySpec.oct(256)
LOOSER = [
    {Attribute.EXTRACTABLE: True},
    {Attribute.SENSITIVE: False},
    {Attribute.WRAP_WITH_TRUSTED: False},
    {Attribute.MODIFIABLE: True},
    {Attribute.WRAP: True},
    {Attribute.UNWRAP: True},
    {Attribute.ENCRYPT: True},
    {Attribute.DERIVE: True},
    {Attribute.ALLOWED_MECHANISMS: frozenset({int(Mechanism.AES_ECB), int(Mechanism.AES_GCM)})},
]


def world_key(work: WorkSession) -> KeyObject:
    assert work.world is not None and work.world.world is not None
    return work.world.world


def blob_of(work: WorkSession, spec: KeySpec = A256) -> bytes:
    made = secret_keys.generate(work, spec, objects.LEAVING)
    blob = objects.wrap(work, world_key(work), made)
    objects.destroy(made)
    return blob


def copy_of(work: WorkSession, use: Use, spec: KeySpec = A256) -> KeyObject:
    return secret_keys.unwrap_working(work, world_key(work), blob_of(work, spec), spec, use)


def came_in(work: WorkSession, value: bytes) -> bytes:
    """The blob of an imported key."""
    transport = os.urandom(32)
    spec = KeySpec.oct(8 * len(value))
    key = session_aes.create_transport_key(work, transport)
    wrapped = aes_key_wrap_with_padding(transport, value)
    made = secret_keys.unwrap_leaving(work, key, wrapped, secret_keys.key_type(spec), objects.LEAVING)
    return objects.wrap(work, world_key(work), made)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: str(spec.size_bits))
@pytest.mark.parametrize("use", Use)
def test_a_working_copy_has_its_one_use_and_never_leaves(work: WorkSession, spec: KeySpec, use: Use) -> None:
    if use not in secret_keys.uses(spec):
        return
    found = copy_of(work, use, spec).origin
    expected = {Use.MAC: {Attribute.SIGN}}.get(use, {Attribute.ENCRYPT, Attribute.DECRYPT})
    assert {usage for usage in objects.SECRET_USAGE if found[usage]} == expected
    assert (
        found[Attribute.ALLOWED_MECHANISMS]
        == {
            Use.MODES: {Mechanism.AES_GCM, Mechanism.AES_CBC, Mechanism.AES_CBC_PAD},
            Use.WRAPPING: {Mechanism.AES_ECB},
            Use.MAC: {Mechanism.SHA256_HMAC},
        }[use]
    )
    assert found[Attribute.KEY_TYPE] == (KeyType.GENERIC_SECRET if use is Use.MAC else KeyType.AES)
    assert found[Attribute.SENSITIVE] and found[Attribute.PRIVATE] and found[Attribute.WRAP_WITH_TRUSTED]
    assert not found[Attribute.EXTRACTABLE] and not found[Attribute.MODIFIABLE] and not found[Attribute.TOKEN]


@pytest.mark.parametrize("bits", OCT_IMPORTED_SIZES_BITS)
def test_the_copy_for_macs_makes_those_alone_for_which_the_key_is_long_enough(work: WorkSession, bits: int) -> None:
    spec = KeySpec.oct(bits)
    long_enough = {HMAC[each] for each in HMAC if 8 * each.digest_bytes <= bits}
    assert (Use.MAC in secret_keys.uses(spec)) is bool(long_enough)
    assert (Use.MODES in secret_keys.uses(spec)) is (bits <= 256)
    if long_enough:
        blob = came_in(work, os.urandom(bits // 8))
        found = secret_keys.unwrap_working(work, world_key(work), blob, spec, Use.MAC)
        assert found.origin[Attribute.ALLOWED_MECHANISMS] == long_enough
        with pytest.raises(p11.PKCS11Error):
            work.bind(found).sign(bytes(32), mechanism=Mechanism.SHA_1_HMAC)


@pytest.mark.parametrize("bits", OCT_IMPORTED_SIZES_BITS)
def test_a_key_that_is_to_be_wrapped_has_no_use_at_all(work: WorkSession, bits: int) -> None:
    made = secret_keys.generate(work, KeySpec.oct(bits), objects.LEAVING)
    assert made.origin[Attribute.KEY_TYPE] == (KeyType.AES if bits in OCT_SIZES_BITS else KeyType.GENERIC_SECRET)
    assert not any(made.origin[usage] for usage in objects.SECRET_USAGE)
    assert made.origin[Attribute.SENSITIVE] and made.origin[Attribute.LOCAL] and made.origin[Attribute.ALWAYS_SENSITIVE]
    assert made.origin[Attribute.EXTRACTABLE] and made.origin[Attribute.WRAP_WITH_TRUSTED]
    for mechanism in (Mechanism.AES_ECB, Mechanism.AES_CBC, Mechanism.AES_GCM):
        with pytest.raises(p11.PKCS11Error):
            work.bind(made).encrypt(bytes(16), mechanism=mechanism, mechanism_param=bytes(16))


def test_no_copy_serves_a_mechanism_of_another_use(work: WorkSession) -> None:
    for_modes, wrapping, mac = (copy_of(work, use) for use in Use)
    with pytest.raises(p11.PKCS11Error):
        work.bind(for_modes).encrypt(bytes(16), mechanism=Mechanism.AES_ECB)
    with pytest.raises(ReturnCode), blocks.encrypting_blocks(work, for_modes):
        pytest.fail("ECB was begun")
    with pytest.raises(p11.PKCS11Error):
        work.bind(wrapping).encrypt(bytes(16), mechanism=Mechanism.AES_CBC, mechanism_param=bytes(16))
    with pytest.raises(p11.PKCS11Error):
        work.bind(wrapping).encrypt(bytes(16), mechanism=Mechanism.AES_GCM, mechanism_param=GCMParams(bytes(12)))
    for key in (for_modes, wrapping):
        with pytest.raises(p11.PKCS11Error):
            work.bind(key).sign(bytes(32), mechanism=Mechanism.AES_CMAC)
    with pytest.raises(p11.PKCS11Error):
        work.bind(mac).encrypt(bytes(16), mechanism=Mechanism.AES_ECB)


# -- attacks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [KeyType.AES, KeyType.GENERIC_SECRET], ids=["AES", "GENERIC_SECRET"])
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
def test_a_blob_does_not_open_as_a_key_that_can_be_read_or_wrapped(
    work: WorkSession, kind: KeyType, flags: dict[Attribute, object]
) -> None:
    with pytest.raises(p11.PKCS11Error):
        work.bind(world_key(work)).unwrap_key(
            ObjectClass.SECRET_KEY,
            kind,
            blob_of(work),
            mechanism=objects.WRAPPING,
            capabilities=0,
            template={Attribute.TOKEN: False, **flags},
        )


@pytest.mark.parametrize("kind", [KeyType.AES, KeyType.GENERIC_SECRET], ids=["AES", "GENERIC_SECRET"])
@pytest.mark.parametrize("length", [1, 8, 16])
def test_a_blob_does_not_open_as_a_shorter_key_that_could_be_guessed(
    work: WorkSession, kind: KeyType, length: int
) -> None:
    with pytest.raises(p11.PKCS11Error):
        work.bind(world_key(work)).unwrap_key(
            ObjectClass.SECRET_KEY,
            kind,
            blob_of(work),
            mechanism=objects.WRAPPING,
            capabilities=0,
            template={
                Attribute.SENSITIVE: True,
                Attribute.EXTRACTABLE: False,
                Attribute.SIGN: True,
                Attribute.VALUE_LEN: length,
            },
        )


@pytest.mark.parametrize("kind", [KeyType._DES, KeyType.DES2, KeyType.DES3], ids=["DES", "DES2", "DES3"])
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: str(spec.size_bits))
def test_a_blob_does_not_serve_as_a_key_of_single_des_that_could_be_guessed(
    work: WorkSession, spec: KeySpec, kind: KeyType
) -> None:
    """56 bits of an AES key would be a matter of days. SoftHSM 2.6.1 does nothing with 32 bytes, and takes 16 and 24 as
    triple DES whatever the type says: 112 bits and more stay to be guessed, by somebody who can *use* the key anyway.
    """
    value = os.urandom(spec.size_bits // 8)
    try:
        made = work.bind(world_key(work)).unwrap_key(
            ObjectClass.SECRET_KEY,
            kind,
            came_in(work, value),
            mechanism=objects.WRAPPING,
            capabilities=0,
            template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.ENCRYPT: True},
        )
    except p11.PKCS11Error:
        return
    for mechanism in (Mechanism._DES_ECB, Mechanism.DES3_ECB):
        try:
            found = work.bind(work.hold(made, kind)).encrypt(bytes(8), mechanism=mechanism)
        except p11.PKCS11Error:
            continue
        triple = TripleDES((value + value[:8])[:24])
        assert found == Cipher(triple, modes.ECB()).encryptor().update(bytes(8))  # noqa: S305  # to compare


def test_a_home_made_key_wraps_no_oct_key(work: WorkSession) -> None:
    made = secret_keys.generate(work, A256, objects.LEAVING)
    known = work.session.create_object(
        {
            Attribute.CLASS: ObjectClass.SECRET_KEY,
            Attribute.KEY_TYPE: KeyType.AES,
            Attribute.TOKEN: False,
            Attribute.WRAP: True,
            Attribute.VALUE: bytes(32),
        }
    )
    for mechanism in (Mechanism.AES_KEY_WRAP, Mechanism.AES_KEY_WRAP_PAD):
        with pytest.raises(p11.KeyNotWrappable):
            work.bind(work.hold(known, KeyType.AES)).wrap_key(work.bind(made), mechanism=mechanism)


def test_one_oct_key_does_not_wrap_another(work: WorkSession) -> None:
    """Opened by an intruder as a wrapping key, which he may: it is not trusted, so it wraps nothing of ours."""
    kek = work.bind(world_key(work)).unwrap_key(
        ObjectClass.SECRET_KEY,
        KeyType.AES,
        came_in(work, bytes(32)),
        mechanism=objects.WRAPPING,
        capabilities=0,
        template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.WRAP: True},
    )
    made = secret_keys.generate(work, A256, objects.LEAVING)
    with pytest.raises(p11.PKCS11Error):
        objects.wrap(work, work.hold(kek, KeyType.AES), made)


@pytest.mark.parametrize("use", Use)
def test_a_working_copy_is_neither_read_nor_wrapped_nor_loosened(work: WorkSession, use: Use) -> None:
    copy = copy_of(work, use)
    with pytest.raises(p11.AttributeSensitive):
        copy.origin[Attribute.VALUE]
    with pytest.raises(p11.PKCS11Error):
        objects.wrap(work, world_key(work), copy)
    for change in LOOSER:
        for kind, value in change.items():
            if copy.origin[kind] == value:
                continue
            with pytest.raises(p11.PKCS11Error):
                copy.origin[kind] = value
            with pytest.raises(p11.PKCS11Error):
                copy.origin.copy(change)


def test_a_key_that_is_to_be_wrapped_is_neither_read_nor_loosened(work: WorkSession) -> None:
    made = secret_keys.generate(work, A256, objects.LEAVING)
    with pytest.raises(p11.AttributeSensitive):
        made.origin[Attribute.VALUE]
    for change in LOOSER[1:]:
        with pytest.raises(p11.PKCS11Error):
            made.origin.copy(change)


# -- faults ----------------------------------------------------------------------------------------------------


def test_a_blob_of_another_length_is_not_tried(work: WorkSession) -> None:
    for made, claimed in ((128, 256), (256, 192), (256, 512)):
        with pytest.raises(WrongAttributes):
            secret_keys.unwrap_working(
                work, world_key(work), blob_of(work, KeySpec.oct(made)), KeySpec.oct(claimed), Use.MAC
            )


def test_copies_that_are_not_one_key_are_found_out(work: WorkSession) -> None:
    probes = {use: secret_keys.probe(work, copy_of(work, use), A256, use) for use in Use}
    with pytest.raises(PairwiseFailed):
        secret_keys.require_agreement(probes, A256)
    value = os.urandom(32)
    blob = came_in(work, value)
    copies = {use: secret_keys.unwrap_working(work, world_key(work), blob, A256, use) for use in Use}
    probes = {use: secret_keys.probe(work, copy, A256, use) for use, copy in copies.items()}
    secret_keys.require_agreement(probes, A256)
    secret_keys.require_agreement(probes, A256, value)
    with pytest.raises(PairwiseFailed):
        secret_keys.require_agreement(probes, A256, os.urandom(32))
    for use in Use:
        with pytest.raises(PairwiseFailed):
            secret_keys.require_agreement({**probes, use: bytes(len(probes[use]))}, A256, value)


def test_an_error_in_the_middle_of_blocks_leaves_the_session_usable(work: WorkSession) -> None:
    copy = copy_of(work, Use.WRAPPING)
    first = secret_keys.probe(work, copy, A256, Use.WRAPPING)
    for begin in (blocks.encrypting_blocks, blocks.decrypting_blocks):
        with pytest.raises(ZeroDivisionError), begin(work, copy) as block:
            block(bytes(16))
            raise ZeroDivisionError
    assert secret_keys.probe(work, copy, A256, Use.WRAPPING) == first
    assert work.reopened == 0
    work.bind(copy).encrypt(bytes(16), mechanism=Mechanism.AES_ECB)


def test_a_stale_handle_does_not_begin_blocks(work: WorkSession) -> None:
    copy = copy_of(work, Use.WRAPPING)
    work.generation += 1
    with pytest.raises(StaleHandle), blocks.encrypting_blocks(work, copy):
        pytest.fail("it was begun")


@pytest.mark.parametrize("brief", [True, False])
def test_blocks_are_the_same_with_and_without_the_interpreters_lock(work: WorkSession, brief: bool) -> None:
    work.profile = msgspec.structs.replace(work.profile, brief_blocks=brief)
    copy = copy_of(work, Use.WRAPPING)
    with blocks.encrypting_blocks(work, copy) as encrypt:
        made = [encrypt(bytes([number]) * 16) for number in range(50)]
    whole = work.bind(copy).encrypt(b"".join(bytes([number]) * 16 for number in range(50)), mechanism=Mechanism.AES_ECB)
    assert b"".join(made) == whole


@pytest.mark.parametrize("missing", ["aes_gcm", "aes_modes"])
def test_a_module_without_the_modes_offers_no_oct_keys(work: WorkSession, missing: str) -> None:
    profile = msgspec.structs.replace(work.profile, **{missing: False})
    with pytest.raises(BadRequest, match="not supported by the HSM"):
        secret_keys.require_served(profile, A256)
