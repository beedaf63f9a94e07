"""The demo's two systems, built for a seed: a labelled source and an unlabelled target."""

from dataclasses import dataclass

from detector.system import MaskRule, SystemSpec, WindowSpec
from loggen.demo import media, payments
from loggen.engine import Service, rng_of

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


@dataclass(frozen=True)
class DemoSystem:
    """A service of the log generator and the spec that reads its lines."""

    service: Service
    spec: SystemSpec


def source_system(seed: int) -> DemoSystem:
    """The labelled source: payments."""
    return DemoSystem(payments.payments(rng_of(seed, "payments")), PAYMENTS_SPEC)


def target_system(seed: int) -> DemoSystem:
    """The unlabelled target: a media pipeline."""
    return DemoSystem(media.media(rng_of(seed, "media")), MEDIA_SPEC)
