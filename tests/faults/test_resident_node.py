"""A node with resident custody: keys are objects in the token, and a crash leaves none behind that no row has."""

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from pkcs11 import Attribute, ObjectClass

from hsmvault.hsm.module import TokenSelector
from hsmvault.hsm.pin import Pin
from hsmvault.hsm.world_keys import ATTESTATION_KEY, WorldIds
from tests.caller import Answer, Caller, from_base64url, is_signature, to_base64url
from tests.faults.contest import contest
from tests.faults.crowd import crowd
from tests.faults.vault_wire import ACTS
from tests.faults.wire import require_use, rows_of
from tests.instance import folder_for_data
from tests.isolation.node import PIN, Node, set_up
from tests.softhsm import SoftToken

DIGEST = hashlib.sha256(b"a message").digest()
SIGN = {"alg": "ES256", "value": to_base64url(DIGEST)}


@pytest.fixture
def node() -> Iterator[Node]:
    before = os.environ.get("SOFTHSM2_CONF")
    with folder_for_data() as folder:
        yield set_up(folder, hard="resident")
    os.environ.pop("SOFTHSM2_CONF", None)
    if before is not None:
        os.environ["SOFTHSM2_CONF"] = before


@pytest.mark.slow
def test_kill_9_of_everything_leaves_as_many_objects_as_rows(node: Node) -> None:
    assert node.command("init").returncode == 0
    made: dict[str, Answer] = {}
    token = node.north.token(node.audience)

    def work(caller: Caller, number: int) -> Answer:
        """Keys come, and every third goes for good; of certificates, with keys of their own, every other does."""
        if number % 4 == 1:
            return certificate(caller, f"certificate-{number}", stays=number % 8 == 1)
        name = f"key-{number}"
        answer = caller.call("POST", f"/keys/{name}/create", {"kty": "EC-HSM", "crv": "P-256"})
        if answer.status == 200 and number % 3:
            made[name] = answer
        elif answer.status == 200:
            assert caller.call("DELETE", f"/keys/{name}").status == 200
            assert caller.call("DELETE", f"/deletedkeys/{name}").status == 204
        return answer

    def certificate(caller: Caller, name: str, *, stays: bool) -> Answer:
        answer = ACTS["create hard"](caller, name)
        if answer.status == 202 and not stays:
            assert ACTS["delete"](caller, name).status == 200
            assert ACTS["purge"](caller, name).status == 204
        return answer

    for turn in range(3):
        with ExitStack() as stack:

            def owner(stack: ExitStack = stack) -> Caller:
                caller = Caller(node.port, node.certificate, "north.vault.localhost", token)
                stack.callback(caller.close)
                return caller

            def turned(caller: Caller, number: int, turn: int = turn) -> Answer:
                return work(caller, 100_000 * turn + number)

            stack.enter_context(node.serving())
            with crowd(owner, [turned] * 4, allowed=(200, 202)) as clients:
                clients.wait_for_more(15)
                node.kill()
    with node.serving(), ExitStack() as stack:
        caller = Caller(node.port, node.certificate, "north.vault.localhost", token)
        stack.callback(caller.close)
        for name, created in made.items():
            path = "/".join(created.body["key"]["kid"].split("/")[-2:])
            signed = caller.call("POST", f"/keys/{path}/sign", SIGN)
            assert is_signature(created.body["key"], DIGEST, from_base64url(signed.body["value"])), name
        blob = caller.call("POST", f"/keys/{next(iter(made))}/backup")
        assert blob.status == 400, "a resident key never leaves"
    assert _private_keys(node) == _rows(node)
    assert "have no row" not in node.log.read_text()


@pytest.mark.slow
def test_a_race_for_one_name_leaves_as_many_objects_as_rows(node: Node) -> None:
    """Of two workers, which see each other's objects in one token."""
    assert node.command("init").returncode == 0
    token = node.north.token(node.audience)
    acts = ["create", "create", "import", "rotate", "rotate", "delete", "purge", "recover"]
    with node.serving(), ExitStack() as stack:

        def owner() -> Caller:
            caller = Caller(node.port, node.certificate, "north.vault.localhost", token)
            stack.callback(caller.close)
            return caller

        result = contest(owner, "contested", acts, clients=8, each=15)
        assert {"create", "delete", "purge", "rotate"} <= result.done.keys()
        rows = rows_of(node.folder / "data", "contested")
        assert {version for _, version in rows} <= set(result.made)
        caller = owner()
        caller.call("POST", "/deletedkeys/contested/recover")
        for _, version in rows:
            require_use(caller, "contested", version)
    assert _private_keys(node) == _rows(node) == len(rows)


def _private_keys(node: Node) -> int:
    """But the world's own, the attestation key."""
    token = SoftToken(node.folder, WorldIds(mac=b""), selector=TokenSelector(label="node"), user_pin=Pin(PIN))
    with token.loaded() as module:
        session = module.login(module.find_token(token.selector), token.user_pin)
        wanted = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.TOKEN: True}
        labels = [found[Attribute.LABEL] for found in list(session.get_objects(wanted))]
        session.close()
    assert labels.count(ATTESTATION_KEY.label) == 1
    return len(labels) - 1


def _rows(node: Node) -> int:
    connection = sqlite3.connect(node.folder / "data" / "hsmvault.db")
    try:
        (count,) = connection.execute("SELECT count(*) FROM key_versions WHERE custody = 'resident'").fetchone()
        assert connection.execute("SELECT count(*) FROM intents").fetchone() == (0,)
        return int(count)
    finally:
        connection.close()
