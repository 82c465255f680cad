"""A whole instance, and what its clients see when its processes are killed, its token goes away, or it is stopped."""

import hashlib
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.caller import API_VERSION, Answer, Caller, eventually, from_base64url, is_signature, owner_of, to_base64url
from tests.faults.crowd import crowd
from tests.faults.trail import audit_records, metric, workers_of
from tests.faults.wire import items
from tests.instance import folder_for_data, running

DIGEST = hashlib.sha256(b"a message").digest()
KINDS = ({"kty": "EC-HSM", "crv": "P-256"}, {"kty": "EC", "crv": "P-256"})
SIGN = {"alg": "ES256", "value": to_base64url(DIGEST)}


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with folder_for_data() as folder:
        yield folder / "data"


class Acknowledged:
    """Keys whose creation was answered with 200, by name."""

    def __init__(self) -> None:
        self.keys: dict[str, dict[str, Any]] = {}

    def create(self, caller: Caller, number: int) -> Answer:
        name = f"key-{number}"
        answer = caller.call("POST", f"/keys/{name}/create", KINDS[number % 2])
        if answer.status == 200:
            self.keys[name] = answer.body["key"]
        return answer

    def require_all(self, caller: Caller) -> None:
        """Every one is there, and is the one that signs."""
        assert self.keys
        for name, jwk in self.keys.items():
            found = caller.call("GET", f"/keys/{name}")
            assert found.body["key"]["kid"].rpartition("/")[2] == jwk["kid"].rpartition("/")[2], found
            signed = sign(caller, name)
            assert signed.status == 200, signed
            assert is_signature(jwk, DIGEST, from_base64url(signed.body["value"])), name

    def require_rest_whole(self, caller: Caller) -> None:
        """What is there without having been acknowledged works as well."""
        for name in set(listed(caller)) - set(self.keys):
            signed = sign(caller, name)
            assert signed.status == 200, signed


def sign(caller: Caller, name: str, request_id: str = "") -> Answer:
    """With the latest version, whose id clients put into the path."""
    found = caller.call("GET", f"/keys/{name}")
    if found.status != 200:
        return found
    version = found.body["key"]["kid"].rpartition("/")[2]
    return caller.call("POST", f"/keys/{name}/{version}/sign", SIGN, request_id=request_id)


def listed(caller: Caller) -> list[str]:
    return [item["kid"].rpartition("/")[2] for item in items(caller, "/keys")]


@pytest.mark.slow
def test_a_killed_worker_costs_no_acknowledged_key_and_is_replaced(data_dir: Path) -> None:
    made = Acknowledged()
    with running(data_dir, workers=2) as instance, owner_of(instance) as owner:
        with crowd(owner, [made.create] * 4) as clients:
            clients.wait_for_more(20)
            before = workers_of(instance)
            for victim in before:
                os.kill(victim, signal.SIGKILL)
                clients.wait_for_more(10)
                eventually(lambda: metric(instance, "hsmvault_workers_ready") == 2, 30, "a new worker")
            clients.wait_for_more(20)
        assert clients.answers.keys() == {200}
        assert clients.lost <= 2 * 4, "each client loses at most the call that it had under way"
        assert not set(before) & set(workers_of(instance))
        made.require_all(owner())
        made.require_rest_whole(owner())


def test_after_kill_9_of_everything_the_next_start_needs_no_hand(data_dir: Path) -> None:
    made = Acknowledged()
    with (
        running(data_dir, workers=2) as instance,
        owner_of(instance) as owner,
        crowd(owner, [made.create] * 4) as clients,
    ):
        clients.wait_for_more(40)
        instance.kill()
    first = set(made.keys)
    with running(data_dir, workers=2) as instance, owner_of(instance) as owner:
        caller = owner()
        made.require_all(caller)
        made.require_rest_whole(caller)
        assert made.create(caller, 1_000_000).status == 200
    records = audit_records(data_dir)
    created = {
        record["properties"]["requestUri"].split("/")[4]
        for record in records
        if record["operationName"] == "KeyCreate" and record["resultType"] == "Success"
    }
    assert first <= created, "what was acknowledged was recorded before"


