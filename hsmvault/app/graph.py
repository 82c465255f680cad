"""The embedded directory and its plane, put together."""

from hsmvault.app.access import Access
from hsmvault.app.base import Base
from hsmvault.app.observation import Observation
from hsmvault.clock import Clock, Identifiers
from hsmvault.login.proofs import IssuerProofs
from hsmvault.pipeline.graph import GraphPipeline
from hsmvault.resources.directory.objects import Directory
from hsmvault.resources.directory.parts import DirectoryParts
from hsmvault.store.database import Database
from hsmvault.wire import failures
from hsmvault.wire.data_plane import BodyLimits
from hsmvault.wire.graph.handlers import graph_handlers
from hsmvault.wire.graph.plane import GraphPlane


def make_directory(database: Database, clock: Clock, identifiers: Identifiers) -> Directory:
    return Directory(DirectoryParts(database, clock, identifiers, IssuerProofs(identifiers)))


def make_graph(base: Base, access: Access, authority: str) -> GraphPlane:
    """authority: URL of the default tenant's issuer."""
    limits = base.settings.limits
    return GraphPlane(
        base.feed,
        GraphPipeline(access.authentication, base.audit, base.clock, failures.status_of),
        graph_handlers(make_directory(base.database, base.clock, base.identifiers)),
        base.clock,
        authority,
        Observation(base.metrics, base.clock).graph_call,
        BodyLimits(limits.body_bytes, limits.body_seconds),
    )
