"""The table of expectations has every key operation, says what the product's own table says, and no more."""

import pytest

from hsmvault.model.containers import ContainerKind
from hsmvault.model.operations import OPERATIONS, Kind, Operation
from tests.refusals.rig import SIX
from tests.refusals.table import ROWS, STABLE, Absent

KEY_OPERATIONS = [row for row in OPERATIONS if row.kind is Kind.KEYS]


def test_every_key_operation_has_its_expectations() -> None:
    assert {row.name for row in KEY_OPERATIONS} == set(ROWS)
    assert len(ROWS) == 27


@pytest.mark.parametrize("row", KEY_OPERATIONS, ids=lambda row: row.name)
def test_the_products_table_says_what_the_reference_says(row: Operation) -> None:
    expected = ROWS[row.name]
    assert (row.method, row.path, row.since) == (expected.method, expected.path, expected.since)
    assert row.permissions == (() if expected.permission is None else (expected.permission,))
    assert (row.vault_action, row.pool_action) == (expected.vault_action, expected.pool_action)
    assert row.audit_name == expected.audit
    assert ContainerKind.POOL in row.served_by
    assert (ContainerKind.VAULT in row.served_by) is expected.in_vaults


def of(absent: Absent) -> set[str]:
    return {name for name, row in ROWS.items() if row.absent is absent}


def test_the_rows_themselves_are_whole() -> None:
    """What the generator skips because of a row's form is named here."""
    names_no_key = {"create_key", "import_key", "restore_key", "get_keys", "get_deleted_keys", "get_random_bytes"}
    assert of(Absent.NO_KEY) == names_no_key
    assert of(Absent.EMPTY) == {"get_key_versions"}
    assert of(Absent.DELETED) == {"get_deleted_key", "purge_deleted_key", "recover_deleted_key"}
    assert of(Absent.VERSION) == {name for name, row in ROWS.items() if row.has_version}
    assert {row.use for row in ROWS.values()} == {None, *SIX, "release", "secureWrapKey", "secureUnwrapKey"}
    timely = {name for name, row in ROWS.items() if row.is_timely}
    assert timely == {"encrypt", "sign", "wrap_key", "securewrapkey"}
    assert {name for name, row in ROWS.items() if not row.in_vaults} == {"get_random_bytes", "get_key_attestation"}
    without_body = {name for name, row in ROWS.items() if row.body is None}
    assert without_body == {
        "rotate_key", "delete_key", "get_key", "get_key_versions", "get_keys", "backup_key", "get_deleted_keys",
        "get_deleted_key", "purge_deleted_key", "recover_deleted_key", "get_key_rotation_policy",
        "get_key_attestation",
    }  # fmt: skip
    for row in ROWS.values():
        assert row.since in STABLE
        if row.body is not None:
            assert {*row.body.required, *row.body.words, *row.body.encoded} <= set(row.body.members)
            assert row.body.required or row.body.good == {} or "lifetimeActions" in row.body.members
