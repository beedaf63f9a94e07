"""The `fusionlog` program: registers the commands and turns errors into one readable line and an exit code."""

import os
import sys
from typing import Annotated

import typer
from typer.exceptions import TyperException

from fusionlog.commands import agent, demo, generate, models, tap, topics, train, version
from fusionlog.exits import FAILED, OK, exit_code_of, message_of
from fusionlog.render.console import emit, fail

app = typer.Typer(
    name="fusionlog",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its tables cut the names of options at 80 columns
)


@app.callback()
def group(
    _: Annotated[
        bool, typer.Option("--version", callback=version.version_and_exit, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Zero-label, cross-system log anomaly detection for Kafka.

    Example: fusionlog demo --seed 1
    """


app.command("demo")(demo.demo)
app.command("train")(train.train)
app.command("agent")(agent.agent)
app.command("generate")(generate.generate)
app.command("version")(version.version)
app.add_typer(tap.app, name="tap")
app.add_typer(models.app, name="models")
app.add_typer(topics.app, name="topics")


_INTERRUPTED = 130  # Typer's exit code after Ctrl-C


def main(arguments: list[str] | None = None) -> None:
    """Run one command and exit with 0 (ok), 1 (failed) or 2 (misuse)."""
    code = run(sys.argv[1:] if arguments is None else arguments)
    ray = sys.modules.get("ray")
    if ray is not None:
        # After an interrupted run, threads of Ray and of its libraries can crash Python while it shuts down.
        ray.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code. Only a bug in fusionlog ends in a traceback."""
    try:
        result = app(args=arguments, prog_name="fusionlog", standalone_mode=False)
    except TyperException as error:
        context = getattr(error, "ctx", None)
        if context is not None and error.format_message() == context.get_help():  # no command was given
            emit(context.get_help())
            return error.exit_code
        return fail(message_of(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return fail("interrupted", FAILED)
    except Exception as error:
        code = exit_code_of(error)
        if code is None:
            raise
        return fail(message_of(error), code)
    if result == _INTERRUPTED:
        return fail("interrupted", FAILED)
    return result if isinstance(result, int) else OK


if __name__ == "__main__":
    main()
