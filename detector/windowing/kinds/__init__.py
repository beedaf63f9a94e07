"""The kinds of windows. A new kind is a class in a file of its own and a row here."""

from detector.windowing.kinds.base import WindowKind
from detector.windowing.kinds.count import CountWindows
from detector.windowing.kinds.session import SessionWindows
from detector.windowing.kinds.tumbling import TumblingWindows

KINDS: dict[str, type[WindowKind]] = {
    "session": SessionWindows,
    "tumbling": TumblingWindows,
    "count": CountWindows,
}
