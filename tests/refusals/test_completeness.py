"""The table of expectations has every operation on objects, says what the product's own table says, and no more."""

import pytest

from hsmvault.model.containers import ContainerKind
from hsmvault.model.operations import OPERATIONS, Kind, Operation
from tests.refusals.grounds import SIX
from tests.refusals.rows import Absent
from tests.refusals.table import ROWS, STABLE
from tests.refusals.words import Objects

ON_OBJECTS = [row for row in OPERATIONS if row.kind is not Kind.ADMINISTRATION]


def test_every_operation_on_objects_has_its_expectations() -> None:
    assert {row.name for row in ON_OBJECTS} == set(ROWS)
    numbers = {kind: len([row for row in ROWS.values() if row.kind is kind]) for kind in Objects}
    assert numbers == {Objects.KEYS: 27, Objects.SECRETS: 12, Objects.CERTIFICATES: 27}


@pytest.mark.parametrize("row", ON_OBJECTS, ids=lambda row: row.name)
def test_the_products_table_says_what_the_reference_says(row: Operation) -> None:
    expected = ROWS[row.name]
    assert row.kind.value == expected.kind.value
    assert (row.method, row.path, row.since) == (expected.method, expected.path, expected.since)
    assert row.permissions == expected.permissions
    assert (row.vault_action, row.pool_action) == (expected.vault_action, expected.pool_action)
    assert row.audit_name == expected.audit
    assert (ContainerKind.POOL in row.served_by) is expected.in_pools
    assert (ContainerKind.VAULT in row.served_by) is expected.in_vaults


def of(absent: Absent) -> set[str]:
    return {name for name, row in ROWS.items() if row.absent is absent}


def test_the_rows_themselves_are_whole() -> None:
    """What the generator skips because of a row's form is named here."""
    makes = {"create_key", "import_key", "set_secret", "create_certificate", "import_certificate"}
    of_the_vault = {"set_certificate_contacts", "set_certificate_issuer", "get_certificate_issuers", "get_random_bytes"}
    restores = {"restore_key", "restore_secret", "restore_certificate"}
    lists = {f"get_{word}{kind}" for word in ("", "deleted_") for kind in Objects}
    deleted = {f"{word}_deleted_{kind.value[:-1]}" for word in ("get", "purge", "recover") for kind in Objects}
    assert of(Absent.NONE) == makes | of_the_vault | restores | lists
    assert of(Absent.EMPTY) == {f"get_{kind.value[:-1]}_versions" for kind in Objects}
    assert of(Absent.DELETED) == deleted
    assert of(Absent.VERSION) == {name for name, row in ROWS.items() if row.has_version}
    assert of(Absent.PENDING) == {name for name, row in ROWS.items() if "/pending" in row.path}
    assert of(Absent.ISSUER) == {f"{word}_certificate_issuer" for word in ("get", "update", "delete")}
    assert of(Absent.CONTACTS) == {f"{word}_certificate_contacts" for word in ("get", "delete")}
    assert {row.use for row in ROWS.values()} == {None, *SIX, "release", "secureWrapKey", "secureUnwrapKey"}
    timely = {name for name, row in ROWS.items() if row.is_timely}
    assert timely == {"encrypt", "sign", "wrap_key", "securewrapkey"}
    in_pools_alone = {name for name, row in ROWS.items() if not row.in_vaults}
    assert in_pools_alone == {"get_random_bytes", "get_key_attestation"}
    assert {row.kind for row in ROWS.values() if row.in_pools} == {Objects.KEYS}
    for row in ROWS.values():
        assert row.since in STABLE
        says_nothing = row.method in ("GET", "DELETE") or row.path.endswith(("/backup", "/recover", "/rotate"))
        assert (row.body is None) is says_nothing
        if row.body is not None:
            assert {*row.body.required, *row.body.words, *row.body.encoded} <= set(row.body.members)
            assert row.body.required or row.body.lacks or row.absent is not Absent.NONE
