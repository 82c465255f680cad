"""Polling of long-running operations: where to ask, and what is answered there.

A client is told the place by `Location` and `Azure-AsyncOperation`, the same one for both. While the operation goes on
it answers 202, with `Retry-After`; at the end 200, and its body says how it ended. Source: recorded answers of a purge,
"Track asynchronous Azure operations".
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from hsmvault.errors import NotFound
from hsmvault.store import management_operations
from hsmvault.store.database import Database
from hsmvault.store.management_operations import LongOperation, OperationStatus
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.codec import encode_body
from hsmvault.wire.management.requests import ManagementHandler, ManagementRequest

VAULTS: Final = "operationResults"
POOLS: Final = "managedHsmOperationResults"
"""Segments of the paths."""
_RETRY_AFTER: Final = ("Retry-After", "1")


def poll_headers(
    request: ManagementRequest, operation: LongOperation, segment: str, location: str
) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The value of `Location`, and the other headers of an answer that begins an operation. location: the region."""
    url = (
        f"{request.origin}/subscriptions/{operation.subscription_id}/providers/Microsoft.KeyVault/locations/"
        f"{quote(location, safe='')}/{segment}/{operation.id}?api-version={request.api_version}"
    )
    return url, (("Azure-AsyncOperation", url), _RETRY_AFTER)


def accepted(request: ManagementRequest, operation: LongOperation, segment: str, location: str) -> WireAnswer:
    """202 without a body; clients poll `Location`. location: the region."""
    url, _ = poll_headers(request, operation, segment, location)
    return WireAnswer(202, used=operation.target, location=url, more=(_RETRY_AFTER,))


class OperationResults:
    def __init__(self, database: Database) -> None:
        self._database = database
        self.table: Mapping[str, ManagementHandler] = {
            "operation_results_get": self._get,
            "managed_hsm_operation_results_get": self._get,
        }

    async def _get(self, request: ManagementRequest) -> WireAnswer:
        """Whoever has a token of the tenant and knows the id; it says what is done to which resource, and no more."""
        names = request.names
        async with self._database.read() as tx:
            found = await management_operations.find(tx, names["id"].lower())
        if (
            found is None
            or found.tenant_id != request.tenant_id
            or found.subscription_id.lower() != names["subscription"].lower()
        ):
            raise NotFound(f"The operation '{names['id'][:64]}' was not found.", code="OperationNotFound")
        body: dict[str, object] = {"createdDateTime": _date(found.created)}
        if found.finished is None:
            segment = POOLS if request.operation.name.startswith("managed_hsm") else VAULTS
            url, _ = poll_headers(request, found, segment, names["location"])
            body["status"] = found.status.value
            return WireAnswer(202, encode_body(body), found.target, location=url, more=(_RETRY_AFTER,))
        body["lastActionDateTime"] = _date(found.finished)
        body["status"] = found.status.value
        if found.status is OperationStatus.FAILED:
            body["error"] = {"code": found.error_code, "message": found.error_message}
        return ok(body, found.target)


def _date(seconds: int) -> str:
    """`2020-09-29 05:19:51Z`, as the service writes it here. seconds: since 1970 UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%SZ}"
