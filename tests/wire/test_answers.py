"""What every answer carries, and how errors become answers."""

import importlib
import inspect
import json
import pkgutil
import re

import pytest

import hsmvault
from hsmvault import errors
from hsmvault.errors import RequestError, Retryable, Throttled, Unavailable
from hsmvault.model.network import parse_address
from hsmvault.wire import failures
from hsmvault.wire.answers import WireAnswer, network_info
from tests.wire.service import VERSION, Service

STATUS = {
    "RequestError": 500, "BadRequest": 400, "CiphertextRefused": 400, "Unauthorized": 401, "Forbidden": 403,
    "NotFound": 404,
    "MethodNotAllowed": 405, "Conflict": 409, "TooLarge": 413, "NotBuilt": 501, "Retryable": 500, "Throttled": 429,
    "Unavailable": 503,
}  # fmt: skip
SECURITY = {
    "cache-control": "no-cache, no-store",
    "pragma": "no-cache",
    "expires": "-1",
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "x-content-type-options": "nosniff",
    "server": "hsmvault",
}


def kinds(root: type[RequestError] = RequestError) -> list[type[RequestError]]:
    """The whole tree; modules that define errors of their own are imported first."""
    for module in pkgutil.walk_packages(hsmvault.__path__, "hsmvault."):
        if not module.name.endswith("__main__") and ".migrations" not in module.name:
            importlib.import_module(module.name)
    return [root, *(below for child in root.__subclasses__() for below in kinds(child))]


def example(kind: type[RequestError]) -> RequestError:
    needs_message = "message" in inspect.signature(kind).parameters
    return kind("The message.") if needs_message else kind()  # type: ignore[call-arg]  # CiphertextRefused has its own


def test_every_error_of_the_tree_has_a_status_and_the_body_of_the_service() -> None:
    found = {}
    for kind in kinds():
        error = example(kind)
        body = json.loads(failures.body_of(error))
        assert body == {"error": {"code": error.code, "message": error.message}}
        assert re.fullmatch(r"[A-Z][A-Za-z]+", error.code)
        own = next(parent.__name__ for parent in kind.__mro__ if parent.__name__ in STATUS)
        assert failures.status_of(error) == STATUS[own]
        found[own] = kind
    assert set(found) == set(STATUS)
    assert set(STATUS) <= set(dir(errors))


def test_what_makes_sense_to_try_again_says_when_in_whole_seconds() -> None:
    for kind in kinds():
        error = example(kind)
        assert failures.headers_of(error) == ({"Retry-After": "1"} if isinstance(error, Retryable) else {})
    assert failures.headers_of(Throttled("x", retry_after_seconds=7)) == {"Retry-After": "7"}
    assert failures.headers_of(Unavailable("x", retry_after_seconds=0)) == {"Retry-After": "1"}


def test_the_inner_code_stands_where_clients_read_it_and_details_nowhere() -> None:
    error = errors.Forbidden("m", inner="KeyDisabled", detail="CKR_PIN_INCORRECT in /etc/pin")
    assert json.loads(failures.body_of(error)) == {
        "error": {"code": "Forbidden", "message": "m", "innererror": {"code": "KeyDisabled"}}
    }


def test_an_answer_does_not_show_its_body() -> None:
    assert repr(WireAnswer(200, b"plaintext")) == "WireAnswer(200, 9 bytes)"


def test_network_info_is_written_as_the_service_does() -> None:
    assert network_info(parse_address("192.0.2.7")) == "conn_type=Ipv4;addr=192.0.2.7;act_addr_fam=InterNetwork;"
    assert network_info(parse_address("2001:db8::7")) == "conn_type=Ipv6;addr=2001:db8::7;act_addr_fam=InterNetworkV6;"


# on the wire


async def test_every_answer_has_the_security_headers_and_no_version_of_any_software(service: Service) -> None:
    await service.create_ec("k")
    await service.ask("DELETE", "/keys/k")
    requests = [
        service.request("GET", "/keys?" + VERSION),
        service.request("GET", "/keys?" + VERSION, token=None),
        service.request("GET", "/keys?" + VERSION, token="x"),
        service.request("GET", "/keys/none?" + VERSION),
        service.request("GET", "/nothing?" + VERSION),
        service.request("PUT", "/keys?" + VERSION, {}),
        service.request("GET", "/secrets?" + VERSION),
        service.request("DELETE", "/deletedkeys/k?" + VERSION),
        service.request("GET", "/keys", host="x.vault.localhost:8443"),
        service.request("GET", "/healthstatus", host="127.0.0.1", token=None),
        service.request("GET", "/", host="evil.example"),
        service.request("GET", "/keys", host="h.managedhsm.localhost"),
        service.request("GET", "/keys", host="management.localhost"),
        b"rubbish\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
    ]
    statuses = []
    for request in requests:
        (answer,) = await service.raw(request)
        statuses.append(answer.status)
        for name, value in SECURITY.items():
            assert answer.header(name) == value, (request[:60], name)
        assert not re.search(rb"python|aiohttp|uvloop|[Tt]raceback|/usr/|/home/|\.py", answer.raw.lower() + answer.body)
        assert not [name for name, _ in answer.headers if name.startswith("access-control")]
        assert answer.header("set-cookie") is None
        if answer.body not in (b"", b"OK"):
            assert answer.header("content-type") == "application/json; charset=utf-8"
    assert statuses == [200, 401, 401, 404, 404, 405, 200, 204, 404, 200, 400, 404, 501, 400, 400]


