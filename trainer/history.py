"""Whether a target's history can carry a model: by its lines and windows before training, by its answers after it.

The limits on shares are far from both sides, so that they judge no system that can be learned. Measured on histories of
HDFS, BGL and OpenStack (2,000 to 25,000 lines), the demo's systems, and on random bytes, random words and base64.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from detector.model.runs import run_lengths
from detector.parsing.templates import Template, TemplateMatcher
from detector.partition_reader import PartitionReader, SystemReader
from detector.system import SystemSpec
from trainer.data.lines import TargetLine
from trainer.data.signatures import Corpus
from trainer.data.sources import Target
from trainer.data.template_sample import learn_templates
from trainer.errors import SourceError
from trainer.learning.evaluation import TrainingMetrics

MOST_UNREADABLE = 0.5
"""Share of the lines: 0 to .01 in logs, .995 in random bytes."""
LEAST_KEYED = 0.01
"""Share of the readable lines that name a key, where windows need one: .29 (OpenStack) to 1 in logs."""
MOST_EVENTS = 0.5
"""Distinct events per line, masked and parsed: up to .05 in the first thousand lines of a log, .99 in random text."""
LEAST_DISTINCT = 16
"""Distinct windows: the audit alone asks about so many, and with fewer the rounds have nothing to ask for. From 20 up
in logs; two short parts of OpenStack's have 3 and 6."""
MOST_ABSTENTIONS = 0.5
"""Share of the answers: up to .15 of the heuristic; above a half the labeller does not know the system."""
LEAST_ANSWERS = 16
"""Answers, abstentions aside: as many as a history must have distinct windows."""

_HEAD_LINES = 10_000  # read and parsed in about a second
_FIRST_LINES = 1_000  # templates of random text take 1.7 s for so many lines, and 21 s for five times as many
_ENOUGH_LINES = 500  # fewer lines of a program that has just started can all differ


@dataclass(frozen=True)
class LineCounts:
    """What the lines of a history hold.

    Attributes:
        lines, unreadable: records, and those of them without a readable line.
        keyed, keyless: readable lines that name a key or need none, and the others; one with two keys counts twice.
        events: distinct events of the keyed lines.
    """

    lines: int
    unreadable: int
    keyed: int
    keyless: int
    events: int
    windows: int
    distinct: int


def check_history(target: Target) -> None:
    """Refuse a target by its first lines, and by its windows where these lines are all; in seconds, whatever its size.

    Raises:
        SourceError: it cannot carry a model.
    """
    head = list(islice(target.lines(), _HEAD_LINES))
    system, spec = target.spec.name, target.spec
    whole = len(head) < _HEAD_LINES
    counts = _counts(head, spec, ())
    _refuse(_problem_of_reading(system, counts))
    if whole:  # lines without a key can all be at the start, while a system boots
        _refuse(_problem_of_keys(system, counts, spec))
    first = head[:_FIRST_LINES]
    _refuse(_problem_of_events(system, _counts(first, spec, learn_templates(first, spec))))
    if whole:
        counts = _counts(head, spec, learn_templates(head, spec))
        if counts.windows:  # without a window the message of the reader says more
            _refuse(_problem_of_windows(system, counts))


def check_corpus(corpus: Corpus, spec: SystemSpec) -> None:
    """Refuse a target by all of its lines and windows.

    Raises:
        SourceError: it cannot carry a model.
    """
    _refuse(*problems_of_corpus(corpus, spec))


def problems_of_corpus(corpus: Corpus, spec: SystemSpec) -> tuple[str, ...]:
    """Why a target cannot carry a model, by all of its lines and windows; nothing where it can."""
    counts = LineCounts(
        lines=corpus.lines,
        unreadable=corpus.unreadable_lines,
        keyed=sum(signature.windows * sum(signature.counts().values()) for signature in corpus.signatures),
        keyless=corpus.keyless_lines,
        events=len(corpus.texts),
        windows=corpus.windows,
        distinct=len(corpus.signatures),
    )
    problems = (
        _problem_of_reading(corpus.system, counts) or _problem_of_keys(corpus.system, counts, spec),
        _problem_of_events(corpus.system, counts),
        _problem_of_windows(corpus.system, counts),
    )
    return tuple(problem for problem in problems if problem)


