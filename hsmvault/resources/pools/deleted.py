"""Deleted pools: resources/container_lives.py says how they are read, listed and purged."""

from hsmvault.clock import Clock, Identifiers
from hsmvault.model.containers import ContainerKind
from hsmvault.resources.container_lives import DeletedContainers
from hsmvault.resources.pools import refusals
from hsmvault.store.database import Database


class DeletedPools(DeletedContainers):
    def __init__(self, database: Database, clock: Clock, identifiers: Identifiers) -> None:
        super().__init__(database, clock, identifiers, ContainerKind.POOL, refusals)
