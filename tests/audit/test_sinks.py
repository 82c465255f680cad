"""Which records go where, and what they look like there."""

import json
from typing import Any

import msgspec
import pytest

from hsmvault.audit import sinks
from hsmvault.audit.sinks import Destination, LoggedLine, Routes
from hsmvault.model.diagnostics import DiagnosticBody, DiagnosticSetting, LogSetting

VAULT = "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v"
WORKSPACE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.OperationalInsights/workspaces/Logs"
DESTINATIONS = (Destination("archive"), Destination("monitor", WORKSPACE), Destination("siem"))
AUDIT = (LogSetting(enabled=True, category="AuditEvent"),)


def setting(resource_id: str = VAULT, logs: tuple[LogSetting, ...] = AUDIT, **members: Any) -> DiagnosticSetting:
    return DiagnosticSetting(resource_id, "s", DiagnosticBody(logs=logs, **members), 0)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("archive", "archive"),
        ("ARCHIVE", "archive"),
        ("/subscriptions/x/resourceGroups/y/providers/Microsoft.Storage/storageAccounts/Archive", "archive"),
        (WORKSPACE.upper(), "monitor"),
        ("monitor", "monitor"),
        ("logs", None),
        ("archive2", None),
        ("", None),
    ],
)
def test_a_destination_is_named_by_its_id_or_by_what_ends_in_its_name(text: str, found: str | None) -> None:
    one = sinks.find(DESTINATIONS, text)
    assert (None if one is None else one.name) == found


def test_an_id_counts_before_a_name() -> None:
    named, identified = Destination("logs"), Destination("other", WORKSPACE)
    assert sinks.find((named, identified), WORKSPACE) == identified


def test_records_of_a_container_go_where_its_settings_say_and_nowhere_else() -> None:
    routes = Routes(
        DESTINATIONS,
        settings=[setting(storage_account_id="archive"), setting(VAULT + "2", workspace_id=WORKSPACE)],
    )
    below = VAULT.upper() + "/SECRETS/A"
    assert [name for name in ("archive", "monitor", "siem") if routes.takes(name, VAULT.upper())] == ["archive"]
    assert routes.takes("archive", below)
    assert not routes.takes("archive", VAULT.upper() + "2")
    assert routes.takes("monitor", VAULT.upper() + "2")
    assert not any(routes.takes(name, "/TENANTS/T") for name in ("archive", "monitor", "siem"))
    assert [routes.uses(name) for name in ("archive", "monitor", "siem")] == [True, True, False]


def test_a_destination_of_everything_gets_logins_too() -> None:
    routes = Routes(DESTINATIONS, ["siem"])
    assert routes.takes("siem", "/TENANTS/T") and routes.takes("siem", VAULT) and routes.uses("siem")
    assert not routes.uses("archive")


@pytest.mark.parametrize(
    ("log", "flows"),
    [
        (LogSetting(enabled=True, category="auditevent"), True),
        (LogSetting(enabled=True, category_group="audit"), True),
        (LogSetting(enabled=True, category_group="allLogs"), True),
        (LogSetting(enabled=False, category="AuditEvent"), False),
        (LogSetting(enabled=True, category="AzurePolicyEvaluationDetails"), False),
    ],
)
def test_records_flow_when_a_category_with_them_is_enabled(log: LogSetting, flows: bool) -> None:
    routes = Routes(DESTINATIONS, settings=[setting(logs=(log,), storage_account_id="archive")])
    assert routes.takes("archive", VAULT) is flows


def line(**changes: object) -> LoggedLine:
    members = {
        "sequence": 7,
        "previous": "p",
        "time": "2016-01-05T01:32:01.2691226Z",
        "resourceId": VAULT.upper(),
        "operationName": "SecretGet",
        "category": "AuditEvent",
    }
    return LoggedLine.read("0", json.dumps(members | changes).encode())


def test_a_record_is_exported_with_host_and_series_in_front() -> None:
    exported = json.loads(sinks.exported(line(), "node1"))
    assert list(exported)[:3] == ["host", "series", "sequence"]
    assert (exported["host"], exported["series"], exported["operationName"]) == ("node1", "0", "SecretGet")
    assert json.loads(sinks.batch([sinks.exported(line(), "node1")] * 2)) == {"records": [exported, exported]}


def test_a_syslog_message_has_the_form_of_rfc_5424() -> None:
    message = sinks.syslog(line(), "node1")
    head, _, body = message.partition(b" - ")
    assert head == b"<110>1 2016-01-05T01:32:01.269122Z node1 hsmvault 0 SecretGet"
    assert json.loads(body)["sequence"] == 7


def test_what_is_not_printable_does_not_get_into_the_head_of_a_message() -> None:
    message = sinks.syslog(line(operationName="Key Get\n" + "x" * 40), "höst 1")
    assert message.startswith(
        b"<110>1 2016-01-05T01:32:01.269122Z hst1 hsmvault 0 KeyGetxxxxxxxxxxxxxxxxxxxxxxxxxx - {"
    )
    assert sinks.syslog(line(operationName="é"), "é").split(b" ")[2:6] == [b"-", b"hsmvault", b"0", b"-"]


def test_a_line_that_is_no_record_is_refused() -> None:
    for content in (b"", b"{", b"[]", b'{"sequence":1}', b"\xff"):
        with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
            LoggedLine.read("0", content)
