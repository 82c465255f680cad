"""Sessions, logins and tokens get lost; nothing wrong is ever done, and everything comes back by itself."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import cast

import msgspec
import pytest
from pkcs11 import Attribute, ObjectClass
from pkcs11 import exceptions as p11

from hsmvault.clock import RandomIdentifiers
from hsmvault.errors import CiphertextRefused, HsmRefusal, Throttled, Unavailable
from hsmvault.hsm import mechanisms, objects, recovery
from hsmvault.hsm.ceremony import create_world, initialise_token
from hsmvault.hsm.module import Module, TokenSelector, load_module
from hsmvault.hsm.pairwise import prove
from hsmvault.hsm.pin import Pin
from hsmvault.hsm.returncodes import StaleHandle
from hsmvault.hsm.token import Token
from hsmvault.hsm.work import KeyObject, WorkSession
from hsmvault.hsm.world_keys import WorldIds
from hsmvault.model.algorithms import ENCRYPTION_ALGORITHMS, Curve, KeySpec
from tests.softhsm import SoftToken, until_back

P256 = KeySpec.ec(Curve.P256)


def mac(work: WorkSession) -> bytes:
    assert work.world is not None
    return mechanisms.hmac_sha256(work, work.world.mac, b"message")


async def load(token: Token) -> tuple[KeyObject, bytes]:
    def job(work: WorkSession) -> tuple[KeyObject, bytes]:
        pair = objects.generate_pair(work, P256, objects.WORKING_COPY)
        return pair.private, pair.public

    return await token.load(job)


async def test_a_closed_session_is_replaced_and_the_caller_sees_nothing(token: Token) -> None:
    expected = await token.run(mac)
    sessions = set()

    def close_then_work(work: WorkSession) -> bytes:
        if work.reopened == 0:
            work.session.close()
        sessions.add(work.session_handle)
        return mac(work)

    assert await token.run(close_then_work) == expected
    assert len(sessions) == 2
    assert token.generation == 1


async def test_a_job_that_may_not_run_twice_does_not(token: Token) -> None:
    runs = []

    def job(work: WorkSession) -> bytes:
        runs.append(1)
        raise p11.SessionHandleInvalid

    with pytest.raises(Unavailable):
        await token.run(job, idempotent=False)
    assert len(runs) == 1


async def test_a_python_exception_inside_an_operation_costs_the_session_alone(softhsm: SoftToken) -> None:
    softhsm.profile = msgspec.structs.replace(softhsm.profile, work_sessions=1)
    with softhsm.loaded() as module:
        async with softhsm.started(module) as token:

            def poison(work: WorkSession) -> bytes:
                assert work.world is not None
                data = cast(bytes, bytearray(b"taken for an iterator of chunks"))
                return work.bind(work.world.mac).sign(data, mechanism=mechanisms.Mechanism.SHA256_HMAC)

            with pytest.raises(TypeError):
                await token.run(poison)
            assert await token.run(lambda work: work.reopened) == 1
            assert len(await token.run(mac)) == 32
            assert token.generation == 1


async def test_a_stale_handle_is_refused_before_the_module_is_called(softhsm: SoftToken, module: Module) -> None:
    async with softhsm.started(module) as token:
        old, _ = await load(token)
        generation = token.generation
        token._lose(token._generation, deep=True, why="test")  # type: ignore[arg-type]  # it is up
        await until_back(token, generation)
        with pytest.raises(StaleHandle):
            await token.run(lambda work: prove(work, old, P256, b""))
        new, public = await load(token)
        await token.run(lambda work: prove(work, new, P256, public))


async def test_a_logout_is_noticed_by_the_canary_and_mended_by_a_new_login(token: Token, module: Module) -> None:
    def log_out(work: WorkSession) -> None:
        module.raw.logout(work.session_handle)

    await token.run(log_out)
    with pytest.raises(Unavailable):
        await token.run(mac)
    await until_back(token, 1)
    assert len(await token.run(mac)) == 32
    assert module.epoch == 1, "a login needs no new C_Initialize"


async def test_a_lost_loader_session_is_a_new_generation_because_loaded_keys_die_with_it(
    token: Token,
) -> None:
    await load(token)
    await token.load(lambda work: work.session.close())
    with pytest.raises(Unavailable):
        await load(token)
    await until_back(token, 1)
    key, public = await load(token)
    await token.run(lambda work: prove(work, key, P256, public))


async def test_a_canary_that_sings_another_tune_is_a_lost_token(token: Token, module: Module) -> None:
    """The handle names another key: everything that is loaded may be another key too."""
    generation = token._generation
    assert generation is not None
    generation.world = replace(generation.world, canary=bytes(32))
    epoch = module.epoch

    def fail(work: WorkSession) -> None:
        raise p11.GeneralError

    with pytest.raises(Unavailable):
        await token.run(fail, refusable=True)
    await until_back(token, 1)
    assert module.epoch == epoch + 1
    with pytest.raises(CiphertextRefused):
        await token.run(fail, refusable=True)


async def test_a_handle_that_the_token_does_not_know_is_no_lost_token(token: Token) -> None:
    key, _ = await load(token)
    await token.load(lambda work: objects.destroy(key))
    with pytest.raises(StaleHandle):
        await token.run(lambda work: prove(work, key, P256, b""))
    assert token.is_up
    assert token.counters.canaries == 1


async def test_a_vanished_token_folder_is_unavailable_and_back_when_the_folder_is(
    softhsm: SoftToken, module: Module
) -> None:
    attempts = asyncio.Queue[float]()
    go_on = asyncio.Event()

    async def pause(seconds: float) -> None:
        attempts.put_nowait(seconds)
        await go_on.wait()

    async with softhsm.started(module, pause=pause) as token:
        expected = await token.run(mac)
        away = softhsm.folder / "away"
        softhsm.tokens.rename(away)
        softhsm.tokens.mkdir()
        with pytest.raises(Unavailable) as caught:
            await token.run(mac)
        assert caught.value.retry_after_seconds >= 1
        await attempts.get()
        for _ in range(3):
            with pytest.raises(Unavailable):
                await token.run(mac)
        assert not token.is_up
        softhsm.tokens.rmdir()
        away.rename(softhsm.tokens)
        go_on.set()
        await until_back(token, 1)
        assert await token.run(mac) == expected


async def test_a_known_world_key_that_is_not_found_is_a_lost_token(softhsm: SoftToken, module: Module) -> None:
    with pytest.raises(HsmRefusal, match="world key"):
        await Token.start(
            module,
            softhsm.selector,
            softhsm.user_pin,
            WorldIds(mac=softhsm.ids.mac, world=b"another one 1234"),
            on_fatal=pytest.fail,
        )


async def test_a_worker_may_start_while_the_token_is_away(softhsm: SoftToken) -> None:
    away = softhsm.folder / "away"
    softhsm.tokens.rename(away)
    with softhsm.loaded() as module:
        token = await Token.start(
            module,
            softhsm.selector,
            softhsm.user_pin,
            softhsm.ids,
            on_fatal=pytest.fail,
            may_be_down=True,
        )
        with pytest.raises(Unavailable):
            await token.run(mac)
        softhsm.tokens.rmdir()
        away.rename(softhsm.tokens)
        await until_back(token, 0)
        assert len(await token.run(mac)) == 32
        await token.close()


async def test_a_wrong_pin_is_tried_once(softhsm: SoftToken, module: Module) -> None:
    logins = count_logins(module)
    with pytest.raises(HsmRefusal, match="PIN"):
        await Token.start(module, softhsm.selector, Pin("wrong"), softhsm.ids, on_fatal=pytest.fail)
    assert len(logins) == 1


async def test_a_pin_that_is_refused_at_run_time_keeps_the_token_down(softhsm: SoftToken, module: Module) -> None:
    async with softhsm.started(module) as token:
        logins = count_logins(module)
        token._pin = Pin("changed by somebody")
        token._lose(token._generation, deep=False, why="test")  # type: ignore[arg-type]  # it is up
        assert token._task is not None
        await token._task
        token.step_in()  # as after another token's recovery
        with pytest.raises(Unavailable) as caught:
            await token.run(mac)
        assert len(logins) == 1
        assert "PIN" in (caught.value.detail or "")


def count_logins(module: Module) -> list[None]:
    logins: list[None] = []
    login = module.login

    def counted(token: object, pin: Pin) -> object:
        logins.append(None)
        return login(token, pin)  # type: ignore[arg-type]  # passed on

    module.login = counted  # type: ignore[method-assign,assignment]  # counts real attempts
    return logins


async def test_bad_ciphertexts_cost_nobody_else_a_signature(token: Token) -> None:
    spec = KeySpec.rsa(2048)
    pair = await token.load(lambda work: objects.generate_pair(work, spec, objects.WORKING_COPY))
    algorithm = ENCRYPTION_ALGORITHMS["RSA-OAEP"]
    bad = mechanisms.decrypting(spec, algorithm, b"\x01" * 256)
    good, public = await load(token)

    async def decrypt() -> None:
        with pytest.raises(CiphertextRefused):
            await token.run(lambda work: bad(work.bind(pair.private)), refusable=True)

    async def sign() -> None:
        await token.run(lambda work: prove(work, good, P256, public))

    await asyncio.gather(*(decrypt() for _ in range(300)), *(sign() for _ in range(100)))
    assert token.is_up
    assert token.generation == 1
    assert token.counters.canaries == 300
    assert token.counters.canaries_failed == 0


async def test_a_full_queue_throttles_before_the_hop(softhsm: SoftToken) -> None:
    softhsm.profile = msgspec.structs.replace(softhsm.profile, work_queue=2, work_sessions=1)
    with softhsm.loaded() as module:
        async with softhsm.started(module) as token:
            entered, leave = threading.Event(), threading.Event()

            def wait(work: WorkSession) -> None:
                entered.set()
                leave.wait(10)

            held = asyncio.create_task(token.run(wait))
            await asyncio.to_thread(entered.wait, 10)
            queued = [asyncio.create_task(token.run(mac)) for _ in range(2)]
            await asyncio.sleep(0)
            with pytest.raises(Throttled):
                await token.run(mac)
            leave.set()
            await asyncio.gather(held, *queued)


async def test_a_hanging_call_answers_the_waiting_and_ends_the_process(softhsm: SoftToken) -> None:
    softhsm.profile = msgspec.structs.replace(softhsm.profile, hang_seconds=0.0, work_sessions=1)
    reasons: asyncio.Queue[str] = asyncio.Queue()
    with softhsm.loaded() as module:
        token = await started_slowly(softhsm, module, on_fatal=reasons.put_nowait)
        entered, leave = threading.Event(), threading.Event()

        def hang(work: WorkSession) -> None:
            entered.set()
            leave.wait(10)

        hanging = asyncio.create_task(token.run(hang))
        await asyncio.to_thread(entered.wait, 10)
        queued = asyncio.create_task(token.run(mac))
        await asyncio.sleep(0)
        generation = token._generation
        assert generation is not None
        token.check_for_hanging()
        for task in (hanging, queued):
            with pytest.raises(Unavailable):
                await task
        assert reasons.empty(), "the answers go out before the process ends"
        with pytest.raises(Unavailable):
            await token.run(mac)
        token.check_for_hanging()
        assert "hangs" in await reasons.get()
        assert not token.is_up
        leave.set()
        await generation.drain(refuse_queued=True)
        await token.close()


async def started_slowly(softhsm: SoftToken, module: Module, *, on_fatal: Callable[[str], None]) -> Token:
    """With a profile that lets no call run, and time for the start all the same."""
    profile, module.profile = module.profile, msgspec.structs.replace(module.profile, hang_seconds=30.0)
    token = await Token.start(module, softhsm.selector, softhsm.user_pin, softhsm.ids, on_fatal=on_fatal)
    module.profile = token.profile = profile
    assert token._generation is not None
    token._generation._profile = profile
    return token


async def test_closing_waits_for_a_recovery_that_initialises_the_module(
    softhsm: SoftToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its thread would initialise the module again behind the one who finalised it, or crash with it."""
    entered, leave = threading.Event(), threading.Event()
    real = Module.reinitialize

    def slowly(module: Module) -> None:
        entered.set()
        assert leave.wait(10)
        real(module)

    monkeypatch.setattr(Module, "reinitialize", slowly)
    with softhsm.loaded() as module:
        async with softhsm.started(module) as token:
            token._lose(token._generation, deep=True, why="test")  # type: ignore[arg-type]  # it is up
            await asyncio.to_thread(entered.wait, 10)
            asyncio.get_running_loop().call_later(0.05, leave.set)
        assert leave.is_set(), "closed while a thread was inside"
        epoch = module.epoch
        assert not module.has_lost_thread
    assert module.epoch == epoch == 2
    with softhsm.loaded():
        pass


