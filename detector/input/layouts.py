"""Layouts: where in a line the message, the time and the key are (paper section IV-A; Loghub's formats).

What is not the message (time stamp, component, level, and above all BGL's label) is left out of the text
that is parsed, so that a model cannot learn to read labels.
"""

import re
from collections.abc import Callable, Sequence

import msgspec

from detector.input.spec import InputSpec
from detector.input.times import TimeReader, time_reader

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


class ParsedLine(msgspec.Struct, frozen=True, gc=False):
    """A line split into its parts.

    Attributes:
        message: what is parsed into an event; the whole line where the layout does not fit.
        searchable: where a key pattern is looked for: the line without a label.
        time_ms: time in the line, if it holds one that can be read.
        key: key at a fixed position of the layout, or "".
    """

    message: str
    searchable: str
    time_ms: int | None
    key: str


Layout = Callable[[str, int], ParsedLine]


def layout_of(spec: InputSpec) -> Layout:
    """The function that splits a line of a system into its parts, given its record's time stamp."""
    if spec.layout == "loghub-hdfs":
        return _by_pattern(_HDFS, time_reader("%y%m%d %H%M%S"))
    if spec.layout == "loghub-bgl":
        return _by_pattern(_BGL, time_reader("epoch_s"))
    if spec.layout == "loghub-openstack":
        return _by_pattern(_OPENSTACK, time_reader("iso"))
    if spec.layout == "custom":
        assert spec.line_pattern is not None
        return _by_pattern(re.compile(spec.line_pattern), time_reader(spec.time_format))
    return lambda line, _: ParsedLine(line, line, None, "")


def key_pattern_of(spec: InputSpec) -> re.Pattern[str] | None:
    """The pattern that finds keys anywhere in a line: the system's own, else its layout's."""
    if spec.key_pattern is not None:
        return re.compile(spec.key_pattern)
    return {"loghub-hdfs": _BLOCK, "loghub-openstack": _INSTANCE}.get(spec.layout)


def has_own_key(spec: InputSpec) -> bool:
    """Whether the layout's own key (BGL's node) counts: a key pattern of the system takes its place."""
    return spec.layout == "custom" or spec.key_pattern is None


def names_keys(spec: InputSpec) -> bool:
    """Whether the settings or the layout name where a line's key is."""
    if spec.key_field is not None or key_pattern_of(spec) is not None:
        return True
    if spec.layout == "custom":
        assert spec.line_pattern is not None
        return "key" in re.compile(spec.line_pattern).groupindex
    return spec.layout == "loghub-bgl"


def find_keys(pattern: re.Pattern[str], text: str) -> Sequence[str]:
    """Every key in a text, in order: the pattern's group 1, or all of it."""
    if pattern.groups == 0:
        return pattern.findall(text)
    return [found[1] for found in pattern.finditer(text) if found[1]]


def _by_pattern(pattern: re.Pattern[str], read_time: TimeReader) -> Layout:
    groups = pattern.groupindex

    def parse(line: str, record_time_ms: int) -> ParsedLine:
        found = pattern.match(line)
        if found is None or (found["message"] is None and "label" not in groups):
            return ParsedLine(line, line, None, "")
        time_text = found["time"] if "time" in groups else None
        start = found.end("label") if "label" in groups and found["label"] else 0
        return ParsedLine(
            message=(found["message"] or "").strip(),
            searchable=line[start:],
            time_ms=None if time_text is None else read_time(time_text, record_time_ms),
            key=(found["key"] or "") if "key" in groups else "",
        )

    return parse
