"""Every operation of the Graph subset, by name."""

from collections.abc import Mapping

from hsmvault.resources.directory.objects import Directory
from hsmvault.wire.graph.applications import ApplicationHandlers
from hsmvault.wire.graph.federation import FederationHandlers
from hsmvault.wire.graph.groups import GroupHandlers
from hsmvault.wire.graph.objects import ObjectHandlers
from hsmvault.wire.graph.requests import GraphHandler
from hsmvault.wire.graph.roles import RoleHandlers
from hsmvault.wire.graph.service_principals import ServicePrincipalHandlers
from hsmvault.wire.graph.users import UserHandlers


def graph_handlers(directory: Directory) -> Mapping[str, GraphHandler]:
    applications = ApplicationHandlers(directory)
    return {
        **UserHandlers(directory).table,
        **GroupHandlers(directory).table,
        **applications.table,
        **FederationHandlers(directory, applications).table,
        **ServicePrincipalHandlers(directory).table,
        **ObjectHandlers(directory, applications).table,
        **RoleHandlers(directory).table,
    }
