"""Vaults of a node that an operator has configured (tests/isolation/node.py), for the clients."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.clients.vault import Vault, sync_vault
from tests.isolation.node import Credential, Node


@asynccontextmanager
async def vault_of(node: Node) -> AsyncIterator[Vault]:
    """The first vault of the node, as its owner sees it."""
    vault = sync_vault(node.url(node.north), Credential(node.north), connection_verify=str(node.certificate))
    yield vault
    await vault.close()