async def test_every_request_has_an_id_of_its_own_that_the_record_has_too(service: Service) -> None:
    answers = [await service.ask("GET", "/keys") for _ in range(3)]
    ids = [answer.header("x-ms-request-id") for answer in answers]
    assert len(set(ids)) == 3
    assert ids == [record["properties"]["requestId"] for record in service.records()]
    answer = answers[0]
    assert answer.header("x-ms-keyvault-region") == "westeurope"
    assert answer.header("x-ms-keyvault-service-version") is not None
    assert answer.header("x-ms-keyvault-network-info") == network_info(parse_address("127.0.0.1"))


@pytest.mark.parametrize("text", ["a", "5f0c1a5e-0000-0000-0000-000000000001", "A.b_c:d-9", "x" * 128])
async def test_the_clients_request_id_comes_back_and_is_recorded(service: Service, text: str) -> None:
    answer = await service.ask("GET", "/keys", more=[f"x-ms-client-request-id: {text}"])
    assert answer.header("x-ms-client-request-id") == text
    assert service.records()[-1]["correlationId"] == text


@pytest.mark.parametrize("text", ["", "a b", "a\tb", "<x>", "a;b", "x" * 129, "é", "a,b", 'a"b', "%0d%0a"])
async def test_a_strange_request_id_is_not_repeated_anywhere(service: Service, text: str) -> None:
    answer = await service.ask("GET", "/keys", more=[f"X-Ms-Client-Request-Id: {text}"])
    assert (answer.status, answer.header("x-ms-client-request-id")) == (200, None)
    assert service.records()[-1]["correlationId"] == ""


@pytest.mark.parametrize("agent", ["\udcff\udcfe", "é", "x" * 5000, "\x1b[31m"])
async def test_a_strange_user_agent_costs_nobody_anything(service: Service, agent: str) -> None:
    (answer,) = await service.raw(service.request("GET", "/keys?" + VERSION, more=[f"User-Agent: {agent}"]))
    assert answer.status in (200, 400)
    assert (await service.ask("GET", "/keys")).status == 200
    assert all(len(record["properties"].get("clientInfo", "")) <= 512 for record in service.records())


async def test_what_nobody_expected_is_a_500_with_a_fixed_text(
    service: Service, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("SELECT secret FROM table")

    monkeypatch.setattr("hsmvault.wire.data_plane.check_segments", fail)
    answer = await service.ask("GET", "/keys")
    assert (answer.status, answer.code, answer.message) == (500, "InternalError", "An error has occurred.")
    assert service.records()[-1]["properties"]["httpStatusCode"] == 500
    monkeypatch.setattr("hsmvault.wire.door.Door._destination", fail)
    answer = await service.ask("GET", "/keys")
    assert (answer.status, answer.code, answer.message) == (500, "InternalError", "An error has occurred.")
    assert log.text.count("unexpected failure") == 2


async def test_a_full_queue_is_429_and_a_lost_part_503_with_a_time_to_try_again(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error, status, code in (
        (Throttled("t"), 429, "Throttled"),
        (Unavailable("u", detail="CKR_X"), 503, "ServiceUnavailable"),
    ):

        def fail(*_: object, error: RequestError = error) -> None:
            raise error

        monkeypatch.setattr("hsmvault.wire.data_plane.check_segments", fail)
        answer = await service.ask("GET", "/keys")
        assert (answer.status, answer.code, answer.header("Retry-After")) == (status, code, "1")
        assert b"CKR" not in answer.body


async def test_many_requests_on_one_connection_keep_their_order(service: Service) -> None:
    await service.create_ec("k")
    requests = [service.request("GET", f"/keys/{name}?{VERSION}") for name in ("k", "x", "k", "y", "k")]
    answers = await service.raw(b"".join(requests), answers=5)
    assert [answer.status for answer in answers] == [200, 404, 200, 404, 200]
