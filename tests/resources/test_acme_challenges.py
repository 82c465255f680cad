"""Where answers to challenges are put, and that nothing of them is left behind."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hsmvault.clock import MovedClock
from hsmvault.errors import Unavailable
from hsmvault.outbound.acme_hook import Hook
from hsmvault.outbound.acme_jws import dns_answer
from hsmvault.resources.certificate_issuers.acme_challenges import DnsHook, HttpHook, Publisher, ServedHere, Webroot
from hsmvault.store import acme_challenges
from hsmvault.store.database import Database
from hsmvault.store.migrations import migrate
from tests.resources.acme_rig import opened

NAME, TOKEN = "a.example.com", "-" + "t" * 42
ANSWER = f"{TOKEN}.{'p' * 43}"
PATH = Path(".well-known/acme-challenge")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    migrate(f"sqlite:///{tmp_path / 'empty.db'}")
    async with opened(tmp_path / "empty.db", tmp_path / "v.db", MovedClock()) as database:
        yield database


async def found(database: Database, token: str = TOKEN) -> str | None:
    async with database.read() as tx:
        return await acme_challenges.find(tx, token)


async def twice(publisher: Publisher, token: str = TOKEN) -> None:
    for _ in range(2):
        await publisher.publish(NAME, token, ANSWER)


async def test_every_worker_finds_an_answer_until_it_is_withdrawn_or_forgotten(database: Database) -> None:
    clock = MovedClock()
    publisher = ServedHere(database, clock)
    await twice(publisher)
    assert await found(database) == ANSWER
    assert await found(database, "other") is None
    for _ in range(2):
        await publisher.withdraw(NAME, TOKEN, ANSWER)
        assert await found(database) is None
    await publisher.publish(NAME, TOKEN, ANSWER)
    clock.move(7 * 86_400)
    await publisher.publish(NAME, "second", ANSWER)
    assert await found(database) == ANSWER
    clock.move(2 * 86_400)
    await publisher.publish(NAME, "third", ANSWER)
    assert await found(database) is None
    assert await found(database, "second") == ANSWER


async def test_answers_in_a_webroot_can_be_read_by_the_web_server(tmp_path: Path) -> None:
    publisher = Webroot(tmp_path)
    await twice(publisher)
    path = tmp_path / PATH / TOKEN
    assert path.read_text() == ANSWER
    assert [oct(one.stat().st_mode & 0o777) for one in (path, path.parent, path.parents[1])] == [
        *("0o644", "0o755", "0o755")
    ]
    assert [one.name for one in path.parent.iterdir()] == [TOKEN]
    for _ in range(2):
        await publisher.withdraw(NAME, TOKEN, ANSWER)
    assert list(path.parent.iterdir()) == []


async def test_directories_that_are_there_already_keep_their_mode(tmp_path: Path) -> None:
    for directory in (tmp_path / ".well-known", tmp_path / PATH):
        directory.mkdir(mode=0o711)
    await Webroot(tmp_path).publish(NAME, TOKEN, ANSWER)
    assert (tmp_path / PATH).stat().st_mode & 0o777 == 0o711


async def test_a_webroot_that_is_not_there_is_worth_another_try_and_known_to_the_operator(tmp_path: Path) -> None:
    for action in (Webroot(tmp_path / "missing").publish, Webroot(tmp_path / "file").publish):
        (tmp_path / "file").touch()
        with pytest.raises(Unavailable) as caught:
            await action(NAME, TOKEN, ANSWER)
        assert str(tmp_path) not in caught.value.message
        assert str(tmp_path) in (caught.value.detail or "")
    await Webroot(tmp_path / "missing").withdraw(NAME, TOKEN, ANSWER)


async def test_hooks_are_told_what_to_publish_where(tmp_path: Path) -> None:
    program, seen = tmp_path / "hook", tmp_path / "seen"
    program.write_text(f'#!/bin/sh\necho "$@" >> {seen}\n')
    program.chmod(0o700)
    hook = Hook((str(program),), 10.0)
    for publisher in (DnsHook(hook), HttpHook(hook)):
        await publisher.publish(NAME, TOKEN, ANSWER)
        await publisher.withdraw(NAME, TOKEN, ANSWER)
    assert seen.read_text().splitlines() == [
        f"add _acme-challenge.{NAME} {dns_answer(ANSWER)}",
        f"remove _acme-challenge.{NAME} {dns_answer(ANSWER)}",
        f"add {NAME} {TOKEN} {ANSWER}",
        f"remove {NAME} {TOKEN} {ANSWER}",
    ]


async def test_a_hook_that_fails_is_worth_another_try_and_known_to_the_operator() -> None:
    for publisher in (DnsHook(Hook(("/bin/false",), 10.0)), HttpHook(Hook(("/bin/false",), 10.0))):
        for action in (publisher.publish, publisher.withdraw):
            with pytest.raises(Unavailable) as caught:
                await action(NAME, TOKEN, ANSWER)
            assert "/bin/false" not in caught.value.message
            assert "/bin/false" in (caught.value.detail or "")


def test_the_answer_for_dns_is_the_digest_of_the_key_authorization() -> None:
    """RFC 8555, 8.4; computed with `printf %s a.b | openssl dgst -sha256 -binary | basenc --base64url`."""
    assert dns_answer("a.b") == "LnM23I66h-9HLfVow1SCq_JXXcPl6sDFxiuP-urCyTQ"
