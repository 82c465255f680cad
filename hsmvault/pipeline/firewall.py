"""The firewall: which addresses reach a container at all."""

from hsmvault.errors import Forbidden
from hsmvault.model.principals import Caller
from hsmvault.pipeline.call import Call


def admits(call: Call) -> bool:
    return call.container.network.admits(call.client_address)


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
