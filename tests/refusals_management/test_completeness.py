"""The table of expectations has every operation, says what the product's own table says, and no more."""

import pytest

from hsmvault.model.management import OPERATIONS, Asks, ManagementOperation, permission_scope
from hsmvault.wire.graph.routes import ROWS as GRAPH
from tests.refusals_management import graph_rows
from tests.refusals_management.models import MODELS, with_member, without_member
from tests.refusals_management.other_rows import PUBLIC
from tests.refusals_management.rig import Rig
from tests.refusals_management.table import ROWS, STABLE

ASKED = {Asks.ACTION, Asks.ATTRIBUTES}


def test_every_operation_has_its_expectations() -> None:
    assert {operation.name for operation in OPERATIONS} == {*ROWS, *PUBLIC}
    numbers = {one: len([row for row in ROWS.values() if row.provider.endswith(one)]) for one in ("KeyVault", "tion")}
    assert numbers == {"KeyVault": 51, "tion": 11}


def test_every_operation_of_the_directory_has_its_expectations() -> None:
    assert {(row.method, row.path, row.audit_name) for row in GRAPH} == {
        (row.method, row.path, row.audit) for row in graph_rows.ROWS.values()
    }
    assert len(GRAPH) == len(graph_rows.ROWS)


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.name in ROWS], ids=lambda one: one.name)
def test_the_products_table_says_what_the_reference_says(operation: ManagementOperation) -> None:
    row = ROWS[operation.name]
    assert (operation.method, operation.path, operation.since) == (row.method, row.path, row.since)
    assert (operation.provider, operation.action, operation.audit_name) == (row.provider, row.action, row.audit)
    assert (operation.asks in ASKED) is row.asks
    if row.asks:
        assert permission_scope(operation) == row.at


@pytest.mark.asyncio(loop_scope="package")
async def test_every_operation_is_built(rig: Rig) -> None:
    for name, row in ROWS.items():
        if row.method in ("GET", "HEAD"):
            assert (await rig.ask(row.method, row.target())).status in (200, 204, 404), name


def test_the_rows_and_models_themselves_are_whole() -> None:
    assert {row.body for row in ROWS.values()} == {"", *MODELS}
    without = {name for name, row in ROWS.items() if row.method in ("PUT", "PATCH", "POST") and not row.body}
    assert without == {
        "vaults_purge_deleted",
        "managed_hsms_purge_deleted",
        "providers_register",
        "providers_unregister",
        "management_group_subscriptions_put",
    }
    for row in ROWS.values():
        assert row.since in ("", *STABLE)
    for model in MODELS.values():
        for place in model.members:
            changed = with_member(model.good, place, "x")
            assert changed != model.good or place.endswith("*")
        for place in model.required:
            assert without_member(with_member(model.good, place, "x"), place) != model.good
