"""The challenge: exactly the header that every client reads, before anything else is looked at."""

import asyncio

import pytest

from tests.pipeline.world import LOGIN, RESOURCE, TENANT
from tests.wire.service import Service, read_answer

CHALLENGE = f'Bearer authorization="{LOGIN}/{TENANT}", resource="{RESOURCE}"'
MISSING = {"error": {"code": "Unauthorized", "message": "AKV10000: Request is missing a Bearer or PoP token."}}


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/keys?api-version=7.4"),
        ("GET", "/"),
        ("GET", "/nothing/here"),
        ("GET", "/keys/%00?api-version=9"),
        ("POST", "/keys/a b/create".replace(" ", "%20")),
        ("PATCH", "/keys/k/"),
        ("OPTIONS", "/keys"),
        ("DELETE", "/keys/k?api-version=7.4&api-version=7.5"),
        ("PUT", "/keys/k?%ff"),
        ("TRACE", "/keys"),
    ],
)
async def test_whatever_is_asked_without_a_token(service: Service, method: str, target: str) -> None:
    (answer,) = await service.raw(service.request(method, target, token=None))
    assert answer.status == 401
    assert answer.header("WWW-Authenticate") == CHALLENGE
    assert answer.header("Content-Type") == "application/json; charset=utf-8"
    assert answer.json == MISSING


async def test_head_has_no_body_and_the_same_header(service: Service) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(service.request("HEAD", "/keys", token=None) + service.request("GET", "/keys", token=None))
    first, second = await read_answer(reader, head=True), await read_answer(reader)
    writer.close()
    assert first is not None and second is not None
    assert (first.status, second.status) == (401, 401)
    assert first.header("WWW-Authenticate") == second.header("WWW-Authenticate") == CHALLENGE


@pytest.mark.parametrize(
    "more",
    [
        ["Authorization: Basic QTpC"],
        ["Authorization:"],
        ["Authorization: Bearer"],
        ["Authorization: Bearer "],
        ["Authorization: PoP abc"],
        ["Authorization: Negotiate abc", "X-Forwarded-Access-Token: GOOD"],
        ["Cookie: Authorization=GOOD; access_token=GOOD"],
        ["X-Forwarded-Authorization: Bearer GOOD"],
        ["Proxy-Authorization: Bearer GOOD"],
        ["X-Ms-Authorization: Bearer GOOD"],
        ["Authorization: Bearer GOOD", "Authorization: Bearer GOOD"],
        ["Authorization: Bearer GOOD", "Authorization: Basic QTpC"],
        ["authorization: Bearer GOOD", "AUTHORIZATION: Bearer x"],
    ],
)
async def test_a_token_counts_in_one_authorization_header_only(service: Service, more: list[str]) -> None:
    headers = [line.replace("GOOD", service.token()) for line in more]
    answer = await service.ask("GET", "/keys", token=None, more=headers)
    assert (answer.status, answer.header("WWW-Authenticate"), answer.json) == (401, CHALLENGE, MISSING)


async def test_a_token_in_the_query_or_in_a_form_does_not_count(service: Service) -> None:
    token = service.token()
    answer = await service.ask("GET", f"/keys?api-version=7.4&access_token={token}", token=None)
    assert answer.status == 401
    form = f"access_token={token}".encode()
    answer = await service.ask("POST", "/keys/k/create", form, token=None)
    assert answer.status == 401


async def test_a_body_that_comes_with_a_call_without_a_token_is_not_read(service: Service) -> None:
    request = service.request("POST", "/keys/k/create", {"kty": "EC"}, token=None)
    again = service.request("GET", "/keys?api-version=7.4")
    first, second = await service.raw(request + again, answers=2)
    assert (first.status, second.status) == (401, 200)


async def test_the_first_call_of_the_official_clients_is_understood(service: Service) -> None:
    """No token, no body, Content-Length: 0; then the same with both on the same connection."""
    more = ["Content-Type: application/json", "Content-Length: 0", "Accept: application/json"]
    first = ["POST /keys/k/create?api-version=2025-07-01 HTTP/1.1", "Host: dev.vault.localhost:8443", *more]
    second = service.request("POST", "/keys/k/create?api-version=2025-07-01", {"kty": "EC"})
    challenge, created = await service.raw("\r\n".join(first).encode() + b"\r\n\r\n" + second, answers=2)
    assert (challenge.status, challenge.header("WWW-Authenticate"), created.status) == (401, CHALLENGE, 200)


async def test_nothing_is_recorded_of_a_call_without_a_token_and_it_is_counted(service: Service) -> None:
    await service.ask("GET", "/keys", token=None)
    assert service.records() == []
    assert [call.status for call in service.calls] == [401]


async def test_a_pool_challenges_with_its_own_resource_and_two_bytes(service: Service) -> None:
    answer = await service.ask("GET", "/keys", token=None, host="devhsm.managedhsm.localhost:8443")
    assert (answer.status, answer.body) == (401, b"OK")
    assert answer.header("Content-Type") == "text/plain"
    assert answer.header("WWW-Authenticate") == CHALLENGE.replace("//vault.", "//managedhsm.")
