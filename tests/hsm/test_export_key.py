"""The attacks on the export key and on exchange keys, tried for real with a logged-in session.

What may leave is what was made exportable; nothing else comes under the export key, and nothing else opens with it.
"""

import os

import pytest
from pkcs11 import MGF, Attribute, KeyType, Mechanism, ObjectClass
from pkcs11 import exceptions as p11

from hsmvault.hsm import exchange, export, objects, secret_keys
from hsmvault.hsm.ceremony import make_export_key
from hsmvault.hsm.objects import Stay
from hsmvault.hsm.pairwise import PairwiseFailed
from hsmvault.hsm.public import encrypt_oaep
from hsmvault.hsm.work import KeyObject, WorkSession
from hsmvault.hsm.world_keys import EXPORT_KEY, locate
from hsmvault.model.algorithms import ENCRYPTION_ALGORITHMS, Curve, KeySpec

P256 = KeySpec.ec(Curve.P256)
RSA_2048 = KeySpec.rsa(2048)
AES_256 = KeySpec.oct(256)
LOOSE = Stay(leaves=True, exportable=True)


@pytest.fixture
def export_key(work: WorkSession) -> KeyObject:
    token_id = os.urandom(16)
    make_export_key(work, token_id)
    return locate(work, EXPORT_KEY, token_id)


def world_key(work: WorkSession) -> KeyObject:
    assert work.world is not None and work.world.world is not None
    return work.world.world


def made(work: WorkSession, spec: KeySpec, stay: Stay) -> tuple[KeyObject, bytes]:
    """A fresh session object and its public part."""
    if spec is AES_256:
        return secret_keys.generate(work, spec, stay), b""
    pair = objects.generate_pair(work, spec, stay)
    return pair.private, pair.public


def working_copy(work: WorkSession, blob: bytes, spec: KeySpec, public: bytes) -> KeyObject:
    if spec is AES_256:
        return secret_keys.unwrap_working(work, world_key(work), blob, spec, secret_keys.Use.MODES)
    return objects.unwrap_private(work, world_key(work), blob, spec, objects.WORKING_COPY, public)


SPECS = pytest.mark.parametrize("spec", [P256, RSA_2048, AES_256], ids=["EC", "RSA", "oct"])


@SPECS
def test_a_key_that_is_not_exportable_is_not_wrapped_under_the_export_key(
    work: WorkSession, export_key: KeyObject, spec: KeySpec
) -> None:
    key, public = made(work, spec, objects.LEAVING)
    with pytest.raises(p11.KeyNotWrappable):
        objects.wrap(work, export_key, key)
    blob = objects.wrap(work, world_key(work), key)
    with pytest.raises(p11.PKCS11Error):
        objects.wrap(work, export_key, working_copy(work, blob, spec, public))


@SPECS
def test_the_blob_of_a_key_that_is_not_exportable_does_not_open_with_the_export_key(
    work: WorkSession, export_key: KeyObject, spec: KeySpec
) -> None:
    key, public = made(work, spec, objects.LEAVING)
    blob = objects.wrap(work, world_key(work), key)
    with pytest.raises(p11.PKCS11Error):
        export.unwrap(work, export_key, blob, spec, public)


@SPECS
def test_the_working_copy_of_an_exportable_key_does_not_leave(
    work: WorkSession, export_key: KeyObject, spec: KeySpec
) -> None:
    """What serves requests is as tight as for any other key; only the export blob opens as something that leaves."""
    key, public = made(work, spec, LOOSE)
    blob = objects.wrap(work, world_key(work), key)
    copy = working_copy(work, blob, spec, public)
    assert not copy.origin[Attribute.EXTRACTABLE]
    for wrapping in (export_key, world_key(work)):
        with pytest.raises(p11.PKCS11Error):
            objects.wrap(work, wrapping, copy)
    with pytest.raises(p11.PKCS11Error):
        copy.origin[Attribute.EXTRACTABLE] = True


@SPECS
@pytest.mark.parametrize(
    "flags",
    [{Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True}, {Attribute.SENSITIVE: False}, {}],
    ids=["in the clear", "readable", "left out"],
)
def test_an_export_blob_does_not_open_as_a_secret_that_can_be_read(
    work: WorkSession, export_key: KeyObject, spec: KeySpec, flags: dict[Attribute, object]
) -> None:
    key, _ = made(work, spec, LOOSE)
    blob = objects.wrap(work, export_key, key)
    with pytest.raises(p11.PKCS11Error):
        work.bind(export_key).unwrap_key(
            ObjectClass.SECRET_KEY,
            KeyType.GENERIC_SECRET,
            blob,
            mechanism=objects.WRAPPING,
            capabilities=0,
            template={Attribute.TOKEN: False, **flags},
        )


