"""Metrics: plain numbers of one event loop, cheap enough for every request.

A worker counts for itself, without locks; the supervisor asks each worker for its families over the control socket
and exposes them with the label `worker`, so that the counters of a replaced worker start again by themselves, which
is what Prometheus expects. Resolve a child once (`metrics.requests.child(...)`) and keep it where it is hot.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, Literal, Protocol, TypeVar

import msgspec

Kind = Literal["counter", "gauge", "histogram"]
LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """suffix: what follows the family's name ('_bucket')."""

    suffix: str
    labels: dict[str, str]
    value: float


class Family(msgspec.Struct, frozen=True, array_like=True):
    name: str
    help: str
    kind: Kind
    samples: list[Sample]


class Child(Protocol):
    def samples(self, labels: Mapping[str, str]) -> Iterator[Sample]: ...


class Count:
    """A number that only grows: `count.value += 1` is the whole cost. read: asked at collection instead, when there is
    one, for what somebody else counts already.
    """

    __slots__ = ("read", "value")

    def __init__(self, read: Callable[[], float] | None = None) -> None:
        self.value = 0.0
        self.read = read

    def samples(self, labels: Mapping[str, str]) -> Iterator[Sample]:
        yield Sample("_total", dict(labels), self.value if self.read is None else self.read())


class Level:
    """A number that goes up and down. read: asked at collection instead, when there is one."""

    __slots__ = ("read", "value")

    def __init__(self, read: Callable[[], float] | None = None) -> None:
        self.value = 0.0
        self.read = read

    def samples(self, labels: Mapping[str, str]) -> Iterator[Sample]:
        yield Sample("", dict(labels), self.value if self.read is None else self.read())