class SlowLogin:
    """C_Login does not return before it is told to."""

    def __init__(self, module: Module) -> None:
        self.entered, self.leave = threading.Event(), threading.Event()
        self._login = module.login
        module.login = self  # type: ignore[method-assign,assignment]  # in front of the real one

    def __call__(self, token: object, pin: Pin) -> object:
        self.entered.set()
        assert self.leave.wait(10)
        return self._login(token, pin)  # type: ignore[arg-type]  # passed on


def impatient(softhsm: SoftToken, seconds: float = 0.05) -> SoftToken:
    softhsm.profile = msgspec.structs.replace(softhsm.profile, hang_seconds=seconds)
    return softhsm


async def test_a_login_that_hangs_at_the_first_start_is_refused_in_one_sentence(softhsm: SoftToken) -> None:
    module = load_module(softhsm.module_path, impatient(softhsm).profile)
    slow = SlowLogin(module)
    with pytest.raises(HsmRefusal, match="does not answer"):
        await Token.start(module, softhsm.selector, softhsm.user_pin, softhsm.ids, on_fatal=pytest.fail)
    epoch = module.epoch
    module.finalize()
    with pytest.raises(HsmRefusal, match="in use"):
        module.reinitialize()
    assert module.epoch == epoch, "a thread is inside"
    await until_out(slow)
    module.has_lost_thread = False
    module.finalize()


