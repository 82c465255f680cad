"""Planes that hsmvault knows and does not serve yet. They answer as far as clients need to understand it: a challenge
without a token, a clear refusal with one."""

from aiohttp.web import BaseRequest

from hsmvault.errors import NotBuilt, Unauthorized
from hsmvault.model.network import Address
from hsmvault.wire.answers import WireAnswer
from hsmvault.wire.hosts import Destination


class ManagementPlane:
    """The resource manager."""

    def __init__(self, authority: str) -> None:
        self._authority = authority

    async def handle(
        self, request: BaseRequest, destination: Destination, client: Address, request_id: str, headers: dict[str, str]
    ) -> WireAnswer:
        if "Authorization" not in request.headers:
            description = "The authentication failed because of missing 'Authorization' header."
            headers["WWW-Authenticate"] = (
                f'Bearer authorization_uri="{self._authority}", error="invalid_token", '
                f'error_description="{description}"'
            )
            raise Unauthorized(
                "Authentication failed. The 'Authorization' header is missing.", code="AuthenticationFailed"
            )
        raise NotBuilt("The management plane is not served yet; vaults are declared in the configuration.")
