"""Alerts as text for a terminal."""

from rich.console import Console, Group, RenderableType
from rich.text import Text

from schemas.alert import Alert, TemplateEvidence

_COLOURS = {"FATAL": "bold white on red", "ERROR": "bold red", "WARN": "bold yellow"}
_KNOWLEDGE = {
    "general": "a failure as the source knows it (general knowledge)",
    "proprietary": "a failure of this system's own kind (proprietary knowledge)",
    "baseline": "no model serves yet",
}
_TEMPLATES = 4
_ALWAYS = 2
_WORTH_SHOWING = 0.1  # nats
_SAMPLES = 2


def alert_block(alert: Alert) -> RenderableType:
    """An alert in full: its window, the reason, the templates that contribute most, sample lines."""
    data = alert.data
    rows: list[Text] = [alert_line(alert)]
    # The alert's summary repeats these rows as a sentence, so it is left out.
    knowledge = _KNOWLEDGE.get(data.explanation.knowledge, data.explanation.knowledge)
    rows.append(_row("why", f"{printable(', '.join(data.reason))}: {printable(knowledge)}"))
    rows += [
        _evidence(template)
        for rank, template in enumerate(data.evidence.templates[:_TEMPLATES])
        if rank < _ALWAYS or template.contribution >= _WORTH_SHOWING
    ]
    near = data.explanation.nearest_source_event
    if near is not None:
        rows.append(_row("like", f"{printable(near.text)}  (source event, cosine {near.cosine:.2f})"))
    rows += [_row("sample", printable(sample)) for sample in data.evidence.samples[:_SAMPLES]]
    return Group(*rows)


def alert_line(alert: Alert) -> Text:
    """An alert in one line."""
    data = alert.data
    line = Text("● ", style=_COLOURS.get(data.severity_text, "bold")).append(f"{data.severity_text:<5}")
    line.append(f" {data.score:.2f}", style="bold")
    line.append(f"  {data.system}", style="cyan").append(f"  {printable(data.window.key)}", style="bold cyan")
    line.append(f"  {_clock(data.window.start)} to {_clock(data.window.end)}, {data.window.lines} lines", style="dim")
    return line.append(f"  {', '.join(data.reason)}", style="dim")


def print_lines(console: Console, renderable: RenderableType) -> None:
    """Print lines: on a terminal cut to its width, elsewhere in full."""
    if console.is_terminal:
        console.print(renderable, no_wrap=True, overflow="ellipsis")
    else:
        console.print(renderable, soft_wrap=True)


def printable(text: str) -> str:
    """The text with every unprintable character, such as a terminal's control codes, as an escape."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def _evidence(template: TemplateEvidence) -> Text:
    times = f" x{template.count}" if template.count > 1 else ""
    line = _row("line", f"{template.contribution:+.2f}  {printable(template.text)}{times}")
    return line.append("  new", style="magenta") if template.novel else line


def _row(name: str, text: str) -> Text:
    return Text(f"    {name:<7} ", style="dim").append(text, style="not dim")


def _clock(stamp: str) -> str:
    """Time of day of an RFC 3339 stamp."""
    return printable(stamp.partition("T")[2].partition(".")[0].removesuffix("Z") or stamp)
