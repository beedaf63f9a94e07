"""How the lines of the demo's two systems are read: a labelled source (payments) and an unlabelled target (media)."""

from detector.system import MaskRule, SystemSpec, WindowSpec
from loggen.demo import media, payments

MEDIA_SPEC = SystemSpec(
    name=media.NAME,
    format="raw",
    layout="custom",
    line_pattern=r"^(?P<time>\S+) node=\S+(?: job=(?P<key>\S+))? (?P<message>.*)$",
    time_format="iso",
    window=WindowSpec(kind="session", idle_seconds=90, max_lines=256),
)

PAYMENTS_SPEC = SystemSpec(
    name=payments.NAME,
    format="auto",
    layout="custom",
    line_pattern=r"^(?P<time>\S+ \S+) +\[\S+\] (?P<message>.*)$",
    time_format="%Y-%m-%d %H:%M:%S,%f",
    key_pattern=r"\btxn=(T[0-9A-F]{8})\b",
    window=WindowSpec(kind="session", idle_seconds=120, max_lines=256),
    masks=(MaskRule(name="TXN", pattern=r"\bT[0-9A-F]{8}\b"),),
)
