"""Loading a module: with locking, once, and with a sentence that helps when it does not work."""

import asyncio
import pickle
import re
import threading
from pathlib import Path

import pkcs11
import pytest
from pkcs11 import _pkcs11
from pkcs11 import exceptions as p11

from hsmvault.errors import BadRequest, CiphertextRefused, HsmRefusal
from hsmvault.hsm import digestinfo, returncodes
from hsmvault.hsm.module import Module, TokenSelector, load_module
from hsmvault.hsm.oaep import Unpadder
from hsmvault.hsm.pin import Pin
from hsmvault.hsm.prepare import main as prepare
from hsmvault.hsm.profile import load_profile
from hsmvault.hsm.raw import ReturnCode
from hsmvault.hsm.returncodes import Verdict, judge
from hsmvault.model.algorithms import Hash
from tests.softhsm import PROFILE_PATH, SoftToken


def test_four_threads_with_a_session_each_do_not_crash_the_module(softhsm: SoftToken, module: Module) -> None:
    """With C_Initialize(NULL) this crashed in 13 of 15 runs."""
    token = module.find_token(softhsm.selector)
    keeper = module.login(token, softhsm.user_pin)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            session = module.open_session(token)
            for _ in range(100):
                session.generate_key(pkcs11.KeyType.AES, 256, store=False).destroy()
                list(session.get_objects({pkcs11.Attribute.LABEL: "none"}))
            session.close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    keeper.close()
    assert failures == []


def test_a_variable_that_the_module_needs_is_asked_for(softhsm: SoftToken, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOFTHSM2_CONF")
    with pytest.raises(HsmRefusal, match="SOFTHSM2_CONF"):
        load_module(softhsm.module_path, softhsm.profile)


@pytest.mark.parametrize("path", ["/nonexistent.so", "/etc/hostname", "libc.so.6"])
def test_what_is_no_module_is_refused(softhsm: SoftToken, path: str) -> None:
    with pytest.raises(HsmRefusal, match=r"hsm\.module"):
        load_module(path, softhsm.profile)


def test_a_module_that_is_in_use_in_the_process_is_not_shared_by_accident(softhsm: SoftToken, module: Module) -> None:
    with pytest.raises(HsmRefusal, match="in use"):
        load_module(softhsm.module_path, softhsm.profile)


def test_another_python_pkcs11_is_noticed_at_start(softhsm: SoftToken, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(_pkcs11, "SignMixin")
    with pytest.raises(HsmRefusal, match="SignMixin"):
        load_module(softhsm.module_path, softhsm.profile)


NSS = next(Path("/usr/lib").glob("*/libsoftokn3.so"), None)


@pytest.mark.skipif(NSS is None, reason="NSS softokn (package libnss3) is not installed")
def test_a_module_that_refuses_null_gets_its_own_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSS_DIR", str(tmp_path))
    module = load_module(str(NSS), load_profile(PROFILE_PATH.parent / "nss.toml"))
    labels = {slot.get_token().label for slot in module._library.get_slots()}
    module.finalize()
    assert "NSS Certificate DB" in labels
    assert (tmp_path / "cert9.db").exists()


def test_a_token_is_found_by_label_or_serial(softhsm: SoftToken, module: Module) -> None:
    token = module.find_token(softhsm.selector)
    serial = TokenSelector(serial=token.serial.decode())
    assert module.find_token(serial).label == token.label
    with pytest.raises(p11.NoSuchToken):
        module.find_token(TokenSelector(label="none"))


def test_every_exception_of_the_library_has_a_verdict() -> None:
    classes = [each for each in vars(p11).values() if isinstance(each, type) and issubclass(each, p11.PKCS11Error)]
    assert len(classes) > 70
    assert {judge(each()) for each in classes} == set(Verdict)


def test_a_code_that_the_library_does_not_map_asks_the_canary() -> None:
    assert judge(p11.PKCS11Error("Unmapped error code 0x1b")) is Verdict.AMBIGUOUS
    assert judge(ReturnCode("C_Login", 0x80000001)) is Verdict.AMBIGUOUS
    assert judge(ReturnCode("C_Login", 0xA4)) is Verdict.PIN
    assert judge(TypeError("ours")) is Verdict.FAULT


def test_verdicts_do_not_depend_on_texts() -> None:
    source = Path(returncodes.__file__).read_text()
    assert not re.search(r"str\(error\) ==|in str\(error\)|\.args", source)


def test_a_pin_does_not_show_itself() -> None:
    pin = Pin("secret-value")
    assert "secret" not in f"{pin} {pin!r} {[pin]} {vars(type(pin))}"
    with pytest.raises(TypeError):
        pickle.dumps(pin)


@pytest.mark.parametrize("function", [Hash.SHA256, Hash.SHA384, Hash.SHA512])
def test_digests_have_exactly_one_length(function: Hash) -> None:
    good = bytes(function.digest_bytes)
    assert digestinfo.digest_info(function, good).endswith(good)
    for bad in (good[:-1], good + b"\0", b"", bytearray(good)):
        with pytest.raises(BadRequest):
            digestinfo.digest_info(function, bad)  # type: ignore[arg-type]  # bytearray is the point


def test_unpadding_outside_the_token_has_one_error() -> None:
    unpadder = Unpadder(2048)
    for encoded in (bytes(256), b"\xff" * 256, b"\0" + b"\x01" * 255, b"\x01" + bytes(255)):
        with pytest.raises(CiphertextRefused) as caught:
            unpadder.unpad(encoded)
        assert caught.value.message == CiphertextRefused().message
        assert caught.value.__cause__ is None


def test_a_token_is_prepared_by_hand_with_pins_from_files(
    softhsm: SoftToken, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("so", "user"):
        (softhsm.folder / name).write_text(f"{name}-pin-value\n")
    arguments = ["--module", softhsm.module_path, "--profile", str(PROFILE_PATH), "--label", "by hand"]
    arguments += ["--so-pin-file", str(softhsm.folder / "so"), "--pin-file", str(softhsm.folder / "user")]
    assert prepare(arguments) == 0
    assert prepare(arguments) == 3
    assert "pin-value" not in capsys.readouterr().err
    with softhsm.loaded() as module:
        module.login(module.find_token(TokenSelector(label="by hand")), Pin("user-pin-value")).close()


async def test_a_module_serves_no_two_openers_at_a_time(module: Module) -> None:
    async with module.turn:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await module.turn.acquire()
