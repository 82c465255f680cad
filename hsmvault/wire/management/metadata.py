"""What a client needs to know of this cloud before it has any token (`az cloud register`)."""

from collections.abc import Mapping

from hsmvault.config.names import Names
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.management.requests import ManagementHandler, ManagementRequest

_ONE_FROM = "2022-09-01"


class MetadataHandlers:
    """login: URL that clients put a tenant behind. name: of the cloud, as clients register it."""

    def __init__(self, names: Names, login: str, name: str = "hsmvault") -> None:
        self._cloud = cloud_of(names, login, name)

    @property
    def table(self) -> Mapping[str, ManagementHandler]:
        return {"metadata_endpoints": self._endpoints}

    async def _endpoints(self, request: ManagementRequest) -> WireAnswer:
        """A list of clouds for versions before 2022-09-01, from then on this one."""
        return ok([self._cloud] if request.api_version[:10] < _ONE_FROM else self._cloud)


def cloud_of(names: Names, login: str, name: str) -> dict[str, object]:
    """Members that clients cannot do without, though nothing is behind them here, lead to hosts that nobody serves.

    The suffixes carry the port: az makes URLs of them by putting the name of a vault and a full stop in front.
    """
    management = f"{names.management}/"

    def suffix(role: str) -> str:
        return names.url(role).removeprefix("https://")

    return {
        "name": name,
        "portal": names.url("portal"),
        "authentication": {
            "loginEndpoint": login,
            "audiences": [management, names.management],
            "tenant": "common",
            "identityProvider": "AAD",
        },
        "resourceManager": management,
        "graph": f"{names.graph}/",
        "graphAudience": f"{names.graph}/",
        "microsoftGraphResourceId": f"{names.graph}/",
        "gallery": names.url("gallery"),
        "media": names.url("media"),
        "batch": names.url("batch"),
        "sqlManagement": names.url("sqlmanagement"),
        "activeDirectoryDataLake": names.url("datalake"),
        "vmImageAliasDoc": f"{management}metadata/aliases",
        "attestationResourceId": names.attestation,
        "suffixes": {
            "keyVaultDns": suffix("vault"),
            "mhsmDns": suffix("managedhsm"),
            "attestationEndpoint": suffix("attest"),
            "storage": f"{names.suffix}{names.authority_port}",
            "sqlServerHostname": suffix("database"),
            "acrLoginServer": suffix("azurecr"),
        },
    }
