"""What the management plane refuses before any operation runs, and what it writes down."""

from collections.abc import AsyncIterator, Mapping

import pytest

from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.management.requests import ManagementHandler, ManagementRequest
from tests.pipeline.world import MANAGEMENT, RESOURCE, TENANT
from tests.wire.management.conftest import Govern
from tests.wire.management.stage import NOBODY, PROVIDER, READER, SUBSCRIPTION, THEIRS, ManagementService

VAULT = f"{PROVIDER}/vaults/north"


class Shown:
    """Handlers that show what they were asked."""

    @property
    def table(self) -> Mapping[str, ManagementHandler]:
        return dict.fromkeys(("vaults_get", "vaults_update", "tenants_list", "metadata_endpoints"), self.show)

    async def show(self, request: ManagementRequest) -> WireAnswer:
        return ok(
            {
                "operation": request.operation.name,
                "scope": request.scope,
                "tenant": request.tenant_id,
                "names": dict(request.names),
                "served_as": request.served_as,
                "may_delete": await request.may("Microsoft.KeyVault/vaults/delete", request.scope),
            },
            request.scope,
        )


@pytest.fixture
async def service(govern: Govern) -> AsyncIterator[ManagementService]:
    async with govern(lambda _: [Shown()]) as service:
        yield service


async def test_an_operation_gets_what_the_path_names(service: ManagementService) -> None:
    answer = await service.ask("GET", VAULT.replace("resourceGroups", "RESOURCEgroups") + "?api-version=2031-01-01")
    assert answer.status == 200
    assert answer.json == {
        "operation": "vaults_get",
        "scope": VAULT,
        "tenant": TENANT,
        "names": {"subscription": SUBSCRIPTION, "group": "rg", "vault": "north"},
        "served_as": "2026-05-15",
        "may_delete": True,
    }
    assert answer.header("x-ms-correlation-request-id") == answer.header("x-ms-request-id")


async def test_without_a_token_everything_is_a_challenge(service: ManagementService) -> None:
    for target in (VAULT, "/nowhere", "/subscriptions/none", VAULT + "?api-version=1"):
        answer = await service.ask("GET", target, token=None)
        assert (answer.status, answer.code) == (401, "AuthenticationFailed")
        challenge = answer.header("www-authenticate") or ""
        assert challenge.startswith(f'Bearer authorization_uri="https://login.localhost:8443/{TENANT}", error=')
    assert not service.audit_path.exists() or service.records() == []


async def test_what_is_public_asks_for_no_token(service: ManagementService) -> None:
    answer = await service.ask("GET", "/metadata/endpoints", token=None)
    assert (answer.status, answer.json["operation"]) == (200, "metadata_endpoints")


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"aud": RESOURCE}, "InvalidAuthenticationTokenAudience"),
        ({"exp": 1}, "ExpiredAuthenticationToken"),
        ({"iss": "https://login.localhost:8443/elsewhere/"}, "InvalidAuthenticationToken"),
        ({"oid": "nobody we know"}, "InvalidAuthenticationToken"),
    ],
)
async def test_a_token_that_is_not_for_here_is_refused(
    service: ManagementService, claims: dict[str, object], code: str
) -> None:
    token = service.token(service.claims(**{"aud": MANAGEMENT, **claims}))
    answer = await service.ask("GET", VAULT, token=token)
    assert (answer.status, answer.code) == (401, code)
    assert (answer.header("www-authenticate") or "").startswith("Bearer authorization_uri=")
    assert service.records()[-1]["operationName"] == "Authentication"


async def test_who_has_no_role_is_refused_with_the_action_and_the_scope(service: ManagementService) -> None:
    answer = await service.ask("GET", VAULT, token=service.of(NOBODY))
    assert (answer.status, answer.code) == (403, "AuthorizationFailed")
    assert "to perform action 'Microsoft.KeyVault/vaults/read' over scope" in answer.message
    record = service.records()[-1]
    assert (record["operationName"], record["properties"]["httpStatusCode"]) == ("VaultGet", 403)
    assert record["resourceId"] == VAULT.upper()


async def test_who_may_read_may_not_write(service: ManagementService) -> None:
    token = service.of(READER)
    answer = await service.ask("GET", VAULT, token=token)
    assert (answer.status, answer.json["may_delete"]) == (200, False)
    answer = await service.ask("PATCH", VAULT, {}, token=token)
    assert (answer.status, answer.code) == (403, "AuthorizationFailed")


async def test_subscriptions_that_are_not_there_or_not_ours(service: ManagementService) -> None:
    answer = await service.ask("GET", VAULT.replace(SUBSCRIPTION, SUBSCRIPTION[:-1] + "7"))
    assert (answer.status, answer.code) == (404, "SubscriptionNotFound")
    answer = await service.ask("GET", VAULT.replace(SUBSCRIPTION, "mine"))
    assert (answer.status, answer.code) == (400, "InvalidSubscriptionId")
    answer = await service.ask("GET", VAULT.replace(SUBSCRIPTION, THEIRS))
    assert (answer.status, answer.code) == (401, "InvalidAuthenticationTokenTenant")


@pytest.mark.parametrize(
    ("method", "target", "status", "code"),
    [
        ("GET", VAULT + "?api-version=7.4", 400, "InvalidApiVersionParameter"),
        ("GET", VAULT + "?api-version=", 400, "MissingApiVersionParameter"),
        ("POST", VAULT, 405, "MethodNotAllowed"),
        ("GET", VAULT + "/else", 404, "InvalidResourceType"),
        ("GET", VAULT.replace("Microsoft.KeyVault", "Microsoft.Web"), 404, "InvalidResourceNamespace"),
        ("GET", "/nowhere", 404, "NotFound"),
        ("GET", f"{PROVIDER}/managedHSMs/deep", 501, "NotImplemented"),
    ],
)
async def test_other_requests_are_refused_and_written_down(
    service: ManagementService, method: str, target: str, status: int, code: str
) -> None:
    answer = await service.ask(method, target)
    assert (answer.status, answer.code) == (status, code)
    assert service.records()[-1]["properties"]["httpStatusCode"] == status
