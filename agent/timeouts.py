"""Time-outs and intervals that are not settings, and the clock."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """How long the agent waits.

    Attributes:
        tick_seconds: between two looks at lag, liveness and windows that the clock may close.
        acknowledge_seconds: of a checkpoint, for the output that was made before it.
        write_seconds: of a checkpoint, for the snapshot to be written.
        commit_seconds: of a checkpoint, for the positions to be committed.
        restore_seconds: for all assigned partitions together.
        progress_seconds: for the consumer's own loop to answer, which asks no broker.
        snapshot_read_seconds: for one snapshot to be read back.
        delivery_seconds: for the acknowledgement of one attempt; above the producer's own 30 s, which so ends first.
        first_retry_seconds, longest_retry_seconds: pause before a record is written again; it doubles each time.
        producer_stop_seconds: for outstanding deliveries, and for the producer to disconnect.
        models_read_seconds: for the models topic to be read to its end at the start.
        model_retry_seconds: before a model that could not be loaded, or the models topic, is tried again.
        request_seconds: for an HTTP client to send its request and to take the answer.
        worker_stop_seconds: beyond `shutdown_seconds`, for closing connections.
    """

    tick_seconds: float = 1.0
    acknowledge_seconds: float = 30.0
    write_seconds: float = 60.0
    commit_seconds: float = 30.0
    restore_seconds: float = 300.0
    progress_seconds: float = 20.0
    snapshot_read_seconds: float = 120.0
    delivery_seconds: float = 40.0
    first_retry_seconds: float = 0.1
    longest_retry_seconds: float = 5.0
    producer_stop_seconds: float = 5.0
    models_read_seconds: float = 60.0
    model_retry_seconds: float = 10.0
    request_seconds: float = 5.0
    worker_stop_seconds: float = 5.0


@dataclass(frozen=True)
class Clock:
    """The clock: `monotonic` in seconds for lengths of time, `wall_ms` in milliseconds since the epoch."""

    monotonic: Callable[[], float] = time.monotonic
    wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000


DEFAULT_TIMEOUTS = Timeouts()
SYSTEM_CLOCK = Clock()
