"""Operations of one part by ctypes: the results of python-pkcs11, and a session that stays usable after any error."""

import os
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from pkcs11 import MGF, Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.mechanisms import GCMParams

from hsmvault.hsm.module import Module
from hsmvault.hsm.raw import ReturnCode
from hsmvault.hsm.returncodes import StaleHandle, Verdict, judge
from hsmvault.hsm.work import KeyObject, WorkSession
from tests.softhsm import SoftToken

OAEP = (Mechanism.SHA_1, MGF.SHA1, None)
PSS = (Mechanism.SHA256, MGF.SHA256, 32)
DIGEST = bytes(range(32))


@pytest.fixture(params=[True, False], ids=["keeps the lock", "lets go"])
def work(softhsm: SoftToken, module: Module, request: pytest.FixtureRequest) -> Iterator[WorkSession]:
    token = module.find_token(softhsm.selector)
    profile = msgspec.structs.replace(module.profile, brief_blocks=request.param)
    session = module.login(token, softhsm.user_pin)
    made = WorkSession(
        lambda: module.open_session(token), session, generation=1, profile=profile, raw=module.raw, world=None
    )
    yield made
    made.session.close()


def aes(work: WorkSession) -> KeyObject:
    template = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES, Attribute.VALUE: bytes(32)}
    made = work.session.create_object(template | {Attribute.ENCRYPT: True, Attribute.DECRYPT: True})
    return work.hold(made, KeyType.AES)


def rsa(work: WorkSession) -> tuple[Any, KeyObject]:
    """The public key as python-pkcs11 has it, and the private one."""
    public, private = work.session.generate_keypair(KeyType.RSA, 2048, store=False)
    return public, work.hold(private, KeyType.RSA)


def test_what_is_encrypted_here_python_pkcs11_decrypts_and_the_reverse(work: WorkSession) -> None:
    key = aes(work)
    for mechanism, parameter in (
        (Mechanism.AES_GCM, GCMParams(bytes(12), b"bound to this", 128)),
        (Mechanism.AES_GCM, GCMParams(bytes(12))),
        (Mechanism.AES_CBC_PAD, bytes(16)),
    ):
        for text in (b"x", os.urandom(5000)):
            sealed = work.use(key).encrypt(text, mechanism=mechanism, mechanism_param=parameter)
            assert sealed == work.bind(key).encrypt(text, mechanism=mechanism, mechanism_param=parameter)
            assert work.use(key).decrypt(sealed, mechanism=mechanism, mechanism_param=parameter) == text


def test_rsa_takes_the_parameters_of_pss_and_oaep(work: WorkSession) -> None:
    public, private = rsa(work)
    signature = work.use(private).sign(DIGEST, mechanism=Mechanism.RSA_PKCS_PSS, mechanism_param=PSS)
    assert public.verify(DIGEST, signature, mechanism=Mechanism.RSA_PKCS_PSS, mechanism_param=PSS)
    sealed = public.encrypt(b"text", mechanism=Mechanism.RSA_PKCS_OAEP, mechanism_param=OAEP)
    assert work.use(private).decrypt(sealed, mechanism=Mechanism.RSA_PKCS_OAEP, mechanism_param=OAEP) == b"text"


def test_data_that_is_not_bytes_is_refused_before_anything_is_begun(work: WorkSession) -> None:
    key = aes(work)
    for data in (bytearray(16), memoryview(bytes(16)), "text"):
        with pytest.raises(TypeError):
            work.use(key).encrypt(data, mechanism=Mechanism.AES_CBC_PAD, mechanism_param=bytes(16))  # type: ignore[arg-type]  # the point
    with pytest.raises(TypeError):
        work.use(key).encrypt(bytes(16), mechanism=Mechanism.AES_CBC_PAD, mechanism_param=17)
    assert len(work.use(key).encrypt(bytes(16), mechanism=Mechanism.AES_CBC_PAD, mechanism_param=bytes(16))) == 32


def test_an_error_arrives_as_a_code_and_ends_the_operation(work: WorkSession) -> None:
    key = aes(work)
    gcm = GCMParams(bytes(12), b"", 128)
    sealed = bytearray(work.use(key).encrypt(b"text", mechanism=Mechanism.AES_GCM, mechanism_param=gcm))
    sealed[0] ^= 1
    for _ in range(3):
        with pytest.raises(ReturnCode) as refused:
            work.use(key).decrypt(bytes(sealed), mechanism=Mechanism.AES_GCM, mechanism_param=gcm)
        assert judge(refused.value) in (Verdict.AMBIGUOUS, Verdict.CALLER)
    with pytest.raises(ReturnCode) as refused:
        work.use(key).sign(DIGEST, mechanism=Mechanism.SHA256_HMAC)
    assert judge(refused.value) is Verdict.FAULT
    sealed[0] ^= 1
    assert work.use(key).decrypt(bytes(sealed), mechanism=Mechanism.AES_GCM, mechanism_param=gcm) == b"text"


def test_a_handle_of_another_generation_never_reaches_the_module(work: WorkSession) -> None:
    key = aes(work)
    old = KeyObject(key.generation - 1, key.handle, key.key_type, key.origin)
    with pytest.raises(StaleHandle):
        work.use(old)
