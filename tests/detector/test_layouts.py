"""Layouts: what is message, time and key, on Loghub's real lines and on a pattern of one's own."""

import json
import lzma
import re
from pathlib import Path
from typing import Any

import pytest

from detector.input.line_reader import Line, LineReader
from detector.system import SystemSpec

HDFS_MS = 1_226_262_918_000


def read(reader: LineReader, value: bytes, record_time_ms: int) -> Line:
    """The one line in a record's value."""
    [line] = reader.lines(value, record_time_ms)
    return line


def reader(layout: str, **settings: Any) -> LineReader:
    """A reader of a layout."""
    return LineReader(SystemSpec.model_validate({"name": "s", "layout": layout, **settings}))


def lines_of(path: Path) -> list[bytes]:
    """Raw lines of a packed file that are not blank."""
    with lzma.open(path, "rb") as file:
        return [line for line in file if line.strip()]


def test_hdfs_line() -> None:
    """An HDFS line gives content, UTC time, and every block it names."""
    line = b"081109 203518 35 INFO dfs.FSNamesystem: ask 10.0.0.1 to delete  blk_-12 blk_34 blk_-12\n"
    expected = Line("ask 10.0.0.1 to delete  blk_-12 blk_34 blk_-12", HDFS_MS, ("blk_-12", "blk_34"))
    assert read(reader("loghub-hdfs"), line, 0) == expected


def test_bgl_line_is_the_same_with_and_without_its_label() -> None:
    """The label field changes nothing, whatever its value, even with a key pattern that would match it."""
    body = b"1117838570 2005.06.03 R02 2005-06-03-15.42.50.363779 R02 RAS KERNEL FATAL data TLB error KERNDTLB"
    for settings in ({}, {"key_pattern": "KERN[A-Z]+|R0."}):
        found = {read(reader("loghub-bgl", **settings), label + body, 0) for label in (b"", b"- ", b"KERNDTLB ")}
        assert len(found) == 1
    assert read(reader("loghub-bgl"), body, 0) == Line("data TLB error KERNDTLB", 1_117_838_570_000, ("R02",))


def test_openstack_line() -> None:
    """An OpenStack line gives content without its request, the time in its prefix, and the instance."""
    uuid = "b9000564-fe1a-409b-b8cc-1e88b294cd1d"
    line = (
        "nova-compute.log.1 2017-05-16 00:00:04.500 2931 INFO nova.compute.manager "
        f"[req-3ea4052c-895d-4b64-9e2d-04d64c4d94ab - - - - -] [instance: {uuid}] VM Started"
    )
    expected = Line(f"[instance: {uuid}] VM Started", 1_494_892_804_500, (uuid,))
    assert read(reader("loghub-openstack"), line.encode(), 0) == expected
    bare = line[line.index("INFO") :].encode()
    assert read(reader("loghub-openstack"), bare, 7) == Line(expected.text, None, (uuid,))


@pytest.mark.parametrize("layout", ["loghub-hdfs", "loghub-bgl", "loghub-openstack"])
def test_a_line_that_does_not_fit_is_its_own_message(layout: str) -> None:
    """A line of another shape keeps all its text, the record's time, and the keys that the pattern finds."""
    line = read(reader(layout, key_pattern=r"job \d"), b"  at java.lang.Thread of job 7", 42)
    assert line == Line("  at java.lang.Thread of job 7", None, ("job 7",))


def test_a_pattern_of_ones_own() -> None:
    """A custom layout takes message, time and key from named groups."""
    settings = {"line_pattern": r"(?P<time>\S+) \[(?P<key>\w+)\] (?P<message>.*)", "time_format": "iso"}
    custom = reader("custom", **settings)
    assert read(custom, b"2023-11-14T22:13:20Z [web] went up", 0) == Line("went up", 1_700_000_000_000, ("web",))
    assert read(custom, b"soon [web] went up", 9) == Line("went up", None, ("web",))


def test_a_time_without_a_year_is_that_nearest_before_its_record() -> None:
    """Syslog's times name no year: December's lines read in January are of the year before."""
    settings = {"line_pattern": r"(?P<time>\w+ +\d+ [\d:]+) (?P<message>.*)", "time_format": "%b %d %H:%M:%S"}
    new_year_ms = 1_704_067_200_000  # 2024-01-01T00:00:00Z
    custom = reader("custom", **settings)
    assert read(custom, b"Dec 31 23:59:59 x", new_year_ms).event_time_ms == new_year_ms - 1_000
    assert read(custom, b"Jan  1 00:00:05 x", new_year_ms).event_time_ms == new_year_ms + 5_000
    assert read(custom, b"Feb 29 00:00:00 x", new_year_ms).event_time_ms is None


def test_a_json_envelope_may_hold_a_laid_out_line() -> None:
    """A shipper's record around a Loghub line: the record's time counts, the line's where there is none."""
    text = "081109 203518 35 INFO dfs.X: Verification succeeded for blk_1"
    hdfs = reader("loghub-hdfs")
    assert read(hdfs, json.dumps({"log": text}).encode(), 5).event_time_ms == HDFS_MS
    line = read(hdfs, json.dumps({"log": text, "@timestamp": 1_700_000_000}).encode(), 5)
    assert line == Line("Verification succeeded for blk_1", 1_700_000_000_000, ("blk_1",))


def test_every_hdfs_line_fits(shared_data: Path) -> None:
    """All 4,519 real HDFS lines give a time, at least one block, and a text without level and component."""
    hdfs = reader("loghub-hdfs", format="raw")
    raw = lines_of(shared_data / "hdfs" / "HDFS_5k.log.xz")
    found = [read(hdfs, line, 0) for line in raw]
    assert len(found) == 4_519
    assert all(line.keys and (line.event_time_ms or 0) // 86_400_000 in range(14_192, 14_196) for line in found)
    assert len({key for line in found for key in line.keys}) == 110
    component = re.compile(r"^(INFO|WARN|dfs\.)")
    assert not any(component.match(line.text) for line in found)


def test_every_bgl_line_fits_with_and_without_its_label(shared_data: Path) -> None:
    """All 100,000 real BGL lines are equal with and without their label, and none lets it into the text."""
    bgl = reader("loghub-bgl", format="raw")
    labels = set()
    for raw in lines_of(shared_data / "bgl" / "bgl_100k.log.xz"):
        label, rest = raw.split(b" ", 1)
        line = read(bgl, raw, 0)
        assert line == read(bgl, rest, 0)
        assert line.event_time_ms == int(rest.split(b" ", 1)[0]) * 1000
        assert line.keys == (rest.split(b" ")[2].decode(),)
        assert line.text == rest.decode().split(" ", 8)[-1].strip()
        labels.add(label)
    assert len(labels) > 1


def test_openstack_lines_fit(shared_data: Path) -> None:
    """Both shapes of real OpenStack logs lose their prefix; Loghub's also gives its time."""
    openstack = reader("loghub-openstack", format="raw")
    found = [read(openstack, line, 0) for line in lines_of(shared_data / "loghub2k" / "OpenStack_2k.log.xz")]
    assert all((line.event_time_ms or 0) > 0 and "req-" not in line.text[:4] for line in found)
    found = [read(openstack, line, 0) for line in lines_of(shared_data / "openstack" / "openstack-nova-sample.log.xz")]
    assert not any("nova.compute.manager [" in line.text for line in found)
    assert len({key for line in found for key in line.keys}) == 1_162
