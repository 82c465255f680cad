"""The audit log as an outsider reads it (docs/audit.md), and what a running instance tells about its processes."""

import base64
import hashlib
import json
import urllib.request
from collections import defaultdict
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.instance import DevInstance


def audit_records(data_dir: Path) -> list[dict[str, Any]]:
    """Every record of every writer, after its chain was followed from the first line to the last."""
    records: list[dict[str, Any]] = []
    files: dict[str, list[Path]] = defaultdict(list)
    for path in sorted((data_dir / "audit").glob("audit-*.jsonl")):
        files[path.stem.rpartition("-")[0]].append(path)
    assert files
    for paths in files.values():
        previous, sequence = "", 0
        for path in paths:
            content = path.read_bytes()
            assert content == b"" or content.endswith(b"\n"), path
            for line in content.splitlines():
                record = json.loads(line)
                sequence += 1
                assert record["sequence"] == sequence, (path, sequence)
                assert record["previous"] == previous, (path, sequence)
                previous = base64.urlsafe_b64encode(hashlib.sha256(line).digest()).rstrip(b"=").decode()
                records.append(record)
    return records


def workers_of(instance: DevInstance) -> list[int]:
    """Process ids of the workers: the supervisor has no other children."""
    tasks = Path(f"/proc/{instance.process.pid}/task")
    return sorted(int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split())


def metric(instance: DevInstance, name: str, **labels: str) -> float:
    """The sum of all samples with these labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{instance.port + 2}/metrics", timeout=30) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())
