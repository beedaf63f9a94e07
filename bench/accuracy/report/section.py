"""The generated part of the accuracy document."""

from pathlib import Path

from bench.accuracy.report import tables
from bench.accuracy.report.plots import write_plots
from bench.accuracy.report.results import read_stored, rows_of


def section(folder: Path, images: Path) -> str:
    """Tables and links to plots, which are written into `images`; "" where no result is stored."""
    stored = read_stored(folder)
    if not stored.headline:
        return ""
    rows = rows_of(stored.headline)
    parts = [
        "### The shipped setting, worst first",
        "",
        tables.shipped(rows),
        "### Every method",
        "",
        tables.methods(rows),
    ]
    parts += ["### The same models at other shares of anomalies", "", tables.projected(rows)]
    if any(result["paired"] for result in stored.headline):
        parts += ["### Differences from the shipped setting, paired by signature", "", tables.paired(stored.headline)]
    if stored.ablations:
        parts += [
            "### Parts of the method, and other shares of anomalies",
            "",
            tables.methods(rows_of(stored.ablations)),
        ]
    if stored.details:
        parts += ["### Errors by template", "", tables.wrong(stored.details)]
    plots = write_plots(stored, images)
    if plots:
        parts += ["### Plots", ""]
        for title, name in plots:
            parts += [f"![{title}]({images.name}/{name})", ""]
    return "\n".join([*parts, tables.measured(stored)])
