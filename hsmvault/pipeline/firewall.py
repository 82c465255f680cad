"""The firewall of the data plane: who reaches a container at all.

    public access is on, and the default is Allow, or a rule names the address or the subnet    ─┐
    or the call came over a private endpoint whose connection is approved                       ├─ comes in
    or trusted services pass by, and the caller, once its token is proved, is one of them       ─┘

Source: "Configure Azure Key Vault networking settings" of the Azure Key Vault documentation. The management plane has
no firewall.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from hsmvault.errors import Forbidden
from hsmvault.model.network import ConnectionStatus
from hsmvault.model.principals import Caller
from hsmvault.pipeline.call import Call


@dataclass(frozen=True, slots=True)
class TrustedService:
    """An application that passes the firewall of every container of its tenant that lets trusted services pass. GUIDs
    in lower case; one of object_id and application_id may be empty."""

    tenant_id: str
    object_id: str = ""
    application_id: str = ""

    def is_it(self, caller: Caller) -> bool:
        """Only an application that acts for itself. Outside issuers may leave out the scope of a user's token: who has
        a user name is no application, unless it is named by its own object id."""
        if caller.delegated or caller.tenant_id != self.tenant_id:
            return False
        if self.object_id and caller.object_id != self.object_id:
            return False
        if self.application_id and caller.application_id != self.application_id:
            return False
        return bool(self.object_id) or (bool(self.application_id) and not caller.upn)


class Firewall:
    def __init__(self, trusted: Iterable[TrustedService] = ()) -> None:
        self._trusted = tuple(trusted)

    def admits(self, call: Call) -> bool:
        """By the way it came, whoever calls."""
        container, networks = call.container, call.networks
        if container.network.admits(call.client_address, networks):
            return True
        return bool(networks) and any(
            connection.status is ConnectionStatus.APPROVED and connection.endpoint_id.lower() in networks
            for connection in container.connections
        )

    def trusts(self, call: Call, caller: Caller) -> bool:
        """By who calls, whichever way it came. caller: proved."""
        return call.container.network.bypass and any(service.is_it(caller) for service in self._trusted)


def refusal(call: Call, caller: Caller | None) -> Forbidden:
    """The service names the caller in it, so it is made after the token was looked at; an unproved one is not named."""
    who = "" if caller is None else describe(caller)
    where = f"Vault: {call.container.name};location={call.container.location}"
    if not call.container.network.public_access:
        return Forbidden(
            "Public network access is disabled and request is not from a trusted service nor via an approved private "
            f"link.\r\nCaller: {who}\r\n{where}",
            inner="ForbiddenByConnection",
        )
    return Forbidden(
        "Client address is not authorized and caller is not a trusted service.\r\n"
        f"Client address: {call.client_address}\r\nCaller: {who}\r\n{where}",
        inner="ForbiddenByFirewall",
    )


def describe(caller: Caller) -> str:
    """A caller as refusals name it: appid=…;oid=…[;numgroups=n];iss=…"""
    groups = f";numgroups={len(caller.groups)}" if caller.groups else ""
    return f"appid={caller.application_id};oid={caller.object_id}{groups};iss={caller.issuer}"