class Latency:
    """A histogram of seconds."""

    __slots__ = ("buckets", "total")

    def __init__(self) -> None:
        self.buckets = [0] * (len(LATENCY_BUCKETS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.buckets[bisect_left(LATENCY_BUCKETS, seconds)] += 1
        self.total += seconds

    def samples(self, labels: Mapping[str, str]) -> Iterator[Sample]:
        count = 0
        for bound, members in zip((*map(str, LATENCY_BUCKETS), "+Inf"), self.buckets, strict=True):
            count += members
            yield Sample("_bucket", {**labels, "le": bound}, count)
        yield Sample("_sum", dict(labels), self.total)
        yield Sample("_count", dict(labels), count)


Kept = TypeVar("Kept", bound=Child)


class Labelled(Generic[Kept]):
    """One family: a child for each combination of label values. Values come from our own tables, never from callers,
    so that their number is bounded.
    """

    def __init__(
        self, name: str, help_text: str, kind: Kind, labels: tuple[str, ...], make: Callable[[], Kept]
    ) -> None:
        self._name, self._help, self._kind, self._labels, self._make = name, help_text, kind, labels, make
        self._children: dict[tuple[str, ...], Kept] = {}

    def child(self, *values: str) -> Kept:
        found = self._children.get(values)
        if found is None:
            if len(values) != len(self._labels):
                raise ValueError(f"{self._name} has the labels {self._labels}")
            found = self._children[values] = self._make()
        return found

    def adopt(self, child: Kept, *values: str) -> None:
        """Expose a child that somebody else made, in place of the one that was there."""
        self._children[values] = child

    def drop(self, *values: str) -> None:
        """What it counted is not there any more."""
        self._children.pop(values, None)

    def collect(self) -> Family:
        samples = [
            sample
            for values, child in self._children.items()
            for sample in child.samples(dict(zip(self._labels, values, strict=True)))
        ]
        return Family(self._name, self._help, self._kind, samples)


class Metrics:
    """Everything that a worker counts. Touched by its event loop's thread alone."""

    def __init__(self) -> None:
        self._families: list[Labelled[Count] | Labelled[Level] | Labelled[Latency]] = []
        self.requests = self.counter("hsmvault_requests", "Answered requests", "operation", "status")
        self.latency = self.histogram("hsmvault_request_seconds", "Time to answer a request", "operation")
        self.hsm_waiting = self.gauge("hsmvault_hsm_waiting", "Operations that wait for a PKCS#11 session", "lane")
        self.hsm_up = self.gauge("hsmvault_hsm_up", "1 while the token answers", "world")
        self.hsm_events = self.counter("hsmvault_hsm_events", "Refusals, canaries and recoveries", "world", "event")
        self.cache = self.counter("hsmvault_cache_lookups", "Look-ups in a cache", "cache", "result")
        self.cache_evictions = self.counter("hsmvault_cache_evictions", "Keys that had to leave a full cache", "cache")
        self.audit_records = self.counter("hsmvault_audit_records", "Audit records", "outcome")
        self.audit_failing = self.gauge("hsmvault_audit_failing", "1 while the audit log takes no records")
        self.audit_exports = self.counter(
            "hsmvault_audit_exports",
            "Audit records taken by a destination, and attempts that failed",
            "destination",
            "outcome",
        )
        self.audit_export_lag = self.gauge(
            "hsmvault_audit_export_lag_seconds",
            "How long audit records have been waiting for a destination",
            "destination",
        )
        self.throttled = self.counter("hsmvault_throttled", "Jobs refused because a queue was full", "queue")
        self.connections = self.gauge("hsmvault_connections", "Open connections")
        self.changes_age = self.gauge(
            "hsmvault_changes_age_seconds", "Seconds since the last look at other nodes' changes"
        )
        self.jobs = self.counter("hsmvault_jobs", "Runs of background jobs", "job", "outcome")
        self.events = self.counter("hsmvault_events", "Events for webhooks", "subscription", "outcome")
        self.mails = self.counter("hsmvault_mails", "Mail to contacts", "outcome")
        self._answered: dict[tuple[str, int], tuple[Count, Latency]] = {}

    def answered(self, operation: str, status: int, seconds: float) -> None:
        """Count one request. operation: a name of model/operations.py or another of our own."""
        pair = self._answered.get((operation, status))
        if pair is None:
            pair = (self.requests.child(operation, str(status)), self.latency.child(operation))
            self._answered[operation, status] = pair
        pair[0].value += 1
        pair[1].observe(seconds)

    def counter(self, name: str, help_text: str, *labels: str) -> Labelled[Count]:
        """name: without '_total'."""
        family = Labelled(name, help_text, "counter", labels, Count)
        self._families.append(family)
        return family

    def gauge(self, name: str, help_text: str, *labels: str) -> Labelled[Level]:
        family = Labelled(name, help_text, "gauge", labels, Level)
        self._families.append(family)
        return family

    def histogram(self, name: str, help_text: str, *labels: str) -> Labelled[Latency]:
        family = Labelled(name, help_text, "histogram", labels, Latency)
        self._families.append(family)
        return family

    def collect(self) -> list[Family]:
        return [collected for family in self._families if (collected := family.collect()).samples]


def expose(parts: Iterable[tuple[Mapping[str, str], Iterable[Family]]]) -> bytes:
    """Prometheus' text format (0.0.4). parts: labels to add, and families; a family may stand in several parts."""
    families: dict[str, tuple[Family, list[str]]] = {}
    for more, part in parts:
        for family in part:
            _, lines = families.setdefault(family.name, (family, []))
            lines.extend(_line(family.name, sample, more) for sample in family.samples)
    text: list[str] = []
    for family, lines in families.values():
        name = family.name + ("_total" if family.kind == "counter" else "")
        text += [f"# HELP {name} {_escape(family.help)}", f"# TYPE {name} {family.kind}", *lines]
    return ("\n".join(text) + "\n").encode()


def _line(name: str, sample: Sample, more: Mapping[str, str]) -> str:
    labels = ",".join(f'{key}="{_escape(value)}"' for key, value in {**sample.labels, **more}.items())
    value = int(sample.value) if float(sample.value).is_integer() else sample.value
    return f"{name}{sample.suffix}{{{labels}}} {value}" if labels else f"{name}{sample.suffix} {value}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
