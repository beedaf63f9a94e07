"""Prometheus metrics of the agent. No template, alert or key is ever a label."""

from collections.abc import Mapping
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

_LATENCY_BUCKETS = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 600.0, 3_600.0, 86_400.0)


class Metrics:
    """All metrics of one agent, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter = partial(Counter, namespace="fusionlog", registry=self.registry)
        self.records_consumed = counter("records_consumed_total", "Records read from raw topics.", ("system",))
        self.records_failed = counter(
            "records_failed_total", "Records that could not be processed.", ("system", "stage", "reason")
        )
        self.dlq_records = counter("dlq_records_total", "Dead letters written.", ("system", "reason"))
        self.late_lines = counter("late_lines_total", "Lines after their window was emitted.", ("system",))
        self.windows_closed = counter("windows_closed_total", "Closed windows.", ("system", "closed_by"))
        self.anomalies = counter("anomalies_total", "Alerts written.", ("system", "severity", "reason"))
        self.templates_created = counter(
            "templates_created_total", "Templates learned since the model was trained.", ("system",)
        )
        self.model_loads = counter("model_loads_total", "Model loads by result.", ("system", "result"))
        self.checkpoints = counter("checkpoints_total", "Checkpoints by result.", ("result",))
        self.state_lost = counter("state_lost_total", "Partitions whose snapshot was missing or corrupt.", ("system",))
        self.offsets_lost = counter(
            "offsets_lost_total", "Offsets that the broker deleted before they were read.", ("system",)
        )
        self.rebalances = counter("rebalances_total", "Assignments received.")
        self.output_retries = counter("output_retries_total", "Records written again after an error.", ("topic",))
        gauge = partial(Gauge, namespace="fusionlog", registry=self.registry)
        place = ("topic", "partition")
        self.lag_seconds = gauge("consumer_lag_seconds", "Age of the last line read; 0 at the end.", place)
        self.lag_records = gauge("consumer_lag_records", "Offsets not yet processed.", place)
        self.watermark_delay = gauge("watermark_delay_seconds", "Clock minus watermark.", place)
        self.open_windows = gauge("open_windows", "Windows open.", ("system",))
        self.templates = gauge("templates", "Templates of the model, and learned since.", ("system", "kind"))
        self.model_info = gauge("model_info", "The model that serves.", ("system", "version", "sha256", "labeller"))
        self.model_age = gauge("model_age_seconds", "Age of the model that serves.", ("system",))
        self.outputs_pending = gauge("outputs_pending", "Batches of output not yet acknowledged.")
        self.checkpoint_age = gauge("checkpoint_age_seconds", "Time since the last successful checkpoint.")
        histogram = partial(Histogram, namespace="fusionlog", registry=self.registry, buckets=_LATENCY_BUCKETS)
        self.parse_latency = histogram("parse_latency_seconds", "Parsing a fetched batch.", ("system",))
        self.score_latency = histogram("score_latency_seconds", "Scoring what a batch closed.", ("system",))
        self.end_to_end_latency = histogram(
            "end_to_end_latency_seconds", "From a line's record time to its batch being processed.", ("system",)
        )
        self.checkpoint_duration = histogram("checkpoint_duration_seconds", "One checkpoint.")

    def exposition(self) -> bytes:
        """The text that `/metrics` answers."""
        return generate_latest(self.registry)

    def add(self, system: str, counts: Mapping[tuple[str, ...], int], seconds: Mapping[str, float]) -> None:
        """Add what a stage reports of a system: counts by (counter, further labels), seconds by histogram."""
        for (counter, *labels), count in counts.items():
            getattr(self, counter).labels(system, *labels).inc(count)
        for histogram, spent in seconds.items():
            getattr(self, histogram).labels(system).observe(spent)
