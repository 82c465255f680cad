"""The order of the checks, and that every outcome has one record before its answer leaves."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from hsmvault.audit.log import AuditLog
from hsmvault.errors import (
    BadRequest,
    CiphertextRefused,
    Conflict,
    Forbidden,
    MethodNotAllowed,
    NotBuilt,
    NotFound,
    RequestError,
    Throttled,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from hsmvault.model import builtin_roles
from hsmvault.model.network import NetworkRules
from hsmvault.model.principals import Caller
from hsmvault.model.roles import RoleAssignment
from hsmvault.pipeline.call import Call
from hsmvault.pipeline.firewall import Firewall, TrustedService
from hsmvault.pipeline.run import Pipeline
from hsmvault.wire.failures import status_of
from tests.pipeline.world import (
    OBJECT_ID,
    OTHER_TENANT,
    VAULT,
    MemoryAssignments,
    World,
    a_call,
    authorization_of,
    rsa_key,
)

BLOCKED = replace(VAULT, network=NetworkRules(allow_by_default=False))
REFUSALS = [
    BadRequest("b"), CiphertextRefused(), Forbidden("f"), NotFound("n"), MethodNotAllowed("m"), Conflict("c"),
    TooLarge("t"), Throttled("t"), NotBuilt("n"), Unavailable("u"), RequestError("An error has occurred."),
]  # fmt: skip


@dataclass
class Answer:
    status: int = 200
    content: str = "plaintext-and-signature"


class Running(World):
    """A whole pipeline over a real log. worked: how often an operation was carried out."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.log = AuditLog(directory, "0", self.clock)
        self.path = directory / "audit-0-000001.jsonl"
        role = builtin_roles.BY_NAME["Key Vault Administrator"].id
        self.assignments = MemoryAssignments([RoleAssignment("a", "/", role, OBJECT_ID)])
        self.pipeline = Pipeline(
            self.authentication, authorization_of(self.assignments), self.log, self.clock, status_of
        )
        self.worked = 0
        self.outcome: Exception | None = None

    def trust(self, service: TrustedService) -> None:
        self.pipeline._firewall = Firewall((service,))

    async def run(self, call: Call) -> Answer:
        async def work(caller: Caller) -> Answer:
            self.worked += 1
            call.used = "https://north.vault.localhost:8443/keys/key/1"
            if self.outcome is not None:
                raise self.outcome
            return Answer()

        return await self.pipeline.run(call, work)

    async def refusal(self, call: Call) -> RequestError:
        with pytest.raises(RequestError) as caught:
            await self.run(call)
        return caught.value

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_bytes().splitlines()]

    def break_disk(self) -> None:
        """What the log has open takes nothing any more. The file stays."""
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, self.log._lane.resource.descriptor)
        os.close(full)

    def repair_disk(self) -> None:
        good = os.open(self.path, os.O_WRONLY)
        os.dup2(good, self.log._lane.resource.descriptor)
        os.close(good)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    running = Running(tmp_path / "audit")
    yield running
    await running.log.close()


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic eDp5", "Bearer \u00ff"])
@pytest.mark.parametrize("container", [VAULT, BLOCKED])
async def test_1_without_a_bearer_token_the_challenge_comes_before_everything(
    running: Running, header: str | None, container: Any
) -> None:
    for operation in ("sign", None):
        refusal = await running.refusal(a_call(header, container=container, operation=operation))
        assert isinstance(refusal, Unauthorized)
        assert refusal.message == "AKV10000: Request is missing a Bearer or PoP token."
    assert running.records() == []


async def test_2_the_firewall_comes_before_the_token(running: Running) -> None:
    for token in ("rubbish", running.token(), running.token(key=rsa_key(2))):
        refusal = await running.refusal(a_call(f"Bearer {token}", container=BLOCKED))
        assert refusal.inner == "ForbiddenByFirewall"
        assert (f"oid={OBJECT_ID}" in refusal.message) is (token == running.token())


