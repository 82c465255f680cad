"""One node for the folder, with the unmodified client on it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from azure.keyvault.keys import KeyClient

from tests.caller import Caller
from tests.instance import folder_for_data, names_resolved
from tests.isolation.node import Credential, Node, Tenant, set_up

Open = Callable[..., KeyClient]
Call = Callable[..., Caller]


@pytest.fixture(scope="package")
def node() -> Iterator[Node]:
    with folder_for_data() as folder:
        made = set_up(folder)
        initialized = made.command("init")
        assert initialized.returncode == 0, initialized.stderr
        with made.serving(), names_resolved():
            yield made


@pytest.fixture
def open_vault(node: Node) -> Iterator[Open]:
    """open_vault(of, as_tenant, principal): the client library, with a token that the tenant's issuer gave."""
    with ExitStack() as stack:

        def make(of: Tenant, as_tenant: Tenant | None = None, principal: str | None = None) -> KeyClient:
            credential = Credential(as_tenant or of, principal)
            client = KeyClient(node.url(of), credential, connection_verify=str(node.certificate))
            stack.callback(client.close)
            return client

        yield make


@pytest.fixture
def call(node: Node) -> Iterator[Call]:
    """call(of, as_tenant, principal): requests of our own to a vault, with the token."""
    with ExitStack() as stack:

        def make(of: Tenant, as_tenant: Tenant | None = None, principal: str | None = None) -> Caller:
            token = (as_tenant or of).token(node.audience, principal)
            made = Caller(node.port, node.certificate, f"{of.vault}.vault.localhost", token)
            stack.callback(made.close)
            return made

        yield make
