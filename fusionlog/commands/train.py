"""`fusionlog train`: from a labelled source and an unlabelled target to a published model."""

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from trainer.labellers import LABELLERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainer.learning.evaluation import Share
    from trainer.plan import TrainingPlan
    from trainer.progress import ProgressRecord
    from trainer.report import TrainingReport
    from trainer.settings import TrainerSettings

Result = TypeVar("Result")

_LAYOUTS = "plain, loghub-hdfs, loghub-bgl, loghub-openstack or custom"
_STOPPING = "stopping: the workers are ended, nothing is published"
_INTERRUPTED = "interrupted: nothing is half published, 'fusionlog models ls' shows the version that serves"


# Long: Typer makes one option of each parameter, and the mapping below gives each option its settings key.
def train(
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Settings file (YAML).")] = None,
    source: Annotated[
        str | None, typer.Option(help="Labelled system: FILE, kafka://TOPIC or starter. (default: starter)")
    ] = None,
    target: Annotated[str | None, typer.Option(help="System to learn, unlabelled: FILE or kafka://TOPIC.")] = None,
    source_from: Annotated[str | None, typer.Option(help="As --from, for the source.")] = None,
    source_to: Annotated[str | None, typer.Option(help="As --to, for the source.")] = None,
    target_from: Annotated[
        str | None, typer.Option("--from", help="Where to begin in a topic: ISO time, offset:N or p0=N,p1=M.")
    ] = None,
    target_to: Annotated[str | None, typer.Option("--to", help="Where to end; itself left out.")] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Labels beside the source: CSV BlockId,Label or start,end[,key].")
    ] = None,
    system: Annotated[str | None, typer.Option(help="Name of the target system. (default: from --target)")] = None,
    source_layout: Annotated[str | None, typer.Option(help=f"Layout of the source's lines: {_LAYOUTS}.")] = None,
    target_layout: Annotated[str | None, typer.Option(help=f"Layout of the target's lines: {_LAYOUTS}.")] = None,
    source_line_pattern: Annotated[str | None, typer.Option(help="As --line-pattern, for the source.")] = None,
    line_pattern: Annotated[
        str | None,
        typer.Option(
            help="Layout custom: regular expression with groups message and maybe time and key, "
            "e.g. '(?P<time>\\S+) (?P<message>.*)'."
        ),
    ] = None,
    source_time_format: Annotated[str | None, typer.Option(help="As --time-format, for the source.")] = None,
    time_format: Annotated[
        str | None, typer.Option(help="Of the group time: epoch_s, epoch_ms, iso or strptime directives, in UTC.")
    ] = None,
    source_key_pattern: Annotated[
        str | None, typer.Option(help="Regular expression that finds the keys in a source's line.")
    ] = None,
    key_pattern: Annotated[
        str | None, typer.Option(help="The same for the target, e.g. 'order=(\\S+)'; group 1 is the key.")
    ] = None,
    source_window_kind: Annotated[str | None, typer.Option(help="Source: session, tumbling or count.")] = None,
    window_kind: Annotated[
        str | None, typer.Option(help="Target: session (a key's lines until it is idle), tumbling or count.")
    ] = None,
    source_idle_seconds: Annotated[float | None, typer.Option(help="As --idle-seconds, for the source.")] = None,
    idle_seconds: Annotated[float | None, typer.Option(help="session: gap that ends a window.")] = None,
    source_size_seconds: Annotated[float | None, typer.Option(help="As --size-seconds, for the source.")] = None,
    size_seconds: Annotated[float | None, typer.Option(help="tumbling: length of a window.")] = None,
    labeller: Annotated[str | None, typer.Option(help=f"{', '.join(LABELLERS)}. (default: heuristic)")] = None,
    answers: Annotated[Path | None, typer.Option(help="Recorded answers (JSON lines), for recorded.")] = None,
    budget: Annotated[int | None, typer.Option(help="Answers to ask the labeller for.")] = None,
    alerts_per_day: Annotated[
        float | None, typer.Option(help="Set the threshold so that the history would have raised so many.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random. (default: 0)")] = None,
    workers: Annotated[str | None, typer.Option(help="ray, or local for all in this process. (default: ray)")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder that the artifact is written to.")] = None,
    publish: Annotated[
        bool | None, typer.Option("--publish/--no-publish", help="Publish the model. (default: publish)")
    ] = None,
    promote: Annotated[
        bool | None, typer.Option("--promote/--no-promote", help="Let it serve at once. (default: promote)")
    ] = None,
    force: Annotated[
        bool | None, typer.Option("--force", help="Train and promote although the history cannot carry a model.")
    ] = None,
    store: Annotated[str | None, typer.Option(help="Artifact store: kafka://, a folder or an fsspec URL.")] = None,
    bootstrap_servers: Annotated[str | None, typer.Option(help="Kafka servers, host:port[,host:port].")] = None,
    topic_prefix: Annotated[str | None, typer.Option(help="Prefix of fusionlog's topics.")] = None,
    progress_file: Annotated[
        Path | None, typer.Option(help="File that gets the progress as JSON lines, for a program that waits.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count what would be asked, and its cost; nothing is written.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object on standard output.")] = False,
) -> int:
    r"""Train a model for an unlabelled system and publish it.

    Settings come from the file, then FUSIONLOG_… in the environment (FUSIONLOG_TARGET__PATH=…), then the options here;
    the later wins. Ctrl-C leaves nothing half published.

    Example: fusionlog train --source starter --target app.log --key-pattern 'order=(\S+)' --no-publish --out model

    Example: fusionlog train --source BGL.log --source-layout loghub-bgl --source-window-kind tumbling
    --target kafka://raw.hdfs --target-layout loghub-hdfs --idle-seconds 86400 --bootstrap-servers localhost:9092
    """
    from fusionlog.exits import FAILED
    from fusionlog.extras import require_extra
    from fusionlog.render.console import fail
    from fusionlog.settings.load import load_settings
    from fusionlog.settings.logs import configure_logs
    from trainer.settings import TrainerSettings

    overrides = {
        "source": {
            "path": source,
            "from": source_from,
            "to": source_to,
            "labels": labels,
            "spec": {
                "layout": _layout(source_layout, source_line_pattern),
                "line_pattern": source_line_pattern,
                "time_format": source_time_format,
                "key_pattern": source_key_pattern,
                "window": {
                    "kind": source_window_kind,
                    "idle_seconds": source_idle_seconds,
                    "size_seconds": source_size_seconds,
                },
            },
        },
        "target": {
            "path": target,
            "from": target_from,
            "to": target_to,
            "spec": {
                "name": system,
                "layout": _layout(target_layout, line_pattern),
                "line_pattern": line_pattern,
                "time_format": time_format,
                "key_pattern": key_pattern,
                "window": {"kind": window_kind, "idle_seconds": idle_seconds, "size_seconds": size_seconds},
            },
        },
        "labeller": labeller,
        "recorded": {"answers": answers},
        "budget": budget,
        "seed": seed,
        "alerts_per_day": alerts_per_day,
        "workers": workers,
        "out": out,
        "publish": None if dry_run else publish,  # a dry run needs no --out
        "promote": promote,
        "force": force,
        "store": store,
        "kafka": {"bootstrap_servers": bootstrap_servers},
        "topic_prefix": topic_prefix,
    }
    settings = load_settings(TrainerSettings, config, overrides)
    require_extra("train", "trainer")
    configure_logs()
    if dry_run:
        from trainer.plan import plan

        planned = _run(plan, settings, progress_file)
        if planned is None:
            return fail(_INTERRUPTED, FAILED)
        _show(planned, _plan_summary(planned), as_json)
        return 0
    from trainer.recipe import train as run

    report = _run(run, settings, progress_file)
    if report is None:
        return fail(_INTERRUPTED, FAILED)
    _show(report, _summary(report), as_json)
    if report.refused:
        return fail(f"{'; '.join(report.refused)}; {_consequence(settings)}", FAILED)
    return 0