async def until_out(slow: SlowLogin) -> None:
    """Let the login return, and wait for its thread."""
    slow.leave.set()
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "hsm-start")
    await asyncio.to_thread(thread.join, 10)


async def test_a_login_that_only_takes_long_brings_a_replaced_worker_up_in_the_end(softhsm: SoftToken) -> None:
    with impatient(softhsm).loaded() as module:
        slow = SlowLogin(module)
        token = await Token.start(
            module, softhsm.selector, softhsm.user_pin, softhsm.ids, on_fatal=pytest.fail, may_be_down=True
        )
        module.profile = msgspec.structs.replace(module.profile, hang_seconds=30.0)
        with pytest.raises(Unavailable) as caught:
            await token.run(mac)
        assert "does not answer" in (caught.value.detail or "")
        slow.leave.set()
        await until_back(token, 0)
        assert len(await token.run(mac)) == 32
        await token.close()


async def test_a_login_that_never_returns_ends_a_replaced_worker(softhsm: SoftToken) -> None:
    fatal: asyncio.Queue[str] = asyncio.Queue()
    with impatient(softhsm).loaded() as module:
        slow = SlowLogin(module)
        token = await Token.start(
            module, softhsm.selector, softhsm.user_pin, softhsm.ids, on_fatal=fatal.put_nowait, may_be_down=True
        )
        assert "does not come out" in await fatal.get()
        await until_out(slow)
        await token.close()


