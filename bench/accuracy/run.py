"""`python -m bench accuracy`: all cells of the wanted pairs, methods and seeds, and the table from them."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from bench.accuracy.cells import Cell, Inputs, Outcome, run_or_read
from bench.accuracy.data import datasets
from bench.accuracy.data.raw_lines import bgl_raw
from bench.accuracy.data.split import folds_of
from bench.accuracy.data.windows import repeated_share
from bench.accuracy.details import write_details
from bench.accuracy.methods import METHODS
from bench.accuracy.table import Seeds, paired, row
from bench.result import environment
from trainer.data.signatures import Corpus

HEADLINE = tuple(name for name, method in METHODS.items() if not method.curve)
CURVE = ("default", "random_order", "length_order", "llm_nearest_neighbor")


@dataclass(frozen=True)
class Options:
    """Options of a run.

    Attributes:
        pairs: (source, target); names of systems in `data`, or of `source_dir` and `target_dir`.
        budgets: answers at most; empty for what the shipped settings ask for.
        shares: of anomalies, by leaving windows out; empty for all windows.
        cells: folder that keeps finished cells.
        details: folder for the curves and errors that documents are drawn from, None for none.
        training: settings in place of the shipped ones, for a smaller run in tests.
    """

    data: Path
    pairs: Sequence[tuple[str, str]]
    labeller: str
    protocol: str
    seeds: int
    methods: Sequence[str]
    cells: Path
    budgets: Sequence[int] = ()
    shares: Sequence[float] = ()
    window_kind: str | None = None
    source_dir: Path | None = None
    target_dir: Path | None = None
    vectors: Path | None = None
    details: Path | None = None
    training: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Block:
    """What the rows of one table have in common."""

    source: str
    target: str
    budget: int | None
    share: float | None


def run(options: Options) -> dict[str, Any]:
    """Run or read all cells; the result that is printed last."""
    rows: list[dict[str, Any]] = []
    differences: list[dict[str, Any]] = []
    where = environment()
    for source, target in options.pairs:
        inputs = _inputs(options, source, target)
        for budget, share in product(options.budgets or (None,), options.shares or (None,)):
            block = _Block(source, target, budget, share)
            outcomes = _outcomes(options, inputs, block)
            rows += [row(_head(options, block, method), outcomes[method]) for method in options.methods]
            differences += _paired(options, block, outcomes)
            if options.details is not None and budget is None and share is None:
                head = {"source": source, "target": target, "labeller": options.labeller, "protocol": options.protocol}
                write_details(options.details, head | {"commit": where["commit"]}, outcomes, inputs.target.windows)
    return {
        "commit": where["commit"],
        "versions": {"python": where["python"], **where["packages"]},
        "machine": where["machine"],
        "rows": rows,
        "paired": differences,
    }


def _outcomes(options: Options, inputs: Inputs, block: _Block) -> dict[str, Seeds]:
    """Outcomes by method, seed and fold; all methods of one split are run together."""
    found: dict[str, list[list[Outcome]]] = {method: [[] for _ in range(options.seeds)] for method in options.methods}
    for seed in range(options.seeds):
        for fold in range(folds_of(options.protocol)):
            for name in options.methods:
                method = METHODS[name]
                cell = Cell(
                    target=block.target,
                    source=block.source if method.trains or (method.asks and options.labeller == "default") else "",
                    method=name,
                    labeller=options.labeller if method.asks else "",
                    protocol=options.protocol,
                    seed=seed,
                    fold=fold,
                    budget=block.budget if method.asks else None,
                    vectors=_vectors(options) if method.trains else "",
                    share=block.share,
                )
                found[name][seed].append(run_or_read(cell, inputs, options.cells))
    return dict(found)


def _paired(options: Options, block: _Block, outcomes: Mapping[str, Seeds]) -> list[dict[str, Any]]:
    """Differences of the shipped training from each other method, at its full budget."""
    if "default" not in outcomes or block.budget is not None or block.share is not None:
        return []
    head = {"source": block.source, "target": block.target, "labeller": options.labeller}
    head |= {"protocol": options.protocol, "method": "default"}
    return [
        paired(head | {"against": method}, outcomes["default"], outcomes[method])
        for method in options.methods
        if method != "default"
    ]


def _head(options: Options, block: _Block, method: str) -> dict[str, Any]:
    """The key of a row; `default` is the name of the shipped setting at its full budget alone."""
    return {
        "source": block.source,
        "target": block.target,
        "method": "budgeted" if method == "default" and block.budget is not None else method,
        "labeller": options.labeller,
        "protocol": options.protocol,
        "seeds": options.seeds,
        "budget": block.budget,
        "vectors": _vectors(options),
        "variant": "" if block.share is None else f"anomaly share {block.share:g}",
    }


def _vectors(options: Options) -> str:
    return "hashed" if options.vectors is None else options.vectors.name


def _inputs(options: Options, source: str, target: str) -> Inputs:
    if options.target_dir is not None:
        labelled = datasets.folder(options.target_dir, options.window_kind, target)
    elif options.protocol == "P1" and target == "bgl":
        labelled = bgl_raw(options.data)
    else:
        labelled = datasets.named(options.data, target, options.window_kind)
    windows = labelled.windows
    share = repeated_share(windows.published, windows.row)
    origin = "guessed" if options.target_dir is not None and options.window_kind is None else "given"
    report(
        f"{target}: {len(windows.row)} windows, {len(windows.runs)} distinct, {int(windows.clusters.max()) + 1} "
        f"signatures ({windows.view}), window kind {windows.spec.window.kind} ({origin}; {share:.3f} repeat counts)"
    )
    return Inputs(labelled, _source(options, source), options.vectors, options.training)


def _source(options: Options, name: str) -> Callable[[int], Corpus]:
    """Reads the labelled source, once."""
    if name == datasets.STARTER:
        return cache(datasets.starter_corpus)

    @cache
    def read() -> Corpus:
        if options.source_dir is not None:
            return datasets.source_corpus(datasets.folder(options.source_dir, None, name))
        return datasets.corpus_of(options.data, name, 0)

    return lambda _seed: read()


def report(text: str) -> None:
    """Print a step on standard error; standard output is for the result."""
    print(text, file=sys.stderr, flush=True)
