"""Deleted vaults: resources/container_lives.py says how they are read, listed and purged."""

from hsmvault.clock import Clock, Identifiers
from hsmvault.model.containers import ContainerKind
from hsmvault.resources.container_lives import DeletedContainers
from hsmvault.resources.vaults import refusals
from hsmvault.store.database import Database


class DeletedVaults(DeletedContainers):
    def __init__(self, database: Database, clock: Clock, identifiers: Identifiers) -> None:
        super().__init__(database, clock, identifiers, ContainerKind.VAULT, refusals)
