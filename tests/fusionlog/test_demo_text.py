from rich.console import Console, RenderableType

from fusionlog.render.alerts import alert_block, alert_line, printable
from schemas.alert import Alert, NearestSourceEvent
from tests.fusionlog.conftest import MakeAlert


def shown(renderable: RenderableType) -> str:
    """What a terminal of 140 columns would show."""
    console = Console(width=140, no_color=True, highlight=False)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_an_alert_shows_what_where_and_why(make_alert: MakeAlert) -> None:
    """Severity, score, key, times, the line that carries the score, its count, and what it is like."""
    text = shown(alert_block(make_alert(near=NearestSourceEvent(text="No space left", cosine=0.83))))
    for part in (
        "ERROR 0.97  media  mj-1  09:12:44 to 09:13:02, 17 lines",
        "+0.61  no room on <PATH> x3  new",
        "No space left  (source event, cosine 0.83)",
        "general knowledge",
        "sample  disk full",
    ):
        assert part in text


def test_a_line_holds_one_alert(an_alert: Alert) -> None:
    """The short form is one line."""
    assert len(shown(alert_line(an_alert)).splitlines()) == 1


def test_log_text_cannot_steer_the_terminal_or_the_markup(make_alert: MakeAlert) -> None:
    """Escape sequences are written out, and square brackets are text."""
    text = shown(alert_block(make_alert("\x1b[31m[bold]\u202egone")))
    assert "\\x1b[31m[bold]\\u202egone" in text
    assert "\x1b" not in text


def test_printable_leaves_readable_text_alone() -> None:
    """Letters of any script stay; newlines and bells become escapes."""
    assert printable("Größe 日本 ok") == "Größe 日本 ok"
    assert printable("a\nb\x07") == "a\\nb\\x07"