@pytest.mark.parametrize("network", [BLOCKED.network, replace(BLOCKED.network, public_access=False)])
async def test_2_a_trusted_service_passes_the_firewall_once_its_token_is_proved(
    running: Running, network: NetworkRules
) -> None:
    running.trust(TrustedService(VAULT.tenant_id, OBJECT_ID))
    container = replace(BLOCKED, network=network)
    assert (await running.run(a_call(f"Bearer {running.token()}", container=container))).status == 200
    for token in ("rubbish", running.token(key=rsa_key(2)), running.token(running.claims(scp="user_impersonation"))):
        refusal = await running.refusal(a_call(f"Bearer {token}", container=container))
        assert str(refusal.inner).startswith("ForbiddenBy")
    assert running.worked == 1


async def test_2_a_trusted_service_still_needs_its_permission(running: Running) -> None:
    running.trust(TrustedService(VAULT.tenant_id, OBJECT_ID))
    running.assignments.assignments.clear()
    refusal = await running.refusal(a_call(f"Bearer {running.token()}", container=BLOCKED))
    assert refusal.inner == "ForbiddenByRbac"


async def test_3_the_token_comes_before_the_permission(running: Running) -> None:
    running.assignments.assignments.clear()
    refusal = await running.refusal(a_call("Bearer rubbish"))
    assert isinstance(refusal, Unauthorized)


async def test_4_the_permission_comes_before_the_operation(running: Running) -> None:
    running.assignments.assignments.clear()
    running.outcome = NotFound("no such key")
    refusal = await running.refusal(a_call(f"Bearer {running.token()}"))
    assert refusal.inner == "ForbiddenByRbac"
    assert running.worked == 0


async def test_5_then_the_operation_answers(running: Running) -> None:
    running.outcome = NotFound("no such key")
    assert (await running.refusal(a_call(f"Bearer {running.token()}"))).message == "no such key"
    running.outcome = None
    assert (await running.run(a_call(f"Bearer {running.token()}"))).status == 200


async def test_a_path_without_an_operation_still_needs_a_good_token(running: Running) -> None:
    assert isinstance(await running.refusal(a_call("Bearer rubbish", operation=None)), Unauthorized)
    assert running.worked == 0
    assert (await running.run(a_call(f"Bearer {running.token()}", operation=None))).status == 200


# records


async def test_a_success_is_recorded_as_azure_does(running: Running) -> None:
    call = a_call(f"Bearer {running.token()}", operation="sign")
    running.clock.steady += 0.0785
    await running.run(call)
    (record,) = running.records()
    assert record == {
        "sequence": 1,
        "previous": "",
        "time": "2025-06-15T15:06:40.0000000Z",
        "resourceId": VAULT.resource_id.upper(),
        "operationName": "KeySign",
        "operationVersion": "7.4",
        "category": "AuditEvent",
        "resultType": "Success",
        "resultSignature": "OK",
        "resultDescription": "",
        "durationMs": "78",
        "callerIpAddress": "192.0.2.7",
        "correlationId": "client-1",
        "identity": {
            "claim": {
                "http://schemas.microsoft.com/identity/claims/objectidentifier": OBJECT_ID,
                "appid": "77777777-0000-0000-0000-000000000001",
                "tid": VAULT.tenant_id,
            }
        },
        "properties": {
            "clientInfo": "tests",
            "requestUri": "https://north.vault.localhost:8443/keys/key",
            "id": "https://north.vault.localhost:8443/keys/key/1",
            "httpStatusCode": 200,
            "requestId": "request-1",
        },
    }


@pytest.mark.parametrize("outcome", REFUSALS, ids=lambda one: type(one).__name__)
async def test_every_refusal_of_an_operation_is_recorded_with_its_status_and_message(
    running: Running, outcome: RequestError
) -> None:
    running.outcome = outcome
    assert await running.refusal(a_call(f"Bearer {running.token()}")) is outcome
    (record,) = running.records()
    assert record["properties"]["httpStatusCode"] == status_of(outcome)
    assert record["resultDescription"] == outcome.message
    assert record["operationName"] == "KeyGet"