@pytest.mark.slow
def test_a_token_that_goes_away_costs_its_keys_alone_and_comes_back_by_itself(data_dir: Path) -> None:
    with running(data_dir, workers=2) as instance, owner_of(instance) as owner:
        caller = owner()  # one connection, so that one worker is asked
        for name, kind in (("hard", KINDS[0]), ("cold", KINDS[0]), ("soft", KINDS[1])):
            assert caller.call("POST", f"/keys/{name}/create", kind).status == 200
        assert sign(caller, "hard").status == sign(caller, "soft").status == 200
        tokens, away = data_dir / "hsm" / "tokens", data_dir / "hsm" / "away"
        tokens.rename(away)
        for name in ("cold", "hard"):  # a key that is loaded works until somebody needs what is not
            refused = sign(caller, name)
            assert refused.status == 503, name
            assert int(refused.headers["Retry-After"]) >= 1
        assert caller.call("POST", "/keys/another/create", KINDS[0]).status == 503
        assert caller.call("GET", "/keys/hard").status == 200
        assert set(listed(caller)) == {"hard", "cold", "soft"}
        assert sign(caller, "soft").status == 200
        away.rename(tokens)
        eventually(lambda: sign(caller, "hard").status == 200, 30, "the token is back")
        assert sign(caller, "cold").status == 200
        assert caller.call("POST", "/keys/another/create", KINDS[0]).status == 200
        assert metric(instance, "hsmvault_worker_starts_total") == 2


@pytest.mark.slow
def test_sigterm_under_load_answers_every_call_that_runs(data_dir: Path) -> None:
    """A call that the service has carried out, which its record shows, has had its answer."""
    answered: set[str] = set()
    with running(data_dir, workers=2) as instance, owner_of(instance) as owner:
        for name, kind in zip(("hard", "soft"), KINDS, strict=True):
            assert owner().call("POST", f"/keys/{name}/create", kind).status == 200

        def sign_one(caller: Caller, number: int) -> Answer:
            request_id = f"00000000-0000-0000-0000-{number:012d}"
            answer = sign(caller, ("hard", "soft")[number % 2], request_id)
            answered.add(request_id)
            return answer

        def create(caller: Caller, number: int) -> Answer:
            request_id = f"00000000-0000-0000-0000-{number:012d}"
            answer = caller.call("POST", f"/keys/key-{number}/create", {"kty": "RSA-HSM"}, request_id=request_id)
            answered.add(request_id)
            return answer

        with crowd(owner, [*[sign_one] * 4, create, create]) as clients:
            clients.wait_for_more(100)
            begun = time.monotonic()
            instance.process.send_signal(signal.SIGTERM)
            assert instance.process.wait(20) == 0
            assert time.monotonic() - begun < 10
            clients.stopping.set()
        assert instance.failures() == []
    carried_out = {record["correlationId"] for record in audit_records(data_dir)} - {""}
    assert len(carried_out) >= 100
    assert {one for one in carried_out if one.startswith("00000000-0000")} <= answered


def test_a_request_whose_body_is_under_way_at_sigterm_is_answered(data_dir: Path) -> None:
    with running(data_dir, workers=1) as instance, owner_of(instance) as owner:
        caller, other = owner(), owner()
        body = json.dumps(KINDS[0]).encode()
        slow = caller.connect()
        slow.putrequest("POST", f"/keys/late/create?api-version={API_VERSION}")
        slow.putheader("Authorization", f"Bearer {caller.token}")
        slow.putheader("Content-Type", "application/json")
        slow.putheader("Content-Length", str(len(body)))
        slow.endheaders(body[:5])
        assert other.call("GET", "/keys").status == 200  # the worker has read the other connection by now
        instance.process.send_signal(signal.SIGTERM)
        eventually(lambda: _is_refused(instance.port), 5, "nothing is accepted any more")
        slow.send(body[5:])
        answer = slow.getresponse()
        assert answer.status == 200
        assert answer.headers["Connection"] == "close"
        answer.read()
        slow.close()
        assert instance.process.wait(10) == 0


def _is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False
