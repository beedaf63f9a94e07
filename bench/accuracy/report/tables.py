"""Markdown tables of stored results, worst rows first."""

from collections.abc import Callable, Mapping, Sequence
from statistics import mean

from bench.accuracy.report.results import Row, Stored, label_of
from bench.errors import BenchError

_SHIPPED = (
    "| source → target | labeller | protocol | seeds | precision | recall | F1 ± sd | average precision | best F1 "
    "| false-positive rate | F1, unseen signatures | answers of an LLM | seconds |"
)
_PAIRED = "| source → target | labeller | protocol | against | difference of F1 | 95% interval |"
_WRONG = (
    "| source → target | labeller | protocol | misses | false alarms | of windows | rarest events (share of windows) |"
)
_WORST = 4
_SHARES = (0.01, 0.05, 0.1)
_TEXT = 90


def shipped(rows: Sequence[Row]) -> str:
    """Rows of the method `default`, smallest F1 first."""
    ours = sorted((row for row in rows if row["method"] == "default"), key=lambda row: float(row["f1"]))
    return _table(_SHIPPED, [_shipped_row(row) for row in ours])


def methods(rows: Sequence[Row]) -> str:
    """F1 and average precision of every method, a table per protocol and labeller, smallest mean F1 first."""
    groups = dict.fromkeys((str(row["protocol"]), str(row["labeller"])) for row in rows)
    parts = []
    for protocol, labeller in groups:
        held = [row for row in rows if (row["protocol"], row["labeller"]) == (protocol, labeller)]
        parts += [f"**{protocol}, labeller {labeller}**: F1 (average precision)", "", _matrix(held)]
    return "\n".join(parts)


def projected(rows: Sequence[Row]) -> str:
    """F1 of the shipped setting if the classes had other shares: recall and false-positive rate stay as they are."""
    ours = [row for row in rows if row["method"] == "default"]
    head = "| source → target | labeller | protocol | " + " | ".join(f"F1 at {share:.0%}" for share in _SHARES) + " |"
    cells = [
        [label_of(row), row["labeller"], row["protocol"], *(f"{_f1_at(row, share):.3f}" for share in _SHARES)]
        for row in sorted(ours, key=lambda row: _f1_at(row, _SHARES[0]))
    ]
    return _table(head, cells)


def _f1_at(row: Row, share: float) -> float:
    hits, false = float(row["recall"]) * share, float(row["false_positive_rate"]) * (1.0 - share)
    return 2.0 * hits / max(2.0 * hits + false + (share - hits), 1e-12)


def paired(results: Sequence[Row]) -> str:
    """Differences of the shipped setting from the other methods, worst first."""
    # Only a run without budgets and shares of anomalies has differences, so its rows are alike but for the methods.
    every = [{**result["rows"][0], **one} for result in results for one in result["paired"]]
    found = sorted(every, key=lambda one: float(one["difference"]))
    return _table(
        _PAIRED,
        [
            [
                label_of(one),
                one["labeller"],
                one["protocol"],
                one["against"],
                f"{one['difference']:+.3f}",
                f"{one['low']:+.3f} to {one['high']:+.3f}",
            ]
            for one in found
        ],
    )


def wrong(details: Sequence[Row]) -> str:
    """Signatures with the most windows in a wrong verdict of the shipped setting."""
    cells = []
    for content in details:
        for one in content["wrong"].get("default", ())[:_WORST]:
            events = "; ".join(f"`{_short(text)}` ({share:.2%})" for text, share in one["events"][:3])
            numbers = [f"{one[name]:,}" for name in ("misses", "false_alarms", "windows")]
            cells.append([label_of(content), content["labeller"], content["protocol"], *numbers, events])
    return _table(_WRONG, cells)


def measured(stored: Stored) -> str:
    """The command and the machine of each result."""
    results = [*stored.headline, *stored.budget, *stored.ablations]
    lines = [f"- `{result['command']}`: {_origin(result)}" for result in results]
    return "\n".join(["Measured with", "", *lines, ""])


def _shipped_row(row: Row) -> list[str]:
    return [
        label_of(row),
        row["labeller"],
        row["protocol"],
        str(row["seeds"]),
        f"{row['precision']:.3f}",
        f"{row['recall']:.3f}",
        f"{row['f1']:.3f}" if row["seeds"] == 1 else f"{row['f1']:.3f} ± {row['f1_sd']:.3f}",
        f"{row['average_precision']:.3f}",
        f"{row['best_f1']:.3f}",
        f"{row['false_positive_rate']:.4f}",
        f"{row['f1_unseen_signatures']:.3f}",
        f"{row['llm_answers']:,}",
        f"{row['seconds']:.0f}",
    ]


def _matrix(rows: Sequence[Row]) -> str:
    several = len({row["seeds"] for row in rows}) > 1
    columns: dict[str, None] = {}
    by_method: dict[str, dict[str, Row]] = {}
    for row in rows:
        label = label_of(row) + (f", seeds {row['seeds']}" if several else "")
        columns[label] = None
        held = by_method.setdefault(row["method"], {})
        if label in held:
            raise BenchError(f"stored results must differ in what they measure, got {row['method']} of {label} twice")
        held[label] = row
    rank: Callable[[str], float] = lambda name: mean(float(row["f1"]) for row in by_method[name].values())  # noqa: E731
    cells = [
        [f"**{name}**" if name == "default" else name, *(_figure(by_method[name].get(label)) for label in columns)]
        for name in sorted(by_method, key=rank)
    ]
    return _table("| method | " + " | ".join(columns) + " |", cells)


def _figure(row: Mapping[str, object] | None) -> str:
    return "" if row is None else f"{row['f1']:.3f} ({row['average_precision']:.3f})"


def _table(head: str, cells: Sequence[Sequence[str]]) -> str:
    lines = [head, "|" + "---|" * (head.count("|") - 1), *("| " + " | ".join(row) + " |" for row in cells)]
    return "\n".join([*lines, ""])


def _short(text: str) -> str:
    plain = text.replace("`", "'").replace("|", "/")
    return plain if len(plain) <= _TEXT else plain[: _TEXT - 1] + "…"


def _origin(result: Row) -> str:
    machine = result["machine"]
    commit, dirty, _ = str(result["commit"]).partition("-dirty")
    state = " with changes" if dirty else ""
    return f"commit {commit[:12]}{state}, {machine['cores']} cores of {machine['cpu'] or machine['architecture']}"
