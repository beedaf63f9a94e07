"""The storm on a real Kafka: several seeds, what was injected, and what the topics say was lost."""

import contextlib
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.result import environment
from testkit.kafka_bed import KafkaBed
from testkit.local_kafka import LocalKafka
from testkit.storm import PARTITIONS, Storm, StormResult

LOSSES = ("unaccounted", "doubled", "lost", "partial", "contradictory", "behind", "missing_alerts", "stray_alerts")


def run(seeds: int, first_seed: int, seconds: float, work: Path | None = None) -> dict[str, Any]:
    """Run the seeds one after another, each on topics of its own.

    Raises:
        TestkitError: there is no Kafka, or a run does not get to its end.
    """
    started = time.monotonic()
    results = []
    with contextlib.ExitStack() as stack:
        folder = work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fusionlog-storm-")))
        broker = stack.enter_context(LocalKafka())
        for seed in range(first_seed, first_seed + seeds):
            print(f"storm of seed {seed}", file=sys.stderr, flush=True)
            logs = folder / f"seed-{seed}"
            logs.mkdir(parents=True, exist_ok=True)
            bed = KafkaBed(broker.bootstrap_servers, f"storm-{seed}", PARTITIONS)
            results.append(Storm(bed, broker, logs, seed, seconds).run())
            print(json.dumps(_row(results[-1])), file=sys.stderr, flush=True)
    return _document(results) | {"seconds": round(time.monotonic() - started, 1), **environment()}


def passed(result: Mapping[str, Any]) -> bool:
    """Whether nothing was lost, cut, contradicted, or left without its alert."""
    return not any(result[name] for name in LOSSES)


def _document(results: list[StormResult]) -> dict[str, Any]:
    faults = sum((result.faults for result in results), Counter[str]())
    totals = {name: sum(len(getattr(result.verdict, name)) for result in results) for name in LOSSES}
    return {
        "seeds": [result.seed for result in results],
        "records": sum(result.records for result in results),
        "windows": sum(result.verdict.windows for result in results),
        "faults": dict(faults),
        **totals,
        "duplicate_windows": sum(result.verdict.duplicate_windows for result in results),
        "duplicate_alerts": sum(result.verdict.duplicate_alerts for result in results),
        "runs": [_row(result) for result in results],
    }


def _row(result: StormResult) -> dict[str, Any]:
    """One run."""
    return {
        "seed": result.seed,
        "seconds": result.seconds,
        "records": result.records,
        "windows": result.verdict.windows,
        "faults": dict(result.faults),
        "exits": dict(result.exits),
        "duplicates": result.verdict.duplicate_windows,
        "problems": result.verdict.problems,
    }
