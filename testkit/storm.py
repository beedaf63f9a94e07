"""A storm: while lines flow, agents are killed, stopped, paused and added, and the broker is killed, all by seed.

Once the input has stopped, `checker` finds out from topics alone whether anything was lost.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol, Self

from detector.testing import ANOMALOUS_LINES, NORMAL_LINES, SYSTEM, tiny_files
from testkit.checker import Verdict, check
from testkit.errors import ProcessError, TestkitError
from testkit.kafka_bed import AgentProcess, KafkaBed
from testkit.processes import POLL_SECONDS, wait_until
from testkit.reference_windows import session_rule

PARTITIONS = 4
MOST_AGENTS = 3
SESSION_SECONDS = 6
PAUSE_SECONDS = (7.5, 9.5)  # beyond the session time-out: the group goes on without the paused member
OUTAGE_SECONDS = (0.5, 3.0)
BETWEEN_SECONDS = (3.0, 6.0)
READY_SECONDS = 180.0
END_SECONDS = 300.0
FEED_SECONDS = 0.1
FEED_LINES = 40
LINE_KINDS = {"normal": 0.93, "anomalous": 0.03, "two orders": 0.02, "keyless": 0.01, "unreadable": 0.01}
START_MS = 1_700_000_000_000
END_MS = START_MS + 1_000_000_000
RULE = session_rule(SYSTEM.key_pattern or "", int(1_000 * SYSTEM.window.idle_seconds))


class Broker(Protocol):
    """A broker that a storm may kill."""

    def kill(self) -> None:
        """SIGKILL; its log folder stays."""
        ...

    def restart(self) -> object:
        """Start it on the same port and log folder."""
        ...


@dataclass
class StormResult:
    """What happened, and what the topics say of it.

    Attributes:
        faults: kind of fault → how often.
        exits: exit code of agents that ended by themselves, or not with 0 → how often.
    """

    seed: int
    records: int
    verdict: Verdict
    seconds: float
    faults: Counter[str] = field(default_factory=Counter)
    exits: Counter[int] = field(default_factory=Counter)


def storm_lines(seed: int) -> Iterator[tuple[int, bytes, int]]:
    """Lines without end as (partition, value, time): overlapping orders, some of which pause and come back.

    A few lines name two orders, no order, or are not readable.
    """
    draw = random.Random(seed)  # noqa: S311 - drawn test data
    now_ms = START_MS
    while True:
        now_ms += draw.randrange(50, 600)
        order = draw.randrange(60) + (now_ms - START_MS) // 400_000 * 7
        (kind,) = draw.choices(list(LINE_KINDS), list(LINE_KINDS.values()))
        match kind:
            case "unreadable":
                value = b"\xff\xfe"
            case "keyless":
                value = b"heartbeat"
            case "two orders":
                value = f"order={order} packed together with order={order + PARTITIONS}".encode()
            case _:
                texts = NORMAL_LINES if kind == "normal" else ANOMALOUS_LINES
                value = draw.choice(texts).replace("17", str(order)).encode()
        yield order % PARTITIONS, value, now_ms


class Storm:
    """One run.

    Args:
        bed: topics of its own, with `PARTITIONS` partitions.
        broker: the bed's broker.
        folder: for settings and logs of the agents.
        seed: of lines and faults.
        seconds: how long faults are injected; longer where that is needed for one of each kind.
    """

    def __init__(self, bed: KafkaBed, broker: Broker, folder: Path, seed: int, seconds: float) -> None:
        self._bed, self._broker, self._folder = bed, broker, folder
        self._seed, self._seconds = seed, seconds
        self._draw = random.Random(f"faults of {seed}")  # noqa: S311 - drawn test data
        self._agents: list[AgentProcess] = []
        self._leaving: list[AgentProcess] = []
        self._paused: list[tuple[float, AgentProcess]] = []
        self._stack = ExitStack()
        self._faults: Counter[str] = Counter()
        self._exits: Counter[int] = Counter()
        self._injectors: dict[str, Callable[[], None]] = {
            "sigkill": self._kill,
            "sigterm": self._terminate,
            "sigstop": self._pause,
            "broker_kill": self._kill_broker,
            "join": self._join,
        }

    def run(self) -> StormResult:
        """Feed, inject faults, let the agents finish, and check the topics.

        Raises:
            TestkitError: the agents do not get to the end of the input, or a line could not be produced.
        """
        started = time.monotonic()
        self._bed.publish(tiny_files(), 1)
        with self._stack, _Feeder(self._bed, self._seed) as feeder:
            self._join()
            self._agents[0].wait_for_log("partitions are restored", READY_SECONDS)
            self._inject()
            feeder.stop()
            self._bed.produce((partition, b"the end", END_MS) for partition in range(PARTITIONS))
            self._finish()
        return StormResult(
            seed=self._seed,
            records=sum(self._bed.ends().values()),
            verdict=check(self._bed.evidence(), RULE),
            seconds=round(time.monotonic() - started, 1),
            faults=self._faults,
            exits=self._exits,
        )

    def _inject(self) -> None:
        """Each kind of fault once, in an order by seed, then by chance; the broker is killed most rarely."""
        kinds = list(self._injectors)
        self._draw.shuffle(kinds)
        deadline = time.monotonic() + self._seconds
        while kinds or time.monotonic() < deadline:
            self._rest(self._draw.uniform(*BETWEEN_SECONDS))
            self._tend()
            kind = kinds.pop() if kinds else self._draw.choices(list(self._injectors), (5, 3, 3, 1, 3))[0]
            self._injectors[kind]()

    def _rest(self, seconds: float) -> None:
        """Wait, meanwhile resume paused agents that are due, and start an agent when none runs."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._tend()
            time.sleep(POLL_SECONDS)

    def _tend(self) -> None:
        now = time.monotonic()
        for due, agent in self._paused:
            if due <= now:
                agent.resume()
        self._paused = [(due, agent) for due, agent in self._paused if due > now]
        for agent in [one for one in self._agents if not one.running]:
            self._agents.remove(agent)
            self._exits[agent.wait()] += 1
        asleep = [agent for _, agent in self._paused]
        if all(agent in asleep for agent in self._agents):
            self._start()

    def _start(self) -> None:
        agent = AgentProcess(self._bed, self._folder, session_timeout_seconds=SESSION_SECONDS)
        self._agents.append(self._stack.enter_context(agent))

    def _take(self) -> AgentProcess:
        """Remove an agent that is not paused from the running ones, and return it."""
        asleep = [agent for _, agent in self._paused]
        agent = self._draw.choice([one for one in self._agents if one not in asleep])
        self._agents.remove(agent)
        return agent

    def _kill(self) -> None:
        self._take().kill()
        self._faults["sigkill"] += 1

    def _terminate(self) -> None:
        agent = self._take()
        agent.ask_to_stop()
        self._leaving.append(agent)
        self._faults["sigterm"] += 1

    def _pause(self) -> None:
        agent = self._take()
        agent.pause()
        self._agents.append(agent)
        self._paused.append((time.monotonic() + self._draw.uniform(*PAUSE_SECONDS), agent))
        self._faults["sigstop"] += 1

    def _kill_broker(self) -> None:
        self._broker.kill()
        self._faults["broker_kill"] += 1
        self._rest(self._draw.uniform(*OUTAGE_SECONDS))
        self._broker.restart()

    def _join(self) -> None:
        if len(self._agents) < MOST_AGENTS:
            self._start()
            self._faults["join"] += 1

    def _finish(self) -> None:
        """Wait until everything is committed, tending the agents; then stop them all."""

        def finished() -> bool:
            self._tend()
            try:
                return not self._paused and self._bed.all_committed()
            except TestkitError:
                return False  # the group's coordinator moves while members come and go

        try:
            wait_until(finished, "a committed position at the end of the input", END_SECONDS)
        except TestkitError as error:
            raise ProcessError(str(error), "\n".join(agent.tail() for agent in self._agents)) from error
        for agent in [*self._agents, *self._leaving]:
            code = agent.terminate() if agent.running else agent.wait()
            if code != 0:
                self._exits[code] += 1


class _Feeder:
    """Produces the storm's lines in a thread until it is stopped."""

    def __init__(self, bed: KafkaBed, seed: int) -> None:
        self._bed = bed
        self._lines = storm_lines(seed)
        self._enough = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._feed, name="feeder")

    def stop(self) -> None:
        """Stop after the lines under way.

        Raises:
            TestkitError: lines were not taken.
        """
        self._enough.set()
        self._thread.join()
        if self._error is not None:
            raise TestkitError(f"every line must be taken by the broker, got {self._error}") from self._error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    def _feed(self) -> None:
        try:
            while not self._enough.wait(FEED_SECONDS):
                self._bed.produce(list(islice(self._lines, FEED_LINES)))
        except Exception as error:  # noqa: BLE001 - handed to the thread that waits
            self._error = error