def _consequence(settings: "TrainerSettings") -> str:
    """What a refusal means: nothing would have been promoted where the settings do not ask for it."""
    if not settings.publish:
        return "the model should not serve; it was not published, as the settings say"
    if not settings.promote:
        return "the model should not serve; it was published without promotion, as the settings say"
    return "the model does not serve, --force promotes it"


def _run(
    run: "Callable[[TrainerSettings, Callable[[ProgressRecord], None]], Result]",
    settings: "TrainerSettings",
    progress_file: Path | None,
) -> "Result | None":
    """The result of a run whose progress is shown; None where it was interrupted."""
    from fusionlog.render.progress import show_progress
    from fusionlog.signals import interrupted_by

    try:
        with interrupted_by((signal.SIGINT, signal.SIGTERM), _STOPPING), show_progress(progress_file) as progress:
            return run(settings, progress)
    except KeyboardInterrupt:
        return None


def _show(result: "TrainingReport | TrainingPlan", summary: list[str], as_json: bool) -> None:
    """Warnings, then the result as people or programs read it."""
    from fusionlog.render.console import emit, emit_json, warn

    for warning in result.warnings:
        warn(warning)
    if as_json:
        emit_json(result.as_dict())
    else:
        for line in summary:
            emit(line)


def _layout(layout: str | None, line_pattern: str | None) -> str | None:
    """The layout option; a line pattern alone selects `custom`, the only layout that takes one."""
    return "custom" if layout is None and line_pattern is not None else layout


