"""What a model is checked by before it may serve: golden windows must score, and golden lines must parse, as before.

Golden lines come from two places, and never from a user's log: the model's templates with synthetic values in the place
of their masks, and `SHIPPED_LINES`, which use every built-in mask.
"""

import re
from collections.abc import Sequence

from detector.artifact.manifest import GoldenLine, GoldenWindow
from detector.errors import ArtifactError
from detector.model.detection_model import DetectionModel
from detector.model.runs import Runs
from detector.model.scoring import Scorer
from detector.parsing.masking import TOKEN_CHARACTERS, Masker
from detector.parsing.parser import LineParser
from detector.parsing.templates import WILDCARD
from detector.system import SystemSpec

SHIPPED_LINES = (
    "kept <MASK> beside a word",
    "GET https://shop.example/cart?item=7, done",
    "volume 3f2504e0-4f89-11d3-9a0c-0305e82c3301 attached",
    "backup of 2026-01-31T23:59:58.123Z written, next on 2026-02-28",
    "link 00:1a:2b:3c:4d:5e up",
    "started at 7:05:09,250",
    "from 192.0.2.17:8080 to 198.51.100.0/24",
    "neighbor 2001:db8::8a2e:370:7334%eth0 reachable",
    r"opened C:\logs\agent\today.txt",
    "read /var/log/app/today.log twice",
    "register 0x7ffe12 set",
    "block blk_-1608999687919862906 of job_20260131_0007 replicated",
    "took 12.5ms for 3,000 rows at -4e-3 with 10% of 64KB left",
    "digest 9f86d081884c7d65 accepted",
    "peers 192.0.2.1,192.0.2.2,192.0.2.3 agreed",
    "body " + "x" * (TOKEN_CHARACTERS + 1),
)
"""Lines that use every built-in mask; a test holds them to it."""

MAX_TEMPLATES = 64
"""Templates of a model that become golden lines, spread evenly over all of them."""

_TOLERANCE = 1e-4
_SYNTHETIC = {
    "<PATH>": "/srv/data/part-7.bin",
    "<UUID>": "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
    "<TIME>": "2026-01-02T03:04:05.678Z",
    "<ID>": "task_20260102",
    "<IP>": "203.0.113.9",
    "<HEX>": "0xbeef17",
    "<NUM>": "4711",
    "<LONG>": "y" * (TOKEN_CHARACTERS + 1),
    WILDCARD: "something",
}
_PLACES = re.compile(r"<(?:\*|[A-Z][A-Z0-9_]{0,31})>")


def golden_windows(model: DetectionModel, runs: Sequence[Runs]) -> tuple[GoldenWindow, ...]:
    """The windows with the scores that the model gives them now."""
    scores = Scorer(model).score(runs, {})
    return tuple(GoldenWindow(tuple(one), float(score)) for one, score in zip(runs, scores, strict=True))


def golden_lines(model: DetectionModel, spec: SystemSpec) -> tuple[GoldenLine, ...]:
    """Synthetic lines with the template ids that they are parsed to now."""
    texts = [info.text for info in model.templates]
    step = max(1, -(-len(texts) // MAX_TEMPLATES))
    lines = dict.fromkeys([*SHIPPED_LINES, *(synthetic_line(text) for text in texts[::step])])
    parse = _parser(model, spec).event
    return tuple(GoldenLine(line, parse(line).id) for line in lines)


def synthetic_line(template_text: str) -> str:
    """A line of a template, with synthetic values where it has masks; a mask of the system's own stays as it is."""
    return _PLACES.sub(lambda place: _SYNTHETIC.get(place.group(), place.group()), template_text)


def check_windows(model: DetectionModel, golden: Sequence[GoldenWindow]) -> None:
    """Make sure that the model scores its golden windows as when it was made.

    Raises:
        ArtifactError: it does not, or there are none.
    """
    if not golden:
        raise ArtifactError("golden windows must be at least one, got none: train again")
    known = {info.id for info in model.templates}
    unknown = {event_id for window in golden for event_id, _ in window.runs} - known
    if unknown:
        raise ArtifactError(f"golden windows must hold the model's own templates, got {min(unknown)}")
    if not all(run > 0 for window in golden for _, run in window.runs):
        raise ArtifactError("golden windows must have runs of at least one line")
    scores = Scorer(model).score([window.runs for window in golden], {})
    for index, (window, score) in enumerate(zip(golden, scores, strict=True)):
        if not abs(window.score - score) <= _TOLERANCE:
            raise ArtifactError(
                f"golden window {index} must score {window.score:.6f}, got {score:.6f}: this release does not compute "
                "what the trainer computed; run agent and trainer of one release"
            )


def check_lines(model: DetectionModel, spec: SystemSpec, golden: Sequence[GoldenLine]) -> None:
    """Make sure that golden lines are parsed as when the model was made; models of the first release have none.

    Raises:
        ArtifactError: one is not.
    """
    parse = _parser(model, spec).event
    for index, (line, template_id) in enumerate((one.line, one.template_id) for one in golden):
        found = parse(line)
        if found.id != template_id:
            raise ArtifactError(
                f"golden line {index} must be of template {template_id}, got {found.id} ({found.text[:100]!r}): this "
                "release masks or matches lines in another way than the trainer did; run agent and trainer of one "
                "release, or train again"
            )


def _parser(model: DetectionModel, spec: SystemSpec) -> LineParser:
    return LineParser(Masker(spec.masks, spec.max_tokens), model.matcher)