async def test_a_recovery_that_breaks_off_begins_again(
    token: Token, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> None:
        monkeypatch.undo()
        raise ZeroDivisionError

    monkeypatch.setattr(recovery, "relogin", broken)
    token._lose(token._generation, deep=False, why="test")  # type: ignore[arg-type]  # it is up
    await until_back(token, 1)
    assert len(await token.run(mac)) == 32
    assert "ZeroDivisionError" in caplog.text


async def test_the_module_is_never_finalized_with_a_thread_inside(softhsm: SoftToken) -> None:
    softhsm.profile = msgspec.structs.replace(softhsm.profile, drain_seconds=0.01)
    fatal: asyncio.Queue[str] = asyncio.Queue()
    with softhsm.loaded() as module:
        token = await Token.start(module, softhsm.selector, softhsm.user_pin, softhsm.ids, on_fatal=fatal.put_nowait)
        entered, leave = threading.Event(), threading.Event()

        def hang(work: WorkSession) -> None:
            entered.set()
            leave.wait(10)

        hanging = asyncio.create_task(token.run(hang))
        await asyncio.to_thread(entered.wait, 10)
        generation = token._generation
        assert generation is not None
        token._lose(generation, deep=True, why="test")
        assert "does not come out" in await fatal.get()
        assert module.epoch == 1
        leave.set()
        with suppress(Unavailable):
            await hanging
        await generation.drain(refuse_queued=True)
        await token.close()


async def test_two_tokens_of_one_module_leave_it_together(softhsm: SoftToken, module: Module) -> None:
    other = second_token(softhsm, module)
    epoch = module.epoch
    async with softhsm.started(module) as first, other.started(module) as second:
        first_mac, second_mac = await first.run(mac), await second.run(mac)
        assert first_mac != second_mac
        first._lose(first._generation, deep=True, why="test")  # type: ignore[arg-type]  # it is up
        await until_back(first, 1)
        await until_back(second, 1)
        assert (await first.run(mac), await second.run(mac)) == (first_mac, second_mac)
        assert module.epoch == epoch + 1, "the second does not initialise the module again"


def second_token(softhsm: SoftToken, module: Module) -> SoftToken:
    initialise_token(module, "second", so_pin=softhsm.so_pin, user_pin=softhsm.user_pin)
    selector = TokenSelector(label="second")
    ids = create_world(
        module, selector, so_pin=softhsm.so_pin, user_pin=softhsm.user_pin, random=RandomIdentifiers().random
    )
    return replace(softhsm, selector=selector, ids=ids)


async def test_nothing_of_the_tests_stays_on_the_token(token: Token) -> None:
    def count(work: WorkSession) -> int:
        return len(list(work.session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY})))

    assert await token.run(count) == 0