def _summary(report: "TrainingReport") -> list[str]:
    """What people want to know: which version, made from what, how far to trust it; `--json` has the rest."""
    counts, metrics = report.counts, report.metrics
    rows = {
        "system": report.system,
        "version": f"{report.version}{', not promoted' if report.refused else ''}"
        if report.version
        else "not published",
        "sha256": report.sha256,
        "artifact": str(report.out) if report.out is not None else "",
        "target": f"{counts['target_lines']} lines, {counts['windows']} windows ({counts['signatures']} distinct), "
        f"{counts['templates']} templates, {counts['unreadable_lines']} lines unreadable",
        "labeller": f"{report.labeller}: {counts['answers_asked']} asked, {counts['answers_remembered']} remembered, "
        f"{metrics.anomalous_answers} anomalous, {metrics.abstentions} abstentions",
        "source model": "not known: it takes normal and anomalous answers, on general windows too"
        if metrics.transfer_readiness is None
        else _agreement(metrics.readiness, "answers on general windows"),
        "model": _agreement(metrics.guard, "answers that it had not seen")
        if metrics.guard.count
        else "not known: there was no answer to judge it by",
        "alert rate": f"{metrics.alert_rate * counts['windows']:.0f} of the history's {counts['windows']} windows "
        f"({metrics.alert_rate:.2%}{_per_day(metrics.alerts_per_day)})",
        "seconds": f"{report.seconds:g}",
    }
    return [f"{name:13} {value}" for name, value in rows.items() if value]


def _plan_summary(plan: "TrainingPlan") -> list[str]:
    """What a run would learn from and ask for."""
    price = "no price set (openai.price_per_million_input_tokens and …_output_tokens)"
    money = price if plan.estimated_cost is None else f"about {plan.estimated_cost:.2f} by the prices of the settings"
    rows = {
        "system": plan.system,
        "target": f"{plan.lines} lines, {plan.windows} windows ({plan.signatures} distinct), "
        f"{plan.groups} label groups",
        "labeller": f"{plan.labeller}: {plan.answers_to_ask} answers to be asked, {plan.answers_remembered} remembered"
        + (f", {plan.answers_shared} shared by equal questions" if plan.answers_shared else ""),
        "tokens": f"about {plan.estimated_tokens}",
        "cost": money if plan.estimated_tokens else "nothing",
        "dry run": "nothing was asked, trained, published or written",
    }
    return [f"{name:13} {value}" for name, value in rows.items()]


def _per_day(alerts: float | None) -> str:
    return "" if alerts is None else f", {alerts:.3g} a day"


def _agreement(share: "Share", of_what: str) -> str:
    """Counts and the interval: a share of few answers is uncertain."""
    return (
        f"agrees with the labeller in {share.value * share.count:.0f} of {share.count} {of_what} "
        f"(95% interval {share.low:.0%} to {share.high:.0%})"
    )
