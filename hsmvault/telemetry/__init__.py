"""What an operator sees of a running instance: logs and metrics."""

from hsmvault.telemetry.logs import configure_logs, request_id
from hsmvault.telemetry.metrics import Family, Metrics, Sample, expose

__all__ = ["Family", "Metrics", "Sample", "configure_logs", "expose", "request_id"]
