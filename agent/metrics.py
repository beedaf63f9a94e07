"""Prometheus metrics of the agent. No template, alert or key is ever a label."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

_LATENCY_BUCKETS = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 600.0, 3_600.0, 86_400.0)


class Metrics:
    """All metrics of one agent, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._counters()
        self._gauges()
        self._histograms()

    def exposition(self) -> bytes:
        """The text that `/metrics` answers."""
        return generate_latest(self.registry)

    def add(self, system: str, counts: Mapping[tuple[str, ...], int], seconds: Mapping[str, float]) -> None:
        """Add what a stage reports of a system: counts by (counter, further labels), seconds by histogram."""
        for (counter, *labels), count in counts.items():
            getattr(self, counter).labels(system, *labels).inc(count)
        for histogram, spent in seconds.items():
            getattr(self, histogram).labels(system).observe(spent)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"fusionlog_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"fusionlog_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"fusionlog_{name}", text, labels, registry=self.registry, buckets=_LATENCY_BUCKETS)

    def _counters(self) -> None:
        self.records_consumed = self._counter("records_consumed_total", "Records read from raw topics.", "system")
        self.records_failed = self._counter(
            "records_failed_total", "Records that could not be processed.", "system", "stage", "reason"
        )
        self.dlq_records = self._counter("dlq_records_total", "Dead letters written.", "system", "reason")
        self.late_lines = self._counter("late_lines_total", "Lines after their window was emitted.", "system")
        self.windows_closed = self._counter("windows_closed_total", "Closed windows.", "system", "closed_by")
        self.anomalies = self._counter("anomalies_total", "Alerts written.", "system", "severity", "reason")
        self.templates_created = self._counter(
            "templates_created_total", "Templates learned since the model was trained.", "system"
        )
        self.model_loads = self._counter("model_loads_total", "Model loads by result.", "system", "result")
        self.checkpoints = self._counter("checkpoints_total", "Checkpoints by result.", "result")
        self.state_lost = self._counter(
            "state_lost_total", "Partitions whose snapshot was missing or corrupt.", "system"
        )
        self.offsets_lost = self._counter(
            "offsets_lost_total", "Offsets that the broker deleted before they were read.", "system"
        )
        self.rebalances = self._counter("rebalances_total", "Assignments received.")
        self.output_retries = self._counter("output_retries_total", "Records written again after an error.", "topic")

    def _gauges(self) -> None:
        place = ("topic", "partition")
        self.lag_seconds = self._gauge("consumer_lag_seconds", "Age of the last line read; 0 at the end.", *place)
        self.lag_records = self._gauge("consumer_lag_records", "Offsets not yet processed.", *place)
        self.watermark_delay = self._gauge("watermark_delay_seconds", "Clock minus watermark.", *place)
        self.open_windows = self._gauge("open_windows", "Windows open.", "system")
        self.templates = self._gauge("templates", "Templates of the model, and learned since.", "system", "kind")
        self.model_info = self._gauge("model_info", "The model that serves.", "system", "version", "sha256", "labeller")
        self.model_age = self._gauge("model_age_seconds", "Age of the model that serves.", "system")
        self.outputs_pending = self._gauge("outputs_pending", "Batches of output not yet acknowledged.")
        self.checkpoint_age = self._gauge("checkpoint_age_seconds", "Time since the last successful checkpoint.")

    def _histograms(self) -> None:
        self.parse_latency = self._histogram("parse_latency_seconds", "Parsing a fetched batch.", "system")
        self.score_latency = self._histogram("score_latency_seconds", "Scoring what a batch closed.", "system")
        self.end_to_end_latency = self._histogram(
            "end_to_end_latency_seconds", "From a line's record time to its batch being processed.", "system"
        )
        self.checkpoint_duration = self._histogram("checkpoint_duration_seconds", "One checkpoint.")
