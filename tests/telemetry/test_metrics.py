"""Our numbers as Prometheus' own parser reads them."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hsmvault.telemetry import Family, Metrics, Sample, expose


def parsed(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = expose([({"worker": "0"}, metrics.collect())]).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_requests_are_counted_by_operation_and_status() -> None:
    metrics = Metrics()
    for status in (200, 200, 403):
        metrics.answered("KeySign", status, 0.0007)
    found = parsed(metrics)
    key = (("operation", "KeySign"), ("status", "200"), ("worker", "0"))
    assert found["hsmvault_requests_total", key] == 2
    count = (("operation", "KeySign"), ("worker", "0"))
    assert found["hsmvault_request_seconds_count", count] == 3
    assert found["hsmvault_request_seconds_sum", count] == pytest.approx(0.0021)
    buckets = {dict(labels)["le"]: value for (name, labels), value in found.items() if name.endswith("_bucket")}
    assert (buckets["0.0005"], buckets["0.001"], buckets["+Inf"]) == (0, 3, 3)


def test_a_level_may_be_asked_at_collection() -> None:
    metrics = Metrics()
    lane = [1, 2, 3]
    metrics.hsm_waiting.child("sign-0").read = lambda: len(lane)
    assert parsed(metrics)["hsmvault_hsm_waiting", (("lane", "sign-0"), ("worker", "0"))] == 3


def test_a_family_of_several_workers_stands_once() -> None:
    family = Family("a", "help", "gauge", [Sample("", {}, 1.5)])
    text = expose([({"worker": "0"}, [family]), ({"worker": "1"}, [family])]).decode()
    assert text == '# HELP a help\n# TYPE a gauge\na{worker="0"} 1.5\na{worker="1"} 1.5\n'


def test_labels_are_escaped() -> None:
    family = Family("a", "two\nlines", "gauge", [Sample("", {"l": 'a"\\\n'}, 1)])
    (found,) = text_string_to_metric_families(expose([({}, [family])]).decode())
    assert found.samples[0].labels == {"l": 'a"\\\n'}


def test_a_child_has_a_value_for_every_label() -> None:
    with pytest.raises(ValueError, match="labels"):
        Metrics().requests.child("KeySign")


def test_a_counter_may_be_asked_at_collection() -> None:
    metrics = Metrics()
    looked_up = [1, 2]
    metrics.cache.child("keys", "hit").read = lambda: len(looked_up)
    name = ("hsmvault_cache_lookups_total", (("cache", "keys"), ("result", "hit"), ("worker", "0")))
    assert parsed(metrics)[name] == 2
    looked_up.append(3)
    assert parsed(metrics)[name] == 3
