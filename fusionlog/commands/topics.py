"""`fusionlog topics`: create the topics that fusionlog owns, or list them."""

from typing import Annotated

import typer

from fusionlog.commands.options import AsJson, BootstrapServers, Config, TopicPrefix, connection
from fusionlog.render.console import emit, emit_json, warn

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """The topics that fusionlog owns.

    Example: fusionlog topics create --config agent.yaml
    """


@app.command("create")
def create(
    config: Config = None,
    bootstrap_servers: BootstrapServers = None,
    topic_prefix: TopicPrefix = None,
    raw: Annotated[
        list[str] | None, typer.Option(help="A raw log topic to create as well: name or name:partitions; repeatable.")
    ] = None,
    partitions: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Partitions of the state topic, and of a raw topic without a number. "
            "(default: those of the largest raw topic, and 1)",
        ),
    ] = None,
    replication_factor: Annotated[int, typer.Option(min=1, help="Replicas of each created topic.")] = 1,
    as_json: AsJson = False,
) -> int:
    """Create the missing topics; existing ones stay unchanged.

    Example: fusionlog topics create --bootstrap-servers localhost:9092 --raw raw.orders:6
    """
    from broker.admin import ensure_topics, too_narrow

    kafka, topics = connection(config, bootstrap_servers, topic_prefix)
    wanted = dict(_parse_raw(entry, partitions or 1) for entry in raw or [])
    state_partitions = max([partitions or 1, *wanted.values()])
    narrow = too_narrow(kafka, topics, wanted, state_partitions)
    created = ensure_topics(
        kafka, topics, raw=wanted, state_partitions=state_partitions, replication=replication_factor
    )
    for line in narrow:
        warn(line)
    if as_json:
        emit_json({"created": created})
    else:
        emit("\n".join(f"created {name}" for name in created) or "all topics exist")
    return 0


@app.command("ls")
def list_topics(topic_prefix: TopicPrefix = None, config: Config = None, as_json: AsJson = False) -> int:
    """Print the names of fusionlog's topics and whether each is compacted; needs no broker.

    Example: fusionlog topics ls --topic-prefix staging
    """
    _, topics = connection(config, None, topic_prefix)
    specs = topics.specs()
    if as_json:
        emit_json([{"name": spec.name, "compacted": spec.compacted} for spec in specs])
    else:
        for spec in specs:
            emit(f"{spec.name:40} {'compact' if spec.compacted else 'delete'}")
    return 0


def _parse_raw(entry: str, default: int) -> tuple[str, int]:
    name, colon, count = entry.partition(":")
    if not colon:
        return name, default
    if not count.isdigit() or int(count) < 1:
        raise typer.BadParameter(f"--raw must be name or name:partitions with partitions >= 1, got {entry!r}")
    return name, int(count)
