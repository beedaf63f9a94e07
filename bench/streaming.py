"""The agent on the live part: killed once in the middle, restarted, and then a second replay of the same offsets."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench.datasets import SPECS, Target
from schemas.topics import Topics
from testkit.kafka_io import Kafka, Row, total
from testkit.lines import Place, RecordedLine
from testkit.processes import ManagedProcess, fusionlog_process

PIECES = (0.4, 0.7)
"""Shares of the live part that are produced when the agent starts, and when it is killed."""
CHECKPOINT_SECONDS = 5
SESSION_SECONDS = 6
MID_WORK_SECONDS = 2.5
"""Time from the end of a checkpoint to the kill where no window closes; less than the interval of checkpoints."""
TIMEOUT_SECONDS = 900.0
LATENESS_SECONDS = 10
MARGIN_SECONDS = 60


@dataclass(frozen=True)
class Crash:
    """The state at the SIGKILL, summed over partitions.

    Attributes:
        committed, produced: positions; of the lines between them, some had been read and none committed.
        windows: records on the windows topic.
        windows_beyond_checkpoint: those after the last checkpoint, which the restarted agent sends again.
    """

    committed: int
    produced: int
    windows: int
    windows_beyond_checkpoint: int


@dataclass(frozen=True)
class Stream:
    """The live topic of a target and the agents that read it."""

    kafka: Kafka
    prefix: str
    target: Target
    work: Path

    def run_with_crash(self, group: str) -> tuple[list[Place], Crash]:
        """Stream the live part; the place of each line, and the state at the kill.

        The agent processes the first piece up to a checkpoint. It is killed in the second piece, after it has sent a
        window or run for `MID_WORK_SECONDS`, before the next checkpoint. The restarted agent processes the rest.
        """
        lines = self.target.live
        first, second = (int(len(lines) * share) for share in PIECES)
        places = self._produce(lines[:first])
        with self._agent(group, replay=False) as program:
            self._wait_for(group, len(places), program)
            before = self._windows()
            places += self._produce(lines[first:second])
            deadline = time.monotonic() + MID_WORK_SECONDS
            while self._windows() == before and time.monotonic() < deadline:
                program.check()
            program.kill()
        windows = self._windows()
        crash = Crash(self._committed(group), len(places), windows, windows - before)
        places += self._produce(lines[second:])
        # A keyless record moves each partition's watermark past everything.
        end_ms = max(line.time_ms for line in lines)
        end_ms += int(self.target.tail_seconds + LATENESS_SECONDS + MARGIN_SECONDS) * 1000
        ends = [Row(number, b"end of the recording", end_ms) for number in range(self.target.partitions)]
        self.kafka.produce(self.target.live_topic, ends)
        self.run_to_end(group, replay=False)
        return places, crash

    def run_to_end(self, group: str, *, replay: bool) -> None:
        """Run an agent until its committed position is the end of the topic, then stop it.

        Raises:
            TestkitError: it ends earlier, does not reach the end, or does not stop cleanly.
        """
        end = total(self.kafka.ends(self.target.live_topic).values())
        with self._agent(group, replay=replay) as program:
            self._wait_for(group, end, program)
            if program.stop() != 0:
                program.check()

    def _agent(self, group: str, *, replay: bool) -> ManagedProcess:
        settings = {
            "kafka": {"bootstrap_servers": self.kafka.servers},
            "topic_prefix": self.prefix,
            "group": group,
            "systems": [{"topics": [self.target.live_topic], "spec": SPECS[self.target.name]}],
            "start": "earliest",
            "checkpoint_seconds": CHECKPOINT_SECONDS,
            "close_idle_by_clock": False,
            "session_timeout_seconds": SESSION_SECONDS,
            "http": {"host": "127.0.0.1", "port": 0},
            "replay": replay,
            "log": {"format": "json", "level": "info"},
        }
        config = self.work / f"{group}.yaml"
        config.write_text(yaml.safe_dump(settings, sort_keys=False))
        return fusionlog_process(["agent", "--config", str(config)], self.work / f"{group}.log")

    def _wait_for(self, group: str, position: int, program: ManagedProcess) -> None:
        program.wait_until(
            lambda: self._committed(group) >= position,
            f"a committed position of {position} in {self.target.live_topic}",
            TIMEOUT_SECONDS,
        )

    def _windows(self) -> int:
        return total(self.kafka.ends(Topics(self.prefix).windows).values())

    def _committed(self, group: str) -> int:
        return total(one.offset for one in self.kafka.committed(group, self.target.live_topic).values())

    def _produce(self, lines: Sequence[RecordedLine]) -> list[Place]:
        return self.kafka.produce_lines(self.target.live_topic, lines, self.target.partitions)
