"""`python -m bench`: the benchmarks of fusionlog on real logs."""

import argparse
import contextlib
import json
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bench.accuracy.options import add_options as add_accuracy
from bench.accuracy.options import add_train_options as add_train
from bench.datasets import SYSTEMS
from bench.errors import BenchError, MisuseError
from testkit.errors import TestkitError

OK, FAILED, MISUSE = 0, 1, 2
DATA = Path("../shared/data")
DOCUMENT = Path("docs/accuracy.md")
_EXAMPLES = """examples:
  python -m bench e2e --data ../shared/data --source hdfs --target bgl --json
  python -m bench e2e --source bgl --target hdfs --labels ../shared/data/llm_labels/hdfs.jsonl --json
  python -m bench accuracy --data ../shared/data --pair bgl:hdfs --labeller recorded --protocol P3 --seeds 1 --json
  python -m bench train --data ../shared/data --target hdfs --labeller recorded --json
  python -m bench parse --data ../shared/data --json
  python -m bench storm --seeds 3 --seconds 60 --json
  python -m bench report --measure
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one benchmark; 0 where it passed, 1 where it failed, 2 for misuse."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _COMMANDS[options.command](options)
    except MisuseError as error:
        return _fail(str(error), MISUSE)
    except (BenchError, TestkitError) as error:
        return _fail(str(error), FAILED)
    except KeyboardInterrupt:
        return _fail("interrupted", FAILED)


def _interrupt(*_: object) -> None:
    """SIGTERM works like Ctrl-C, so that the processes of the run are ended, too."""
    raise KeyboardInterrupt


def _e2e(options: argparse.Namespace) -> int:
    from bench import e2e

    given = ("data", "source", "target", "labels", "seed", "bootstrap_servers", "work")
    result = e2e.run(e2e.Options(**{name: getattr(options, name) for name in given}))
    _write(result, options)
    return OK if e2e.passed(result) else _fail("windows were lost or cut, or the replay differs", FAILED)


def _accuracy(options: argparse.Namespace) -> int:
    from bench.accuracy import options as command

    _write(command.accuracy(options), options)
    return OK


def _train(options: argparse.Namespace) -> int:
    from bench.accuracy import options as command

    _write(command.train(options), options)
    return OK


def _parse(options: argparse.Namespace) -> int:
    from bench import parse

    _write(parse.run(options.data), options)
    return OK


def _storm(options: argparse.Namespace) -> int:
    from bench import storm

    result = storm.run(options.seeds, options.first_seed, options.seconds, options.work)
    _write(result, options)
    return OK if storm.passed(result) else _fail("lines or windows were lost, or a position is short", FAILED)


def _report(options: argparse.Namespace) -> int:
    from bench import report

    passed = report.measure(options.data) if options.measure else True
    report.write(options.document)
    return OK if passed else _fail("windows were lost or cut, or a replay differs", FAILED)


def _write(result: dict[str, Any], options: argparse.Namespace) -> None:
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=2) + "\n")
    if options.json:
        print(json.dumps(result), flush=True)
        return
    for name, value in result.items():
        print(f"{name:24} {value}", flush=True)


def _fail(message: str, code: int) -> int:
    with contextlib.suppress(BrokenPipeError):
        print(f"bench: {message}", file=sys.stderr, flush=True)
    return code


# Long: the table of commands and their options.
def _parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, epilog=_EXAMPLES, formatter_class=formatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="{e2e,accuracy,train,parse,storm,report}")
    add = partial(commands.add_parser, formatter_class=formatter, epilog=_EXAMPLES)
    data = argparse.ArgumentParser(add_help=False)
    data.add_argument("--data", type=Path, default=DATA, help=f"folder of the real logs (default: {DATA})")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print the result as one JSON object, last")
    common.add_argument("--out", type=Path, help="also write the result into this file")
    work = argparse.ArgumentParser(add_help=False)
    work.add_argument("--work", type=Path, help="keep settings and logs in this folder")
    e2e = add(
        "e2e",
        parents=[data, common, work],
        help="train on one system, stream another through a Kafka, kill the agent once, replay",
        description="Train from Kafka without target labels, run the agent with one SIGKILL, compare with the truth.",
    )
    e2e.add_argument("--source", choices=SYSTEMS, required=True, help="labelled system")
    e2e.add_argument("--target", choices=SYSTEMS, required=True, help="unlabelled system, other than the source")
    e2e.add_argument("--labels", type=Path, help="recorded LLM answers that label the target (default: heuristic)")
    e2e.add_argument("--seed", type=int, default=0, help="seed of the training (default: 0)")
    e2e.add_argument("--bootstrap-servers", help="use this Kafka, without the run's topics, instead of starting one")
    accuracy = add(
        "accuracy",
        parents=[data, common],
        help="how right alerts are: protocols, labellers, baselines",
        description="Train on one half of a system's windows without its labels, judge the other half.",
    )
    add_accuracy(accuracy)
    train = add(
        "train",
        parents=[data, common],
        help="what a training on all windows of a system costs",
        description="Train on all windows of a system in this process; seconds, memory and the hash of the model.",
    )
    add_train(train)
    add(
        "parse",
        parents=[data, common],
        help="how well and how fast lines are parsed",
        description="Grouping accuracy and speed of parsing.",
    )
    storm = add(
        "storm",
        parents=[common, work],
        help="kill agents and broker while lines flow, and look for losses",
        description="Inject faults by seed on a real Kafka and check, from topics alone, that nothing was lost.",
    )
    storm.add_argument("--seeds", type=int, default=3, help="number of runs (default: 3)")
    storm.add_argument("--first-seed", type=int, default=1, help="seed of the first run (default: 1)")
    storm.add_argument("--seconds", type=float, default=60.0, help="how long faults are injected per run (default: 60)")
    report = add(
        "report",
        parents=[data],
        help="write bench/results into docs/accuracy.md",
        description="Write the table of the stored results, or measure all of them first.",
    )
    report.add_argument("--measure", action="store_true", help="first run every pair with each labeller (minutes)")
    report.add_argument("--document", type=Path, default=DOCUMENT, help=f"document to write into (default: {DOCUMENT})")
    return parser


_COMMANDS = {
    "e2e": _e2e,
    "accuracy": _accuracy,
    "train": _train,
    "parse": _parse,
    "storm": _storm,
    "report": _report,
}


if __name__ == "__main__":
    sys.exit(main())
