"""Watches what comes out of the agent: shows alerts, keeps windows, knows which lines are accounted for."""

from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import Message

from fusionlog.demo.errors import DemoError
from fusionlog.demo.generator import RawLine
from fusionlog.demo.scorer import JudgedWindow
from fusionlog.demo.topics import Follower
from schemas.alert import Alert
from schemas.closed_window import ClosedWindow
from schemas.codec import decode
from schemas.dead_letter import DeadLetter
from schemas.late_line import LateLine
from schemas.topics import Topics
from testkit.lines import Place


class Observer:
    """Everything that came out of the agent so far.

    Args:
        topics: the topics that the agent writes to.
        follower: reads them.
        show: is called with each alert as it comes.
    """

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

    def look(self) -> None:
        """Take what has come since the last look."""
        for message in self._follower.take():
            self._readers[message.topic() or ""](message)

    def complete(self, keyed: set[Place]) -> bool:
        """Whether every line that names a session has come out, and an alert with every anomalous window."""
        self.look()
        anomalous = {window.id for window in self.windows.values() if window.anomalous}
        return keyed <= self.accounted() and anomalous <= set(self.alerts)

    def accounted(self) -> set[Place]:
        """Lines that are in a closed window, late, or a dead letter."""
        return self.late | self.dead | {place for window in self.windows.values() for place in _places(window)}

    def judged(self, lines: Mapping[Place, RawLine], is_new: Callable[[RawLine], bool]) -> list[JudgedWindow]:
        """The windows for the scorer.

        Raises:
            DemoError: two windows hold the same line: something was counted twice.
        """
        places: list[Place] = [place for window in self.windows.values() for place in _places(window)]
        if len(places) != len(set(places)):
            raise DemoError(f"every line must be in one window, got {len(places) - len(set(places))} in two")
        return [self._judge(window, [lines[place] for place in _places(window)], is_new) for window in self._in_order()]

    def _judge(self, window: ClosedWindow, lines: Sequence[RawLine], is_new: Callable[[RawLine], bool]) -> JudgedWindow:
        return JudgedWindow(
            key=window.key,
            alerted=window.id in self.alerts,
            lines=tuple(line.text for line in lines),
            new_template=any(map(is_new, lines)),
        )

    def _in_order(self) -> list[ClosedWindow]:
        return sorted(self.windows.values(), key=lambda window: (window.partition, window.offsets[0]))

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
