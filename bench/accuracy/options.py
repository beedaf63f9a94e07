"""The options of `python -m bench accuracy` and `python -m bench train`."""

import argparse
import shlex
from pathlib import Path
from typing import Any

from bench.accuracy import whole
from bench.accuracy.answers import LABELLERS
from bench.accuracy.data.datasets import STARTER, SYSTEMS, folder_name
from bench.accuracy.data.split import PROTOCOLS
from bench.accuracy.methods import METHODS
from bench.accuracy.run import CURVE, HEADLINE, Options, run
from bench.errors import MisuseError

CELLS = Path(".fusionlog/accuracy")
SOURCES = (*SYSTEMS, STARTER)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `accuracy` to its parser."""
    parser.add_argument("--pair", help="SOURCE:TARGET, several with commas, or all; sources may be starter")
    parser.add_argument("--labeller", choices=LABELLERS, default="default", help="who answers (default: default)")
    parser.add_argument("--protocol", choices=PROTOCOLS, default="P3", help="split (default: P3)")
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds, from 0 (default: 1)")
    parser.add_argument("--methods", help="names with commas (default: all); " + ", ".join(METHODS))
    parser.add_argument("--budget", help="answers at most, several with commas: a budget curve")
    parser.add_argument("--anomaly-share", help="leave windows out for these shares of anomalies, with commas")
    parser.add_argument("--window-kind", choices=("session", "tumbling"), help="of the target (default: guessed)")
    parser.add_argument("--source-dir", help=f"folder of a labelled system, or {STARTER}")
    parser.add_argument("--target-dir", type=Path, help="folder of another target: *sequences.csv[.xz], *templates.csv")
    parser.add_argument("--vectors", type=Path, help="word vectors (default: hashed words)")
    parser.add_argument(
        "--cells", type=Path, default=CELLS, help=f"folder that keeps finished cells (default: {CELLS})"
    )
    parser.add_argument("--details", type=Path, help="folder for curves and errors, which `bench report` draws")


def add_train_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `train` to its parser."""
    parser.add_argument("--target", choices=SYSTEMS, required=True, help="unlabelled system, all of its windows")
    parser.add_argument("--source", choices=SOURCES, help="labelled system (default: bgl, for the target bgl hdfs)")
    parser.add_argument("--labeller", choices=("default", "recorded"), default="default", help="who answers")
    parser.add_argument("--seed", type=int, default=0, help="seed of the training (default: 0)")


def train(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run `train`; the result that is printed last.

    Raises:
        MisuseError: an option is wrong.
    """
    source = arguments.source or ("hdfs" if arguments.target == "bgl" else "bgl")
    return whole.run(whole.TrainOptions(arguments.data, source, arguments.target, arguments.labeller, arguments.seed))


def accuracy(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run `accuracy`; the result that is printed last, with the command that gives it.

    Raises:
        MisuseError: an option is wrong.
    """
    options = options_of(arguments)
    return {"command": command_of(options), **run(options)}


def command_of(options: Options) -> str:
    """The command of a run with every option that its figures depend on; methods are named even where all were run."""
    pairs = ",".join(f"{source}:{target}" for source, target in options.pairs)
    given = {
        "data": options.data,
        "pair": pairs if options.target_dir is None else None,
        "source-dir": options.source_dir,
        "target-dir": options.target_dir,
        "window-kind": options.window_kind,
        "labeller": options.labeller,
        "protocol": options.protocol,
        "seeds": options.seeds,
        "methods": ",".join(options.methods),
        "budget": ",".join(str(budget) for budget in options.budgets) or None,
        "anomaly-share": ",".join(f"{share:g}" for share in options.shares) or None,
        "vectors": options.vectors,
        "details": options.details,
    }
    words = [word for name, value in given.items() if value is not None for word in (f"--{name}", str(value))]
    return shlex.join(["python", "-m", "bench", "accuracy", *words, "--json"])


def options_of(arguments: argparse.Namespace) -> Options:
    """The options, checked.

    Raises:
        MisuseError: one is wrong.
    """
    if arguments.seeds < 1:
        raise MisuseError(f"--seeds must be at least 1, got {arguments.seeds}")
    budgets, shares = _numbers(arguments.budget), _shares(arguments.anomaly_share)
    source_dir = None if arguments.source_dir in (None, STARTER) else Path(arguments.source_dir)
    return Options(
        data=arguments.data,
        pairs=_pairs(arguments, source_dir),
        labeller=arguments.labeller,
        protocol=arguments.protocol,
        seeds=arguments.seeds,
        methods=_methods(arguments.methods, CURVE if budgets else HEADLINE),
        budgets=budgets,
        shares=shares,
        window_kind=arguments.window_kind,
        source_dir=source_dir,
        target_dir=arguments.target_dir,
        vectors=arguments.vectors,
        cells=arguments.cells,
        details=arguments.details,
    )


def _pairs(arguments: argparse.Namespace, source_dir: Path | None) -> list[tuple[str, str]]:
    if arguments.target_dir is not None:
        if arguments.pair is not None:
            raise MisuseError(f"--pair must be left out with --target-dir, got {arguments.pair}")
        if source_dir is not None and source_dir.resolve() == arguments.target_dir.resolve():
            raise MisuseError(
                f"--source-dir must differ from --target-dir, got {source_dir} for both: labels would leak"
            )
        source = STARTER if source_dir is None else "source-" + folder_name(source_dir)[:50]
        return [(source, folder_name(arguments.target_dir))]
    if arguments.source_dir is not None:
        raise MisuseError("--source-dir must stand beside --target-dir, got no --target-dir: else use --pair")
    if arguments.pair is None:
        raise MisuseError("--pair SOURCE:TARGET or --target-dir DIR must be given, got neither")
    if arguments.pair == "all":
        targets = ("bgl",) if arguments.protocol == "P1" else SYSTEMS  # only its raw lines have usable times
        return [(source, target) for target in targets for source in SOURCES if source != target]
    pairs = [_pair(text) for text in arguments.pair.split(",")]
    if not arguments.data.is_dir():
        raise MisuseError(f"--data must be the folder of real logs, got {arguments.data}, which is not a folder")
    return pairs


def _pair(text: str) -> tuple[str, str]:
    source, _, target = text.partition(":")
    if source not in SOURCES or target not in SYSTEMS or source == target:
        raise MisuseError(
            f"--pair must be SOURCE:TARGET of two systems, sources {', '.join(SOURCES)}, targets {', '.join(SYSTEMS)}, "
            f"got {text!r}"
        )
    return source, target


def _methods(text: str | None, usual: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.split(","))) if text else usual
    unknown = [name for name in names if name not in METHODS]
    if unknown:
        raise MisuseError(f"--methods must be of {', '.join(METHODS)}, got {', '.join(unknown)}")
    return names


def _numbers(text: str | None) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise MisuseError(f"--budget must be numbers with commas, got {text!r}") from None
    if any(number < 16 for number in numbers):  # noqa: PLR2004 - the trainer's own bound
        raise MisuseError(f"--budget must be at least 16, got {min(numbers)}")
    return numbers


def _shares(text: str | None) -> tuple[float, ...]:
    try:
        shares = tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise MisuseError(f"--anomaly-share must be numbers with commas, got {text!r}") from None
    if any(not 0.0 <= share < 1.0 for share in shares):
        raise MisuseError(f"--anomaly-share must be from 0 to below 1, got {text!r}")
    return shares