def problems_of_answers(metrics: TrainingMetrics) -> tuple[str, ...]:
    """Why a model must not serve by itself, by the answers that it learned from; nothing where it may."""
    answered = metrics.answers - metrics.abstentions
    longer = "train on a longer or more varied history"
    problems = []
    absent = "anomalous" if not metrics.anomalous_answers else "normal"
    if metrics.anomalous_answers in (0, answered):
        problems.append(
            f"the labeller must find normal and anomalous windows, got no {absent} one among {answered} answers: "
            f"{longer}, or with another labeller"
        )
    if metrics.abstentions > MOST_ABSTENTIONS * metrics.answers:
        problems.append(
            f"at most {MOST_ABSTENTIONS:.0%} of the answers may be abstentions or unreadable, got "
            f"{metrics.abstentions} of {metrics.answers}: check the labeller's settings and limits, or take another"
        )
    if metrics.guard.count < LEAST_ANSWERS:
        problems.append(
            f"at least {LEAST_ANSWERS} answers must teach and judge the model, got {metrics.guard.count}: {longer}, or "
            "with a larger budget"
        )
    return tuple(problems)


def _problem_of_reading(system: str, counts: LineCounts) -> str:
    if counts.unreadable > MOST_UNREADABLE * counts.lines:
        return (
            f"target {system!r} must have readable lines, got {counts.unreadable} of {counts.lines} that cannot be "
            "read: check that it is a log in UTF-8, and layout and format (spec.layout, spec.format)"
        )
    return ""


def _problem_of_keys(system: str, counts: LineCounts, spec: SystemSpec) -> str:
    readable = counts.keyed + counts.keyless
    if not spec.default_keys and counts.keyed < LEAST_KEYED * readable:
        return (
            f"target {system!r} must have lines that name a key, got {counts.keyless} of {readable} readable lines "
            "that name no key: give --key-pattern, a regular expression that finds the key in a line "
            "(spec.key_pattern; key_field for JSON), or where lines have no key --window-kind tumbling or count, "
            "which then take all lines of a partition"
        )
    return ""


def _problem_of_events(system: str, counts: LineCounts) -> str:
    if counts.keyed < _ENOUGH_LINES or counts.events <= MOST_EVENTS * counts.keyed:
        return ""
    return (
        f"target {system!r} must have lines that repeat, got {counts.events} different events in {counts.keyed} "
        "lines: check that it is a log, and that the layout cuts the message from its lines (--target-layout, "
        "--line-pattern)"
    )


def _problem_of_windows(system: str, counts: LineCounts) -> str:
    if counts.distinct >= LEAST_DISTINCT:
        return ""
    return (
        f"target {system!r} must have at least {LEAST_DISTINCT} distinct windows, got {counts.distinct} in "
        f"{counts.windows} windows: give a longer or more varied history, or shorter windows (--window-kind, "
        "--idle-seconds, --size-seconds)"
    )


def _refuse(*problems: str) -> None:
    found = [problem for problem in problems if problem]
    if found:
        raise SourceError(f"{'; '.join(found)}; nothing is trained, --force trains all the same")


def _counts(lines: Sequence[TargetLine], spec: SystemSpec, templates: Sequence[Template]) -> LineCounts:
    """Counts of a file's first lines."""
    system = SystemReader(spec, TemplateMatcher(templates), carry_times=True)
    partition = PartitionReader(system, lines[0].topic if lines else "", 0)
    batch = partition.read(lines)
    windows = batch.closed + partition.flush()
    keyed = [line for line in batch.lines if line.keys]
    return LineCounts(
        lines=len(lines),
        unreadable=len(batch.unreadable),
        keyed=sum(len(line.keys) for line in keyed),
        keyless=len(batch.lines) - len(keyed),
        events=len({line.event.id for line in keyed}),
        windows=len(windows),
        distinct=len({run_lengths(window.event_ids) for window in windows}),
    )
