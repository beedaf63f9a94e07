"""`fusionlog models`: list the published versions, and choose the one that serves."""

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from fusionlog.commands.options import AsJson, BootstrapServers, Config, TopicPrefix, connection
from fusionlog.render.console import emit, emit_json

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """Published models and the version that serves.

    Example: fusionlog models ls --bootstrap-servers localhost:9092
    """


@app.command("ls")
def list_models(
    config: Config = None,
    bootstrap_servers: BootstrapServers = None,
    topic_prefix: TopicPrefix = None,
    system: str | None = typer.Option(None, help="Only this system."),
    as_json: AsJson = False,
) -> int:
    """List every published version, newest last, and mark the champion.

    Example: fusionlog models ls --bootstrap-servers localhost:9092
    """
    from broker.registry.records import read_models

    kafka, topics = connection(config, bootstrap_servers, topic_prefix)
    registry = read_models(kafka, topics)
    published = sorted(registry.pointers.values(), key=lambda pointer: (pointer.system, pointer.version))
    pointers = [pointer for pointer in published if system in (None, pointer.system)]
    rows = [
        {
            "system": pointer.system,
            "version": pointer.version,
            "champion": registry.champion(pointer.system) == pointer,
            "sha256": pointer.sha256,
            "labeller": pointer.labeller,
            "created": datetime.fromtimestamp(pointer.created_ms / 1000, tz=UTC).isoformat(timespec="seconds"),
            "size_bytes": pointer.size_bytes,
            "store": pointer.store,
            "metrics": pointer.metrics,
        }
        for pointer in pointers
    ]
    if as_json:
        emit_json(rows)
        return 0
    # A file or a pipe has no width, so nothing is cut there.
    console = Console(width=None if sys.stdout.isatty() else 160)
    if not rows:
        console.print(f"no model is published on {topics.models}: run 'fusionlog train'")
        return 0
    table = Table("system", "version", "serves", "sha256", "labeller", "created", "size")
    for row, pointer in zip(rows, pointers, strict=True):
        serves = "champion" if row["champion"] else ""
        size = f"{pointer.size_bytes / 1e6:.1f} MB"
        cells = (pointer.system, str(pointer.version), serves, pointer.sha256[:12], pointer.labeller)
        table.add_row(*cells, str(row["created"]), size)
    console.print(table)
    return 0


@app.command("promote")
def promote_model(
    system: Annotated[str, typer.Argument(help="Name of the system.")],
    version: Annotated[int, typer.Argument(min=1, help="A published version, newer or older than what serves.")],
    config: Config = None,
    bootstrap_servers: BootstrapServers = None,
    topic_prefix: TopicPrefix = None,
    as_json: AsJson = False,
) -> int:
    """Let a published version serve: a challenger, or an older one to go back to. Agents load it without a restart.

    Example: fusionlog models promote orders 3 --bootstrap-servers localhost:9092
    """
    from broker.registry.promotion import promote

    kafka, topics = connection(config, bootstrap_servers, topic_prefix)
    moved = promote(kafka, topics, system, version)
    if as_json:
        emit_json({"system": system, "version": version, "changed": moved is not None})
    else:
        emit(f"version {version} of {system} serves {'now' if moved is not None else 'already'}")
    return 0
