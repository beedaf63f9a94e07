"""Collects the agent's output: shows alerts, keeps windows, and lists the lines that are accounted for."""

from collections.abc import Callable, Mapping

from confluent_kafka import Message

from fusionlog.demo.generator import GeneratedLine
from fusionlog.demo.scorer import ScoredWindow
from fusionlog.demo.topics import Follower
from fusionlog.errors import DemoError
from schemas.alert import Alert
from schemas.closed_window import ClosedWindow
from schemas.codec import decode
from schemas.dead_letter import DeadLetter
from schemas.late_line import LateLine
from schemas.topics import Topics
from testkit.lines import Place


class Observer:
    """All output of the agent so far; `show` is called with each alert as it comes."""

    def __init__(self, topics: Topics, follower: Follower, show: Callable[[Alert], None]) -> None:
        self._follower = follower
        self._show = show
        self._readers: dict[str, Callable[[Message], None]] = {
            topics.alerts: self._alert,
            topics.windows: self._window,
            topics.late: self._late_line,
            topics.dlq: self._dead_letter,
        }
        self.alerts: dict[str, Alert] = {}
        self.windows: dict[str, ClosedWindow] = {}
        self.late: set[Place] = set()
        self.dead: set[Place] = set()

    def poll(self) -> None:
        """Read the output since the last call."""
        for message in self._follower.take():
            self._readers[message.topic() or ""](message)

    def complete(self, keyed: set[Place]) -> bool:
        """Whether every keyed line is accounted for and every anomalous window has its alert."""
        self.poll()
        anomalous = {window.id for window in self.windows.values() if window.anomalous}
        return keyed <= self.accounted() and anomalous <= set(self.alerts)

    def accounted(self) -> set[Place]:
        """Places of lines that are in a closed window, late, or a dead letter."""
        return self.late | self.dead | {line for window in self.windows.values() for line in _places(window)}

    def scored_windows(
        self, lines: Mapping[Place, GeneratedLine], is_new: Callable[[GeneratedLine], bool]
    ) -> list[ScoredWindow]:
        """The windows for the scorer.

        Raises:
            DemoError: two windows hold the same line.
        """
        positions = [position for window in self.windows.values() for position in _places(window)]
        if len(positions) != len(set(positions)):
            raise DemoError(f"every line must be in one window, got {len(positions) - len(set(positions))} in two")
        return [
            ScoredWindow(
                key=window.key,
                alerted=window.id in self.alerts,
                lines=tuple(lines[position].text for position in _places(window)),
                new_template=any(is_new(lines[position]) for position in _places(window)),
            )
            for window in sorted(self.windows.values(), key=lambda window: (window.partition, window.offsets[0]))
        ]

    def _alert(self, message: Message) -> None:
        alert = decode(message.value() or b"", Alert)
        if alert.id not in self.alerts:
            self.alerts[alert.id] = alert
            self._show(alert)

    def _window(self, message: Message) -> None:
        window = decode(message.value() or b"", ClosedWindow)
        self.windows[window.id] = window

    def _late_line(self, message: Message) -> None:
        late = decode(message.value() or b"", LateLine)
        self.late.add(Place(late.partition, late.offset))

    def _dead_letter(self, message: Message) -> None:
        letter = DeadLetter.from_headers([(name, value or b"") for name, value in message.headers() or []])
        self.dead.add(Place(letter.partition, letter.offset))


def _places(window: ClosedWindow) -> list[Place]:
    return [Place(window.partition, offset) for offset in window.offsets]