@SPECS
def test_an_export_blob_does_not_open_with_the_world_key(
    work: WorkSession, export_key: KeyObject, spec: KeySpec
) -> None:
    key, public = made(work, spec, LOOSE)
    blob = objects.wrap(work, export_key, key)
    with pytest.raises(p11.PKCS11Error):
        working_copy(work, blob, spec, public)


@pytest.mark.parametrize(
    "attribute",
    [Attribute.DECRYPT, Attribute.ENCRYPT, Attribute.TRUSTED, Attribute.EXTRACTABLE, Attribute.MODIFIABLE],
)
def test_the_export_key_cannot_be_given_another_use(
    work: WorkSession, export_key: KeyObject, attribute: Attribute
) -> None:
    with pytest.raises(p11.PKCS11Error):
        export_key.origin[attribute] = True
    with pytest.raises(p11.PKCS11Error):
        export_key.origin.copy({attribute: True})
    assert not export_key.origin[attribute]


@pytest.mark.parametrize("mechanism", [Mechanism.AES_ECB, Mechanism.AES_CBC_PAD, Mechanism.AES_GCM])
def test_the_export_key_decrypts_nothing(work: WorkSession, export_key: KeyObject, mechanism: Mechanism) -> None:
    with pytest.raises(p11.PKCS11Error):
        work.bind(export_key).decrypt(bytes(32), mechanism=mechanism, mechanism_param=bytes(16))


@SPECS
def test_what_leaves_is_never_readable(work: WorkSession, export_key: KeyObject, spec: KeySpec) -> None:
    key, public = made(work, spec, LOOSE)
    opened = export.unwrap(work, export_key, objects.wrap(work, export_key, key), spec, public)
    for secret in (Attribute.VALUE, Attribute.PRIVATE_EXPONENT, Attribute.PRIME_1):
        with pytest.raises(p11.PKCS11Error):
            opened.origin[secret]


def test_an_exchange_key_neither_signs_nor_decrypts(work: WorkSession) -> None:
    pair = objects.generate_pair(work, RSA_2048, Stay(exchange=True))
    bound = work.bind(pair.private)
    ciphertext = encrypt_oaep(pair.public, ENCRYPTION_ALGORITHMS["RSA-OAEP"], bytes(32))
    with pytest.raises(p11.PKCS11Error):
        bound.sign(bytes(32), mechanism=Mechanism.RSA_PKCS)
    for mechanism, parameters in (
        (Mechanism.RSA_PKCS_OAEP, (Mechanism.SHA_1, MGF.SHA1, None)),
        (Mechanism.RSA_X_509, None),
        (Mechanism.RSA_PKCS, None),
    ):
        with pytest.raises(p11.PKCS11Error):
            bound.decrypt(ciphertext, mechanism=mechanism, mechanism_param=parameters)
    for attribute in (Attribute.DECRYPT, Attribute.SIGN):
        with pytest.raises(p11.PKCS11Error):
            pair.private.origin[attribute] = True


def test_an_exchange_key_unwraps_with_oaep_alone(work: WorkSession) -> None:
    pair = objects.generate_pair(work, RSA_2048, Stay(exchange=True))
    exchange.prove_exchange(work, pair.private, pair.public)
    ciphertext = encrypt_oaep(pair.public, ENCRYPTION_ALGORITHMS["RSA-OAEP"], bytes(32))
    with pytest.raises(p11.PKCS11Error):
        work.bind(pair.private).unwrap_key(
            ObjectClass.SECRET_KEY,
            KeyType.AES,
            ciphertext,
            mechanism=Mechanism.RSA_PKCS,
            capabilities=0,
            template={Attribute.TOKEN: False},
        )


def test_an_exchange_key_that_does_not_belong_to_its_public_part_is_not_proved(work: WorkSession) -> None:
    pair, other = [objects.generate_pair(work, RSA_2048, Stay(exchange=True)) for _ in range(2)]
    with pytest.raises((PairwiseFailed, p11.PKCS11Error)):
        exchange.prove_exchange(work, pair.private, other.public)


def test_a_session_aside_takes_with_it_what_it_made(work: WorkSession) -> None:
    def count() -> int:
        return len(list(work.session.get_objects({Attribute.TOKEN: False})))

    before = count()
    with work.aside() as side:
        key, _ = made(side, P256, objects.WORKING_COPY)
        assert count() == before + 1
        assert len(work.bind(key).sign(bytes(32), mechanism=Mechanism.ECDSA)) == 64
    assert count() == before
    with pytest.raises(p11.PKCS11Error):
        work.bind(key).sign(bytes(32), mechanism=Mechanism.ECDSA)


@pytest.mark.parametrize("curve", list(Curve), ids=lambda curve: curve.value)
def test_a_public_key_is_recovered_from_what_its_key_signs(work: WorkSession, curve: Curve) -> None:
    for _ in range(5):
        pair = objects.generate_pair(work, KeySpec.ec(curve), objects.LEAVING)
        assert exchange.ec_recovery.recover(work, pair.private, curve) == pair.public
