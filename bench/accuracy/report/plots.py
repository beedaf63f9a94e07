"""Plots of stored results as SVG; the same results give the same bytes."""

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.accuracy.report.results import Row, Stored, label_of, rows_of

_CURVES = ("default", "labeller", "logistic_regression", "pca")
_COLUMNS = 3


def write_plots(stored: Stored, folder: Path) -> list[tuple[str, str]]:
    """Draw every plot that results are stored for; (title, file name) of each."""
    plots = (
        ("Budget: F1 over answers", "accuracy_budget.svg", _by_pair(rows_of(stored.budget)), _budget),
        ("Precision over recall", "accuracy_precision_recall.svg", _one_each(stored.details), _precision_recall),
        (
            "Reliability: share of anomalies over score",
            "accuracy_reliability.svg",
            _one_each(stored.details),
            _reliable,
        ),
        ("Rounds: agreement with held-out answers", "accuracy_rounds.svg", _one_each(stored.details), _rounds),
    )
    drawn = []
    for title, name, groups, draw in plots:
        if groups:
            folder.mkdir(parents=True, exist_ok=True)
            _draw(folder / name, groups, draw)
            drawn.append((title, name))
    return drawn


def _draw(path: Path, groups: Sequence[Sequence[Row]], draw: Callable[[Axes, Sequence[Row]], None]) -> None:
    columns = min(_COLUMNS, len(groups))
    rows = -(-len(groups) // columns)
    with rc_context({"svg.hashsalt": "fusionlog", "svg.fonttype": "none", "font.size": 8}):
        figure = Figure(figsize=(3.0 * columns, 2.4 * rows), layout="constrained")
        places = figure.subplots(rows, columns, squeeze=False).ravel()
        for place, group in zip(places, groups, strict=False):
            first = group[0]
            place.set_title(f"{label_of(first, budget=False)}, {first['labeller']}, {first['protocol']}", fontsize=8)
            draw(place, group)
        for place in places[len(groups) :]:
            place.set_axis_off()
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _budget(place: Axes, rows: Sequence[Row]) -> None:
    for method in dict.fromkeys(str(row["method"]) for row in rows):
        points = sorted((row["budget"], row["f1"]) for row in rows if row["method"] == method and row["budget"])
        name = "default" if method == "budgeted" else method
        place.plot(*zip(*points, strict=True), marker=".", label=name, linewidth=2 if name == "default" else 1)
    budgets = sorted({row["budget"] for row in rows if row["budget"]})
    place.set_xscale("log")
    place.set_xticks(budgets, [str(budget) for budget in budgets])
    place.minorticks_off()
    place.set_xlabel("answers")
    place.set_ylabel("F1")
    place.legend(fontsize=6)


def _precision_recall(place: Axes, contents: Sequence[Row]) -> None:
    curves = contents[0]["precision_recall"]
    for method in (name for name in _CURVES if name in curves):
        place.plot(*zip(*curves[method], strict=True), label=method, linewidth=2 if method == "default" else 1)
    place.set_xlabel("recall")
    place.set_ylabel("precision")
    place.set_ylim(0.0, 1.02)
    place.legend(fontsize=6)


def _reliable(place: Axes, contents: Sequence[Row]) -> None:
    for method, bins in contents[0]["reliability"].items():
        points = [(one["score"], one["anomalous"]) for one in bins]
        place.plot(*zip(*points, strict=True), marker=".", label=method)
    place.plot((0, 1), (0, 1), color="gray", linewidth=0.5)
    place.set_xlabel("score")
    place.set_ylabel("anomalous")
    place.legend(fontsize=6)


def _rounds(place: Axes, contents: Sequence[Row]) -> None:
    rounds = contents[0]["rounds"]
    place.plot(range(1, len(rounds) + 1), [one["guard"] for one in rounds], marker=".")
    place.set_xlabel("fine-tuning")
    place.set_ylabel("balanced agreement")


def _one_each(details: Sequence[Row]) -> list[list[Row]]:
    return [[content] for content in details if content["rounds"]]


def _by_pair(rows: Sequence[Row]) -> list[list[Row]]:
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        key = (label_of(row, budget=False), str(row["labeller"]), str(row["protocol"]))
        groups.setdefault(key, []).append(row)
    return list(groups.values())
