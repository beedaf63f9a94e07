"""Layouts: where in a line the message, the time and the key are (paper section IV-A; Loghub's formats).

What is not the message (time stamp, component, level, and above all BGL's label) is left out of the text
that is parsed, so that a model cannot learn to read labels.
"""

import re

from detector.input.spec import InputSpec
from detector.input.times import time_reader

# Possessive quantifiers (++, *+) make the time linear for lines that do not match.
_HDFS = re.compile(r"(?P<time>\d{6} \d{6}) \S++ \S++ \S++ ?(?P<message>.*)", re.DOTALL)
_BGL = re.compile(
    r"(?P<label>\S++ )??(?P<time>\d{9,11}) \d{4}\.\d\d\.\d\d (?P<key>\S++) \S++ \S++ \S++ \S++ \S++"
    r"(?: (?P<message>.*))?",
    re.DOTALL,
)
_OPENSTACK = re.compile(
    r"\s*+(?:\S++ )??(?:(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:[.,]\d{1,9})?) (?:\d++ )?)?"
    r"(?:DEBUG|TRACE|INFO|AUDIT|WARN|WARNING|ERROR|CRITICAL|FATAL) [\w.-]++ \[[^\]]*+\] ?(?P<message>.*)",
    re.DOTALL,
)
_BLOCK = re.compile(r"blk_-?\d++")
_INSTANCE = re.compile(
    r"(?:\[instance: |/servers/)([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(?![0-9a-zA-Z-])"
)


# Layout: pattern, format of the group `time`, where keys are looked for in the line.
_LAYOUTS: dict[str, tuple[re.Pattern[str] | None, str | None, re.Pattern[str] | None]] = {
    "plain": (None, None, None),
    "loghub-hdfs": (_HDFS, "%y%m%d %H%M%S", _BLOCK),
    "loghub-bgl": (_BGL, "epoch_s", None),
    "loghub-openstack": (_OPENSTACK, "iso", _INSTANCE),
}


class Layout:
    """Splits the lines of a system into their parts.

    Attributes:
        names_keys: whether the settings or the layout name where a line's key is.
    """

    def __init__(self, spec: InputSpec) -> None:
        pattern, time_format, key_pattern = _LAYOUTS.get(spec.layout, (None, spec.time_format, None))
        self._pattern = pattern if spec.line_pattern is None else re.compile(spec.line_pattern)
        groups = self._pattern.groupindex if self._pattern is not None else {}
        self._has_time, self._has_label = "time" in groups, "label" in groups
        self._read_time = time_reader(time_format)
        self._key_pattern = key_pattern if spec.key_pattern is None else re.compile(spec.key_pattern)
        # A key pattern of the system takes the place of a built-in layout's own key (BGL's node).
        self._has_key = "key" in groups and (spec.layout == "custom" or spec.key_pattern is None)
        self.names_keys = spec.key_field is not None or self._key_pattern is not None or self._has_key

    def split(self, line: str, record_time_ms: int) -> tuple[str, int | None, list[str]]:
        """Message (the whole line where the layout does not fit), time if it holds one that can be read, keys."""
        message, start, time_ms = line, 0, None
        keys: list[str] = []
        found = self._pattern.match(line) if self._pattern else None
        if found is not None and (found["message"] is not None or self._has_label):
            message = (found["message"] or "").strip()
            if self._has_time and found["time"] is not None:
                time_ms = self._read_time(found["time"], record_time_ms)
            if self._has_key and found["key"]:
                keys.append(found["key"])
            if self._has_label and found["label"]:
                start = found.end("label")
        if self._key_pattern is not None:
            in_line = self._key_pattern.findall(line[start:])
            keys += [groups[0] for groups in in_line] if self._key_pattern.groups > 1 else in_line
        return message, time_ms, keys
