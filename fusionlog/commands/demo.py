"""`fusionlog demo`: generate, train, detect and score in one terminal."""

from typing import Annotated

import typer
from rich.console import Console

from fusionlog.exits import FAILED
from fusionlog.render.console import emit_json, fail
from fusionlog.settings.logs import configure_logs


def demo(
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Which two systems, failures and lines.")] = 1,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="End with one JSON object on standard output; the rest goes to standard error."),
    ] = False,
    bootstrap_servers: Annotated[
        str | None, typer.Option(help="A Kafka to use instead of the embedded broker; the demo's topics stay on it.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the folder with settings, logs and data.")] = False,
) -> int:
    """Generate two systems' logs, train on one's labels, find the other's failures live, and say how well that went.

    Needs nothing but this program: the broker runs inside it. Ends with 0, or with 1 when a line got lost.

    Example: fusionlog demo --seed 7
    """
    from fusionlog.errors import DemoError
    from fusionlog.extras import MODULES, require_extra

    for extra in MODULES:
        require_extra("demo", extra)
    from fusionlog.demo.runner import DemoOptions, run

    configure_logs("auto", "warning")
    console = Console(stderr=as_json, highlight=False)
    try:
        result = run(DemoOptions(seed, bootstrap_servers, keep), console)
    except DemoError as error:
        if error.log:
            console.print("the end of its log:", error.log, sep="\n", markup=False, soft_wrap=True)
        return fail(str(error), FAILED)
    except KeyboardInterrupt:
        return fail("interrupted; everything that the demo started is stopped and removed", FAILED)
    console.print(result.table())
    if bootstrap_servers:
        console.print(
            f"Look at them again: fusionlog tap alerts --bootstrap-servers {bootstrap_servers} "
            f"--topic-prefix {result.topic_prefix} --until-end",
            soft_wrap=True,
        )
    if as_json:
        emit_json(result.document())
    return 0
