"""Parsing: lines per second and grouping accuracy, of fusionlog and of drain3's TemplateMiner, in one run.

Grouping accuracy (Zhu et al., ICSE-SEIP 2019): the share of lines whose group holds exactly the lines of their true
template, on the 2,000 lines of each Loghub sample. fusionlog does what the product does: Drain learns from the lines,
its templates are frozen, the lines are matched. drain3's group is its cluster while it learns, with the masks of its
README and of the method's public code, one pass per mask.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

from drain3 import TemplateMiner
from drain3.masking import MaskingInstruction
from drain3.template_miner_config import TemplateMinerConfig

from bench.datasets import read_lines, read_rows
from detector.parsing.drain import IncrementalDrain
from detector.parsing.masking import Masker
from detector.parsing.parser import LineParser
from detector.parsing.templates import TemplateMatcher
from detector.partition_reader import InputRecord, SystemReader
from detector.system import SystemSpec

SAMPLES = ("HDFS", "BGL", "OpenStack")
STREAMS = (("hdfs/HDFS_20000.log.xz", "loghub-hdfs"), ("bgl/bgl_100k.log.xz", "loghub-bgl"))
SIMILARITY, DEPTH = 0.5, 4

_LEFT, _RIGHT = r"((?<=[^A-Za-z0-9])|^)", r"((?=[^A-Za-z0-9])|$)"
_DRAIN3_MASKS = (
    (r"blk_(|-)[0-9]+", "ID"),
    (_LEFT + r"(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}:\d+)" + _RIGHT, "IPANDPORT"),
    (_LEFT + r"(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})" + _RIGHT, "IP"),
    (_LEFT + r"([0-9a-f]{6,} ?){3,}" + _RIGHT, "SEQ"),
    (_LEFT + r"([0-9A-F]{4} ?){4,}" + _RIGHT, "SEQ"),
    (_LEFT + r"(0x[a-f0-9A-F]+)" + _RIGHT, "HEX"),
    (_LEFT + r"([\-\+]?\d+)" + _RIGHT, "NUM"),
    (r'(?<=executed cmd )(".+?")', "CMD"),
)


def grouping_accuracy(found: Sequence[Hashable], truth: Sequence[Hashable]) -> float:
    """Share of lines whose found group is exactly their true group."""
    return sum(len(group) for group in _groups(found) & _groups(truth)) / len(truth)


def learn(lines: Sequence[str], masker: Masker) -> TemplateMatcher:
    """Frozen templates of the lines."""
    drain = IncrementalDrain(SIMILARITY, DEPTH)
    for line in lines:
        drain.learn(masker.mask(line))
    return TemplateMatcher(drain.templates())


def template_miner() -> TemplateMiner:
    """drain3's TemplateMiner with its masks, without persistence."""
    config = TemplateMinerConfig()
    config.drain_sim_th, config.drain_depth = SIMILARITY, DEPTH
    config.masking_instructions = [MaskingInstruction(pattern, name) for pattern, name in _DRAIN3_MASKS]
    config.mask_prefix, config.mask_suffix = "<", ">"
    return TemplateMiner(config=config)


def read_sample(data: Path, name: str) -> tuple[list[str], list[str]]:
    """Contents and true template ids of a Loghub sample."""
    rows = list(read_rows(data / "loghub2k" / f"{name}_2k.log_structured.csv.xz"))
    return [row["Content"] for row in rows], [row["EventId"] for row in rows]


def run(data: Path) -> dict[str, Any]:
    """Grouping accuracy on the samples, lines per second on the raw logs."""
    logging.getLogger("drain3").setLevel(logging.WARNING)
    accuracy = {name: _accuracy(*read_sample(data, name)) for name in SAMPLES}
    speed = {Path(path).name.split(".")[0]: _speed(_read_stream(data / path, layout)) for path, layout in STREAMS}
    return {"grouping_accuracy": accuracy, "lines_per_second": speed}


def _accuracy(lines: list[str], truth: list[str]) -> dict[str, Any]:
    parser = LineParser(Masker(), learn(lines, Masker()))
    ours = [parser.event(line) for line in lines]
    miner = template_miner()
    theirs = [miner.add_log_message(line)["cluster_id"] for line in lines]
    return {
        "ours": round(grouping_accuracy([event.id for event in ours], truth), 4),
        "drain3": round(grouping_accuracy(theirs, truth), 4),
        "ours_templates": len({event.id for event in ours}),
        "drain3_templates": len(set(theirs)),
        "true_templates": len(set(truth)),
        "ours_unmatched": sum(event.novel for event in ours),
    }


def _speed(lines: list[str]) -> dict[str, Any]:
    masker = Masker()
    masked = [masker.mask(line) for line in lines]
    drain = IncrementalDrain(SIMILARITY, DEPTH)
    parser = LineParser(Masker(), learn(lines, masker))
    miner = template_miner()
    return {
        "lines": len(lines),
        "mask": _rate(lines, Masker().mask),
        "drain_on_masked": _rate(masked, drain.learn),
        "parse": _rate(lines, parser.event),
        "parse_warm": _rate(lines, parser.event),
        "drain3_mask": _rate(lines, miner.masker.mask),
        "drain3_learn": _rate(lines, miner.add_log_message),
        "drain3_match": _rate(lines, miner.match),
    }


def _rate(lines: Sequence[str], do: Callable[[str], object]) -> int:
    start = time.perf_counter()
    for line in lines:
        do(line)
    return round(len(lines) / (time.perf_counter() - start))


def _groups(labels: Sequence[Hashable]) -> set[frozenset[int]]:
    members: defaultdict[Hashable, list[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        members[label].append(index)
    return {frozenset(group) for group in members.values()}


def _read_stream(path: Path, layout: str) -> list[str]:
    spec = SystemSpec.model_validate({"name": "bench", "format": "raw", "layout": layout})
    reader = SystemReader(spec, TemplateMatcher(()))
    lines = [line for line in read_lines(path) if line.strip()]
    return [read.text for line in lines for read in reader.lines(InputRecord(0, line, 0))]
