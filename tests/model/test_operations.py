"""The table that router, authorization and audit are driven from is whole and has no second meaning."""

import re
from collections import Counter

import pytest

from hsmvault.model.containers import ContainerKind
from hsmvault.model.lifecycle import Retention
from hsmvault.model.operations import BY_NAME, OPERATIONS, Kind, Operation

WORDS = {
    Kind.KEYS: "get list update create import delete recover backup restore decrypt encrypt unwrapkey wrapkey verify "
    "sign purge release rotate getrotationpolicy setrotationpolicy",
    Kind.SECRETS: "get list set delete recover backup restore purge",
    Kind.CERTIFICATES: "get list delete create import update managecontacts getissuers listissuers setissuers "
    "deleteissuers manageissuers recover backup restore purge",
    Kind.ADMINISTRATION: "",
}


def test_there_are_as_many_operations_as_the_reference_has() -> None:
    assert Counter(row.kind for row in OPERATIONS) == {
        Kind.KEYS: 27,
        Kind.SECRETS: 12,
        Kind.CERTIFICATES: 27,
        Kind.ADMINISTRATION: 29,
    }
    assert len(BY_NAME) == len(OPERATIONS)


def test_no_two_operations_answer_the_same_request() -> None:
    routes = [(row.method, re.sub(r"\{[a-z]+\}", "*", row.path)) for row in OPERATIONS]
    assert len(set(routes)) == len(routes)


@pytest.mark.parametrize("row", OPERATIONS, ids=lambda row: row.name)
def test_every_operation_has_a_permission_for_each_container_that_serves_it(row: Operation) -> None:
    assert (row.vault_action is not None) == (ContainerKind.VAULT in row.served_by or row.name == "get_key_attestation")
    assert (row.pool_action is not None) == (ContainerKind.POOL in row.served_by)
    assert set(row.permissions) <= set(WORDS[row.kind].split())
    if ContainerKind.VAULT in row.served_by:
        assert row.permissions
        assert row.policy is not None and row.policy.startswith(row.kind.value + "/")
    assert re.fullmatch(r"[A-Z][A-Za-z]+", row.audit_name)


def test_only_what_the_public_part_can_do_is_open_to_readers() -> None:
    assert {row.name for row in OPERATIONS if row.or_vault_action} == {"encrypt", "verify", "wrap_key"}


@pytest.mark.parametrize(
    ("days", "protected", "level"),
    [
        (90, False, "Recoverable+Purgeable"),
        (90, True, "Recoverable"),
        (7, False, "CustomizedRecoverable+Purgeable"),
        (89, True, "CustomizedRecoverable"),
    ],
)
def test_recovery_levels_are_those_of_the_reference(days: int, protected: bool, level: str) -> None:
    retention = Retention(days, protected)
    assert retention.recovery_level == level
    assert retention.purge_date(1_000) == 1_000 + days * 86_400