async def test_an_accident_is_recorded_as_a_500_that_says_nothing(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    running.outcome = KeyError("something inside")
    refusal = await running.refusal(a_call(f"Bearer {running.token()}"))
    assert (refusal.code, refusal.message) == ("InternalError", "An error has occurred.")
    (record,) = running.records()
    assert record["properties"]["httpStatusCode"] == 500
    assert "inside" not in json.dumps(record)
    assert "unexpected failure" in caplog.text


async def test_refusals_before_the_operation_are_recorded_too(running: Running) -> None:
    good = f"Bearer {running.token()}"
    await running.refusal(a_call("Bearer rubbish"))
    await running.refusal(a_call(good, container=BLOCKED))
    await running.refusal(a_call(good, container=replace(VAULT, id="2", tenant_id=OTHER_TENANT)))
    running.assignments.assignments.clear()
    await running.refusal(a_call(good))
    await running.run(a_call(good, operation=None))
    found = [
        (one["operationName"], one["resultSignature"], one["properties"]["httpStatusCode"], bool(one["identity"]))
        for one in running.records()
    ]
    assert found == [
        ("Authentication", "Unauthorized", 401, False),
        ("KeyGet", "Forbidden", 403, True),  # by the firewall: the token was good
        ("Authentication", "Unauthorized", 401, False),
        ("KeyGet", "Forbidden", 403, True),
        ("Unknown", "OK", 200, True),
    ]


async def test_no_secret_is_in_any_record(running: Running) -> None:
    token = running.token()
    unknown = running.token(header=running.header(kid="unknown"))
    forged = running.token(key=rsa_key(2))
    for given in (token, unknown, forged, "rubbish-that-may-be-a-password"):
        for container in (VAULT, BLOCKED):
            try:
                await running.run(a_call(f"Bearer {given}", container=container))
            except RequestError:
                continue
    text = running.path.read_text()
    for given in (token, unknown, forged):
        _, claims, signed = given.split(".")
        assert claims not in text and signed not in text
    assert "rubbish" not in text and Answer().content not in text
    assert token not in repr(a_call(f"Bearer {token}"))


# fail closed


async def test_when_no_record_is_taken_nothing_leaves(running: Running) -> None:
    running.break_disk()
    refusal = await running.refusal(a_call(f"Bearer {running.token()}"))
    assert isinstance(refusal, Unavailable)
    assert running.worked == 1
    assert running.records() == []


async def test_later_calls_are_refused_before_they_do_anything(running: Running) -> None:
    running.break_disk()
    await running.refusal(a_call(f"Bearer {running.token()}"))
    running.repair_disk()
    for _ in range(3):
        assert isinstance(await running.refusal(a_call(f"Bearer {running.token()}")), Unavailable)
    assert running.worked == 1
    assert running.records() == []
    assert isinstance(await running.refusal(a_call(None)), Unauthorized)  # clients may still begin


async def test_a_probe_a_second_finds_the_log_again_and_marks_the_gap(running: Running) -> None:
    await running.run(a_call(f"Bearer {running.token()}"))
    running.break_disk()
    await running.refusal(a_call(f"Bearer {running.token()}"))
    running.clock.move(1)
    assert isinstance(await running.refusal(a_call(f"Bearer {running.token()}")), Unavailable)  # still broken
    assert running.worked == 2
    running.repair_disk()
    running.clock.move(0.9)
    assert isinstance(await running.refusal(a_call(f"Bearer {running.token()}")), Unavailable)  # asked too early
    running.clock.move(0.1)
    assert (await running.run(a_call(f"Bearer {running.token()}"))).status == 200
    assert [one["operationName"] for one in running.records()] == ["KeyGet", "AuditResumed", "KeyGet"]
    assert [one["sequence"] for one in running.records()] == [1, 2, 3]


async def test_calls_that_finish_together_are_all_answered_and_all_recorded(running: Running) -> None:
    calls = [a_call(f"Bearer {running.token()}") for _ in range(50)]
    assert len(await asyncio.gather(*(running.run(call) for call in calls))) == 50
    assert [one["sequence"] for one in running.records()] == list(range(1, 51))
