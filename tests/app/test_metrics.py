"""Every family that is declared is explained, and moves or is shown in a real worker."""

import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from hsmvault.telemetry.metrics import Metrics
from tests.instance import DevInstance, dev_instance  # noqa: F401  # fixture

OPERATIONS = Path(__file__).resolve().parents[2] / "docs" / "operations.md"


def declared() -> set[str]:
    """Families with the suffix under which Prometheus sees them."""
    families = [family.collect() for family in Metrics()._families]
    return {family.name + ("_total" if family.kind == "counter" else "") for family in families}


def test_every_family_stands_in_the_documentation() -> None:
    text = OPERATIONS.read_text()
    assert [name for name in sorted(declared()) if f"`{name}`" not in text] == []


def test_every_family_is_shown_by_a_worker(dev_instance: DevInstance) -> None:  # noqa: F811  # the fixture
    with urllib.request.urlopen(f"http://127.0.0.1:{dev_instance.port + 2}/metrics", timeout=30) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    shown = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    without_requests = {"hsmvault_requests_total", "hsmvault_request_seconds"}  # until the first one
    without_receivers = {"hsmvault_events_total", "hsmvault_mails_total"}  # see tests/life/test_served.py
    # See tests/app/test_audit_destinations.py.
    without_destinations = {"hsmvault_audit_exports_total", "hsmvault_audit_export_lag_seconds"}
    assert declared() - shown - without_requests - without_receivers - without_destinations == set()
    found = {(sample.name, frozenset(sample.labels.items())) for family in families for sample in family.samples}
    for name, labels in (
        ("hsmvault_cache_lookups_total", {"cache": "keys", "result": "hit"}),
        ("hsmvault_cache_lookups_total", {"cache": "tokens", "result": "miss"}),
        ("hsmvault_cache_lookups_total", {"cache": "wrapped", "result": "hit"}),
        ("hsmvault_throttled_total", {"queue": "hsm"}),
        ("hsmvault_throttled_total", {"queue": "verification"}),
        ("hsmvault_hsm_events_total", {"event": "recovery", "world": "default"}),
    ):
        assert (name, frozenset({**labels, "worker": "0"}.items())) in found, (name, labels)
